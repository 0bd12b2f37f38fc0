"""Values from pages as what an annotation says: arguments and set values come through here, and through nothing else.

Rules:
- Conversion takes the types that JSON lacks from their text, as encoding wrote them, and coerces nothing else: no text
  to a number, no number to a truth value, no fraction to an integer. Nested lists become an array where an
  annotation asks for one.
- What no JSON value can become (the author's own objects, functions) and what cannot be evaluated is not checked:
  arguments pass as they are, attributes are not set.
- A refusal names the wrong part: `args[0].rate: expected float, got str`.
- The types that a value may have as it is are known beforehand: for those, a check is one look into a set.
"""

import re
import types
import typing
from typing import Any, Final, cast

import msgspec

from wispy.protocol import arrays
from wispy.worker.annotations import is_constant, says_nothing

MAX_PROBLEM: Final = 300
"""Characters of what is wrong with a value: the text repeats a part of it, which may be of any length."""

_EXACT: Final = frozenset({type(None), bool, int, float, str, dict, list})
"""Types whose values pass as they are where the annotation is the bare type."""

_PROBLEM: Final = re.compile(r"(?P<text>.*?)(?: - at (?P<key>`key` in )?`\$(?P<path>.*?)`)?", re.DOTALL)


class Converter:
    """Makes of values what one annotation says.

    Args:
        annotation: a type that JSON values can become: see `converter_of`.
    """

    __slots__ = ("_annotation", "accepted")

    def __init__(self, annotation: Any) -> None:
        self._annotation = annotation
        self.accepted: Final = _exact_types(annotation)
        """Values of exactly these types are what the annotation says, as they are."""

    def __call__(self, value: Any) -> Any:
        """The value as what the annotation says.

        Raises:
            msgspec.ValidationError: it is none; see `problem`.
        """
        return value if type(value) in self.accepted else convert(value, self._annotation)


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
        return not _has_custom_type(msgspec.inspect.type_info(annotation), set())
    except Exception:  # a union of the author's own classes, a field whose own annotation cannot be read, and the like
        return False


def _has_custom_type(info: object, seen: set[int]) -> bool:
    if isinstance(info, msgspec.inspect.CustomType):
        return not arrays.is_array_type(info.cls)
    if not isinstance(info, msgspec.inspect.Type | msgspec.inspect.Field) or id(info) in seen:
        return False
    seen.add(id(info))  # recursive dataclasses
    for field in info.__struct_fields__:
        part = getattr(info, field)
        parts = cast(tuple[object, ...], part) if isinstance(part, tuple) else (part,)
        if any(_has_custom_type(each, seen) for each in parts):
            return True
    return False


def _exact_types(annotation: Any) -> frozenset[type]:
    """The types of which every value is what the annotation says; as many as are quickly known."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        parts = typing.get_args(annotation)
    else:
        parts = (type(None) if annotation is None else annotation,)
    return frozenset(part for part in parts if isinstance(part, type) and part in _EXACT)
