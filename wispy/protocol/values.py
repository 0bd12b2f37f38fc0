"""Values on the wire: any Python value that JSON can carry, never silently another one.

Rules:
- What msgspec encodes travels as msgspec writes it: dataclasses, attrs classes and `msgspec.Struct` as objects; tuples
  and sets as arrays; an Enum as its value; datetime, date, time, timedelta, UUID and Decimal as text; bytes as base64.
- Where JSON has no such value, or a reader in JavaScript would get another one, there is a tag, an object of one
  member: `{"$float": "NaN"}`, `"Infinity"` and `"-Infinity"`; `{"$int": "..."}` beyond 2^53 - 1 either way; and
  `{"$dict": {...}}` around a dict that would be read as a tag: one with a single key that is a tag's name.
- Keys that are numbers, dates, UUIDs, bytes or Enums become text, as msgspec writes them. Two keys of a dict that
  become the same text are an error.
- Subclasses of dict, list, str, int and float travel as what they are a subclass of. A range, a deque and the views of
  a dict are arrays. For numpy and pandas see `wispy.protocol.arrays`.
- A value has at most `MAX_DEPTH` levels, tags included, so that whoever reads it can.
- Nothing else is guessed at: a generator, a function, or an object with attributes is an error that says where it is.
- Read back, everything is None, bool, int, float, str, list or dict. Of keys that occur twice the last one counts.
- Decoding refuses what is not UTF-8, lone surrogates, `NaN` literals, numbers beyond a float's range, integers of more
  than 4,300 digits (Python's own limit: the conversion is quadratic) and tags with impossible content.

`tests/vectors/values.json` holds these rules as a table that Python and JavaScript are both tested against.
"""

import binascii
import collections
import dataclasses
import datetime as dt
import decimal
import enum
import math
import re
import types
import uuid
from collections.abc import Callable, ItemsView, Iterable, KeysView, ValuesView
from typing import Any, Final, cast

import msgspec

from wispy.errors import WispyError
from wispy.protocol.arrays import NOT_AN_ARRAY, NoJsonFormError, to_builtins
from wispy.protocol.nesting import MAX_DEPTH, is_deeper

MAX_SAFE_INTEGER: Final = 2**53 - 1
"""Beyond it a JavaScript number, a float of 64 bits, may stand for another integer."""

FLOAT_TAG: Final = "$float"
INT_TAG: Final = "$int"
DICT_TAG: Final = "$dict"
TAGS: Final = frozenset((FLOAT_TAG, INT_TAG, DICT_TAG))

_FLOATS: Final = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_INTEGER: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,4299})", re.ASCII)

_SCALARS: Final = frozenset(
    (
        type(None),
        bool,
        dt.date,
        dt.datetime,
        dt.time,
        dt.timedelta,
        decimal.Decimal,
        uuid.UUID,
    )
)
"""Exact types that msgspec writes without loss, whatever their value."""

_ARRAYS: Final[Any] = (
    list,
    tuple,
    set,
    frozenset,
    collections.deque,
    range,
    KeysView,
    ValuesView,
    ItemsView,
)

_DOLLAR: Final = ord("$")
_BACKSLASH: Final = ord("\\")
# As numbers: one byte is found ten times as fast as two.

_type_of: Final = cast(Callable[[object], type[object]], type)
_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder().decode


class UnencodableError(WispyError):
    """A value cannot travel as JSON."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.path: list[Any] = []
        """Keys and indices from the value down to the wrong part."""

    def __str__(self) -> str:
        return f"{self.reason} (at {_format_path(self.path)})" if self.path else self.reason


class DecodeError(WispyError):
    """A text is not the JSON of a value."""


# --- encoding -------------------------------------------------------------------------------------------------------


def encode(value: Any) -> bytes:
    """The JSON text of a value.

    Raises:
        UnencodableError: it, or a part of it, cannot travel.
    """
    try:
        text = _encode(value)
        # An integer is judged here: for so short a text the call would cost as much as the encoding.
        if (type(value) is int and -MAX_SAFE_INTEGER <= value <= MAX_SAFE_INTEGER) or _is_exact(value, 0):
            return text
    except Exception:  # the exact way meets the same trouble again, and says where it is
        return _encode_exactly(value)
    return _encode_exactly(value)


def _is_exact(value: Any, depth: int) -> bool:
    """Whether msgspec alone writes this value without loss. What is not known to be so is said not to be.

    `depth` is the number of levels around it. What is too deep is left to the exact way too, which refuses it.
    """
    kind = _type_of(value)
    if kind is str or kind in _SCALARS:
        return True
    if kind is int:
        return -MAX_SAFE_INTEGER <= value <= MAX_SAFE_INTEGER
    if kind is float:
        return math.isfinite(value)
    depth += 1
    if depth > MAX_DEPTH:
        return False
    if kind is dict:
        return _is_exact_dict(value, depth)
    if kind is list or kind is tuple:
        # A long list of numbers, a curve, is judged at the speed of C.
        if len(value) > 8 and set(map(type, value)) == {float}:
            return math.isfinite(sum(value)) or all(map(math.isfinite, value))
        for item in value:  # noqa: SIM110  a generator for `all` costs more than the loop
            if not _is_exact(item, depth):
                return False
        return True
    names = getattr(kind, "__struct_fields__", None) or getattr(kind, "__dataclass_fields__", ())
    # One member alone might be named like a tag.
    return len(names) > 1 and all(_is_exact(getattr(value, name), depth) for name in names)


def _is_exact_dict(value: dict[Any, Any], depth: int) -> bool:
    if len(value) == 1 and not TAGS.isdisjoint(value):
        return False
    for key, item in value.items():  # noqa: SIM110  as above
        if type(key) is not str or not _is_exact(item, depth):
            return False
    return True


def _encode_exactly(value: Any) -> bytes:
    try:
        text = _encode(_exact(value))
    except RecursionError as error:
        raise UnencodableError("the value is nested too deep, or contains itself") from error
    except UnencodableError:
        raise
    except Exception as error:  # whatever the conversion of a foreign type may raise
        raise UnencodableError(f"the value cannot be sent: {type(error).__name__}: {error}") from error
    if is_deeper(text, MAX_DEPTH):
        raise UnencodableError(f"the value is nested deeper than {MAX_DEPTH} levels")
    return text


def _exact(value: Any) -> Any:
    """What msgspec writes as the exact text of `value`."""
    kind = _type_of(value)
    if kind in _SCALARS:
        return value
    if isinstance(value, enum.Enum):
        return _exact(value.value)
    if isinstance(value, str):
        return _exact_text(value)
    if isinstance(value, int):
        return _exact_int(int.__int__(value))
    if isinstance(value, float):
        return value.__float__() if math.isfinite(value) else {FLOAT_TAG: _float_name(value)}
    if isinstance(value, dict):
        return _exact_dict(cast(dict[Any, Any], value))
    if isinstance(value, _ARRAYS):
        return _exact_items(cast(Iterable[Any], value))
    if isinstance(value, bytes | bytearray | memoryview):
        return binascii.b2a_base64(cast(bytes, value), newline=False).decode()
    if hasattr(kind, "__struct_fields__") or dataclasses.is_dataclass(value) or hasattr(kind, "__attrs_attrs__"):
        return _exact_record(value)
    return _exact_foreign(value)


def _exact_text(value: str) -> str:
    text = str.__str__(value)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UnencodableError(f"a text holds a lone surrogate, at character {error.start}") from error
    return text


def _exact_int(value: int) -> Any:
    if -MAX_SAFE_INTEGER <= value <= MAX_SAFE_INTEGER:
        return value
    try:
        return {INT_TAG: str(value)}
    except ValueError as error:
        raise UnencodableError("an integer has more than 4,300 digits") from error


def _float_name(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def _exact_items(value: Iterable[Any]) -> list[Any]:
    items: list[Any] = []
    for item in list(value):  # a copy: a thread of the object may be changing it
        try:
            items.append(_exact(item))
        except UnencodableError as error:
            error.path.insert(0, len(items))
            raise
    return items


def _exact_dict(value: dict[Any, Any]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for key, item in list(value.items()):
        text = _key_text(key)
        if text in members:
            raise UnencodableError(f"two keys of a dict become the same text, {text!r}")
        try:
            members[text] = _exact(item)
        except UnencodableError as error:
            error.path.insert(0, text)
            raise
    return _guarded(members)


def _guarded(members: dict[str, Any]) -> dict[str, Any]:
    """The members of an object, wrapped where they would be read as a tag."""
    return {DICT_TAG: members} if len(members) == 1 and not TAGS.isdisjoint(members) else members


def _key_text(key: Any) -> str:
    if isinstance(key, enum.Enum):
        return _key_text(key.value)
    if isinstance(key, str):
        return _exact_text(key)
    if isinstance(key, float) and not math.isfinite(key):
        raise UnencodableError(f"a key of a dict is {_float_name(key)}, which is not a name")
    plain = to_builtins(key)
    try:
        (text,) = msgspec.to_builtins({key if plain is NOT_AN_ARRAY else plain: None}, str_keys=True)
    except (TypeError, ValueError) as error:
        kind = type(key).__name__
        raise UnencodableError(f"a key of a dict is a {kind}: keys are text, or numbers, dates and the like") from error
    return text


def _exact_record(value: Any) -> Any:
    """A `msgspec.Struct`, a dataclass or an attrs object, with the members that msgspec would write."""
    shape = msgspec.to_builtins(value, enc_hook=_hide)
    names: tuple[str, ...] = getattr(value, "__struct_fields__", ())
    encoded: tuple[str, ...] = getattr(value, "__struct_encode_fields__", ())
    if not isinstance(shape, dict):
        # An array-like Struct: its tag, if it has one, comes first.
        row = cast(list[Any], shape)
        head = row[: len(row) - len(names)]
        return head + _exact_items(getattr(value, name) for name in names)
    fields = dict(zip(encoded, names, strict=True))
    members: dict[str, Any] = {}
    for key, shown in cast(dict[str, Any], shape).items():
        is_tag = bool(names) and key not in fields
        try:
            members[key] = shown if is_tag else _exact(getattr(value, fields.get(key, key)))
        except UnencodableError as error:
            error.path.insert(0, key)
            raise
    return _guarded(members)


def _hide(_: Any) -> None:
    """Stands for the parts that msgspec does not know: only the names of a record's members are asked for."""


def _exact_foreign(value: Any) -> Any:
    try:
        plain = to_builtins(value)
    except NoJsonFormError as error:
        raise UnencodableError(str(error)) from error
    if plain is not NOT_AN_ARRAY:
        return _exact(plain)
    raise UnencodableError(_refusal(value))


def _refusal(value: Any) -> str:
    kind = type(value).__name__
    if isinstance(value, types.GeneratorType | types.CoroutineType | types.AsyncGeneratorType):
        return f"a {kind} cannot be sent: its items are not there yet"
    if isinstance(value, type | types.ModuleType) or callable(value):
        return f"a {kind} cannot be sent: it is code, not data"
    if type(value).__module__ == "builtins":
        return f"a {kind} cannot be sent: it has no form in JSON"
    return f"a {kind} cannot be sent: it is an object with attributes, which are got one by one"


def _format_path(path: list[Any]) -> str:
    """As msgspec writes it: `$.name[3]`."""
    return "$" + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)


# --- decoding -------------------------------------------------------------------------------------------------------


def decode(data: bytes | msgspec.Raw, *, max_depth: int | None = MAX_DEPTH) -> Any:
    """The value of a JSON text, its tags undone.

    Args:
        data: JSON text.
        max_depth: levels of arrays and objects; None for a text from a side that is trusted.

    Raises:
        DecodeError: it is not JSON, it is too deep, or a tag has a content that no value has.
    """
    text = data if type(data) is bytes else bytes(data)
    if max_depth is not None and len(text) > 2 * max_depth and is_deeper(text, max_depth):
        raise DecodeError(f"the value is nested deeper than {max_depth} levels")
    try:
        value = _decode(text)
        # Most texts hold no tag, and are spared the walk. A "$" may also be written as an escape.
        return _untagged(value) if _DOLLAR in text or _BACKSLASH in text else value
    except RecursionError as error:
        raise DecodeError("the value is nested too deep") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DecodeError(str(error)) from error


def _untagged(value: Any) -> Any:
    if isinstance(value, list):
        return [_untagged(item) for item in cast(list[Any], value)]
    if not isinstance(value, dict):
        return value
    members = cast(dict[str, Any], value)
    if len(members) == 1:
        ((tag, content),) = members.items()
        if tag == FLOAT_TAG and content in ("NaN", "Infinity", "-Infinity"):
            return _FLOATS[content]
        if tag == INT_TAG and isinstance(content, str) and _INTEGER.fullmatch(content):
            return int(content)
        if tag == DICT_TAG and isinstance(content, dict):
            members = cast(dict[str, Any], content)
        elif tag in TAGS:
            raise DecodeError(f'the tag "{tag}" has a content that no value has')
    return {key: _untagged(item) for key, item in members.items()}
