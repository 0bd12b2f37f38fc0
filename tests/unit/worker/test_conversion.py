"""Values from pages, and the types that annotations ask for."""

import collections.abc
import dataclasses
import datetime as dt
import decimal
import math
import uuid
from typing import Annotated, Any, Final, Literal, Optional, Union

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.unit.worker.shapes import Colour, Garage, Motor, Tree
from wispy.protocol.values import decode, encode
from wispy.worker.annotations import UNKNOWN
from wispy.worker.conversion import convert, converter_of, problem, takes_json


@dataclasses.dataclass
class Reading:
    count: int
    rate: float


@pytest.mark.parametrize(
    "annotation",
    [
        int,
        Tree,
        Colour,
        Optional[int],  # noqa: UP045
        int | str,
        Literal["a"],
        dict[str, list[Tree]],
        dt.datetime,
        set[int],
        np.ndarray,
        NDArray[np.float64] | None,
    ],
)
def test_types_that_json_can_become(annotation: Any) -> None:
    assert takes_json(annotation)
    assert converter_of(annotation) is not None


@pytest.mark.parametrize(
    "annotation",
    [
        Motor,
        list[Motor],
        dict[str, Motor],
        Motor | None,
        Union[Motor, int],  # noqa: UP007
        Garage,
        collections.abc.Callable[[], None],
        type,
        complex,
        tuple[int, Motor],
        Tree | Garage,
        "not evaluated",
    ],
)
def test_types_that_it_cannot(annotation: Any) -> None:
    assert not takes_json(annotation)
    assert converter_of(annotation) is None


@pytest.mark.parametrize("annotation", [Any, object, UNKNOWN, Final[int]])
def test_what_says_nothing_is_not_converted(annotation: Any) -> None:
    assert converter_of(annotation) is None


def test_conversion_takes_what_json_lacks_from_its_text() -> None:
    moment = dt.datetime(2026, 11, 27, 8, 29, tzinfo=dt.UTC)
    for value, annotation in [
        (Tree(1, [Tree(2)]), Tree),
        (decimal.Decimal("1.50"), decimal.Decimal),
        ({1: "a"}, dict[int, str]),
        (moment, dt.datetime),
        (Colour.BLUE, Colour),
        (uuid.UUID(int=7), uuid.UUID),
        ({1, 2}, set[int]),
        ((1, "a"), tuple[int, str]),
        (b"\x00\xff", bytes),
        (2**80, int),
        (math.inf, float),
        (dt.timedelta(seconds=90), dt.timedelta),
    ]:
        assert convert(decode(encode(value)), annotation) == value


@pytest.mark.parametrize(
    ("value", "annotation"),
    [
        ("1", int),
        (1, str),
        (1, bool),
        (0, bool),
        (True, int),
        (True, float),
        (1.5, int),
        (0, None),
        ("true", bool),
        ("", int | None),
        (1, dt.datetime),
        ("RED", Colour),
        ("1", Literal[1]),
        (True, int | str),
        ([1, "2"], list[int]),
        ({"size": "1"}, Tree),
        (2**53 + 1, float),
        (-(2**63) - 1, float | None),
        (2**2000, float),
        ([[1.5], [2**53 + 1]], list[list[float]]),
        ({"a": 2**60 + 1}, dict[str, float | str]),
        ({"count": 1, "rate": 2**53 + 1}, Reading),
        (4, Annotated[int, msgspec.Meta(ge=5)]),
    ],
)
def test_conversion_changes_no_meaning(value: Any, annotation: Any) -> None:
    converter = converter_of(annotation)
    assert converter is not None
    with pytest.raises(msgspec.ValidationError):
        converter(value)


@pytest.mark.parametrize(
    ("value", "annotation", "made"),
    [
        (2**53, float, 2.0**53),
        (-(2**80), float, -(2.0**80)),
        (2**53 + 1, float | int, 2**53 + 1),
        ([2**53 + 1, 0.5], list[int | float], [2**53 + 1, 0.5]),
        ({"count": 2**53 + 1, "rate": 1}, Reading, Reading(2**53 + 1, 1.0)),
        ({"a": [2**70]}, dict[str, list[float]], {"a": [2.0**70]}),
    ],
)
def test_an_integer_of_any_size_stands_for_the_float_that_is_exactly_it(value: Any, annotation: Any, made: Any) -> None:
    converter = converter_of(annotation)
    assert converter is not None
    assert repr(converter(value)) == repr(made)


def test_large_integers_among_floats_of_an_array() -> None:
    assert convert([0.5, 2**60], np.ndarray).tolist() == [0.5, 2.0**60]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
plain_types = st.recursive(
    st.sampled_from([int, float, str, bool, None, list, dict, int | None, str | bool, float | str, list[Any]]),
    lambda inner: inner.map(lambda kind: list[kind]) | inner.map(lambda kind: dict[str, kind]),
    max_leaves=3,
)


def same(given: Any, made: Any) -> bool:
    """Whether two values are one value in JSON; an integer may have become a float, and nothing else anything else."""
    if type(given) is int and type(made) is float:
        return given == made  # exactly: Python compares the integer with the float's true value
    if type(given) is not type(made):
        return False
    if isinstance(given, list):
        return len(given) == len(made) and all(map(same, given, made))
    if isinstance(given, dict):
        return given.keys() == made.keys() and all(same(given[key], made[key]) for key in given)
    return given == made


@given(json_values, plain_types)
def test_what_passes_is_what_was_sent(value: Any, annotation: Any) -> None:
    converter = converter_of(annotation)
    assert converter is not None
    refusal, made = "", None
    try:
        made = converter(value)
    except msgspec.ValidationError as error:
        refusal = problem("args[0]", error)
    assert refusal.startswith("args[0]") if refusal else same(value, made)


@given(json_values, plain_types)
def test_the_quick_check_agrees_with_the_conversion(value: Any, annotation: Any) -> None:
    converter = converter_of(annotation)
    assert converter is not None
    if type(value) in converter.accepted:
        assert same(value, convert(value, annotation))


@pytest.mark.parametrize(
    ("value", "annotation", "text"),
    [
        ("x", float, "it: expected float, got str"),
        ([1, "x"], list[int], "it[1]: expected int, got str"),
        ({"size": 1, "branches": [{"size": "x"}]}, Tree, "it.branches[0].size: expected int, got str"),
        ({}, Tree, "it: object missing required field size"),
        ({"x": 1}, dict[int, int], "it: a key: expected int, got str"),
        ("green - at `$`", Colour, "it: invalid enum value 'green - at $'"),
        ("y" * 1000, Colour, "it: invalid enum value 'yyy"),
        ([[1], [2, 3]], np.ndarray, "it: expected an array of one shape, got list"),
        (["1"], list[NDArray[np.float64]], "it[0]: expected array, as nested lists"),
        ({"count": 1, "rate": 2**53 + 1}, Reading, "it.rate: expected float, and no float is exactly 9007199254740993"),
        ([1.5, 2, 2**64 + 1], list[float], "it[2]: expected float, and no float is exactly 18446744073709551617"),
    ],
)
def test_a_refusal_names_the_wrong_part(value: Any, annotation: Any, text: str) -> None:
    converter = converter_of(annotation)
    assert converter is not None
    with pytest.raises(msgspec.ValidationError) as caught:
        converter(value)
    said = problem("it", caught.value)
    assert said.startswith(text)
    assert len(said) < 350


@pytest.mark.parametrize(
    "array",
    [
        np.array([[1.5, 2.5], [3.0, 4.0]]),
        np.array([1, 2, 3]),
        np.array([True, False]),
        np.array(["a", "longer"]),
        np.array([], dtype=float),
    ],
)
def test_arrays_come_back_as_they_were_sent(array: Any) -> None:
    made = convert(decode(encode(array)), NDArray[array.dtype.type])
    assert made.dtype == array.dtype
    np.testing.assert_array_equal(made, array)
    assert convert(decode(encode(array)), np.ndarray).tolist() == array.tolist()


def test_an_array_gets_the_element_type_that_was_asked_for() -> None:
    assert convert([1, 2], NDArray[np.float32]).dtype == np.float32
    assert convert([1, 2], NDArray[np.floating]).dtype == np.float64
    assert convert([1, 2], NDArray[np.integer]).dtype == np.int64
    assert convert([1, 2.5], NDArray[np.number]).dtype == np.float64
    assert convert(["2026-11-27"], NDArray[np.datetime64]).dtype.kind == "M"


@pytest.mark.parametrize(
    ("value", "annotation"),
    [
        (["1"], NDArray[np.float64]),
        ([True], NDArray[np.int64]),
        ([1], NDArray[np.bool_]),
        ([1.5], NDArray[np.int64]),
        ([1, "a"], np.ndarray),
        ([True, 1.5], np.ndarray),
        ([None], NDArray[np.float64]),
        ([300], NDArray[np.uint8]),
        ([-1], NDArray[np.uint8]),
        ([2**80], np.ndarray),
        ([2**53 + 1], NDArray[np.float64]),
        ([[0.5], [2**60 + 1]], np.ndarray),
        ([{}], np.ndarray),
        (["tomorrow"], NDArray[np.datetime64]),
        (5, np.ndarray),
    ],
)
def test_arrays_change_no_meaning_either(value: Any, annotation: Any) -> None:
    with pytest.raises(msgspec.ValidationError):
        convert(value, annotation)


def test_an_integer_beyond_all_floats_is_one_like_any_other() -> None:
    huge = 10**400
    reading = converter_of(Reading)
    assert reading is not None
    assert reading({"count": huge, "rate": 1.0}) == Reading(huge, 1.0)
    for annotation in (float, list[float], Reading):
        converter = converter_of(annotation)
        assert converter is not None
        value = {float: huge, Reading: {"count": 1, "rate": huge}}.get(annotation, [huge])
        with pytest.raises(msgspec.ValidationError):
            converter(value)
