"""Plain dicts and lists by key, as pages reach them: items only, never a method or attribute.

Rules:
- Exactly these types, and the tracked ones: a subclass may do anything when it is asked for an item.
- A key is the text in the path. Where a dict has no such key, an integer key of that text will do, since on the wire
  both are the same. Lists and tuples take an index, from the end where it is negative.
- A page may add and replace items of dicts and replace and delete items of lists, as far as what was there is data:
  a child object, a lock or a function is not replaced.
"""

import collections
import datetime as dt
import decimal
import enum
import re
import uuid
from collections.abc import ItemsView, Iterable, KeysView, ValuesView
from typing import Any, Final, cast

from wispy.protocol import errors
from wispy.worker.statics import home_of
from wispy.worker.tracked import TrackedDict, TrackedList

DICTS: Final[frozenset[Any]] = frozenset({dict, TrackedDict, collections.OrderedDict, collections.defaultdict})
LISTS: Final[frozenset[Any]] = frozenset({list, TrackedList})
CONTAINERS: Final[frozenset[Any]] = DICTS | LISTS | {tuple}

SCALARS: Final[frozenset[Any]] = frozenset(
    {
        type(None),
        bool,
        int,
        float,
        complex,
        str,
        bytes,
        bytearray,
        dt.date,
        dt.datetime,
        dt.time,
        dt.timedelta,
        decimal.Decimal,
        uuid.UUID,
        range,
    }
)
"""Types of values that hold no others."""

_COLLECTIONS: Final[frozenset[Any]] = CONTAINERS | {set, frozenset, collections.deque}
_SEQUENCES: Final[Any] = (list, tuple, set, frozenset, collections.deque)
_VIEWS: Final[Any] = (KeysView, ValuesView, ItemsView)
_INDEX: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,17})", re.ASCII)
_ARRAY_PACKAGES: Final = frozenset({"numpy", "pandas"})


def is_data(value: Any) -> bool:
    """Whether a value is nothing but data all through, so that a page may put another one in its place."""
    pending, met = [value], set[int]()
    while pending:
        part = pending.pop()
        kind = cast(type[object], type(part))
        if kind in _COLLECTIONS:
            if id(part) not in met:  # what contains itself ends, too
                met.add(id(part))
                items = list(cast(Iterable[Any], part.values() if kind in DICTS else part))
                if not SCALARS.issuperset(map(type, items)):  # at the speed of C: a long list of numbers is common
                    pending += [item for item in items if type(item) not in SCALARS]
        elif not (kind in SCALARS or issubclass(kind, enum.Enum) or home_of(kind.__module__) in _ARRAY_PACKAGES):
            return False
    return True


def parts(value: Any) -> list[Any]:
    """The items of a collection, as it is sent, that are more than a number or a text; of anything else, none.

    Subclasses and views are sent as what they are one of. What their own code would make of them is not asked.
    """
    kind = cast(type[object], type(value))
    if kind in _COLLECTIONS:
        items = list(cast(Iterable[Any], value.values() if kind in DICTS else value))
    elif issubclass(kind, dict):
        items = list(dict[Any, Any].values(value))
    elif issubclass(kind, _VIEWS):
        items = list(cast(Iterable[Any], value))
    else:
        base = next((each for each in _SEQUENCES if issubclass(kind, each)), None)
        items: list[Any] = [] if base is None else list(base.__iter__(value))
    if SCALARS.issuperset(map(type, items)):  # at the speed of C, see above
        return []
    return [item for item in items if type(item) not in SCALARS]


def get_item(container: Any, name: str) -> Any:
    """The item of this name.

    Raises:
        RPCError: NOT_FOUND.
    """
    return container[_key(container, name)]


def set_item(container: Any, name: str, value: Any) -> None:
    """Put a value in the place of an item of a dict or list, or add it to a dict.

    Raises:
        RPCError: NOT_FOUND, there is no such place; INVALID_PARAMS, it is not to be changed.
    """
    if type(container) in DICTS and name not in container and not _has_integer_key(container, name):
        container[name] = value
        return
    key = _changeable(container, name)
    container[key] = value


def delete_item(container: Any, name: str) -> None:
    """Take an item out of a dict or list.

    Raises:
        RPCError: NOT_FOUND, there is none; INVALID_PARAMS, it is not to be changed.
    """
    del container[_changeable(container, name)]


def copied(value: Any, made: dict[int, Any] | None = None) -> Any:
    """A copy of nested dicts, lists and tuples; what else they hold is the same.

    Args:
        value: what to copy.
        made: the copies so far, by the ids of what they are copies of.
    """
    made = {} if made is None else made
    kind = cast(type[object], type(value))
    if kind is tuple:
        return tuple(copied(item, made) for item in value)
    if kind not in DICTS and kind not in LISTS:
        return value
    if id(value) not in made:
        made[id(value)] = copy = value.copy()
        for key, item in copy.items() if kind in DICTS else enumerate(copy):
            copy[key] = copied(item, made)
    return made[id(value)]


def _key(container: Any, name: str) -> Any:
    if type(container) in DICTS:
        if name in container:
            return name
        if _has_integer_key(container, name):
            return int(name)
    elif _INDEX.fullmatch(name) and -len(container) <= int(name) < len(container):
        return int(name)
    raise errors.NOT_FOUND()


def _has_integer_key(container: Any, name: str) -> bool:
    return _INDEX.fullmatch(name) is not None and int(name) in container


def _changeable(container: Any, name: str) -> Any:
    key = _key(container, name)
    if type(container) is tuple:
        raise errors.INVALID_PARAMS("the items of a tuple cannot be changed", denied="operation")
    if not is_data(container[key]):
        text = f"the item {name[:100]!r} is more than data: it cannot be replaced or deleted"
        raise errors.INVALID_PARAMS(text, denied="operation")
    return key
