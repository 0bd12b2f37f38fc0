"""How a method of a served object is to be run.

A method runs in one of three ways:

- *asynchronous*: an `async def`, as a task on the objects' loop;
- *synchronous*: a `def`, on the objects' loop in the order of arrival, so that it never meets another one half-way;
- *threaded*: a `def` in the object's thread pool, beside everything else.

Each may also be *locking*: at most one locking method of an object runs at a time, the others wait in order of arrival.

Who decides, the first that has an opinion: a decorator on the function (`@threaded`), a mark in its return annotation
(`-> Annotated[float, threaded]`, where `func_caller.check_return_annotation_default` is on), the defaults of the
configuration. The marks themselves are in `wispy.worker.marks`.
"""

import inspect
import math
from collections.abc import Callable
from enum import Enum
from typing import Any, Protocol

import msgspec

from wispy.worker.marks import Marks, marks_of, returned_marks

# Methods are few, but a class may make functions as it goes (lambdas kept in attributes). Past this many the memory of
# modes starts afresh: far above any real interface, and a few hundred KiB at most.
REMEMBERED_MODES = 4096


class Kind(Enum):
    """Where a method runs."""

    ASYNCHRONOUS = "asynchronous"
    SYNCHRONOUS = "synchronous"
    THREADED = "threaded"


class Mode(msgspec.Struct, frozen=True):
    """How a function is run, with the defaults filled in."""

    kind: Kind
    locking: bool
    idempotent: bool
    timeout_s: float


class Defaults(Protocol):
    """The part of the configuration that modes are made from: `func_caller`."""

    @property
    def locking_default(self) -> bool: ...
    @property
    def synchronous_default(self) -> bool: ...
    @property
    def check_return_annotation_default(self) -> bool: ...
    @property
    def run_timeout_default(self) -> float: ...


def resolve_mode(function: Any, defaults: Defaults) -> Mode:
    """How the function is run: its decorators, else its return annotation, else the defaults."""
    marks = marks_of(function)
    if defaults.check_return_annotation_default:
        marks = marks.or_else(returned_marks(function))
    return Mode(
        kind=_kind(function, marks, defaults),
        locking=defaults.locking_default if marks.locking is None else marks.locking,
        idempotent=bool(marks.idempotent),
        timeout_s=defaults.run_timeout_default if marks.timeout_s is None else marks.timeout_s,
    )


class Modes:
    """The modes of an object's functions, each worked out once."""

    def __init__(self, defaults: Defaults) -> None:
        self._defaults = defaults
        self._known: dict[Any, Mode] = {}

    def of(self, function: Callable[..., Any]) -> Mode:
        """How a function or bound method is run."""
        key = getattr(function, "__func__", function)
        try:
            mode = self._known.get(key)
        except TypeError:  # a callable object that cannot be hashed
            return resolve_mode(key, self._defaults)
        if mode is None:
            if len(self._known) >= REMEMBERED_MODES:
                self._known.clear()
            mode = self._known[key] = resolve_mode(key, self._defaults)
        return mode


def longest_run_s(mode: Mode, asked_s: float | None) -> float:
    """How long one call may run, in seconds: the method's limit, or the caller's where that is shorter."""
    if asked_s is None or math.isnan(asked_s):
        return mode.timeout_s
    return min(mode.timeout_s, asked_s)


def _kind(function: Any, marks: Marks, defaults: Defaults) -> Kind:
    if inspect.iscoroutinefunction(function):
        return Kind.ASYNCHRONOUS
    in_pool = not defaults.synchronous_default if marks.threaded is None else marks.threaded
    return Kind.THREADED if in_pool else Kind.SYNCHRONOUS
