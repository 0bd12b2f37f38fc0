import math
from typing import Any

import pytest

from wispy.cli.outcome import CommandError
from wispy.cli.words import arguments_of, path_of, value_of


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("5", 5),
        ("-1e5", -1e5),
        ("true", True),
        ("null", None),
        ('[1, "2"]', [1, "2"]),
        ('"5"', "5"),
        ("abc", "abc"),
        ("True", "True"),
        ("NaN", "NaN"),
        ("007", "007"),
        ("", ""),
        ("a=b", "a=b"),
        ("[1,", "[1,"),
        ("ä", "ä"),
        ("123456789012345678901234567890", 123456789012345678901234567890),
    ],
)
def test_a_word_is_json_or_a_text(word: str, value: Any) -> None:
    assert value_of(word) == value
    assert type(value_of(word)) is type(value)


def test_tags_of_the_wire_are_values() -> None:
    assert math.isnan(value_of('{"$float": "NaN"}'))


def test_arguments_by_position_and_by_name() -> None:
    assert arguments_of(["4", "x=[5]", "y=", '"z=1"', "http://h/?a=b", '{"a": "b=c"}']) == (
        [4, "z=1", "http://h/?a=b", {"a": "b=c"}],
        {"x": [5], "y": ""},
    )
    with pytest.raises(CommandError, match="'x' is given twice"):
        arguments_of(["x=1", "x=2"])


def test_paths() -> None:
    assert path_of("sample.a") == ("sample", "a")
    assert path_of('["sample", "dotted.key", 0]') == ("sample", "dotted.key", "0")
    assert path_of("sample", least=1) == ("sample",)


@pytest.mark.parametrize("word", ["sample", "", "a..b", "[", "[1, {}]", "a." * 40 + "a"])
def test_what_is_no_path_is_refused(word: str) -> None:
    with pytest.raises(CommandError):
        path_of(word)
