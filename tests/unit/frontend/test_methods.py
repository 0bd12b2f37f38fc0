"""The frontend's own methods, as far as they need no Redis: hello, cancel, and what is refused."""

import json
from typing import Any, cast

import jwt
import pytest

from tests.unit.frontend.recorders import RecordingConnection, RecordingHub, RecordingRelay, open_plain
from wispy.broker.keys import Keys
from wispy.broker.link import Link
from wispy.broker.server import Server
from wispy.config.schema import Config, LimitsConfig
from wispy.frontend.counts import FrontendCounts
from wispy.frontend.dispatch import Dispatcher
from wispy.frontend.flights import Flight, SessionFlights
from wispy.frontend.methods import Methods
from wispy.frontend.quotas import Quotas
from wispy.frontend.session import Session, SessionLimits
from wispy.protocol import errors
from wispy.protocol.identity import ANONYMOUS

SECRET = "a secret of thirty-two bytes or so"


class StandingLink(Link):
    """A link that knows a server, or is down."""

    def __init__(self, server: Server | None) -> None:
        self._server = server

    @property
    def server(self) -> Server | None:
        return self._server


class MethodsRelay(RecordingRelay):
    """Keeps what is cancelled too."""

    def __init__(self, server: Server | None) -> None:
        super().__init__()
        self.link = StandingLink(server)
        self.sessions = {}
        self.cancelled: list[int] = []

    def cancel(self, flight: Flight) -> None:
        self.cancelled.append(flight.id)


class Client:
    """A websocket's client."""

    def __init__(self, *, is_up: bool = True) -> None:
        server = cast(Server, StandingServer()) if is_up else None
        self.relay = MethodsRelay(server)
        hub = RecordingHub()
        quotas = Quotas(LimitsConfig(), hub.counts, lambda: 0.0)
        methods = Methods(self.relay, hub, Keys(), Config(), SECRET, quotas)
        self.dispatcher = Dispatcher(self.relay, methods.table())
        limits = SessionLimits(in_flight=64, batch=64, depth=64, digits=4300, unread_bytes=1000)
        self.connection = RecordingConnection()
        self.session = Session(self.dispatcher, hub, limits, open_plain, lambda session: None, lambda session: None)
        self.session.connection_made(self.connection)

    def send(self, message: Any) -> None:
        self.session.message_received(json.dumps(message).encode(), is_text=True)

    def ask(self, method: str, params: Any = None, id: Any = 1) -> Any:
        """The result of a method that answers at once; the code of an error."""
        self.send({"jsonrpc": "2.0", "id": id, "method": method, "params": params or {}})
        answer = self.connection.messages[-1]
        return answer["error"]["code"] if "error" in answer else answer["result"]


class StandingServer:
    """What hello reads of a server."""

    run_id = "run-1"

    def now_ms(self, now_s: float) -> int:
        del now_s
        return 4711


def test_hello_opens_a_session_with_a_token_for_it() -> None:
    client = Client()
    hello = client.ask("rpc.hello", {"client": "a test"})
    assert (hello["run"], hello["ms"], hello["resumed"]) == ("run-1", 4711, False)
    assert jwt.decode(hello["token"], SECRET, algorithms=["HS256"])["sub"] == hello["session"]
    assert client.session.flights is client.relay.sessions[hello["session"]]
    assert client.ask("rpc.hello") == errors.INVALID_REQUEST.code


def test_hello_without_redis_is_to_be_said_again() -> None:
    client = Client(is_up=False)
    assert client.ask("rpc.hello") == errors.UNAVAILABLE.code
    assert client.session.flights is None


@pytest.mark.parametrize("method", ["rpc.hello", "rpc.cancel", "rpc.subscribe", "rpc.unsubscribe"])
def test_what_needs_a_websocket_is_refused_elsewhere(method: str) -> None:
    class Poster:
        flights: SessionFlights | None = None
        remote = "10.0.0.7"
        identity = ANONYMOUS

        def plain(self) -> SessionFlights:
            return open_plain()

    client = Client()
    table = Methods(
        client.relay, RecordingHub(), Keys(), Config(), SECRET, Quotas(LimitsConfig(), FrontendCounts(), lambda: 0.0)
    ).table()
    with pytest.raises(errors.RPCError, match="needs a websocket"):
        table[method](Poster(), cast(Any, b'{"id": 1, "channels": []}'))


def test_cancel_reaches_the_requests_of_that_id_and_no_others() -> None:
    client = Client()
    for id in (7, "7", 8):
        client.send({"jsonrpc": "2.0", "id": id, "method": "lamp.on"})
    client.send([{"jsonrpc": "2.0", "id": 7, "method": "lamp.on"}])
    assert client.ask("rpc.cancel", {"id": 7}) is None
    assert client.relay.cancelled == [1, 4]
    assert client.ask("rpc.cancel", {"id": 99}) is None
    assert client.relay.cancelled == [1, 4]
    assert client.ask("rpc.cancel", {}) == errors.INVALID_PARAMS.code


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"channels": [f"lamp.c{number}" for number in range(1001)]}, errors.OVERLOADED.code),
        ({"channels": ["lamp.a"], "since": {"lamp.a": "yesterday"}}, errors.INVALID_PARAMS.code),
        ({"channels": "lamp.a"}, errors.INVALID_PARAMS.code),
        ({}, errors.INVALID_PARAMS.code),
    ],
    ids=["too many", "no position", "no list", "nothing"],
)
def test_a_subscription_that_cannot_be_is_refused(params: Any, code: int) -> None:
    client = Client()
    assert client.ask("rpc.subscribe", params) == code
    assert client.session.subscriptions == {}
