import json
import logging
from typing import Any

import pytest

from tests.support.waiting import wait_until
from tests.unit.frontend.callers import Client, fail, later, now, refuse, start
from tests.unit.frontend.recorders import RecordingRelay
from wispy.access_log import AccessLog
from wispy.frontend.flights import SessionFlights
from wispy.frontend.logged_sink import LoggedSink
from wispy.frontend.logging_dispatcher import LoggingDispatcher
from wispy.frontend.session import Session
from wispy.protocol import errors
from wispy.protocol import relay as wire
from wispy.protocol.labels import request_name


class Logged:
    """A dispatcher, and the lines that it writes."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO)
        self._caplog = caplog
        self.relay = RecordingRelay()
        local: dict[str, Any] = {"rpc.now": now, "rpc.later": later, "rpc.refuse": refuse, "rpc.fail": fail}
        self.dispatcher = LoggingDispatcher(AccessLog("frontend", is_json=True), self.relay, local)

    @property
    def lines(self) -> list[dict[str, Any]]:
        records = [record for record in self._caplog.records if record.name == "wispy.access.frontend"]
        return [json.loads(record.getMessage()) for record in records]

    def said(self, *keys: str) -> list[tuple[Any, ...]]:
        return [tuple(line[key] for key in keys) for line in self.lines]


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Logged:
    return Logged(caplog)


def test_a_line_comes_with_the_answer_and_names_the_request_as_its_owner_does(logged: Logged) -> None:
    client = Client(SessionFlights("secret-session", "run"))
    start(logged.dispatcher, client, "lamp.arm.move", ["secret-argument"], id=5)
    assert logged.lines == []
    logged.relay.answer(0, "secret-result")
    (line,) = logged.lines
    assert line.pop("duration_ms") >= 0
    del line["time"]
    assert line == {
        "side": "frontend",
        "request": request_name("secret-session", 5),
        "address": "10.0.0.7",
        "user": None,
        "operation": "call",
        "object": "lamp",
        "path": "arm.move",
        "outcome": "ok",
    }
    assert "secret" not in json.dumps(line)
    assert json.loads(client.texts[0])["result"] == "secret-result"


def test_a_plain_client_s_request_has_the_frontend_s_id(logged: Logged) -> None:
    client = Client()
    for wire_id in ("a", "a"):
        start(logged.dispatcher, client, "lamp.on", id=wire_id)
    logged.relay.answer(1)
    logged.relay.answer(0)
    assert logged.said("request") == [(request_name("plain", 2),), (request_name("plain", 1),)]


@pytest.mark.parametrize(
    ("method", "params", "operation", "object_name", "path"),
    [
        ("rpc.get", {"path": "lamp.a.b"}, "get", "lamp", "a.b"),
        ("rpc.set", {"path": ["lamp", "a.b", 3], "value": "secret"}, "set", "lamp", "a.b.3"),
        ("rpc.call", {"path": "lamp.on", "args": ["secret"]}, "call", "lamp", "on"),
        ("rpc.describe", {"path": "lamp"}, "describe", "lamp", ""),
    ],
)
def test_the_operation_and_its_path(
    logged: Logged, method: str, params: Any, operation: str, object_name: str, path: str
) -> None:
    start(logged.dispatcher, Client(), method, params)
    logged.relay.answer(0)
    assert logged.said("operation", "object", "path", "outcome") == [(operation, object_name, path, "ok")]


def test_an_error_is_told_by_its_name(logged: Logged) -> None:
    client = Client()
    start(logged.dispatcher, client, "lamp.on")
    logged.relay.flights[0].answer(wire.ERROR, errors.OBJECT_ERROR("ValueError: secret").to_json())
    start(logged.dispatcher, client, "rpc.get", {"path": 7})
    start(logged.dispatcher, client, "rpc.nothing")
    assert logged.said("operation", "outcome") == [
        ("call", "OBJECT_ERROR"),
        ("get", "INVALID_PARAMS"),
        ("rpc.nothing", "METHOD_NOT_FOUND"),
    ]
    assert "secret" not in json.dumps(logged.lines)


def test_a_result_that_looks_like_an_error_is_none(logged: Logged) -> None:
    start(logged.dispatcher, Client(), "lamp.on", id='x","error":{"code":1}')
    logged.relay.answer(0, {"error": {"code": 1}})
    assert logged.said("outcome") == [("ok",)]


async def test_what_the_frontend_answers_has_a_line_too(logged: Logged) -> None:
    client = Client(SessionFlights("s", "run"))
    start(logged.dispatcher, client, "rpc.now")
    start(logged.dispatcher, client, "rpc.later", id=2)
    start(logged.dispatcher, Client(), "rpc.refuse", id=3)
    await wait_until(lambda: len(logged.lines) == 3, "all are answered")
    assert set(logged.said("request", "operation", "object", "outcome")) == {
        (request_name("s", 1), "rpc.now", "", "ok"),
        (request_name("s", 2), "rpc.later", "", "ok"),
        ("-", "rpc.refuse", "", "NOT_FOUND"),
    }


def test_a_notification_was_taken(logged: Logged) -> None:
    client = Client(SessionFlights("s", "run"))
    start(logged.dispatcher, client, "lamp.on", id=...)
    logged.relay.answer(0)
    assert logged.said("request", "outcome") == [(request_name("plain", 1), "taken")]
    assert client.texts == [b""]


def test_what_has_no_answer_when_its_client_goes_has_a_line_and_no_second_one(logged: Logged) -> None:
    flights = SessionFlights("s", "run")
    start(logged.dispatcher, Client(flights), "lamp.on")
    flights.abandon()
    logged.relay.answer(0)
    assert logged.said("request", "outcome") == [(request_name("s", 1), "GONE")]


def test_what_goes_on_over_another_connection_has_left_this_one(logged: Logged) -> None:
    former, flights = SessionFlights("s", "run"), SessionFlights("s", "run")
    start(logged.dispatcher, Client(former), "lamp.on")
    flights.take_over(former)
    client = Client(flights)
    start(logged.dispatcher, client, "lamp.on", wispy={"ack": 0, "retry": True})
    logged.relay.answer(0)
    assert logged.said("request", "outcome") == [(request_name("s", 1), "GONE"), (request_name("s", 1), "ok")]
    assert len(client.texts) == 1


def test_a_logged_request_can_be_cancelled_by_its_own_connection_only(logged: Logged) -> None:
    client = Client()
    start(logged.dispatcher, client, "lamp.on")
    sink = logged.relay.flights[0].sink
    assert isinstance(sink, LoggedSink)

    def session_of() -> Session:
        unused: Any = None
        return Session(logged.dispatcher, unused, unused, unused, unused, unused)

    own, other = session_of(), session_of()
    sink.sink = own
    assert own.is_sink_of(sink)
    assert not other.is_sink_of(sink)
