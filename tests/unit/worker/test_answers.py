"""What the params of a call come to, and what is told of exceptions."""

import json
from typing import Any

import pytest

from wispy.protocol import errors
from wispy.protocol.errors import RPCError
from wispy.worker.answers import MAX_ARGUMENTS, arguments_of, object_error
from wispy.worker.calls import Call


def call(params: bytes, kwargs: bytes = b"") -> Call:
    return Call("session", 1, "call", ("f",), params, kwargs)


def test_named_arguments_come_in_two_places_that_go_together() -> None:
    assert arguments_of(call(b"[1]", b'{"b":2}')) == ([1], {"b": 2})
    assert arguments_of(call(b'{"a":1}', b'{"b":2}')) == ([], {"a": 1, "b": 2})


def test_an_argument_that_is_there_twice_is_refused() -> None:
    with pytest.raises(RPCError, match="'a' is there twice") as caught:
        arguments_of(call(b'{"a":1}', b'{"a":2}'))
    assert caught.value.code == errors.INVALID_PARAMS.code


class LeavingError(Exception):
    """Ends the program when it is looked at."""

    @property
    def args(self) -> Any:  # type: ignore[override]
        raise SystemExit

    def __str__(self) -> str:
        raise SystemExit


class LeavingText(str):
    def __str__(self) -> str:
        raise SystemExit


@pytest.mark.parametrize("error", [LeavingError(), ValueError(LeavingText("a"))])
def test_an_exception_that_would_end_the_worker_is_an_answer(error: Exception) -> None:
    told = json.loads(object_error(error, with_traceback=False))
    assert told["data"] == {"type": type(error).__name__, "args": [], "executed": "yes", "retryable": False}


def test_strange_exceptions_are_told_all_the_same() -> None:
    class StrangeError(Exception):
        def __str__(self) -> str:
            raise RuntimeError

        @property
        def args(self) -> Any:  # type: ignore[override]
            raise RuntimeError

    told = json.loads(object_error(StrangeError(), with_traceback=False))
    assert told["message"] == "StrangeError"
    assert told["data"]["args"] == []


def test_arguments_of_exceptions_are_bounded() -> None:
    error = ValueError("x" * 5000, list(range(5000)), object(), "\ud800", float("nan"), *range(20))
    body = object_error(error, with_traceback=False)
    arguments = json.loads(body)["data"]["args"]
    assert arguments[0] == "x" * 1000
    assert arguments[1].startswith("<list, ")
    assert arguments[2:5] == ["<object>", "<str>", {"$float": "NaN"}]
    assert len(arguments) == MAX_ARGUMENTS
    assert len(body) < 5000
