"""Dicts and lists that say when they change: what the values of an object's channels are made of.

A `TrackedDict` is a dict and a `TrackedList` is a list, with every way to change one in place reporting to the channel
that it is part of. Rules:

- A plain dict or list that enters is copied into a tracked one, and so is what is nested in it. So each tracked
  container is in one place of one channel: the same list assigned to two channels becomes two lists. Other types
  (tuples, arrays, an OrderedDict, instances) are kept as they are; what changes inside them is told by assigning them
  again.
- Reporting and changing happen under the object's one lock, so that any thread may change them, and so that an encoder
  which holds the lock sees no half-made change.
- Once its channel got another value, a container that somebody still holds is as good as a plain one: it reports to
  nobody. One that was taken out of a container which is still there may cause its channel to be published as it is.
- Copying, pickling and slicing one gives plain dicts and lists.
"""

import threading
from collections.abc import Callable, Iterable
from typing import Any, Final, Self, SupportsIndex, cast

from wispy.protocol.nesting import MAX_DEPTH

Lock = threading.RLock
"""Reentrant: a sort key, or a destructor that runs at any moment, may itself change a tracked container."""

_MISSING: Final[Any] = object()


class Root:
    """The channel that containers report to."""

    __slots__ = ("changed", "lock")

    def __init__(self, lock: threading.RLock, changed: Callable[[], None]) -> None:
        self.lock = lock
        self.changed = changed

    def detach(self) -> None:
        """From now on what is still held of this value reports to nobody."""
        self.changed = _nobody


def _nobody() -> None: ...


_NOWHERE: Final = Root(Lock(), _nobody)


def _rootless(tracked: object, name: str) -> Root:
    """What a container reports to that other code has made of its type, as `dataclasses.asdict` does."""
    if name == "_root":
        return _NOWHERE
    raise AttributeError(f"{type(tracked).__name__!r} object has no attribute {name!r}", name=name, obj=tracked)


class TrackedDict(dict[Any, Any]):
    """A dict that reports its changes to the channel it is part of."""

    __slots__ = ("_root",)

    _root: Root

    __getattr__ = _rootless

    def __setitem__(self, key: Any, value: Any) -> None:
        root = self._root
        with root.lock:
            if self.get(key, _MISSING) is not value:  # the same one comes back after `d[key] += ...`
                value = wrap(value, root)
            super().__setitem__(key, value)
            root.changed()

    def __delitem__(self, key: Any) -> None:
        with self._root.lock:
            super().__delitem__(key)
            self._root.changed()

    def __ior__(self, other: Any) -> Self:
        self.update(other)
        return self

    def update(self, *args: Any, **kwargs: Any) -> None:
        incoming = dict(*args, **kwargs)
        root = self._root
        with root.lock:
            super().update({key: wrap(value, root) for key, value in incoming.items()})
            root.changed()

    def setdefault(self, key: Any, default: Any = None) -> Any:
        with self._root.lock:
            if key not in self:
                self[key] = default
            return self[key]

    def pop(self, key: Any, *default: Any) -> Any:
        with self._root.lock:
            is_change = key in self
            value = super().pop(key, *default)
            if is_change:
                self._root.changed()
            return value

    def popitem(self) -> tuple[Any, Any]:
        with self._root.lock:
            item = super().popitem()
            self._root.changed()
            return item

    def clear(self) -> None:
        with self._root.lock:
            super().clear()
            self._root.changed()

    def __reduce_ex__(self, protocol: SupportsIndex) -> Any:
        return dict, (dict(self),)


class TrackedList(list[Any]):
    """A list that reports its changes to the channel it is part of."""

    __slots__ = ("_root",)

    _root: Root

    __getattr__ = _rootless

    def __setitem__(self, index: Any, value: Any) -> None:
        root = self._root
        with root.lock:
            if isinstance(index, slice):
                super().__setitem__(cast(Any, index), [wrap(item, root) for item in value])
            elif self[index] is value:
                super().__setitem__(index, value)
            else:
                super().__setitem__(index, wrap(value, root))
            root.changed()

    def __delitem__(self, index: Any) -> None:
        with self._root.lock:
            super().__delitem__(index)
            self._root.changed()

    def __iadd__(self, values: Iterable[Any]) -> Self:
        self.extend(values)
        return self

    def __imul__(self, times: SupportsIndex) -> Self:
        root = self._root
        with root.lock:
            self[:] = list(self) * times  # wrapped anew, so that repeated items are no aliases of one another
        return self

    def append(self, value: Any) -> None:
        root = self._root
        with root.lock:
            super().append(wrap(value, root))
            root.changed()

    def extend(self, values: Iterable[Any]) -> None:
        root = self._root
        with root.lock:
            super().extend([wrap(value, root) for value in values])
            root.changed()

    def insert(self, index: SupportsIndex, value: Any) -> None:
        root = self._root
        with root.lock:
            super().insert(index, wrap(value, root))
            root.changed()

    def remove(self, value: Any) -> None:
        with self._root.lock:
            super().remove(value)
            self._root.changed()

    def pop(self, index: SupportsIndex = -1) -> Any:
        with self._root.lock:
            value = super().pop(index)
            self._root.changed()
            return value

    def clear(self) -> None:
        with self._root.lock:
            super().clear()
            self._root.changed()

    def reverse(self) -> None:
        with self._root.lock:
            super().reverse()
            self._root.changed()

    def sort(self, *, key: Callable[[Any], Any] | None = None, reverse: bool = False) -> None:
        with self._root.lock:
            try:
                super().sort(key=cast(Any, key), reverse=reverse)
            finally:  # a key that raises may leave another order behind
                self._root.changed()

    def __reduce_ex__(self, protocol: SupportsIndex) -> Any:
        return list, (list(self),)


_TRACKED: Final = frozenset({TrackedDict, TrackedList})
_NESTING: Final = _TRACKED | {dict, list}


def wrap(value: Any, root: Root, around: tuple[int, ...] = ()) -> Any:
    """The value as it is to be kept in a container of this root; the caller holds the root's lock.

    What is nested more deeply than any message may be, or in itself, stays as it is: it can change, but it cannot be
    sent either.

    Args:
        value: what is to be kept.
        root: of the container.
        around: the ids of what the value is nested in, of that which enters together.
    """
    if type(value) not in _NESTING or len(around) >= MAX_DEPTH or id(value) in around:
        return value
    tracked: TrackedDict | TrackedList
    if isinstance(value, dict):
        items = cast(dict[Any, Any], value)
        if not _NESTING.isdisjoint(map(type, items.values())):  # found at the speed of C, and mostly not so
            within = (*around, id(items))
            items = {key: wrap(item, root, within) for key, item in items.items()}
        tracked = TrackedDict(items)
    else:
        if not _NESTING.isdisjoint(map(type, value)):
            within = (*around, id(value))
            value = [wrap(item, root, within) for item in value]
        tracked = TrackedList(value)
    tracked._root = root  # pyright: ignore[reportPrivateUsage] # its own family
    return tracked


def plain(value: Any) -> Any:
    """A copy in plain dicts and lists. The caller holds the root's lock where others may change the value."""
    if isinstance(value, TrackedDict):
        if _TRACKED.isdisjoint(map(type, value.values())):
            return dict(value)
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, TrackedList):
        return list(value) if _TRACKED.isdisjoint(map(type, value)) else [plain(item) for item in value]
    return value
