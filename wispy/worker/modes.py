"""How a method of a served object is to be run, and the marks by which its author says so.

A method runs in one of three ways:

- *asynchronous*: an `async def`, as a task on the objects' loop;
- *synchronous*: a `def`, on the objects' loop in the order of arrival, so that it never meets another one half-way;
- *threaded*: a `def` in the object's thread pool, beside everything else.

Each may also be *locking*: at most one locking method of an object runs at a time, the others wait in order of arrival.

Who decides, the first that has an opinion: a decorator on the function (`@threaded`), a mark in its return annotation
(`-> Annotated[float, threaded]`, where `func_caller.check_return_annotation_default` is on), the defaults of the
configuration. A mark changes nothing about the function itself: it can still be called as before.

The marks of a function are one frozen struct in its attribute `__wispy__`, which `functools.wraps` carries along.
"""

import inspect
import logging
import math
import types
import typing
from collections.abc import Callable
from enum import Enum
from typing import Any, TypeVar

import msgspec

logger = logging.getLogger(__name__)

FunctionT = TypeVar("FunctionT")

MARKS_ATTRIBUTE = "__wispy__"

# Methods are few, but a class may make functions as it goes (lambdas kept in attributes). Past this many the memory of
# modes starts afresh: far above any real interface, and a few hundred KiB at most.
REMEMBERED_MODES = 4096


class Kind(Enum):
    """Where a method runs."""

    ASYNCHRONOUS = "asynchronous"
    SYNCHRONOUS = "synchronous"
    THREADED = "threaded"


class Marks(msgspec.Struct, frozen=True):
    """What the author of a function has said about it; None where he has said nothing."""

    threaded: bool | None = None
    locking: bool | None = None
    idempotent: bool | None = None
    timeout_s: float | None = None


class Mode(msgspec.Struct, frozen=True):
    """How a function is run, with the defaults filled in."""

    kind: Kind
    locking: bool
    idempotent: bool
    timeout_s: float


class Defaults(typing.Protocol):
    """The part of the configuration that modes are made from: `func_caller`."""

    @property
    def locking_default(self) -> bool: ...
    @property
    def synchronous_default(self) -> bool: ...
    @property
    def check_return_annotation_default(self) -> bool: ...
    @property
    def run_timeout_default(self) -> float: ...


class Mark:
    """One thing to say about a function: a decorator, and equally a mark for its return annotation."""

    def __init__(self, name: str, **said: Any) -> None:
        self._name = name
        self._said = said

    def __call__(self, function: FunctionT) -> FunctionT:
        """Mark the function and return it unchanged. Static methods and class methods are marked within."""
        inner = typing.cast(Any, getattr(function, "__func__", function))
        if not inspect.isroutine(inner):
            raise TypeError(f"@{self._name} marks functions and methods, not {type(function).__name__} objects")
        setattr(inner, MARKS_ATTRIBUTE, self.added_to(marks_of(inner)))
        return function

    def __repr__(self) -> str:
        return f"wispy.{self._name}"

    def added_to(self, marks: Marks) -> Marks:
        """The marks, with this one in addition; it outweighs an earlier one of the same kind."""
        return msgspec.structs.replace(marks, **self._said)


threaded = Mark("threaded", threaded=True)
"""Run in the object's thread pool. Its author takes care of data that several threads touch."""

synchronous = Mark("synchronous", threaded=False)
"""Run on the objects' loop, one call after the other, also where `func_caller.synchronous_default` is off."""

locking = Mark("locking", locking=True)
"""At most one locking method of the object runs at a time; the others wait in order of arrival."""

not_locking = Mark("not_locking", locking=False)
"""Never wait for a locking method, also where `func_caller.locking_default` is on."""

idempotent = Mark("idempotent", idempotent=True)
"""Running it twice does what running it once does: a client may repeat it by itself when an outcome is unknown."""


def timeout(seconds: float) -> Mark:
    """The longest that one call of the function may run, in seconds, in place of `func_caller.run_timeout_default`.

    A caller's own time-out counts where it is shorter, never where it is longer: a page cannot hold a place in the
    worker for longer than the method's author allows. `math.inf` means no limit.
    """
    if isinstance(seconds, bool) or not seconds > 0:
        raise ValueError(f"a time-out is a number of seconds above 0, not {seconds!r}")
    return Mark(f"timeout({seconds!r})", timeout_s=float(seconds))


def marks_of(function: Any) -> Marks:
    """What decorators have said about a function; empty marks where there were none."""
    marks = getattr(function, MARKS_ATTRIBUTE, None)
    return marks if isinstance(marks, Marks) else Marks()


def resolve_mode(function: Any, defaults: Defaults) -> Mode:
    """How the function is run: its decorators, else its return annotation, else the defaults."""
    marks = Marks()
    if defaults.check_return_annotation_default:
        for mark in _annotated_marks(function):
            marks = mark.added_to(marks)
    decorated = marks_of(function)
    said = {name: value for name in Marks.__struct_fields__ if (value := getattr(decorated, name)) is not None}
    marks = msgspec.structs.replace(marks, **said)
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


def _annotated_marks(function: Any) -> list[Mark]:
    """The marks in `-> Annotated[..., mark]`. Only this annotation is evaluated: others may name types not imported."""
    annotations = typing.cast(dict[str, Any], getattr(function, "__annotations__", None) or {})
    if "return" not in annotations:
        return []
    holder = types.SimpleNamespace(__annotations__={"return": annotations["return"]})
    names = getattr(inspect.unwrap(function), "__globals__", {})
    try:
        hint = typing.get_type_hints(holder, globalns=names, include_extras=True)["return"]
    except Exception as error:  # evaluating the author's text may raise anything
        if "Annotated" in str(annotations["return"]):
            name = getattr(function, "__qualname__", repr(function))
            logger.warning("the return annotation of %s cannot be read, its marks do not count: %s", name, error)
        return []
    if typing.get_origin(hint) is not typing.Annotated:
        return []
    return [mark for mark in typing.get_args(hint)[1:] if isinstance(mark, Mark)]
