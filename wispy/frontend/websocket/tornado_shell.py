"""The Tornado shell: a websocket that stays with Tornado's `WebSocketHandler`.

Used for permessage-deflate, and where TLS ends in this process: Tornado does both well. It costs about 25 us more per
message, 16 KiB more per connection, and is less exact on a broken peer: Tornado drops the connection, with what this
turn had to say, where the detached shell says 1002 or 1007 first. All else is the same for a session:

- Frames of one turn leave in one write; with compression each message is a write of its own.
- What Tornado's stream has not written is counted by its write futures, and bounds the session as in `seam`.
- Reading is paused by giving Tornado a future to wait for, and with it pings, pongs and closes wait.
- Tornado bounds the size of messages, also after inflating (no decompression bombs), and answers floods of pings with
  one pong at a time.
- A frame is read in pieces, so that what has come of it counts in the room that all connections share.
"""

import logging
from asyncio import Future
from collections.abc import Callable
from typing import Any, Final

from tornado.iostream import StreamClosedError
from tornado.websocket import WebSocketClosedError, WebSocketHandler, WebSocketProtocol13

from wispy.frontend.websocket.handshake import bound_socket
from wispy.frontend.websocket.seam import CloseCode, MessageHandler, PreparedMessages
from wispy.frontend.websocket.service import WebSocketService
from wispy.protocol.frames import BINARY, NO_ROOM, TEXT, cut_reason, frame, is_close_code
from wispy.protocol.room import Room, Share

logger = logging.getLogger(__name__)


_PIECE: Final = 64 * 1024
"""Bytes of a frame that are read at a time: what Tornado takes from a socket at once."""


class NotingProtocol(WebSocketProtocol13):
    """Tornado's protocol, with an eye on every Close frame: each one that is sent or echoed passes `close`.

    Args (beside Tornado's):
        room: For messages that have come in part.
    """

    def __init__(self, handler: WebSocketHandler, params: Any, room: Room) -> None:
        super().__init__(handler, False, params)
        self._share = Share(room)
        """Of the message that is coming; some bytes of headers and control frames count with it."""

    first_close: tuple[int, str] | None = None
    """Of the first Close frame, ours or the peer's."""

    is_too_big = False
    """A message was larger than it may be."""

    flush: Callable[[], None] | None = None
    """Called before the Close is written: what this turn has sent so far goes before it."""

    heard: Callable[[], None] | None = None
    """Called when a part of a frame has come: a sign of life, where the frame takes its time."""

    def message_age(self, now: float, *, is_read: bool) -> float:
        """How long a message has been coming (`Share.age`); 0 while none is."""
        return self._share.age(now, is_read=is_read)

    def limit_messages(self, size: int) -> None:
        self.params.max_message_size = size
        if self._decompressor is not None:
            # It was told when it was made, and Tornado has no way to tell it again: without this, a small message
            # could become a large one before anybody has logged in.
            self._decompressor._max_message_size = size  # pyright: ignore[reportPrivateUsage]

    async def _receive_frame_loop(self) -> None:
        try:
            await super()._receive_frame_loop()
        finally:
            self._share.give_back()

    async def _read_bytes(self, n: int) -> bytes:
        """Tornado reads all parts of frames with this one."""
        pieces: list[bytes] = []
        missing = n
        while missing:
            piece = await self.stream.read_bytes(min(missing, _PIECE), partial=True)
            missing -= len(piece)
            pieces.append(piece)
            if not self._share.grow(len(piece)):
                self.close(CloseCode.TRY_AGAIN_LATER, NO_ROOM)
                raise StreamClosedError
            if missing and self.heard is not None:
                self.heard()
        self._wire_bytes_in += n
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _handle_message(self, opcode: int, data: bytes) -> "Future[None] | None":
        """Tornado passes whole messages, and control frames between their parts, to this one."""
        if opcode in (TEXT, BINARY) or self._fragmented_message_buffer is None:
            self._share.give_back()
        return super()._handle_message(opcode, data)

    def close(self, code: int | None = None, reason: str | None = None) -> None:
        if self.flush is not None and not self.server_terminated:
            self.flush()
        if code is not None and not is_close_code(code):
            # Tornado would echo whatever number the peer made up.
            code, reason = CloseCode.PROTOCOL_ERROR, "invalid Close code"
        if code == CloseCode.TOO_BIG and not self.client_terminated:  # else it is the peer's, and echoed
            self.is_too_big = True
        # Tornado also comes here to tidy up after a connection that broke.
        if self.first_close is None and not self.stream.closed():
            self.first_close = (CloseCode.NO_STATUS if code is None else code, reason or self.close_reason or "")
        super().close(code, reason)


class TornadoConnection:
    """A `Connection` over Tornado's protocol; the endpoint passes on what Tornado tells it.

    Args:
        service: What all connections share.
        handler: The session.
        protocol: Tornado's side, already open.
        remote: Address of the peer, for the log.
        compressed: Whether messages have to pass Tornado's compressor.
    """

    __slots__ = (
        "_compressed",
        "_handler",
        "_heard",
        "_lost",
        "_low_water",
        "_outbox",
        "_protocol",
        "_resumed",
        "_service",
        "_unsent_at_look",
        "buffered",
        "is_full",
        "remote",
    )

    def __init__(
        self,
        service: WebSocketService,
        handler: MessageHandler,
        protocol: NotingProtocol,
        *,
        remote: str,
        compressed: bool,
    ) -> None:
        self.remote = remote
        self.is_full = False
        self.buffered = 0
        self._service = service
        self._handler = handler
        self._protocol = protocol
        self._compressed = compressed
        self._low_water = service.settings.write_buffer // 4
        # What this turn sends: with compression payloads, and whether they are text; else frames.
        self._outbox: list[tuple[bytes, bool]] = []
        # Set while the session wants no messages; what Tornado waits for.
        self._resumed: Future[None] | None = None
        self._lost = False
        self._heard = True
        self._unsent_at_look = 0

    # The endpoint's calls

    def opened(self) -> None:
        self._protocol.flush = self.flush
        self._protocol.heard = self.heard
        sock = self._protocol.stream.socket
        if sock is not None:
            bound_socket(sock)
        self._service.keepalive.add(self)
        self._guard(self._handler.connection_made, self)

    def received(self, message: str | bytes) -> Future[None] | None:
        """Pass a message on. Tornado reads no further until the future that is returned is done."""
        self._heard = True
        if not self._protocol.is_closing():
            is_text = isinstance(message, str)
            data = message.encode() if is_text else message
            self._service.bytes_in += len(data)
            self._guard(self._handler.message_received, data, is_text)
        return self._resumed

    def heard(self) -> None:
        self._heard = True

    def lost(self) -> None:
        if self._lost:
            return
        self._lost = True
        if self._protocol.is_too_big:
            self._service.count_too_big(self._protocol.params.max_message_size)
        self._service.keepalive.discard(self)
        self.resume_reading()
        self._outbox.clear()
        code, reason = self._protocol.first_close or (CloseCode.ABNORMAL, "")
        self._guard(self._handler.connection_lost, code, reason)

    # The session's calls

    def send(self, payload: bytes, *, is_text: bool = True) -> None:
        self._put(payload if self._compressed else frame(TEXT if is_text else BINARY, payload), is_text)

    def send_prepared(self, messages: PreparedMessages) -> None:
        if self._compressed:
            for payload in messages.payloads:
                self._put(payload, True)
        else:
            self._put(messages.frames, True)

    def flush(self) -> None:
        outbox = self._outbox
        if not outbox:
            return
        self._outbox = []
        if self._compressed:
            for payload, is_text in outbox:
                self._write(len(payload), self._protocol.write_message, payload, not is_text)
        else:
            frames = b"".join([data for data, _ in outbox])
            self._write(len(frames), self._protocol.stream.write, frames)
        self._look_at_room()

    def pause_reading(self) -> None:
        if self._resumed is None and not self._lost:
            self._resumed = self._service.loop.create_future()

    def resume_reading(self) -> None:
        resumed = self._resumed
        if resumed is not None:
            self._resumed = None
            if not resumed.done():
                resumed.set_result(None)

    def limit_messages(self, size: int) -> None:
        self._protocol.limit_messages(size)

    def close(self, code: int, reason: str = "") -> None:
        if self._protocol.is_closing():
            return
        self._service.keepalive.expect_end(self)
        self._protocol.close(code, cut_reason(reason))
        # Tornado must read on to see the peer's Close.
        self.resume_reading()

    # The keepalive's calls

    def ping(self) -> None:
        if not self.is_full and not self._protocol.is_closing():
            self._protocol.write_ping(b"")

    def seems_alive(self) -> bool:
        # A peer that is held back cannot be heard; but if there is something for it, it can be seen to take it.
        is_held_back = self._resumed is not None
        alive = self._heard or self.buffered < self._unsent_at_look or (is_held_back and not self.buffered)
        self._heard = False
        self._unsent_at_look = self.buffered
        return alive

    def look_at_message(self, now: float) -> None:
        self._service.close_if_late(self, self._protocol.message_age(now, is_read=self._resumed is None))

    def cut(self, reason: str) -> None:
        if self._protocol.first_close is None:
            self._protocol.first_close = (CloseCode.ABNORMAL, reason)
        self._protocol.stream.close()
        # Tornado sees the end when it reads on.
        self.resume_reading()

    # Writing

    def _put(self, data: bytes, is_text: bool) -> None:
        if self._protocol.is_closing():
            return
        if not self._outbox:
            self._service.flush_later(self)
        self._outbox.append((data, is_text))
        self.buffered += len(data)
        if self.buffered > self._service.settings.write_buffer:
            self.is_full = True

    def _write(self, size: int, write: Callable[..., Future[None]], *arguments: object) -> None:
        self._service.bytes_out += size
        try:
            written = write(*arguments)
        except (StreamClosedError, WebSocketClosedError):
            # `lost` follows.
            self.buffered -= size
            return
        if written.done():
            self._wrote(written, size)
        else:
            written.add_done_callback(lambda done: self._drained(done, size))

    def _drained(self, written: Future[None], size: int) -> None:
        # The peer has made room for it: a sign of life.
        self._heard = True
        self._wrote(written, size)

    def _wrote(self, written: Future[None], size: int) -> None:
        self.buffered -= size
        if not written.cancelled():
            # An error here is the end of the stream, which `lost` reports.
            written.exception()
        self._look_at_room()

    def _look_at_room(self) -> None:
        if self.is_full and self.buffered <= self._low_water and not self._lost:
            self.is_full = False
            self._guard(self._handler.writable)

    def _guard(self, call: Callable[..., None], *arguments: object) -> None:
        """Call the session: what it raises is logged, and ends its connection only."""
        try:
            call(*arguments)
        except Exception:
            logger.exception("The session of %s failed", self.remote)
            self.close(CloseCode.INTERNAL_ERROR, "internal error")
