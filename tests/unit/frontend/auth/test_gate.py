"""The gate: who comes in with what, when he has to go, and what he may do before."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from tests.support.waiting import wait_until
from tests.unit.frontend.recorders import RecordingConnection, RecordingHub, RecordingRelay, make_feed, open_plain
from wispy.config.schema import AuthConfig, LimitsConfig
from wispy.config.units import Bytes, Seconds
from wispy.frontend.audit import Audit
from wispy.frontend.auth.credentials import MAX_TOKEN, Credentials
from wispy.frontend.auth.gate import AUTHENTICATE, Gate
from wispy.frontend.auth.verifying import Grant
from wispy.frontend.counts import FrontendCounts
from wispy.frontend.dispatch import Dispatcher, LocalMethod
from wispy.frontend.feed import Declaration
from wispy.frontend.quotas import Quotas
from wispy.frontend.session import Session, SessionLimits
from wispy.frontend.websocket.seam import CloseCode
from wispy.protocol import errors
from wispy.protocol.identity import Identity

FULL = 1 << 20


class Users:
    """A verifier: token to grant; `None` as a grant stands for a check that fails."""

    is_rechecked = True

    def __init__(self) -> None:
        self.known: dict[str, Grant | None] = {}
        self.reloads = 0
        self.is_broken = False
        """Whether the file cannot be read."""

    def add(self, token: str, user: str = "alice", *roles: str, lifetime_s: float = 60) -> None:
        self.known[token] = Grant(Identity(user, frozenset(roles)), time.time() + lifetime_s)

    async def verify(self, credentials: Credentials) -> Grant | None:
        if credentials.token not in self.known:
            return None
        grant = self.known[credentials.token]
        if grant is None:
            raise RuntimeError("the database is away")
        return grant

    def reload(self) -> None:
        self.reloads += 1
        if self.is_broken:
            raise ValueError("of a library that nobody has thought of")


class Door:
    """A gate with sessions at it."""

    def __init__(self, **settings: Any) -> None:
        self.users = Users()
        self.relay = RecordingRelay()
        self.sessions: dict[Session, None] = {}
        methods: dict[str, LocalMethod] = {"rpc.now": lambda caller, params: b"1"}
        self.dispatcher = Dispatcher(self.relay, methods)
        config = AuthConfig(kind="tokens", **settings)
        quotas = Quotas(LimitsConfig(), FrontendCounts(), lambda: 0.0)
        self.gate = Gate(config, self.users, self.dispatcher, self.sessions, quotas, Audit(), FULL)
        methods[AUTHENTICATE] = self.gate.authenticate

    def come(self) -> tuple[Session, RecordingConnection]:
        limits = SessionLimits(in_flight=8, batch=5, depth=8, digits=4300, unread_bytes=1000)
        session = Session(self.gate.lobby, RecordingHub(), limits, open_plain, self._opened, lambda session: None)
        connection = RecordingConnection()
        session.connection_made(connection)
        return session, connection

    def _opened(self, session: Session) -> None:
        session.opened_at = asyncio.get_running_loop().time()
        self.sessions[session] = None
        self.gate.opened(session)


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    door = Door()
    yield door
    await door.gate.close()
    await door.dispatcher.close()


def say(session: Session, method: str, params: Any = None, id: Any = 1) -> None:
    message = {"jsonrpc": "2.0", "id": id, "method": method, "params": params or {}}
    session.message_received(json.dumps(message).encode(), is_text=True)


async def ask(session: Session, connection: RecordingConnection, method: str, params: Any = None) -> Any:
    """The result, or the code of the error."""
    before = len(connection.texts)
    say(session, method, params)
    await wait_until(lambda: len(connection.texts) > before, "it is answered")
    answer = connection.messages[before]
    return answer["result"] if "result" in answer else answer["error"]["code"]


async def log_in(session: Session, connection: RecordingConnection, token: Any) -> Any:
    return await ask(session, connection, AUTHENTICATE, {"token": token})


async def test_a_first_message_opens_the_door(door: Door) -> None:
    session, connection = door.come()
    door.users.add("good", "alice", "viewer", "operator")
    assert await ask(session, connection, "rpc.now") == errors.UNAUTHENTICATED.code
    assert await ask(session, connection, "lamp.on") == errors.UNAUTHENTICATED.code
    assert await log_in(session, connection, "good") == {"user": "alice", "roles": ["operator", "viewer"]}
    assert await ask(session, connection, "rpc.now") == 1
    say(session, "lamp.on")
    assert [name for name, _, _ in door.relay.submitted] == ["lamp"]
    assert session.plain().bearer == door.users.known["good"].bearer  # pyright: ignore[reportOptionalMemberAccess]


async def test_messages_are_small_before_and_as_configured_after(door: Door) -> None:
    session, connection = door.come()
    assert connection.largest == 64 << 10
    await log_in(session, connection, "bad")
    assert connection.largest == 64 << 10
    door.users.add("good")
    await log_in(session, connection, "good")
    assert connection.largest == FULL


async def test_the_bound_before_is_not_above_the_one_after() -> None:
    door = Door(login_size=Bytes(FULL * 2))
    _, connection = door.come()
    assert connection.largest == FULL
    await door.gate.close()


async def test_a_message_says_nothing_without_an_id_either(door: Door) -> None:
    session, connection = door.come()
    session.message_received(b'{"jsonrpc":"2.0","method":"lamp.on"}', is_text=True)
    session.message_received(b'[{"jsonrpc":"2.0","method":"lamp.on"}]', is_text=True)
    assert not door.relay.submitted
    assert not connection.texts


@pytest.mark.parametrize(
    "params", [{}, {"token": None}, {"token": 5}, {"token": ["x"]}, ["good"], {"token": "x" * (MAX_TOKEN + 1)}]
)
async def test_params_that_hold_no_token(door: Door, params: Any) -> None:
    session, connection = door.come()
    assert await ask(session, connection, AUTHENTICATE, params) == errors.INVALID_PARAMS.code
    assert session.failures == 0


async def test_guesses_are_counted(door: Door) -> None:
    session, connection = door.come()
    for _ in range(AuthConfig().failed_logins):
        assert await log_in(session, connection, "bad") == errors.UNAUTHENTICATED.code
    await wait_until(lambda: connection.closed, "it is closed")
    assert connection.closed[0][0] == CloseCode.UNAUTHENTICATED


async def test_an_expired_token_is_none(door: Door) -> None:
    session, connection = door.come()
    door.users.add("old", lifetime_s=-1)
    assert await log_in(session, connection, "old") == errors.UNAUTHENTICATED.code


async def test_a_check_that_fails_is_neither_yes_nor_a_guess(door: Door, caplog: pytest.LogCaptureFixture) -> None:
    session, connection = door.come()
    door.users.known["secret-token"] = None
    assert await log_in(session, connection, "secret-token") == errors.UNAVAILABLE.code
    assert session.failures == 0
    assert "the database is away" in caplog.text
    assert b"database" not in connection.texts[0]
    assert "secret-token" not in caplog.text


async def test_a_newer_token_takes_the_olds_place(door: Door) -> None:
    session, connection = door.come()
    door.users.add("old", "alice", "viewer")
    door.users.add("new", "alice", "operator", lifetime_s=120)
    door.users.add("other", "bob")
    await log_in(session, connection, "old")
    assert await log_in(session, connection, "other") == errors.INVALID_REQUEST.code
    assert session.identity.user == "alice"
    assert (await log_in(session, connection, "new"))["roles"] == ["operator"]
    assert session.grant == door.users.known["new"]
    assert session.credentials.token == "new"
    assert not connection.closed


async def test_a_post_cannot_say_it(door: Door) -> None:
    with pytest.raises(errors.RPCError, match="needs a websocket"):
        await door.gate.authenticate(object(), msgspec.Raw(b'{"token":"x"}'))  # pyright: ignore[reportArgumentType]


# --- the end ----------------------------------------------------------------------------------------------------------


async def test_who_never_logs_in_has_to_go() -> None:
    door = Door(login_time=Seconds(0.2))
    _, connection = door.come()
    await wait_until(lambda: connection.closed, "it is closed")
    assert connection.closed == [(CloseCode.UNAUTHENTICATED, "nobody has logged in")]
    await door.gate.close()


async def test_an_expired_login_ends_with_the_next_sweep(door: Door) -> None:
    door.users.add("brief", lifetime_s=2)  # long enough to log in, on a busy machine
    door.users.add("long")
    (brief, brief_end), (long, long_end) = door.come(), door.come()
    await log_in(brief, brief_end, "brief")
    await log_in(long, long_end, "long")
    began = time.monotonic()
    await wait_until(lambda: brief_end.closed, "it is closed")
    assert time.monotonic() - began < 7  # 2 s and at most one sweep of 0.5 s, on a busy machine
    assert brief_end.closed == [(CloseCode.UNAUTHENTICATED, "the login has expired")]
    assert not long_end.closed


async def test_what_was_shown_is_looked_at_again() -> None:
    door = Door(recheck=Seconds(0.1))
    door.gate.start()
    users = door.users
    gone, changed, other, broken = (door.come() for _ in range(4))
    for name, (session, connection) in {"gone": gone, "changed": changed, "other": other, "broken": broken}.items():
        users.add(name, name, "operator")
        await log_in(session, connection, name)
    del users.known["gone"]
    users.add("changed", "changed", "viewer")
    users.add("other", "somebody else")
    users.known["broken"] = None
    await wait_until(lambda: all(end.closed for _, end in (gone, other, broken)), "three are sent away")
    assert gone[1].closed == other[1].closed == [(CloseCode.UNAUTHENTICATED, "the login was withdrawn")]
    await wait_until(lambda: changed[0].identity.roles == {"viewer"}, "the fourth has other roles")
    assert not changed[1].closed
    assert users.reloads >= 1
    await door.gate.close()
    await door.dispatcher.close()


async def test_rights_end_also_after_a_file_that_cannot_be_read() -> None:
    door = Door(recheck=Seconds(0.05))
    door.users.is_broken = True
    door.gate.start()
    door.users.add("token", "alice")
    session, connection = door.come()
    await log_in(session, connection, "token")
    await wait_until(lambda: door.users.reloads > 0, "the file was read")
    del door.users.known["token"]
    await wait_until(lambda: connection.closed, "it is closed")
    assert connection.closed == [(CloseCode.UNAUTHENTICATED, "the login was withdrawn")]
    await door.gate.close()
    await door.dispatcher.close()


async def test_who_loses_the_role_of_a_channel_that_he_follows_has_to_go() -> None:
    door = Door(recheck=Seconds(0.1))
    door.gate.start()
    door.users.add("token", "alice", "operator")
    session, connection = door.come()
    await log_in(session, connection, "token")
    feed = make_feed("lamp.power", "value", 0)
    feed.declaration = Declaration("value", ("operator",))
    session.subscribe(feed)
    door.users.add("token", "alice", "viewer")
    await wait_until(lambda: connection.closed, "it is closed")
    assert connection.closed[0][0] == CloseCode.UNAUTHENTICATED
    await door.gate.close()
    await door.dispatcher.close()
