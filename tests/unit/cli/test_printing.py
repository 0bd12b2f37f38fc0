from typing import Any

import pytest

from wispy.cli import printing
from wispy.protocol import errors


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a\tb\nc", "a\tb\nc"),
        (None, "null"),
        (True, "true"),
        (1.5, "1.5"),
        ([1, "a"], '[1, "a"]'),
        (float("nan"), '{"$float": "NaN"}'),
        ("\x1b[2J\r", "\\x1b[2J\\r"),
        (["\x1b"], '["\\u001b"]'),
        ("a\x85\u202e", "a\\x85\\u202e"),
        ("Grüße", "Grüße"),
    ],
)
def test_values_as_text(value: Any, text: str) -> None:
    assert printing.as_text(value) == text


def test_what_is_long_is_indented_and_whole() -> None:
    text = printing.as_text({"a": list(range(40))})
    assert text.startswith('{\n  "a": [\n    0,\n')
    assert text.endswith("39\n  ]\n}")


def test_json_is_one_line() -> None:
    assert printing.as_json({"a": "\n", "b": float("inf")}) == '{"a":"\\n","b":{"$float":"Infinity"}}'


def test_a_problem_says_what_happened_and_what_to_do() -> None:
    said = printing.problem("sample.nix", errors.NOT_FOUND())
    assert said.startswith("sample.nix: there is nothing of this name here")
    assert said.endswith("(NOT_FOUND, it did not run); `wispy describe` shows what there is")
    assert "`wispy describe s.f` shows" in printing.problem("s.f", errors.INVALID_PARAMS("f(): no"))
    assert printing.problem("s.f", errors.TIMED_OUT("late\n\x1b")) == "s.f: late \\x1b (TIMED_OUT, it may have run)"
    error = errors.OBJECT_ERROR("ValueError: bad", data={"traceback": "Traceback:\n  line\n"})
    assert printing.problem("s.f", error) == "s.f: ValueError: bad (OBJECT_ERROR, it ran)\nTraceback:\n  line"


def test_a_description() -> None:
    a = {"name": "a", "kind": "attribute", "type": "int", "settable": False, "doc": "First.\nSecond."}
    b = {"name": "bb", "kind": "object", "type": None, "settable": False, "doc": ""}
    f = {"name": "f", "kind": "method", "signature": "f(x: int)", "doc": "Does it."}
    described = {"kind": "object", "type": "Sample", "doc": "A sample.", "attributes": [a, b], "methods": [f]}
    assert printing.description("s", described, ["a", "log"]).splitlines() == [
        "s: Sample",
        "    A sample.",
        "",
        "Attributes",
        "  a   int, read-only",
        "      First.",
        "      Second.",
        "  bb  any type",
        "",
        "Methods",
        "  f(x: int)",
        "      Does it.",
        "",
        "Channels",
        "  a  log",
    ]
    assert printing.description("s.f", f, []) == "s.f(x: int)\n    Does it."
    assert printing.description("s.a", a, []).splitlines()[0] == "s.a: int, read-only"
