"""Where a request goes: to which object, under which id, or to what the frontend answers itself."""

import asyncio
import json
from typing import Any

import pytest

from tests.support.waiting import wait_until
from tests.unit.frontend.callers import Client, fail, later, now, refuse, start
from tests.unit.frontend.recorders import RecordingRelay, open_plain
from wispy.frontend.dispatch import Dispatcher
from wispy.frontend.flights import SessionFlights
from wispy.protocol import errors


@pytest.fixture
def relay() -> RecordingRelay:
    return RecordingRelay()


@pytest.fixture
def dispatcher(relay: RecordingRelay) -> Dispatcher:
    return Dispatcher(relay, {"rpc.now": now, "rpc.later": later, "rpc.refuse": refuse, "rpc.fail": fail})


@pytest.mark.parametrize(
    ("method", "params", "expected"),
    [
        ("lamp.on", [], "lamp"),
        ("lamp.arm.joint.move", [1], "lamp"),
        ("rpc.get", {"path": "lamp.brightness"}, "lamp"),
        ("rpc.get", {"path": "lamp"}, "lamp"),
        ("rpc.set", {"path": ["lamp", "a.b", 3], "value": 1}, "lamp"),
        ("rpc.call", {"path": [7]}, "7"),
        ("rpc.call", {"path": []}, ""),
        ("rpc.source", {"path": ""}, ""),
    ],
)
def test_the_first_name_of_the_path_is_the_object(
    dispatcher: Dispatcher, relay: RecordingRelay, method: str, params: Any, expected: str
) -> None:
    start(dispatcher, Client(), method, params)
    ((object_name, flight, timeout_s),) = relay.submitted
    assert (object_name, flight.method, timeout_s) == (expected, method, None)
    assert json.loads(bytes(flight.params)) == params


def test_a_callers_own_timeout_goes_along(dispatcher: Dispatcher, relay: RecordingRelay) -> None:
    start(dispatcher, Client(), "rpc.call", {"path": "lamp.on", "timeout_s": 2.5})
    assert relay.submitted[0][2] == 2.5


@pytest.mark.parametrize(
    ("method", "params", "code"),
    [
        ("on", [], errors.METHOD_NOT_FOUND.code),
        ("rpc", [], errors.METHOD_NOT_FOUND.code),
        ("rpc.nothing", [], errors.METHOD_NOT_FOUND.code),
        ("rpc.now.more", [], errors.METHOD_NOT_FOUND.code),
        ("rpc.get", [], errors.INVALID_PARAMS.code),
        ("rpc.get", {"path": 7}, errors.INVALID_PARAMS.code),
        ("rpc.get", {"path": [1.5]}, errors.INVALID_PARAMS.code),
        ("rpc.call", {"path": "a.b", "timeout_s": "long"}, errors.INVALID_PARAMS.code),
    ],
)
def test_what_leads_nowhere_is_answered_once_and_a_notification_in_silence(
    dispatcher: Dispatcher, relay: RecordingRelay, method: str, params: Any, code: int
) -> None:
    client, silent = Client(), Client()
    start(dispatcher, client, method, params)
    start(dispatcher, silent, method, params, id=...)
    assert client.codes == [code]
    assert silent.texts == [b""]
    assert relay.submitted == []


@pytest.mark.parametrize(("ack", "is_taken"), [(6, True), (7, False), (2**80, False)])
def test_an_answer_that_cannot_have_come_is_not_acknowledged(
    dispatcher: Dispatcher, relay: RecordingRelay, ack: int, is_taken: bool
) -> None:
    client = Client(open_plain())
    start(dispatcher, client, "lamp.on", id=7, wispy={"ack": ack})
    assert len(relay.submitted) == is_taken
    assert client.codes == [] if is_taken else [errors.INVALID_REQUEST.code]


# --- ids --------------------------------------------------------------------------------------------------------------


def test_a_plain_client_gets_rising_ids_and_its_own_back(dispatcher: Dispatcher, relay: RecordingRelay) -> None:
    client = Client()
    for wire_id in ("a", "a", 7, None):
        start(dispatcher, client, "lamp.on", id=wire_id)
    assert [flight.id for flight in relay.flights] == [1, 2, 3, 4]
    for number in (3, 2, 1, 0):
        relay.answer(number)
    assert [json.loads(text)["id"] for text in client.texts] == [None, 7, "a", "a"]


def test_the_ids_of_a_session_rise(dispatcher: Dispatcher, relay: RecordingRelay) -> None:
    client = Client(SessionFlights("s", "run"))
    for id in (3, 4, 9):
        start(dispatcher, client, "lamp.on", id=id)
    for id in (9, 8, 1):
        start(dispatcher, client, "lamp.on", id=id)
    assert [flight.id for flight in relay.flights] == [3, 4, 9]
    assert client.codes == [errors.INVALID_REQUEST.code] * 3


@pytest.mark.parametrize("wire_id", ["7", "a", -1, 1.5, None, 10**16])
def test_an_id_of_a_session_is_a_natural_number(dispatcher: Dispatcher, relay: RecordingRelay, wire_id: Any) -> None:
    client = Client(SessionFlights("s", "run"))
    start(dispatcher, client, "lamp.on", id=wire_id)
    assert client.codes == [errors.INVALID_REQUEST.code]
    assert relay.submitted == []


def test_a_retry_may_come_late_with_its_first_stamp_unless_it_is_in_flight(
    dispatcher: Dispatcher, relay: RecordingRelay
) -> None:
    client = Client(SessionFlights("s", "run"))
    start(dispatcher, client, "lamp.on", id=5)
    start(dispatcher, client, "lamp.on", id=3, wispy={"retry": True, "at": 77})
    first, retry = relay.flights
    assert (first.id, first.at, first.retry) == (5, 1234, False)
    assert (retry.id, retry.at, retry.retry) == (3, 77, True)
    start(dispatcher, client, "lamp.on", id=5, wispy={"retry": True, "at": 77})
    assert client.codes == [errors.INVALID_REQUEST.code]
    start(dispatcher, client, "lamp.on", id=6)
    assert relay.flights[-1].id == 6, "a retry does not move the ids"


def test_a_notification_of_a_session_has_an_id_of_the_frontend(dispatcher: Dispatcher, relay: RecordingRelay) -> None:
    client = Client(SessionFlights("s", "run"))
    start(dispatcher, client, "lamp.on", id=...)
    (flight,) = relay.flights
    assert flight.session is client.plain()
    relay.answer(0)
    assert client.texts == [b""]


def test_what_a_session_acknowledges_is_noted_and_never_taken_back(dispatcher: Dispatcher) -> None:
    session = SessionFlights("s", "run")
    client = Client(session)
    start(dispatcher, client, "lamp.on", id=9, wispy={"ack": 8, "open": [4]})
    assert (session.ack, session.open) == (8, [4])
    start(dispatcher, client, "lamp.on", id=10, wispy={"ack": 5, "open": []})
    assert (session.ack, session.open) == (8, [4])


# --- what the frontend answers ----------------------------------------------------------------------------------------


async def test_own_methods_answer_at_once_later_or_by_an_error(dispatcher: Dispatcher) -> None:
    client = Client()
    start(dispatcher, client, "rpc.now", [7])
    assert json.loads(client.texts[0])["result"] == [1, [7]]
    start(dispatcher, client, "rpc.later", [8])
    assert len(client.texts) == 1
    await wait_until(lambda: len(client.texts) == 2, "the answer is there")
    assert json.loads(client.texts[1])["result"] == [1, [8]]
    start(dispatcher, client, "rpc.refuse")
    await wait_until(lambda: len(client.texts) == 3, "the refusal is there")
    assert json.loads(client.texts[2])["error"]["code"] == errors.NOT_FOUND.code


async def test_a_bug_in_an_own_method_is_answered_without_a_word_of_it_and_logged(
    dispatcher: Dispatcher, caplog: pytest.LogCaptureFixture
) -> None:
    client = Client()
    start(dispatcher, client, "rpc.fail")
    await wait_until(lambda: "a bug" in caplog.text, "it is logged")
    assert client.codes == [errors.INTERNAL.code]
    assert b"bug" not in client.texts[0]


async def test_who_waits_when_the_frontend_ends_is_answered(dispatcher: Dispatcher) -> None:
    client = Client()
    start(dispatcher, client, "rpc.later")
    await asyncio.sleep(0)
    await dispatcher.close()
    assert client.codes == [errors.INTERNAL.code]
