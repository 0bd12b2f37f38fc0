import json
import math
from pathlib import Path

import pytest

from wispy.protocol import errors
from wispy.protocol.errors import RPCError
from wispy.protocol.values import UnencodableError

REFERENCE = Path(__file__).parents[3] / "docs" / "reference" / "errors.md"


def test_codes_and_names_are_unique_and_in_the_ranges_of_json_rpc() -> None:
    assert (
        len({error.code for error in errors.TABLE}) == len({error.name for error in errors.TABLE}) == len(errors.TABLE)
    )
    for error in errors.TABLE:
        is_standard = error.code in (-32700, -32600, -32601, -32602, -32603)
        assert is_standard or -32099 <= error.code <= -32000
        assert getattr(errors, error.name) is error
        assert errors.BY_CODE[error.code] is error


def test_only_what_did_not_run_is_retryable() -> None:
    for error in errors.TABLE:
        assert error.executed == "no" or not error.retryable, error.name


@pytest.mark.parametrize("error", errors.TABLE, ids=lambda error: error.name)
def test_each_error_on_the_wire(error: errors.ErrorType) -> None:
    assert json.loads(error().to_json()) == {
        "code": error.code,
        "message": error.message,
        "data": {"executed": error.executed, "retryable": error.retryable},
    }


def test_the_name_of_an_error_on_the_wire() -> None:
    assert [errors.name_in(each().to_json()) for each in errors.TABLE] == [each.name for each in errors.TABLE]
    assert errors.name_in(b'{"code":-1,"message":"of a later version"}') == "-1"


def test_what_is_known_better_is_said() -> None:
    error = errors.CANCELLED("it had not started", executed="no", retryable=True, data={"waited_s": math.inf})
    assert isinstance(error, RPCError)
    assert str(error) == error.message == "it had not started"
    assert json.loads(error.to_json())["data"] == {
        "waited_s": {"$float": "Infinity"},
        "executed": "no",
        "retryable": True,
    }


def test_data_does_not_outweigh_the_promise() -> None:
    error = errors.OBJECT_ERROR(data={"type": "E", "args": [], "executed": "no", "retryable": True})
    assert json.loads(error.to_json())["data"]["executed"] == "yes"


def test_texts_that_are_not_utf8_are_shown_escaped() -> None:
    assert json.loads(errors.OBJECT_ERROR("bad \ud800").to_json())["message"] == "bad \\ud800"


def test_data_that_cannot_be_sent_is_the_fault_of_who_made_it() -> None:
    with pytest.raises(UnencodableError):
        errors.INTERNAL(data={"what": object()}).to_json()


def test_the_reference_is_current() -> None:
    assert REFERENCE.read_text(encoding="utf-8") == errors.reference()
