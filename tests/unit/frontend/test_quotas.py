"""What sessions, users and addresses may have of a frontend process: counted, refused, forgotten."""

import functools
from typing import Any, Final

import pytest

from tests.unit.frontend.recorders import RecordingConnection, RecordingHub, RecordingRelay, open_plain
from wispy.config.schema import LimitsConfig
from wispy.config.units import Seconds
from wispy.frontend.auth.verifying import Grant
from wispy.frontend.counts import FrontendCounts
from wispy.frontend.dispatch import Dispatcher
from wispy.frontend.flights import SessionFlights
from wispy.frontend.quotas import Quotas, address_key
from wispy.frontend.session import NO_CREDENTIALS, Session, SessionLimits
from wispy.protocol import errors
from wispy.protocol.identity import ANONYMOUS, Identity
from wispy.protocol.jsonrpc import NO_PARAMS, Request
from wispy.protocol.values import decode, encode

LIMITS: Final = SessionLimits(in_flight=64, batch=64, depth=64, digits=4300, unread_bytes=1000)


class Frontend:
    """A process with limits; its clock stands still."""

    def __init__(self, **limits: Any) -> None:
        self.now = 100.0
        self.counts = FrontendCounts()
        self.quotas = Quotas(LimitsConfig(**limits), self.counts, lambda: self.now)
        self.relay = RecordingRelay()
        self.dispatcher = Dispatcher(self.relay, {})
        self.hub = RecordingHub()

    def open(self, address: str = "192.0.2.1", user: str | None = None) -> "Client":
        """A websocket, as the core opens one."""
        self.quotas.check_opening(address)
        self.quotas.check_user(user)
        return Client(self, address, user)


class Client:
    """One websocket."""

    def __init__(self, frontend: Frontend, address: str, user: str | None) -> None:
        self.frontend = frontend
        self.connection = RecordingConnection()
        self.connection.remote = address
        self.reception = frontend.quotas.websocket(frontend.dispatcher, address, user)
        self.session = Session(
            self.reception, frontend.hub, LIMITS, open_plain, frontend.quotas.opened, frontend.quotas.closed
        )
        if user is not None:
            self.session.admit(Grant(Identity(user, frozenset())), NO_CREDENTIALS, self.reception)
        self.session.connection_made(self.connection)

    def ask(self, id: int = 1, **members: Any) -> int:
        """The code of the answer; 0 if the request is on its way."""
        self.connection.texts.clear()
        message = {"jsonrpc": "2.0", "id": id, "method": "lamp.on", **members}
        self.session.message_received(encode(message), is_text=True)
        return decode(self.connection.texts[-1])["error"]["code"] if self.connection.texts else 0

    def leave(self) -> None:
        """Its flights stay, as the relay keeps them."""
        self.session.connection_lost(1006, "")


class Post:
    """One `POST /rpc`: who asks, and waits for the answers."""

    remote = "192.0.2.1"
    identity = ANONYMOUS
    flights = None

    def __init__(self) -> None:
        self._plain = open_plain()
        self.answers: list[Any] = []

    def plain(self) -> SessionFlights:
        return self._plain

    def answered(self, text: bytes) -> None:
        self.answers.append(decode(text))

    def abandoned(self) -> None: ...


RATE_LIMITED: Final = errors.RATE_LIMITED.code
OVERLOADED: Final = errors.OVERLOADED.code


@pytest.mark.parametrize(
    ("one", "other", "are_one"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("2001:db8::1", "2001:db8::ffff:0:0:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("fe80::1%eth0", "fe80::2%eth0", True),
        ("", "", True),
    ],
)
def test_what_is_one_address(one: str, other: str, are_one: bool) -> None:
    assert (address_key(one) == address_key(other)) == are_one


def test_where_nothing_is_limited_requests_go_straight_to_the_dispatcher() -> None:
    frontend = Frontend(connections_per_user=1, subscription_rate_per_user=1.0, connection_rate_per_address=1.0)
    assert frontend.open().reception is frontend.dispatcher
    with frontend.quotas.post(frontend.dispatcher, "192.0.2.1", None, open_plain()) as reception:
        assert reception is frontend.dispatcher


@pytest.mark.parametrize(
    "limit",
    [
        "request_rate_per_session",
        "request_rate_per_user",
        "request_rate_per_address",
        "in_flight_per_user",
        "in_flight_per_address",
    ],
)
def test_each_limit_on_requests_has_them_counted(limit: str) -> None:
    frontend = Frontend(**{limit: 1})
    assert frontend.open().reception is not frontend.dispatcher


def test_what_is_refused_uses_nothing_up() -> None:
    """Else who asks too often for one limit would have no rights under the others."""
    frontend = Frontend(request_rate_per_session=1.0, request_rate_per_address=2.0, burst=Seconds(1))
    one, other = frontend.open(), frontend.open()
    assert [one.ask(id) for id in range(5)] == [0] + [RATE_LIMITED] * 4
    assert other.ask() == 0
    frontend.now += 1
    assert [one.ask(), other.ask()] == [0, 0]
    assert frontend.counts.limits == {"request_rate_per_session": 4}


def test_limits_in_flight_that_refuse_use_no_tokens_up() -> None:
    frontend = Frontend(request_rate_per_session=2.0, in_flight_per_address=1, burst=Seconds(1))
    client = frontend.open()
    assert [client.ask(id) for id in range(5)] == [0] + [OVERLOADED] * 4
    frontend.relay.answer(0)
    assert client.ask() == 0


def test_in_flight_is_looked_at_where_it_is() -> None:
    frontend = Frontend(in_flight_per_address=3)
    one, other = frontend.open(), frontend.open()
    assert [one.ask(1), one.ask(2), other.ask(3), other.ask(4)] == [0, 0, 0, OVERLOADED]
    for number in range(20):  # as many as ever, in turn
        frontend.relay.answer(number)
        assert one.ask() == 0
        assert other.ask() == OVERLOADED


def test_in_flight_counts_when_its_client_is_gone() -> None:
    frontend = Frontend(in_flight_per_address=2)
    one = frontend.open()
    assert [one.ask(1), one.ask(2)] == [0, 0]
    one.leave()
    assert frontend.open().ask() == OVERLOADED
    frontend.relay.answer(0)
    assert frontend.open().ask() == 0


def test_what_a_post_has_in_flight() -> None:
    frontend = Frontend(in_flight_per_address=1, in_flight_per_user=1)
    post = Post()
    with frontend.quotas.post(frontend.dispatcher, "192.0.2.1", "ann", post.plain()) as reception:
        for _ in range(3):
            reception.start(post, Request("lamp.on", NO_PARAMS, b"1", None), post)
        assert [error["error"]["code"] for error in post.answers] == [OVERLOADED, OVERLOADED]
        assert frontend.open("192.0.2.1", "bob").ask() == OVERLOADED
        assert frontend.open("192.0.2.2", "ann").ask() == OVERLOADED
        assert frontend.open("192.0.2.2", "bob").ask() == 0
        frontend.relay.answer(0)
    assert frontend.open("192.0.2.1").ask() == 0


def test_tallies_go_with_those_who_had_them() -> None:
    frontend = Frontend(in_flight_per_address=5, connections_per_user=5)
    scopes = (frontend.quotas._addresses, frontend.quotas._users)
    clients = [frontend.open(f"192.0.2.{number}", f"user {number}") for number in range(50)]
    assert [len(scope) for scope in scopes] == [50, 50]
    busy = clients.pop()
    busy.ask()
    busy.leave()
    for client in clients:
        client.leave()
    assert [len(scope) for scope in scopes] == [1, 1]
    frontend.relay.answer(0)
    frontend.open("192.0.2.1", "last").leave()
    frontend.open("192.0.2.1", "last").leave()
    assert [len(scope) for scope in scopes] == [0, 0]
    assert not frontend.quotas._held


def test_connections() -> None:
    frontend = Frontend(connections_per_address=1, connections_per_user=2)
    first = frontend.open("192.0.2.1", "ann")
    with pytest.raises(errors.RPCError, match="address"):
        frontend.open("192.0.2.1", "bob")
    second = frontend.open("192.0.2.2", "ann")
    with pytest.raises(errors.RPCError, match="user"):
        frontend.open("192.0.2.3", "ann")
    first.leave()
    frontend.open("192.0.2.1", "bob")
    second.leave()
    frontend.open("192.0.2.2", "ann")
    assert frontend.counts.limits == {"connections_per_address": 1, "connections_per_user": 1}


def test_a_retry_has_room_and_is_never_told_no() -> None:
    frontend = Frontend(request_rate_per_address=1.0, burst=Seconds(1), in_flight_per_connection=2)
    client = frontend.open()
    retry = functools.partial(client.ask, wispy={"retry": True})
    assert client.ask() == 0
    assert client.ask() == RATE_LIMITED
    assert [retry(), retry(), retry()] == [0, 0, errors.OUTCOME_UNKNOWN.code]
    frontend.now += 2.5  # what it was owed is paid back first
    assert client.ask() == RATE_LIMITED
    frontend.now += 0.5
    assert client.ask() == 0


def test_a_session_takes_its_bucket_along() -> None:
    frontend = Frontend(request_rate_per_session=1.0, burst=Seconds(2))
    one = frontend.open()
    one.session.flights = SessionFlights("a session", "run")
    assert [one.ask(id) for id in range(1, 4)] == [0, 0, RATE_LIMITED]
    one.leave()
    other = frontend.open()
    other.session.flights = SessionFlights("a session", "run")
    assert other.ask(9) == RATE_LIMITED
    assert frontend.open().ask() == 0


def test_buckets_are_bounded() -> None:
    frontend = Frontend(request_rate_per_address=0.001, connections=100)
    for number in range(300):
        frontend.open(f"10.0.{number // 250}.{number % 250}").ask()
    rate = frontend.quotas._requests.address
    assert rate is not None
    assert len(rate.buckets) == 100
