"""One connection to Redis, from its socket to its end: packing, batching, matching of replies, the deadline.

Rules:
- Commands issued in one turn of the loop leave in one `transport.write`; replies are matched in order.
- Every command gets exactly one answer: a reply, or a `BrokerError` instance. Never before `send` has returned.
- On its end, commands that were handed to the transport fail with `LinkLost`, the others with `LinkDown`.
- A server that says it is no longer fit to serve (a replica now, loading its data) ends the connection: `Unfit`.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Final, cast

import hiredis

from wispy.broker.errors import BrokerError, CommandTimeout, LinkDown, LinkLost, ReplyError, Unfit
from wispy.broker.server import Server

logger = logging.getLogger("wispy.broker")

Argument = str | bytes | int | float
OnReply = Callable[[Any], object]

# About one second of the heaviest measured traffic (100,000 calls a second of 150 bytes). A server that takes nothing
# for longer is better answered with "not sent" than given a queue that outlives its callers.
MAX_QUEUED_BYTES = 16 * 1024 * 1024

MAX_PUSHED_BYTES: Final = 64 * 1024
"""Subscriptions that leave in one write: a thousand channels. More would only be copied twice on their way."""

# The deadline is checked this often within a command time-out; so it fires at most a quarter late.
_TICKS_PER_TIMEOUT = 4

# Error codes of a server that will refuse all that follows: it is starting, or a failover made it a replica.
UNFIT: Final = frozenset({"READONLY", "LOADING", "MASTERDOWN", "UNBLOCKED"})

_INCOMPLETE: Final = object()

# hiredis' own annotation admits one argument only
_pack = cast("Callable[[tuple[Argument, ...]], bytes]", hiredis.pack_command)  # pyright: ignore[reportUnknownMemberType]


class Connection(asyncio.Protocol):
    """A connection from its start to its end; a `Dialer` makes the next one.

    `on_lost(reason)` is called once, after all pending commands were answered.
    """

    server: Server  # set by the handshake

    def __init__(
        self,
        on_lost: Callable[[str], None],
        *,
        command_timeout_s: float | None,
        max_queued_bytes: int = MAX_QUEUED_BYTES,
        unfit: frozenset[str] = UNFIT,
    ) -> None:
        self._unfit_codes = unfit
        self._loop = asyncio.get_running_loop()
        self._on_lost = on_lost
        self._command_timeout_s = command_timeout_s
        self._max_queued_bytes = max_queued_bytes
        self._transport: asyncio.Transport | None = None
        self._refusal: str | None = "not connected yet"  # why nothing can be sent now; None: it can
        self.ended = False  # a plain attribute: it is asked for each request
        self._turn: list[bytes] = []  # packed commands of this turn, not written yet
        self._turn_bytes = 0
        self._pushes: list[bytes] = []  # the same of commands that are not answered in order
        self._pushed_bytes = 0
        self._waiters: deque[OnReply] = deque()  # of all unanswered commands; the last len(_turn) are not written yet
        self._written = 0  # commands written so far
        self._marks: deque[int] = deque(maxlen=_TICKS_PER_TIMEOUT)  # _written at the last ticks of the deadline
        self._ticker: asyncio.TimerHandle | None = None  # runs only while replies are awaited
        self._unfit: Unfit | None = None  # the error that ends this connection
        self._reader = hiredis.Reader(replyError=self._make_error, notEnoughData=_INCOMPLETE)
        self.end: asyncio.Future[None] = self._loop.create_future()  # resolved when the connection has ended
        self.on_push: Callable[[Any], None] | None = None  # takes what answers no command: messages of pub/sub
        self.after_read: Callable[[], None] | None = None  # called after each read, when all of it was handed out

    # -- commands

    def send(self, args: tuple[Argument, ...], on_reply: OnReply, *, will_flush: bool = False) -> None:
        """Queue a command for the end of this turn; `on_reply` gets its reply or a `BrokerError` instance.

        `will_flush`: the caller calls `flush` in this very turn.
        """
        if self._refusal is not None:
            self._loop.call_soon(on_reply, LinkDown(self._refusal))
            return
        packed = _pack(args)
        if not self._turn and not will_flush:
            self._loop.call_soon(self.flush)
        self._turn.append(packed)
        self._waiters.append(on_reply)
        self._turn_bytes += len(packed)
        if self._turn_bytes > self._max_queued_bytes:
            self.flush()  # the transport counts what the server does not take, and says so by pause_writing

    def call(self, *args: Argument) -> asyncio.Future[Any]:
        """Queue a command; the future gets its reply, or raises a `BrokerError`."""
        future: asyncio.Future[Any] = self._loop.create_future()
        self.send(args, partial(settle, future))
        return future

    def push(self, *args: Argument) -> None:
        """Queue a command whose answers come as pushes (SUBSCRIBE, UNSUBSCRIBE); nothing happens after the end."""
        if self.ended:
            return
        if not self._pushes:
            self._loop.call_soon(self._flush_pushes)
        packed = _pack(args)
        self._pushes.append(packed)
        self._pushed_bytes += len(packed)
        if self._pushed_bytes > MAX_PUSHED_BYTES:
            self._flush_pushes()

    def _flush_pushes(self) -> None:
        if self._pushes and not self.ended:
            self.flush()
            self._write(b"".join(self._pushes))
        self._pushes.clear()
        self._pushed_bytes = 0

    def flush(self) -> None:
        """Write what this turn has queued, now instead of at its end."""
        if not self._turn:
            return
        data = self._turn[0] if len(self._turn) == 1 else b"".join(self._turn)
        self._written += len(self._turn)
        self._turn.clear()
        self._turn_bytes = 0
        if self._ticker is None and self._command_timeout_s is not None:
            self._ticker = self._loop.call_later(self._command_timeout_s / _TICKS_PER_TIMEOUT, self._tick)
        self._write(data)

    def _write(self, data: bytes) -> None:
        assert self._transport is not None  # for the type checker: _refusal is set until there is one
        self._transport.write(data)

    # -- the end

    def drop(self, reason: str, kind: type[LinkLost] = LinkLost) -> None:
        """End the connection now. What waits for a reply fails with `kind`, what was not written with `LinkDown`."""
        if self.ended:
            return
        self.ended = True
        self._refusal = reason
        self.on_push = self.after_read = None
        if self._ticker is not None:
            self._ticker.cancel()
        if self._transport is not None:
            self._transport.abort()
        waiters = list(self._waiters)
        written = len(waiters) - len(self._turn)
        self._waiters.clear()
        self._turn.clear()
        for index, on_reply in enumerate(waiters):
            self._answer(on_reply, kind(reason) if index < written else LinkDown(reason))
        self._on_lost(reason)
        self.end.set_result(None)

    # -- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        if self.ended:
            self._transport.abort()
            return
        self._transport.set_write_buffer_limits(high=self._max_queued_bytes)
        self._refusal = None

    def connection_lost(self, exc: Exception | None) -> None:
        self.drop(f"connection broken: {exc}" if exc else "the server closed the connection")

    def pause_writing(self) -> None:
        self._refusal = self._refusal or f"the server takes no data: {self._max_queued_bytes} bytes are queued for it"

    def resume_writing(self) -> None:
        if not self.ended:
            self._refusal = None

    def data_received(self, data: bytes) -> None:
        waiters = self._waiters
        gets = self._reader.gets
        try:
            self._reader.feed(data)
            reply = gets()
            while reply is not _INCOMPLETE:
                if waiters:
                    on_reply = waiters.popleft()
                elif self.on_push is not None:
                    on_reply = self.on_push
                else:
                    self.drop(f"the server sent what nobody asked for: {reply!r:.100}")
                    return
                try:
                    on_reply(reply)
                except Exception:  # a bug of the caller must not cost the others their replies
                    logger.exception("an error in the handling of a reply from Redis")
                reply = gets()
        except hiredis.ProtocolError as error:
            self.drop(f"the server does not speak the Redis protocol: {error}")
        if self._unfit is not None:
            self.drop(f"the server refuses to serve: {self._unfit}")
        elif self.after_read is not None:
            try:
                self.after_read()
            except Exception:  # as above
                logger.exception("an error after the handling of messages from Redis")

    # -- inside

    def _make_error(self, text: str) -> ReplyError:
        error = ReplyError(text)
        if error.code in self._unfit_codes:
            error = self._unfit = Unfit(text)
        return error

    def _answer(self, on_reply: OnReply, answer: BrokerError) -> None:
        try:
            on_reply(answer)
        except Exception:  # as above
            logger.exception("an error in the handling of a lost reply from Redis")

    def _tick(self) -> None:
        """Check the deadline of all commands at once: what was written a whole time-out ago must be answered.

        It counts ticks instead of comparing times: after a pause of this process the replies that lie in the socket
        are read before enough ticks have passed.
        """
        self._ticker = None
        unanswered = len(self._waiters) - len(self._turn)
        if not unanswered:
            self._marks.clear()
            return
        timeout_s = self._command_timeout_s or 0.0
        if len(self._marks) == _TICKS_PER_TIMEOUT and self._written - unanswered < self._marks[0]:
            self.drop(f"no reply within {timeout_s:g} s", CommandTimeout)
            return
        self._marks.append(self._written)
        self._ticker = self._loop.call_later(timeout_s / _TICKS_PER_TIMEOUT, self._tick)


def settle(future: asyncio.Future[Any], reply: Any) -> None:
    """Give a reply to a future: its result, or the exception that it is."""
    if future.done():  # its caller no longer waits
        return
    if isinstance(reply, BrokerError):
        future.set_exception(reply)
    else:
        future.set_result(reply)
