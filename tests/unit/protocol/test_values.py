"""The codec: nothing that goes through it becomes another value, and what cannot go says where it is."""

import collections
import dataclasses
import datetime as dt
import decimal
import enum
import json
import math
import uuid
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wispy.protocol.nesting import is_deeper
from wispy.protocol.values import MAX_SAFE_INTEGER, DecodeError, UnencodableError, decode, encode

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "values.json").read_text(encoding="utf-8"))[1:]
NAN = math.nan


def build(description: list[Any]) -> Any:
    """The Python value that a vector describes."""
    kind, *content = description
    if kind == "list":
        return [build(item) for item in content[0]]
    if kind == "dict":
        return {key: build(item) for key, item in content[0]}
    return {"null": lambda: None, "bool": bool, "int": int, "float": float, "str": str}[kind](*content)


def same(a: Any, b: Any) -> bool:
    """Equality that tells 1 from 1.0 and True, 0.0 from -0.0, and lets NaN equal itself."""
    if type(a) is not type(b):
        return False
    if isinstance(a, float):
        return (math.isnan(a) and math.isnan(b)) or (a == b and math.copysign(1, a) == math.copysign(1, b))
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    return a == b


# --- the golden table -----------------------------------------------------------------------------------------------


def test_the_table_is_large_enough_and_its_names_are_unique() -> None:
    assert len(VECTORS) >= 40
    assert len({vector["name"] for vector in VECTORS}) == len(VECTORS)


@pytest.mark.parametrize("vector", [v for v in VECTORS if "python" in v], ids=lambda v: v["name"])
def test_wire_and_value_correspond(vector: dict[str, Any]) -> None:
    value = build(vector["python"])
    assert same(decode(vector["wire"].encode()), value)
    if not vector.get("decode_only"):
        assert encode(value).decode() == vector["wire"]


@pytest.mark.parametrize("vector", [v for v in VECTORS if v.get("refused")], ids=lambda v: v["name"])
def test_impossible_wire_is_refused(vector: dict[str, Any]) -> None:
    with pytest.raises(DecodeError):
        decode(vector["wire"].encode())


# --- round trips ----------------------------------------------------------------------------------------------------

texts = st.text(alphabet=st.characters(exclude_categories=["Cs"])) | st.sampled_from(
    ["$float", "$int", "$dict", "null"]
)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | texts
json_values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=12) | st.dictionaries(texts, inner, max_size=5),
    max_leaves=30,
)


@given(json_values)
def test_every_value_of_json_comes_back_as_it_was(value: Any) -> None:
    text = encode(value)
    json.loads(text)  # it is JSON to other parsers too
    assert same(decode(text), value)


@given(json_values)
def test_subclasses_and_tuples_travel_as_what_they_are(value: Any) -> None:
    assert same(decode(encode(dressed(value))), value)


class Text(str): ...


class Whole(int): ...


class Real(float): ...


class Items(list[Any]): ...


class Members(dict[Any, Any]): ...


def dressed(value: Any) -> Any:
    """The same value in subclasses."""
    if isinstance(value, dict):
        return Members((Text(key), dressed(item)) for key, item in value.items())
    if isinstance(value, list):
        return Items(map(dressed, value)) if len(value) % 2 else tuple(map(dressed, value))
    for base, subclass in ((str, Text), (float, Real), (int, Whole)):
        if type(value) is base:
            return subclass(value)
    return value


@given(st.lists(st.floats(), min_size=9))
def test_long_lists_of_floats_are_exact(numbers: list[float]) -> None:
    assert same(decode(encode(numbers)), numbers)


@given(st.dictionaries(scalars | st.uuids() | st.dates() | st.binary(), st.integers(), max_size=4))
def test_dict_keys_never_merge(value: dict[Any, int]) -> None:
    try:
        text = encode(value)
    except UnencodableError:
        return
    assert len(decode(text)) == len(value)


@given(st.binary(max_size=60))
def test_decoding_refuses_or_reads_whatever_comes(data: bytes) -> None:
    try:
        value = decode(data)
    except DecodeError:
        return
    assert same(decode(encode(value)), value)


# --- Python's own types ---------------------------------------------------------------------------------------------


class Colour(enum.Enum):
    RED = "red"
    WARM = 1.5
    PAIR = (1, NAN)


class Level(enum.IntEnum):
    HIGH = 3


@dataclasses.dataclass
class Point:
    x: float
    y: float = 2.5


class Named(msgspec.Struct, rename="camel"):
    first_name: float
    last_name: Any = None


class Row(msgspec.Struct, array_like=True, tag="row"):
    a: float
    b: float


class Sparse(msgspec.Struct, tag="sparse", omit_defaults=True):
    a: float
    b: int = 3
    c: int | msgspec.UnsetType = msgspec.UNSET


class LooksLikeATag(msgspec.Struct):
    value: str = msgspec.field(name="$float")


@pytest.mark.parametrize(
    ("value", "wire"),
    [
        (Colour.RED, '"red"'),
        (Colour.WARM, "1.5"),
        (Colour.PAIR, '[1,{"$float":"NaN"}]'),
        (Level.HIGH, "3"),
        ({Colour.RED: 1}, '{"red":1}'),
        (Point(1.0), '{"x":1.0,"y":2.5}'),
        (Point(NAN), '{"x":{"$float":"NaN"},"y":2.5}'),
        (Named(1.0), '{"firstName":1.0,"lastName":null}'),
        (Named(NAN, {1, 2}), '{"firstName":{"$float":"NaN"},"lastName":[1,2]}'),
        (Row(1.0, NAN), '["row",1.0,{"$float":"NaN"}]'),
        (Sparse(NAN), '{"type":"sparse","a":{"$float":"NaN"}}'),
        (Sparse(1.0, 4, 5), '{"type":"sparse","a":1.0,"b":4,"c":5}'),
        (LooksLikeATag("NaN"), '{"$dict":{"$float":"NaN"}}'),
        ({1, 2}, "[1,2]"),
        (frozenset([3]), "[3]"),
        (range(3), "[0,1,2]"),
        (collections.deque([1]), "[1]"),
        ({"a": 1}.keys(), '["a"]'),
        ({"a": 1}.values(), "[1]"),
        ({"a": 1}.items(), '[["a",1]]'),
        (collections.Counter("aab"), '{"a":2,"b":1}'),
        (collections.OrderedDict(a=NAN), '{"a":{"$float":"NaN"}}'),
        (b"ab", '"YWI="'),
        pytest.param(  # named, for the usual name has an address in it, which differs between pytest's processes
            [bytearray(b"ab"), memoryview(b"ab"), NAN], '["YWI=","YWI=",{"$float":"NaN"}]', id="buffers and NaN"
        ),
        (decimal.Decimal("1.50"), '"1.50"'),
        (decimal.Decimal("NaN"), '"NaN"'),
        (uuid.UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
        (dt.datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=dt.UTC), '"2026-01-02T03:04:05.000006Z"'),
        ([dt.date(2026, 1, 2), dt.time(3, 4), dt.timedelta(seconds=5), NAN], None),
        ({1: "a", 2.5: "b"}, '{"1":"a","2.5":"b"}'),
        ({uuid.UUID(int=1): NAN}, '{"00000000-0000-0000-0000-000000000001":{"$float":"NaN"}}'),
        ({dt.date(2026, 1, 2): 1}, '{"2026-01-02":1}'),
        ({2**60: 1}, '{"1152921504606846976":1}'),
    ],
    ids=repr,
)
def test_python_values_travel_as_msgspec_writes_them(value: Any, wire: str | None) -> None:
    expected = wire or '["2026-01-02","03:04:00","PT5S",{"$float":"NaN"}]'
    assert encode(value).decode() == expected


class Motor:
    """An object with attributes."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"the codec asked the object for {name}")


def nested(levels: int, innermost: Any) -> Any:
    value = innermost
    for level in range(levels):
        value = {"a": value, "b": "[" * 100} if level % 2 else [value]
    return value


def cycle() -> list[Any]:
    value: list[Any] = []
    value.append({"me": value})
    return value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (object(), "a object cannot be sent: it has no form in JSON"),
        (Motor(), "a Motor cannot be sent: it is an object with attributes, which are got one by one"),
        ({"a": [1, {"b": Motor()}]}, "attributes, which are got one by one (at $.a[1].b)"),
        (Point(1.0, Motor()), "(at $.y)"),  # pyright: ignore[reportArgumentType]  wrong on purpose
        (Named(1.0, [Motor()]), "(at $.lastName[0])"),
        ((item for item in "ab"), "a generator cannot be sent: its items are not there yet"),
        (len, "a builtin_function_or_method cannot be sent: it is code, not data"),
        (Motor, "a type cannot be sent: it is code, not data"),
        (math, "a module cannot be sent: it is code, not data"),
        (1j, "a complex cannot be sent"),
        ("\ud800", "a text holds a lone surrogate, at character 0"),
        (["ok", "a\udc00"], "a text holds a lone surrogate, at character 1 (at $[1])"),
        ({"\ud800": 1}, "a text holds a lone surrogate"),
        (10**5000, "an integer has more than 4,300 digits"),
        ({1: "a", "1": "b"}, "two keys of a dict become the same text, '1'"),
        ({Colour.RED: 1, "red": 2}, "two keys of a dict become the same text, 'red'"),
        ([{b"ab": 1, "YWI=": 2}], "two keys of a dict become the same text, 'YWI=' (at $[0])"),
        ({(1, 2): 3}, "a key of a dict is a tuple"),
        ({None: 3}, "a key of a dict is a NoneType"),
        ({True: 3}, "a key of a dict is a bool"),
        ({NAN: 3}, "a key of a dict is NaN, which is not a name"),
        (nested(65, 1), "the value is nested deeper than 64 levels"),
        (nested(64, NAN), "the value is nested deeper than 64 levels"),
        (cycle(), "nested too deep, or contains itself"),
        (msgspec.UNSET, "cannot be sent"),
    ],
    ids=lambda value: value if isinstance(value, str) and value.isascii() else type(value).__name__,
)
def test_what_cannot_travel_says_why_and_where(value: Any, text: str) -> None:
    with pytest.raises(UnencodableError) as caught:
        encode(value)
    assert text in str(caught.value)


def test_the_deepest_value_that_is_sent_can_be_read() -> None:
    for deepest in (nested(64, 1), nested(63, NAN), nested(63, {1: "a"})):
        assert is_deeper(encode(deepest), 63)
        decode(encode(deepest))


def test_a_conversion_that_fails_is_an_error_of_the_value() -> None:
    class Broken(dict[str, Any]):
        def items(self) -> Any:
            raise RuntimeError("changed by a thread")

    with pytest.raises(UnencodableError, match="RuntimeError: changed by a thread"):
        encode([Broken(a=NAN)])


def test_the_default_depth_is_64_and_can_be_lifted() -> None:
    assert decode(b"[" * 64 + b"]" * 64)
    with pytest.raises(DecodeError, match="deeper than 64 levels"):
        decode(b"[" * 65 + b"]" * 65)
    assert decode(b"[" * 65 + b"]" * 65, max_depth=None)
    for max_depth in (64, None):
        with pytest.raises(DecodeError):
            decode(b'{"a":' * 100_000 + b"1" + b"}" * 100_000, max_depth=max_depth)


def test_integers_of_4300_digits_are_read_and_longer_ones_refused() -> None:
    digits = "9" * 4300
    assert decode(digits.encode()) == decode(f'{{"$int":"{digits}"}}'.encode()) == int(digits)
    for wire in ("9" * 5000, '{"$int":"' + "9" * 5000 + '"}'):
        with pytest.raises(DecodeError):
            decode(wire.encode())


def test_texts_that_are_not_utf8_are_refused() -> None:
    for wire in (b'"\xff"', b'{"\xc3\x28":1}', b"\xed\xa0\x80"):
        with pytest.raises(DecodeError):
            decode(wire)


def test_raw_text_is_decoded_in_place() -> None:
    assert decode(msgspec.Raw(b"[1]")) == [1]


def test_plain_values_are_not_walked_twice() -> None:
    """The border of the fast way: one integer more, and the tag appears."""
    assert encode([MAX_SAFE_INTEGER]) == b"[9007199254740991]"
    assert encode([MAX_SAFE_INTEGER + 1]) == b'[{"$int":"9007199254740992"}]'
    assert encode([1e308] * 9) == b"[" + b",".join([b"1e308"] * 9) + b"]"  # their sum overflows, they do not
