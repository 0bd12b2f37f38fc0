"""Values from pages as what an annotation says: arguments and set values come through here, and through nothing else.

Rules:
- Conversion takes the types that JSON lacks from their text, as encoding wrote them, and coerces nothing else: no text
  to a number, no number to a truth value, no fraction to an integer. Nested lists become an array where an
  annotation asks for one. An integer stands for a float where a float is exactly it, and is refused where its last
  digits would be lost.
- What no JSON value can become (the author's own objects, functions) and what cannot be evaluated is not checked:
  arguments pass as they are, attributes are not set.
- A refusal names the wrong part: `args[0].rate: expected float, got str`.
- The types that a value may have as it is are known beforehand: for those, a check is one look into a set.
"""

import math
import re
import types
import typing
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, cast

import msgspec

from wispy.protocol import arrays
from wispy.worker.annotations import is_constant, says_nothing

MAX_PROBLEM: Final = 300
"""Characters of what is wrong with a value: the text repeats a part of it, which may be of any length."""

MAX_KEY: Final = 64
"""Characters of a key that is named; the names of fields are shorter."""

_EXACT: Final = frozenset({type(None), bool, int, float, str, dict, list})
"""Types whose values pass as they are where the annotation is the bare type."""

_NUMBERLESS: Final[frozenset[type]] = frozenset({float, str, bool, type(None)})
"""Types of items in which there is no integer to look at."""

_PROBLEM: Final = re.compile(r"(?P<text>.*?)(?: - at (?P<key>`key` in )?`\$(?P<path>.*?)`)?", re.DOTALL)


class Converter:
    """Makes of values what one annotation says.

    Args:
        annotation: a type that JSON values can become: see `converter_of`.
    """

    __slots__ = ("_annotation", "_has_float", "accepted")

    def __init__(self, annotation: Any) -> None:
        self._annotation = annotation
        self._has_float = _holds(msgspec.inspect.type_info(annotation), _is_float, set())
        self.accepted: Final = _exact_types(annotation)
        """Values of exactly these types are what the annotation says, as they are."""

    def __call__(self, value: Any) -> Any:
        """The value as what the annotation says.

        Raises:
            msgspec.ValidationError: it is none; see `problem`.
        """
        if type(value) in self.accepted:
            return value
        made = convert(value, self._annotation)
        if self._has_float:
            _check_digits(value, made)
        return made


def converter_of(annotation: Any) -> Converter | None:
    """What converts to an annotation, evaluated before; None where every value passes as it is."""
    if says_nothing(annotation) or is_constant(annotation) or not takes_json(annotation):
        return None
    return Converter(annotation)


def convert(value: Any, annotation: Any) -> Any:
    """`value`, as it came from a page, as what the annotation says.

    Raises:
        msgspec.ValidationError: it is none; the text names the wrong part.
    """
    return msgspec.convert(value, annotation, str_keys=True, dec_hook=arrays.from_lists)


def problem(where: str, error: msgspec.ValidationError) -> str:
    """What is wrong with a value, and with which part of it.

    Args:
        where: what was to be converted.
        error: how that ended.
    """
    match = _PROBLEM.fullmatch(str(error))
    assert match is not None  # every text is of this form
    text = match["text"].replace("`", "")
    key = "a key: " if match["key"] else ""
    return f"{where}{match['path'] or ''}: {key}{text[:1].lower()}{text[1:MAX_PROBLEM]}"


def takes_json(annotation: Any) -> bool:
    """Whether a value from a page can become all of what the annotation says."""
    try:
        return not _holds(msgspec.inspect.type_info(annotation), _is_custom, set())
    except Exception:  # a union of the author's own classes, a field whose own annotation cannot be read, and the like
        return False


def _is_custom(info: object) -> bool:
    return isinstance(info, msgspec.inspect.CustomType) and not arrays.is_array_type(info.cls)


def _is_float(info: object) -> bool:
    return isinstance(info, msgspec.inspect.FloatType)


def _holds(info: object, is_wanted: Callable[[object], bool], seen: set[int]) -> bool:
    """Whether an annotation, or a part of it at any depth, is of a kind."""
    if is_wanted(info):
        return True
    if not isinstance(info, msgspec.inspect.Type | msgspec.inspect.Field) or id(info) in seen:
        return False
    seen.add(id(info))  # recursive dataclasses
    for field in info.__struct_fields__:
        part = getattr(info, field)
        parts = cast(tuple[object, ...], part) if isinstance(part, tuple) else (part,)
        if any(_holds(each, is_wanted, seen) for each in parts):
            return True
    return False


def _check_digits(value: Any, made: Any) -> None:
    """Refuse an integer that became a float and is another number now.

    Raises:
        msgspec.ValidationError: there is one in the value.
    """
    inexact = list(_inexact(value, ""))
    if not inexact:
        return
    floats = set(_floats(msgspec.to_builtins(made, enc_hook=str)))  # arrays have looked at their integers themselves
    for path, number in inexact:
        if _nearest(number) in floats:
            raise msgspec.ValidationError(f"Expected `float`, and no float is exactly {number} - at `${path}`")


def _inexact(value: Any, path: str) -> Iterator[tuple[str, int]]:
    """The integers in a value that no float is exactly, with where they stand."""
    if type(value) is int:
        if abs(value) > arrays.LARGEST_EXACT and _nearest(value) != value:  # which Python compares exactly
            yield path, value
    elif type(value) is list:
        items = cast("list[Any]", value)
        if not _NUMBERLESS.issuperset(map(type, items)):  # a long list of floats is not walked
            for place, item in enumerate(items):
                yield from _inexact(item, f"{path}[{place}]")
    elif type(value) is dict:
        for key, item in cast("dict[str, Any]", value).items():
            named = key.isidentifier() and len(key) <= MAX_KEY
            yield from _inexact(item, f"{path}.{key}" if named else f"{path}[...]")


def _nearest(number: int) -> float:
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf


def _floats(value: Any) -> Iterator[float]:
    if isinstance(value, float):
        yield value
    elif isinstance(value, dict | list | tuple):
        parts = cast("Iterable[Any]", value.values() if isinstance(value, dict) else value)
        for part in parts:
            yield from _floats(part)


def _exact_types(annotation: Any) -> frozenset[type]:
    """The types of which every value is what the annotation says; as many as are quickly known."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        parts = typing.get_args(annotation)
    else:
        parts = (type(None) if annotation is None else annotation,)
    return frozenset(part for part in parts if isinstance(part, type) and part in _EXACT)
