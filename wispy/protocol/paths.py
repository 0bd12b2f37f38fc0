"""Paths: how a request names what it is about, from an object's name down through attributes and keys.

Rules:
- A path is a string, its names separated by dots (`sample.motor.speed`), or an array of names, which may then hold dots
  (keys of dicts do). The first name is the object's. An array may hold integers, for places in a list; as text they
  are the same names.
- Nothing is normalised: a name that is not the very text of an accessible name is not found. Python itself takes
  some spellings of an identifier (NFKC) for equal, and a check that does so otherwise than the look-up is a hole.
"""

from typing import Any, Final, cast

MAX_SEGMENTS: Final = 32
"""Names in a path. Attributes end at `max_interface_depth`, 4; the others are keys of nested dicts and lists."""

MAX_NAME_LENGTH: Final = 1000
"""Characters of one name: a key of a dict may be a long text, and is quoted in errors and logs."""


class PathError(ValueError):
    """What a request gives as its path is none."""


def parse_path(path: Any, *, max_segments: int = MAX_SEGMENTS) -> tuple[str, ...]:
    """The names of a path, the object's first.

    Args:
        path: a string or an array of names, as it came.
        max_segments: names that it may have.

    Raises:
        PathError: it is neither, is empty or too long, or holds a name that cannot be one.
    """
    if isinstance(path, str):
        # Bounded before it is split: a text of a megabyte holds half a million names.
        names = path.split(".", max_segments)
    elif isinstance(path, list):
        names = cast(list[Any], path)
    else:
        raise PathError("a path is a string, or an array of names")
    if not 0 < len(names) <= max_segments:
        raise PathError(f"a path has 1 to {max_segments} names")
    return tuple([_checked(name) for name in names])


def _checked(name: Any) -> str:
    if type(name) is int:
        name = str(name) if abs(name) < 10**18 else ""
    if not isinstance(name, str):
        raise PathError("the names of a path are texts, or integers for places in a list")
    if not name or len(name) > MAX_NAME_LENGTH or "\0" in name:
        raise PathError(f"a name in a path has 1 to {MAX_NAME_LENGTH} characters, none of them NUL")
    return name
