"""The detached shell: a websocket on a plain asyncio transport, after Tornado has answered the handshake.

States, and what moves between them:

    OPEN ──close()──> CLOSING ──peer's Close──> ENDING ──transport is gone──> GONE
      └──peer's Close, peer's end of data, violation, exception of the session──^

- OPEN: messages go both ways.
- CLOSING: our Close is sent. Only the peer's Close is waited for; its messages are dropped.
- ENDING: all is said. What is buffered drains; what arrives is dropped.
- From CLOSING on the keepalive bounds the time, and cuts the connection off.
- `connection_lost` of the session is called on the way to GONE, and nowhere else.

Reading: one loop takes all complete frames of what a read brought. It ends early when the session paused reading,
and lets the other connections pass after `_FRAMES_PER_TURN`. While frames are left, at most one further read is kept,
then the socket is not read.

Writing: frames of one turn are collected and written at once; the transport's buffer is the gauge for slow readers.
While it is full, pings are answered only once it is not, and only the latest (RFC 6455, section 5.5.3, allows it).
"""

import asyncio
import logging
from typing import Final, cast

from wispy.frontend.websocket.seam import CloseCode, Connection, MessageHandler, PreparedMessages
from wispy.frontend.websocket.service import WebSocketService
from wispy.protocol.frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    FrameParser,
    ProtocolError,
    close_frame,
    frame,
    header,
    read_close,
    text_header,
)

logger = logging.getLogger(__name__)

_OPEN: Final = 0
_CLOSING: Final = 1
_ENDING: Final = 2
_GONE: Final = 3

_FRAMES_PER_TURN: Final = 256
"""About 0.4 ms of parsing; a read of 256 KB could hold 40,000 empty frames and keep all others waiting for 40 ms."""

_LAZY_BYTES: Final = 16 * 1024
"""With less than this left over, a paused connection's socket is only stopped when more arrives: stopping and starting
cost system calls, and most pauses are over before."""


class _Nobody:
    """Sits on a connection that is gone, so that it lets go of its session."""

    def connection_made(self, connection: Connection) -> None: ...
    def message_received(self, data: bytes, is_text: bool) -> None: ...
    def writable(self) -> None: ...
    def connection_lost(self, code: int, reason: str) -> None: ...


_NOBODY: Final = _Nobody()


class DetachedConnection(asyncio.Protocol):
    """A websocket whose handshake is answered by the first bytes that it writes.

    Args:
        service: What all connections share.
        handler: The session.
        remote: Address of the peer, for the log.
        response: The bytes of the 101.
        early: What the client sent behind its request.
    """

    # A process holds tens of thousands of these, most of them idle: slots, and nothing allocated ahead.
    __slots__ = (
        "_buffered",
        "_choked",
        "_code",
        "_handler",
        "_heard",
        "_held_back",
        "_outbox",
        "_owed_pong",
        "_parser",
        "_paused",
        "_reason",
        "_scheduled",
        "_service",
        "_state",
        "_transport",
        "_unsent_at_look",
        "is_full",
        "remote",
    )

    def __init__(
        self, service: WebSocketService, handler: MessageHandler, *, remote: str, response: bytes, early: bytes
    ) -> None:
        self.remote = remote
        self.is_full = False
        self._service = service
        self._handler: MessageHandler = handler
        self._transport: asyncio.Transport | None = None
        self._state = _OPEN
        # Of the first Close frame, ours or the peer's.
        self._code: int = CloseCode.ABNORMAL
        self._reason = ""

        self._parser = FrameParser(service.settings.max_message_size, service.room)
        self._parser.feed(early)
        # The session asked for no more messages.
        self._paused = False
        # The transport was told to stop reading.
        self._held_back = False
        # `_go_on` is scheduled.
        self._scheduled = False

        # Frames to write at the end of the turn, and their size together with what the transport still has.
        self._outbox = [response]
        self._buffered = len(response)
        # The transport is above its high-water mark.
        self._choked = False
        self._owed_pong: bytes | None = None

        # For the keepalive: something was received or drained; what was unsent when it last looked.
        self._heard = True
        self._unsent_at_look = 0

    # The transport's calls: opening and closing

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=self._service.settings.write_buffer)
        self.flush()
        self._service.keepalive.add(self)
        try:
            self._handler.connection_made(self)
        except Exception as error:
            self._fail_session(error)
            return
        if self._parser.pending:
            self._read_frames()

    def eof_received(self) -> None:
        """The peer sends no more: without its Close that is the end, and asyncio closes the transport."""
        self.flush()
        self._state = max(self._state, _ENDING)
        self._service.keepalive.expect_end(self)

    def connection_lost(self, exc: Exception | None) -> None:
        handler = self._handler
        self._transport = None
        self._state = _GONE
        self._handler = _NOBODY
        self._outbox.clear()
        self._buffered = 0
        self._parser.drop()
        self._service.keepalive.discard(self)
        if self._code == CloseCode.ABNORMAL and exc is not None:
            self._reason = str(exc)
        try:
            handler.connection_lost(self._code, self._reason)
        except Exception:
            logger.exception("The session of %s failed when its connection was lost", self.remote)

    # Reading

    def data_received(self, data: bytes) -> None:
        self._heard = True
        self._service.bytes_in += len(data)
        if self._state >= _ENDING:
            return
        if self._paused or self._scheduled:
            self._parser.feed(data)
            self._hold_back()
            return
        text = self._parser.whole_text(data) if self._state == _OPEN else None
        if text is None:
            self._parser.feed(data)
            self._read_frames()
            return
        try:
            self._handler.message_received(text, True)
        except Exception as error:
            self._fail_session(error)

    def pause_reading(self) -> None:
        self._paused = True

    def resume_reading(self) -> None:
        if self._paused:
            self._paused = False
            if self._parser.pending or self._held_back:
                self._go_on_later()

    def limit_messages(self, size: int) -> None:
        self._parser.limit(size)

    def _read_frames(self) -> None:
        """Take the complete frames that are there, as far as the session and the neighbours allow."""
        try:
            for _ in range(_FRAMES_PER_TURN):
                event = self._parser.next()
                if event is None:
                    self._read_on()
                    return
                opcode, payload = event
                if opcode >= CLOSE:
                    self._take_control(opcode, payload)
                    if self._state == _ENDING:
                        return
                elif opcode != CONTINUATION and self._state == _OPEN:
                    self._handler.message_received(payload, opcode == TEXT)
                    if self._paused:
                        break
            else:
                # Also so that the peer's end of data is not seen before its last frames.
                self._hold_back()
                self._go_on_later()
        except ProtocolError as error:
            if error.code == CloseCode.TOO_BIG:
                self._service.count_too_big(self._parser.max_message_size)
            self._fail(error.code, error.reason)
            return
        except Exception as error:
            self._fail_session(error)
            return
        if self._parser.pending > _LAZY_BYTES:
            self._hold_back()

    def _go_on_later(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._service.loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        self._scheduled = False
        if not self._paused and self._state < _ENDING:
            self._read_frames()

    def _hold_back(self) -> None:
        if self._transport is not None and not self._held_back:
            self._held_back = True
            self._transport.pause_reading()

    def _read_on(self) -> None:
        if self._transport is not None and self._held_back:
            self._held_back = False
            self._transport.resume_reading()

    def _take_control(self, opcode: int, payload: bytes) -> None:
        if opcode == PING:
            if self.is_full:
                self._owed_pong = payload
            elif self._state == _OPEN:
                self._put(frame(PONG, payload))
        elif opcode == CLOSE:
            code, reason = read_close(payload)
            if self._state == _OPEN:
                self._code, self._reason = code, reason
                self._put(close_frame(code))
            self._end()

    # Writing

    @property
    def buffered(self) -> int:
        if self._outbox or self._transport is None:
            return self._buffered
        return self._transport.get_write_buffer_size()

    def send(self, payload: bytes, *, is_text: bool = True) -> None:
        if self._state == _OPEN:
            self._put(text_header(len(payload)) if is_text else header(BINARY, len(payload)), payload)

    def send_prepared(self, messages: PreparedMessages) -> None:
        if self._state == _OPEN:
            self._put(messages.frames)

    def flush(self) -> None:
        outbox = self._outbox
        if not outbox or self._transport is None:
            return
        # A broadcast, where it is all there is, leaves as the one bytes object that all connections share.
        data = outbox[0] if len(outbox) == 1 else b"".join(outbox)
        outbox.clear()
        self._service.bytes_out += len(data)
        self._transport.write(data)
        if self.is_full and not self._choked:
            self._tell_writable()

    def pause_writing(self) -> None:
        self._choked = True
        self.is_full = True

    def resume_writing(self) -> None:
        self._choked = False
        self._heard = True
        # With frames of this turn in hand, the flush at its end knows better.
        if not self._outbox:
            self._tell_writable()

    def _put(self, first: bytes, second: bytes = b"") -> None:
        outbox = self._outbox
        if not outbox:
            if self._transport is None:
                return
            self._buffered = self._transport.get_write_buffer_size()
            self._service.flush_later(self)
        outbox.append(first)
        if second:
            outbox.append(second)
        self._buffered += len(first) + len(second)
        if self._buffered > self._service.settings.write_buffer:
            self.is_full = True

    def _tell_writable(self) -> None:
        self.is_full = False
        if self._state != _OPEN:
            return
        if self._owed_pong is not None:
            self._put(frame(PONG, self._owed_pong))
            self._owed_pong = None
        try:
            self._handler.writable()
        except Exception as error:
            self._fail_session(error)

    # Closing

    def close(self, code: int, reason: str = "") -> None:
        if self._state != _OPEN:
            return
        self._code, self._reason = code, reason
        self._put(close_frame(code, reason))
        self._state = _CLOSING
        self._service.keepalive.expect_end(self)
        # A session that held the client back must not keep its Close from being read.
        self.resume_reading()

    def _end(self) -> None:
        """Both sides have said Close, or one never will: write what is there, and close the socket."""
        self._state = _ENDING
        self._parser.drop()
        self._service.keepalive.expect_end(self)
        self.flush()
        if self._transport is not None:
            self._transport.close()

    def _fail(self, code: int, reason: str) -> None:
        """Send Close, then only our end of data, and drop what comes until the peer's.

        Closing the socket at once, while the peer is still sending, would make the kernel answer with a reset, which
        can overtake the Close.
        """
        if self._state == _OPEN:
            self._code, self._reason = code, reason
            self._put(close_frame(code, reason))
        self._state = _ENDING
        self._parser.drop()
        self._service.keepalive.expect_end(self)
        self.flush()
        if self._transport is not None:
            self._read_on()
            self._transport.write_eof()

    def _fail_session(self, error: Exception) -> None:
        """What a session raises is logged, and ends its connection only."""
        logger.error("The session of %s failed", self.remote, exc_info=error)
        self._fail(CloseCode.INTERNAL_ERROR, "internal error")

    # The keepalive's calls

    def ping(self) -> None:
        # A full buffer is watched by what the peer takes of it: a ping behind it would only come late.
        if self._state == _OPEN and not self.is_full:
            self._put(frame(PING, b""))

    def seems_alive(self) -> bool:
        unsent = self.buffered
        # A peer that is held back cannot be heard; but if there is something for it, it can be seen to take it.
        alive = self._heard or unsent < self._unsent_at_look or (self._held_back and not unsent)
        self._heard = False
        self._unsent_at_look = unsent
        return alive

    def look_at_message(self, now: float) -> None:
        self._service.close_if_late(self, self._parser.age(now, is_read=not self._paused))

    def cut(self, reason: str) -> None:
        if self._state == _OPEN:
            self._reason = reason
        if self._transport is not None:
            self._transport.abort()
