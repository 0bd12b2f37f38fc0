"""An object's hooks: methods that wispy calls when the object comes to a process and goes, and to keep its state.

Rules:
- A hook is a method with one of the marks `on_acquire`, `on_release`, `snapshot`, `restore`; `def` or `async def`; at
  most one of each kind in a class. What overrides it in a subclass is the hook too, with a mark or without.
- Hooks run in the objects' thread, and never for a page: their names are not served.
- Each is given so much time and no more; what it does wrong is logged, and never ends the worker.
"""

import asyncio
import inspect
import logging
from collections.abc import Callable, Iterator
from enum import Enum
from functools import partial
from typing import Any, Final, TypeVar, overload

import msgspec

from wispy.protocol.values import DecodeError, UnencodableError, decode, encode
from wispy.worker.statics import plain_function

log = logging.getLogger("wispy.worker")

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])

HOOK_ATTRIBUTE: Final = "__wispy_hook__"

SHORTEST_EVERY_S: Final = 0.1
"""Seconds between two snapshots: each holds up the object's calls, and is one write to Redis."""


class HookError(Exception):
    """A hook has failed; its traceback is in the log."""


class HookKind(Enum):
    """When a hook runs."""

    ON_ACQUIRE = "on_acquire"
    ON_RELEASE = "on_release"
    SNAPSHOT = "snapshot"
    RESTORE = "restore"


class HookMark(msgspec.Struct, frozen=True):
    """What a function's author has said: that it is a hook."""

    kind: HookKind
    every_s: float | None = None
    """Of a snapshot: seconds between two of them; None: at the release only."""


def _mark(function: FunctionT, mark: HookMark) -> FunctionT:
    marked: object = function
    if not inspect.isfunction(marked):
        raise TypeError(f"@{mark.kind.value} marks methods, not {type(marked).__name__} objects")
    setattr(marked, HOOK_ATTRIBUTE, mark)
    return function


def on_acquire(function: FunctionT) -> FunctionT:
    """Call this method each time this process has become the object's owner, before anything is served.

    If it raises, the object is not served here; it is tried again after a pause.
    """
    return _mark(function, HookMark(HookKind.ON_ACQUIRE))


def on_release(function: FunctionT) -> FunctionT:
    """Call this method when this process ceases to be the owner: before the next one begins where the object is handed
    over, afterwards where the lease was lost. Always after an `on_acquire` that has succeeded, unless the process is
    killed.
    """
    return _mark(function, HookMark(HookKind.ON_RELEASE))


@overload
def snapshot(function: FunctionT, /) -> FunctionT: ...
@overload
def snapshot(*, every: float) -> Callable[[FunctionT], FunctionT]: ...
def snapshot(function: Any = None, /, *, every: float | None = None) -> Any:
    """Store what this method returns, for the next owner: at the release, and every `every` seconds if given.

    It returns anything that a result may be, or bytes, which are kept as they are. Written `@snapshot`, or
    `@snapshot(every=10)`.

    Raises:
        ValueError: `every` is no number of seconds, or a shorter time than `SHORTEST_EVERY_S`.
    """
    if every is not None and (isinstance(every, bool) or not SHORTEST_EVERY_S <= every < float("inf")):
        raise ValueError(f"every is a number of seconds from {SHORTEST_EVERY_S}, not {every!r}")
    mark = HookMark(HookKind.SNAPSHOT, None if every is None else float(every))
    return partial(_mark, mark=mark) if function is None else _mark(function, mark)


def restore(function: FunctionT) -> FunctionT:
    """Call this method with the newest snapshot that another process has stored, before the object is served."""
    return _mark(function, HookMark(HookKind.RESTORE))


class Hooks:
    """The hooks of one instance.

    Args:
        target: the instance; nothing of it is touched but its class.

    Raises:
        TypeError: its class has two hooks of a kind.
    """

    def __init__(self, target: object) -> None:
        self._target = target
        self._found = _find(type(target))

    @property
    def names(self) -> frozenset[str]:
        """The methods that are hooks."""
        return frozenset(name for name, _ in self._found.values())

    @property
    def every_s(self) -> float | None:
        """Seconds between two snapshots; None: at the release only."""
        found = self._found.get(HookKind.SNAPSHOT)
        return None if found is None else found[1].every_s

    def __contains__(self, kind: HookKind) -> bool:
        return kind in self._found

    async def call(self, kind: HookKind, *args: Any) -> Any:
        """Run a hook to its end. In the objects' thread.

        Raises:
            HookError: it has raised; the traceback is in the log.
        """
        name, _ = self._found[kind]
        try:
            result = getattr(self._target, name)(*args)
            return await result if inspect.isawaitable(result) else result
        except asyncio.CancelledError:  # its time is over
            raise
        except BaseException as error:  # SystemExit too: it would end the loop
            log.exception("the hook %s (%s) failed", name, kind.value)
            raise HookError(f"{name}: {type(error).__name__}: {error}") from error

    async def snapshot(self) -> tuple[bool, bytes]:
        """The state that the snapshot hook returns: whether it is bytes, and the bytes or the JSON. As `call`.

        Raises:
            HookError: the hook has raised, or what it returned has no JSON form.
        """
        state = await self.call(HookKind.SNAPSHOT)
        if isinstance(state, bytes | bytearray):
            return True, bytes(state)
        try:
            return False, encode(state)  # here, and before the next call: later the state would be another one
        except UnencodableError as error:
            raise HookError(f"{self._found[HookKind.SNAPSHOT][0]}: {error}") from error

    async def restore(self, is_bytes: bool, data: bytes) -> None:
        """Give the restore hook what `snapshot` had returned. As `call`.

        Raises:
            HookError: the hook has raised, or this is no JSON.
        """
        try:
            state = data if is_bytes else decode(data, max_depth=None)
        except DecodeError as error:
            raise HookError(f"the stored state cannot be read: {error}") from error
        await self.call(HookKind.RESTORE, state)


def hook_names(cls: type) -> frozenset[str]:
    """The methods of a class that are hooks."""
    return frozenset(name for name, _ in _marked(cls))


def _find(cls: type) -> dict[HookKind, tuple[str, HookMark]]:
    found: dict[HookKind, tuple[str, HookMark]] = {}
    for name, mark in _marked(cls):
        known = found.setdefault(mark.kind, (name, mark))
        if known[0] != name:
            raise TypeError(f"{cls.__name__} has two methods marked {mark.kind.value}: {known[0]} and {name}")
    return found


def _marked(cls: type) -> Iterator[tuple[str, HookMark]]:
    for each in cls.__mro__:
        for name, static in list(vars(each).items()):
            function = plain_function(static)
            mark = getattr(function, HOOK_ATTRIBUTE, None) if inspect.isfunction(function) else None
            if isinstance(mark, HookMark):
                yield name, mark
