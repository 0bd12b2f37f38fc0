"""Keeps a session connected: websocket, hello, reconnecting, leaving a frontend that closes; reads what comes.

    connecting -> connected | resumed -> (connection lost) -> connecting -> resumed, or lost and then connected

Rules:
- One connection at a time: the old socket is dropped before the next is opened.
- A connection says hello first; then unanswered calls go again, channels are subscribed to again, new calls leave.
- A strange message is reported and breaks nothing else.
"""

import asyncio
import random
from collections.abc import Callable
from typing import Any, Final, cast

import msgspec

from wispy.client.events import Events
from wispy.client.socket import RefusedError, Socket, open_socket
from wispy.config.secrets import mask_urls
from wispy.protocol import errors, values
from wispy.protocol.client_calls import Backoff, Call, Hello
from wispy.protocol.client_session import ClientSession
from wispy.protocol.errors import RPCError
from wispy.timing import EarliestTimer, boottime

ANSWER_S: Final = 10.0
"""A server that has not taken the connection, or not said hello, by then is gone."""

STABLE_S: Final = 10.0
"""A connection that lived so long was a good one: the backoff starts anew."""

LEAVE_S: Final = 30.0
"""How long a closing frontend may take to answer what it has; then another is asked, which loses nothing."""

GOODBYE_S: Final = 1.0
"""How long the end of a connection waits for the server's part of it."""


class Problem(msgspec.Struct):
    """An error object of JSON-RPC."""

    code: int
    message: str
    data: msgspec.Raw = msgspec.Raw(b"{}")


class _Incoming(msgspec.Struct):
    """A message of the server: an answer, or a notification."""

    id: int | None = None
    result: msgspec.Raw = msgspec.Raw(b"null")
    error: Problem | None = None
    method: str | None = None
    params: msgspec.Raw = msgspec.Raw(b"null")


class _Clock(msgspec.Struct):
    run: str
    ms: int


class _Closing(msgspec.Struct):
    reconnect_in_ms: float = 0.0


AUTHENTICATE: Final = "rpc.authenticate"


_decode: Final = msgspec.json.Decoder(_Incoming).decode


def error_of(problem: Problem) -> RPCError:
    """The error that an answer, or an entry of an answer, tells of."""
    try:
        data = values.decode(problem.data, max_depth=None)
    except values.DecodeError as error:
        data = f"it cannot be read: {error}"
    members = cast(dict[str, Any], data) if isinstance(data, dict) else {"data": data}
    executed = members.pop("executed", "maybe")  # a server that says nothing leaves it open
    if executed not in ("no", "maybe", "yes"):
        executed = "maybe"
    is_retryable = members.pop("retryable", False) is True
    return RPCError(problem.code, problem.message, executed=executed, retryable=is_retryable, data=members)


class Link:
    """The connection of one session.

    Args:
        url: of the websocket.
        session: decides what is sent.
        events: is told the states, and trouble.
        on_open: called when requests may leave, before the waiting ones do.
        on_down: called when the connection is gone.
        on_end: called when there will be no other one.
        on_notification: called with method and params of what the server tells by itself.
        token: says who the user is, first of all on each connection.
    """

    def __init__(
        self,
        url: str,
        session: ClientSession,
        events: Events,
        on_open: Callable[[], None],
        on_down: Callable[[], None],
        on_end: Callable[[], None],
        on_notification: Callable[[str, msgspec.Raw], None],
        token: str | None = None,
    ) -> None:
        self._url = url
        self._session = session
        self._events = events
        self._on_open = on_open
        self._on_down = on_down
        self._on_end = on_end
        self._on_notification = on_notification
        self._loop = asyncio.get_running_loop()
        self._timer = EarliestTimer(self._loop, self._tick)
        self._backoff = Backoff(random.random)
        self._socket: Socket | None = None
        self._ended: asyncio.Future[str] = self._loop.create_future()
        """The present connection's end, and why."""
        self._leave_at: float | None = None
        self._leaving: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self.first: asyncio.Future[None] = self._loop.create_future()
        """Done when the first connection is there, or the server refused it."""
        self._token = token
        self.state = "idle"
        self.trouble = ""
        """Why the last try failed."""

    # --- life -------------------------------------------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """Whether there is a connection, and a session on it."""
        return self.state in ("connected", "resumed")

    def start(self) -> None:
        """Begin to connect, and stay connected from then on."""
        self._session.start(boottime())
        self._task = self._loop.create_task(self._stay_connected(), name="wispy client")

    async def close(self, reason: str) -> None:
        """End the connection and every call."""
        socket, self._socket = self._socket, None
        self._on_end()
        self._session.close(reason)
        self._timer.cancel()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        if socket is not None:
            await socket.close(GOODBYE_S)
        self._become("closed", reason)
        self.first.cancel()

    async def _stay_connected(self) -> None:
        self._become("connecting", mask_urls(f"to {self._url}"))
        try:
            while True:
                opened_at = self._loop.time()
                reason, was_open = await self._converse()
                if was_open:
                    self._become("connecting", reason)
                if was_open and self._loop.time() - opened_at > STABLE_S:
                    self._backoff.reset()
                leave_at, self._leave_at = self._leave_at, None
                pause_s = self._backoff.next_s() if leave_at is None else max(0.0, leave_at - self._loop.time())
                await asyncio.sleep(pause_s)
        except Exception as error:  # a fault of ours must not leave callers waiting
            self._events.report(error, "the client failed")
            self._on_end()
            self._session.close(f"the client failed: {error}")
            self._become("closed", f"the client failed: {error}")
            if not self.first.done():
                self.first.set_exception(error)

    async def _converse(self) -> tuple[str, bool]:
        """One connection from its beginning to its end: why it ended, and whether it was open."""
        ended = self._ended = self._loop.create_future()
        try:
            socket = await open_socket(self._url, self._receive, self._end, ANSWER_S)
        except RefusedError as error:
            self._refused(error)
            return str(error), False
        except Exception as error:  # OSError, a TLS error, an HTTP answer, ...: whatever Tornado raises
            self.trouble = f"{type(error).__name__}: {error}"
            return self.trouble, False
        self._socket = socket
        greeting = self._loop.call_later(ANSWER_S, self._end, "the server did not say hello")
        try:
            self._greet(greeting)
            reason = await ended
        finally:
            greeting.cancel()
            if self._leaving is not None:
                self._leaving.cancel()
                self._leaving = None
            if self._socket is socket:  # else `close` ends it, politely
                self._socket = None
                socket.abort()
            was_open = self.is_open
            self._on_down()
            self._session.detach("the connection was lost", boottime())
            self._rearm()
        self.trouble = reason
        return reason, was_open

    def _refused(self, error: Exception) -> None:
        self.trouble = str(error)
        if not self.first.done():
            self.first.set_exception(errors.UNAVAILABLE(str(error), retryable=False))

    def _end(self, reason: str) -> None:
        if not self._ended.done():
            self._ended.set_result(reason)

    def _become(self, state: str, reason: str) -> None:
        self.state = state
        self._events.state.emit(state, reason)

    # --- hello ------------------------------------------------------------------------------------------------------

    def _greet(self, greeting: asyncio.TimerHandle) -> None:
        if self._token is None:
            self._say_hello(greeting)
            return

        def answered(call: Call) -> None:
            if call.error is None or call.error.code == errors.METHOD_NOT_FOUND.code:  # nobody wants to know
                self._say_hello(greeting)
            else:
                self._turned_away(call.error)

        self.local(AUTHENTICATE, msgspec.json.encode({"token": self._token}), answered)

    def _turned_away(self, error: RPCError) -> None:
        """The server does not take the session, or the token."""
        if error.code == errors.UNAUTHENTICATED.code and not self.first.done():
            self.first.set_exception(error)
        elif self.first.done() and not error.retryable:  # an expired token: nobody waits for this connection
            self._events.report(error, "the server refused the connection")
        self._end(f"the server refused the session: {error}")

    def renew(self, token: str) -> None:
        """Show this token on later connections."""
        self._token = token

    def _say_hello(self, greeting: asyncio.TimerHandle) -> None:
        def answered(call: Call) -> None:
            greeting.cancel()
            if call.error is not None:
                self._turned_away(call.error)
                return
            try:
                hello = msgspec.json.decode(call.result or b"null", type=Hello)
            except msgspec.DecodeError as error:
                self._end(f"the server said hello in a way that cannot be understood: {error}")
                return
            self._welcome(hello)

        self.local("rpc.hello", self._session.hello_params(), answered)

    def _welcome(self, hello: Hello) -> None:
        had_session = self._session.name is not None
        is_resumed = hello.resumed and had_session
        if self._session.welcome(hello, boottime()):
            self._become("lost", "the server could not resume the session")
        self._become("resumed" if is_resumed else "connected", "")
        if not self.first.done():
            self.first.set_result(None)
        self._send(self._session.resend())
        self._on_open()
        self.flush()

    # --- sending ----------------------------------------------------------------------------------------------------

    def flush(self) -> None:
        """Send what may be sent."""
        self._send(self._session.flush(boottime()))
        if not self.is_open:
            self._rearm()

    def local(self, method: str, params: bytes, on_settled: Callable[[Call], None]) -> None:
        """Ask something about the connection itself, which must be open."""
        now = boottime()
        self._send(self._session.local(Call(method, params, "", now, on_settled), now))

    def give_up(self, call: Call, error: RPCError | None = None) -> None:
        """The caller waits no longer."""
        cancel = self._session.give_up(call, error)
        if cancel is not None:
            self._send([cancel])

    def _send(self, messages: list[bytes]) -> None:
        if self._socket is not None:
            for message in messages:
                self._socket.send(message)

    # --- reading ----------------------------------------------------------------------------------------------------

    def _receive(self, data: bytes) -> None:
        try:
            message = _decode(data)
            if message.method is not None:
                self._notified(message.method, message.params)
            else:
                self._answered(message)
        except Exception as error:  # reported, and breaks nothing else
            self._events.report(error, "the server sent a message that cannot be understood")

    def _answered(self, message: _Incoming) -> None:
        problem = message.error
        error = None if problem is None else error_of(problem)
        now = boottime()
        if message.id is None:
            raise error or errors.INTERNAL("an answer to no request")
        # There may be no call of this id any more: a connection that is being left answers what was asked about it.
        self._session.answered(message.id, bytes(message.result), error, now)
        if problem is not None:
            self._rearm()
        self.flush()
        if self._leave_at is not None:
            self._leave()

    def _notified(self, method: str, params: msgspec.Raw) -> None:
        if method == "rpc.clock":
            clock = msgspec.json.decode(params, type=_Clock)
            self._session.set_clock(clock.run, clock.ms, boottime())
        elif method == "rpc.closing":
            self._prepare_to_leave(msgspec.json.decode(params, type=_Closing).reconnect_in_ms / 1000)
        else:
            self._on_notification(method, params)

    def _prepare_to_leave(self, delay_s: float) -> None:
        """The frontend goes: it gets nothing new, and answers what it has. The server spreads its clients out."""
        self._session.hold()
        self._leave_at = self._loop.time() + delay_s
        if self._leaving is not None:
            self._leaving.cancel()
        self._leaving = self._loop.call_later(delay_s, self._leave)

    def _leave(self) -> None:
        now = self._loop.time()
        if self._leave_at is None or now < self._leave_at:
            return
        if self._session.is_idle or now >= self._leave_at + LEAVE_S:
            self._end("the server is closing")
        elif self._leaving is not None:
            self._leaving.cancel()
            self._leaving = self._loop.call_at(self._leave_at + LEAVE_S, self._leave)

    # --- time -------------------------------------------------------------------------------------------------------

    def _rearm(self) -> None:
        wakeup_at = self._session.wakeup_at()
        if wakeup_at is not None:
            self._timer.at(self._loop.time() + max(0.0, wakeup_at - boottime()))

    def _tick(self) -> None:
        if self._session.tick(boottime()):
            self._become("lost", "there was no connection for too long")
            self._become("connecting", "with a new session")
        self.flush()
        self._rearm()
