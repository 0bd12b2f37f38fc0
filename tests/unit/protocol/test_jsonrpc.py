import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wispy.protocol import jsonrpc
from wispy.protocol.errors import INVALID_REQUEST, OVERLOADED, PARSE_ERROR, TOO_LARGE
from wispy.protocol.jsonrpc import InvalidMessageError, Request, parse

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "messages.json").read_text(encoding="utf-8"))[1:]


def read(data: bytes) -> Any:
    return parse(data, batch_limit=64)


def read_or_error(data: bytes) -> Any:
    try:
        return read(data)
    except InvalidMessageError as error:
        return error


def shown(entry: Request | InvalidMessageError) -> dict[str, Any]:
    """A request or error as the vectors write it."""
    if isinstance(entry, InvalidMessageError):
        return {"error": {"code": entry.code, "id": entry.id.decode()}}
    has_params = entry.params is not jsonrpc.NO_PARAMS
    request: dict[str, Any] = {
        "method": entry.method,
        "params": bytes(entry.params).decode() if has_params else None,
        "id": None if entry.id is None else entry.id.decode(),
    }
    if entry.wispy is not None:
        request["wispy"] = {
            "ack": entry.wispy.ack,
            "at": entry.wispy.at,
            "run": entry.wispy.run,
            "retry": entry.wispy.retry,
        }
    return request


# --- the golden table -----------------------------------------------------------------------------------------------


def test_the_table_is_large_enough_and_its_names_are_unique() -> None:
    assert len(VECTORS) >= 40
    assert len({vector["name"] for vector in VECTORS}) == len(VECTORS)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda v: v["name"])
def test_messages(vector: dict[str, Any]) -> None:
    data = vector["wire"].encode()
    if "error" not in vector:
        parsed = read(data)
        is_batch = vector["wire"].lstrip().startswith("[")
        assert isinstance(parsed, list) is is_batch
        assert [shown(entry) for entry in (parsed if is_batch else [parsed])] == vector["requests"]
        return
    with pytest.raises(InvalidMessageError) as caught:
        read(data)
    assert shown(caught.value) == {"error": vector["error"]}
    answer = json.loads(caught.value.reply())
    assert answer.keys() == {"jsonrpc", "id", "error"}
    assert answer["jsonrpc"] == "2.0"
    assert answer["error"]["data"] == {"executed": "no", "retryable": False}
    assert answer["error"]["message"]


# --- hostile input --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"[" * 5000 + b"]" * 5000, TOO_LARGE.code),
        (b'{"a":' * 5000 + b"1" + b"}" * 5000, TOO_LARGE.code),
        (b'{"jsonrpc":"2.0","id":1,"method":"a","params":' + b"[" * 5000 + b"]" * 5000 + b"}", TOO_LARGE.code),
        (b"[" * 1_000_000, TOO_LARGE.code),
        (b'{"jsonrpc":"2.0","method":"a","params":["\xff"]}', PARSE_ERROR.code),
        (b'{"jsonrpc":"2.0","id":"\xed\xa0\x80","method":"a"}', PARSE_ERROR.code),
        (b"\x00", PARSE_ERROR.code),
        (b"[" + b"1," * 1_000_000 + b"1]", TOO_LARGE.code),
        (b"[" + b"[]," * 500_000 + b"1]", TOO_LARGE.code),
        (b"[" * 65 + b'"' + b'\\"' * 500_000, PARSE_ERROR.code),
        (b'["' + b"1" * 5000 + b'\\"' * 500_000, PARSE_ERROR.code),
    ],
    ids=lambda value: str(value)[:40],
)
def test_hostile_messages_are_refused_quickly(data: bytes, code: int) -> None:
    started = time.process_time()
    with pytest.raises(InvalidMessageError) as caught:
        read(data)
    assert caught.value.code == code
    assert time.process_time() - started < 2  # they take tens of milliseconds; a slow machine may be busy


def test_what_is_deep_in_one_entry_spoils_the_batch() -> None:
    deep = b'{"jsonrpc":"2.0","id":1,"method":"a","params":' + b"[" * 70 + b"]" * 70 + b"}"
    with pytest.raises(InvalidMessageError, match="nested deeper than 64 levels"):
        read(b"[" + deep + b"]")


def test_the_limits_are_settings() -> None:
    message = b'{"jsonrpc":"2.0","id":1,"method":"a","params":' + b"[" * 70 + b"]" * 70 + b"}"
    assert isinstance(parse(message, batch_limit=1, depth_limit=80), Request)
    two = b'[{"jsonrpc":"2.0","method":"a"},{"jsonrpc":"2.0","method":"a"}]'
    assert len(read(two)) == 2
    with pytest.raises(InvalidMessageError, match="a batch may hold 1 requests"):
        parse(two, batch_limit=1)


@given(st.binary(max_size=200))
def test_whatever_comes_is_read_or_refused(data: bytes) -> None:
    message = read_or_error(data)
    if isinstance(message, InvalidMessageError):
        json.loads(message.reply())


json_texts = st.recursive(
    # Short texts and few leaves: a member takes microseconds to draw, also on a busy machine.
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)


@given(
    st.dictionaries(
        st.sampled_from(["jsonrpc", "id", "method", "params", "wispy", "other"]),
        json_texts | st.just("2.0"),
        max_size=6,
    )
)
def test_every_object_is_read_or_answered_under_its_own_id(message: dict[str, Any]) -> None:
    request = read_or_error(json.dumps(message).encode())
    if isinstance(request, InvalidMessageError):
        assert request.code in (INVALID_REQUEST.code, PARSE_ERROR.code)
        assert json.loads(request.id) in (None, message.get("id"))
        return
    assert message["jsonrpc"] == "2.0"
    assert request.method == message["method"]
    assert (request.id is None) == ("id" not in message)
    assert request.id is None or json.loads(request.id) == message["id"]
    if "params" in message:
        assert json.loads(bytes(request.params)) == message["params"]


@pytest.mark.parametrize(
    ("message", "id"),
    [
        (rb'{"jsonrpc":"2.0","id":7,"method":"s.a","params":["\ud800"]}', b"7"),
        (rb'{"jsonrpc":"2.0","id":"a","method":"s.\uDC00","params":[1]}', b'"a"'),
        (rb'{"\ud800":1,"jsonrpc":"2.0","id":7,"method":"s.a"}', b"7"),
        (b'{"jsonrpc":"2.0","id":7,"method":"s.a","params":["\xed\xa0\x80"]}', b"7"),
        (rb'{"jsonrpc":"2.0","id":"\ud800","method":"s.a"}', b"null"),
        (b'{"jsonrpc":"2.0","id":"\xed\xa0\x80","method":"s.a"}', b"null"),
        (rb'{"jsonrpc":"2.0","id":"\ufffd","method":"s.\ud800"}', b"null"),
        (rb'{"jsonrpc":"2.0","id":7,"method":"s.\ud800"', b"null"),
    ],
)
def test_half_a_character_is_refused_under_the_messages_own_id(message: bytes, id: bytes) -> None:
    """Unless the id has it itself, or may have: whoever waits for an answer is told."""
    refusal = read_or_error(message)
    assert isinstance(refusal, InvalidMessageError)
    assert (refusal.code, refusal.id) == (PARSE_ERROR.code, id)


@given(json_texts, st.text(max_size=20) | st.integers() | st.none())
def test_requests_of_any_client_are_read(params: Any, id: Any) -> None:
    message = {"jsonrpc": "2.0", "id": id, "method": "sample.x", "params": [params]}
    request = read_or_error(json.dumps(message, ensure_ascii=False).encode("utf-8", "surrogatepass"))
    if isinstance(request, InvalidMessageError):
        assert "not UTF-8" in request.message
        assert "\\ud" in json.dumps(message)
        return
    assert json.loads(bytes(request.params)) == [params]
    assert json.loads(request.id) == id


# --- answers --------------------------------------------------------------------------------------------------------


def test_answers() -> None:
    assert jsonrpc.result(b'"x"', b"[1]") == b'{"jsonrpc":"2.0","id":"x","result":[1]}'
    failed = jsonrpc.error(b"1", OVERLOADED("64 requests are in flight").to_json())
    assert json.loads(failed) == {
        "jsonrpc": "2.0",
        "id": 1,
        "error": {
            "code": -32004,
            "message": "64 requests are in flight",
            "data": {"executed": "no", "retryable": True},
        },
    }
    assert jsonrpc.notification("rpc.update", b'{"a":1}') == b'{"jsonrpc":"2.0","method":"rpc.update","params":{"a":1}}'
    assert jsonrpc.batch([b"{}", b"[]"]) == b"[{},[]]"


@pytest.mark.parametrize("id", [b"1", b'"a"', b'"\\",\\"error\\":"', b"null"])
def test_an_answer_is_known_for_an_error_by_its_id(id: bytes) -> None:
    text = OVERLOADED().to_json()
    assert jsonrpc.error_in(jsonrpc.error(id, text), id) == text
    assert jsonrpc.error_in(jsonrpc.result(id, b'{"error":{}}'), id) is None


def test_a_request_keeps_no_more_of_a_message_than_it_needs() -> None:
    """Its id is a copy: it stays while the request is in flight, and the message may be large."""
    request = read(b'{"jsonrpc":"2.0","id":5,"method":"a","params":[1]}')
    assert type(request.id) is bytes


def test_a_refusal_is_short_whatever_was_sent() -> None:
    refused = read_or_error(b'{"jsonrpc":"' + b"x" * 1_000_000 + b'","id":1,"method":"a"}')
    assert refused.code == INVALID_REQUEST.code
    assert len(refused.message) < 400
