"""Websocket frames (RFC 6455) on the server's side: bytes in, messages out, and the frames that answer.

`FrameParser` does no I/O. Its rules:

- `feed` takes bytes as they come; each `next` takes at most one frame, so that its caller can stop in the middle of
  the data (a session that has no room) or after so many frames (fairness). What is left stays in the parser.
- A message that came in one piece is sliced out of the data. Any other is collected in one bytearray: unmasked,
  counted and checked as it arrives, so that neither its size nor the number of its pieces costs more than linear time.
- What it collects counts in a `Room` that all connections share; `drop` gives that back.
- A violation raises `ProtocolError` with the Close code to send, as soon as the byte that violates is there
  (a wrong octet in the middle of a long text too). After that the parser must not be used again.
- No extension is known here: a reserved bit is a violation.
"""

import codecs
from typing import Final

from tornado.util import _websocket_mask as apply_mask  # pyright: ignore[reportPrivateImportUsage, reportPrivateUsage]

from wispy.protocol.room import Room, Share

CONTINUATION: Final = 0x0
TEXT: Final = 0x1
BINARY: Final = 0x2
CLOSE: Final = 0x8
PING: Final = 0x9
PONG: Final = 0xA

NO_STATUS: Final = 1005
"""Stands for the code of a Close frame that has none; never sent."""

MAX_CLOSE_REASON: Final = 123
"""Bytes of UTF-8 in a Close frame: 125 of payload (RFC 6455, section 5.5), two of them the code."""

Event = tuple[int, bytes]
"""An opcode and a payload. `CONTINUATION` means: a frame was taken, its message is not complete."""

_FIN: Final = 0x80
_FINAL_TEXT: Final = _FIN | TEXT
_RESERVED_BITS: Final = 0x70
_OPCODE: Final = 0x0F
_CONTROL_BIT: Final = 0x08
_MASK_BIT: Final = 0x80
_LENGTH_BITS: Final = 0x7F
_LENGTH_16: Final = 126
_LENGTH_64: Final = 127

_PROTOCOL_ERROR: Final = 1002
_INVALID_TEXT: Final = 1007
_TOO_BIG: Final = 1009
_TRY_AGAIN_LATER: Final = 1013

_SENDABLE_CODES: Final = frozenset((1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014))
"""What a Close frame may hold below 3000 (IANA's registry): 1005, 1006 and 1015 are only ever reported."""

_BYTES_PER_FRAGMENT: Final = 64
"""A message may have one fragment for so many bytes of the size limit: finer ones are mostly header (and a flood)."""

_SPARE_FRAGMENTS: Final = 1024
"""And these beside, so that a small size limit does not refuse what is merely written in small pieces."""

_SHORT_TEXT_HEADERS: Final = tuple(bytes((_FINAL_TEXT, length)) for length in range(_LENGTH_16))


NO_ROOM: Final = "too many large messages are coming in at present (limits.partial_messages); try again"
"""Why a connection is closed with 1013."""


class ProtocolError(Exception):
    """The peer broke the protocol: answer with Close, `code` and `reason`, and end the connection."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code} {reason}")
        self.code = code
        self.reason = reason


def header(opcode: int, length: int) -> bytes:
    """Return the header of a final, unmasked frame with `length` bytes of payload."""
    if length < _LENGTH_16:
        return bytes((_FIN | opcode, length))
    if length < 0x10000:
        return bytes((_FIN | opcode, _LENGTH_16)) + length.to_bytes(2, "big")
    return bytes((_FIN | opcode, _LENGTH_64)) + length.to_bytes(8, "big")


def text_header(length: int) -> bytes:
    """Return the header of a text message of `length` bytes; short ones come from a table."""
    return _SHORT_TEXT_HEADERS[length] if length < _LENGTH_16 else header(TEXT, length)


def frame(opcode: int, payload: bytes) -> bytes:
    """Return a final, unmasked frame."""
    return header(opcode, len(payload)) + payload


def text_frame(payload: bytes) -> bytes:
    """Return a whole text message as one frame; `payload` is UTF-8."""
    return text_header(len(payload)) + payload


def close_frame(code: int, reason: str = "") -> bytes:
    """Return a Close frame: empty for `NO_STATUS`, and with as much of `reason` as it can hold."""
    if code == NO_STATUS:
        return frame(CLOSE, b"")
    return frame(CLOSE, code.to_bytes(2, "big") + cut_reason(reason).encode())


def cut_reason(reason: str) -> str:
    """Return as much of a text as a Close frame can hold, in whole characters."""
    return reason.encode(errors="replace")[:MAX_CLOSE_REASON].decode(errors="ignore")


def is_close_code(code: int) -> bool:
    """Return whether a Close frame may hold this code."""
    return 3000 <= code < 5000 or code in _SENDABLE_CODES


def read_close(payload: bytes) -> tuple[int, str]:
    """Return code and reason of a Close frame's payload, the code `NO_STATUS` if it is empty.

    Raises:
        ProtocolError: It is one byte long, its code may not be sent, or its reason is not UTF-8.
    """
    if not payload:
        return NO_STATUS, ""
    code = int.from_bytes(payload[:2], "big")
    try:
        reason = payload[2:].decode()
    except UnicodeDecodeError:
        raise ProtocolError(_INVALID_TEXT, "invalid UTF-8 in Close") from None
    if len(payload) < 2 or not is_close_code(code):
        raise ProtocolError(_PROTOCOL_ERROR, "invalid Close code")
    return code, reason


class _Assembly:
    """A message that did not come in one piece: what there is of it, and of its present frame."""

    __slots__ = ("decoder", "final", "fragments", "mask", "missing", "opcode", "payload", "share")

    def __init__(self, opcode: int, room: Room) -> None:
        self.opcode = opcode
        self.share = Share(room)
        self.payload = bytearray()
        # Sees each piece of a text once, only to refuse what is not UTF-8.
        self.decoder = codecs.getincrementaldecoder("utf-8")() if opcode == TEXT else None
        # Frames of the message, the present one included.
        self.fragments = 0
        # Of the present frame: bytes to come, the mask turned to the next of them, whether it ends the message.
        self.missing = 0
        self.mask = b""
        self.final = False

    def add(self, masked: bytes) -> None:
        """Take the next bytes of the present frame."""
        if not self.share.grow(len(masked)):
            raise ProtocolError(_TRY_AGAIN_LATER, NO_ROOM)
        plain = apply_mask(self.mask, masked)
        turn = len(masked) & 3
        if turn:
            self.mask = self.mask[turn:] + self.mask[:turn]
        self.missing -= len(masked)
        self.payload += plain
        self._check(plain)

    def finish(self) -> bytes:
        self._check(b"", final=True)
        self.share.give_back()
        return bytes(self.payload)

    def _check(self, plain: bytes, *, final: bool = False) -> None:
        if self.decoder is None:
            return
        try:
            self.decoder.decode(plain, final)
        except UnicodeDecodeError:
            raise ProtocolError(_INVALID_TEXT, "invalid UTF-8") from None


class FrameParser:
    """Turns what a client sends into messages and control frames.

    Args:
        max_message_size: Largest payload of a message in bytes, all its fragments together; beyond it: 1009.
        room: What messages that have come in part may hold, those of other connections included; beyond it: 1013.
    """

    # One of these exists for each connection: an idle one holds no buffer.
    __slots__ = ("_assembly", "_data", "_max_fragments", "_position", "_room", "max_message_size")

    def __init__(self, max_message_size: int, room: Room) -> None:
        self._room = room
        self.limit(max_message_size)
        # What was fed; up to the position it has been taken.
        self._data = b""
        self._position = 0
        # Set from the first piece of a message that comes in several to its last.
        self._assembly: _Assembly | None = None

    def limit(self, max_message_size: int) -> None:
        """Have another bound from now on; of a message that has begun, for what is still to come."""
        self.max_message_size = max_message_size
        self._max_fragments = _SPARE_FRAGMENTS + max_message_size // _BYTES_PER_FRAGMENT

    @property
    def pending(self) -> int:
        """Bytes that were fed and not taken."""
        return len(self._data) - self._position

    def feed(self, data: bytes) -> None:
        """Add what was received.

        What is left from before is copied: a caller that does not take it must stop feeding.
        """
        if self._position < len(self._data):
            data = self._data[self._position :] + data
        self._data = data
        self._position = 0

    def age(self, now: float, *, is_read: bool) -> float:
        """How long a message has been coming in pieces (`Share.age`); 0 while none is."""
        return 0.0 if self._assembly is None else self._assembly.share.age(now, is_read=is_read)

    def drop(self) -> None:
        """Let go of all that has come. Only a connection that reads no more may do so."""
        if self._assembly is not None:
            self._assembly.share.give_back()
            self._assembly = None
        self._data = b""
        self._position = 0

    def whole_text(self, data: bytes) -> bytes | None:
        """The text in `data`, if it is one whole frame with an ASCII text, as most reads are; else None: feed it.

        It is what feeding it and taking the next frame would bring, without the steps.
        """
        size = len(data)
        if size < 8 or data[0] != _FINAL_TEXT or self._position < len(self._data) or self._assembly is not None:
            return None
        length = data[1] - _MASK_BIT
        body = 6
        if length >= _LENGTH_16:
            if length == _LENGTH_64:  # which stands for a length in the next eight bytes
                return None
            length = data[2] << 8 | data[3]
            body = 8
        if body + length != size or length > self.max_message_size:
            return None
        payload = apply_mask(data[body - 4 : body], data[body:])
        return payload if payload.isascii() else None

    def next(self) -> Event | None:
        """Take the next frame, or the next piece of one, from what was fed; None: more is needed.

        Raises:
            ProtocolError: The peer broke the protocol.
        """
        data = self._data
        start = self._position
        assembly = self._assembly
        if assembly is not None:
            if assembly.missing:
                return self._continue_frame(assembly)
        # The usual frame, a whole text below 64 KiB, takes no other step than these; all others go the long way.
        elif len(data) >= start + 6 and data[start] == _FINAL_TEXT and _MASK_BIT <= data[start + 1] < 0xFF:
            body = start + 6
            length = data[start + 1] - _MASK_BIT
            if length == _LENGTH_16:
                body = start + 8
                length = data[start + 2] << 8 | data[start + 3]
            end = body + length
            if end <= len(data) and length <= self.max_message_size:
                self._position = end
                payload = apply_mask(data[body - 4 : body], data[body:end])
                if not payload.isascii():
                    _check_text(payload)
                return TEXT, payload
        return self._next_frame()

    def _next_frame(self) -> Event | None:
        data = self._data
        start = self._position
        if len(data) < start + 2:
            return self._need_more()
        first = data[start]
        length = data[start + 1] & _LENGTH_BITS
        self._check_start(first, data[start + 1])
        body = start + 6
        if length == _LENGTH_16:
            length = int.from_bytes(data[start + 2 : start + 4], "big")
            body = start + 8
        elif length == _LENGTH_64:
            length = int.from_bytes(data[start + 2 : start + 10], "big")
            body = start + 14
        if len(data) < body:
            return self._need_more()
        if first & _CONTROL_BIT:
            return self._take_control(first & _OPCODE, body, length)
        return self._start_frame(first, body, length)

    def _check_start(self, first: int, second: int) -> None:
        """Check all that the first two bytes of a frame tell."""
        opcode = first & _OPCODE
        if first & _RESERVED_BITS:
            raise ProtocolError(_PROTOCOL_ERROR, "reserved bit is set")
        if not second & _MASK_BIT:
            raise ProtocolError(_PROTOCOL_ERROR, "frame is not masked")
        if opcode & _CONTROL_BIT:
            if opcode > PONG:
                raise ProtocolError(_PROTOCOL_ERROR, "unknown opcode")
            if not first & _FIN:
                raise ProtocolError(_PROTOCOL_ERROR, "fragmented control frame")
            if second & _LENGTH_BITS >= _LENGTH_16:
                raise ProtocolError(_PROTOCOL_ERROR, "control frame is too long")
        elif opcode > BINARY:
            raise ProtocolError(_PROTOCOL_ERROR, "unknown opcode")
        elif opcode == CONTINUATION and self._assembly is None:
            raise ProtocolError(_PROTOCOL_ERROR, "nothing to continue")
        elif opcode != CONTINUATION and self._assembly is not None:
            raise ProtocolError(_PROTOCOL_ERROR, "message is not finished")

    def _take_control(self, opcode: int, body: int, length: int) -> Event | None:
        end = body + length
        if end > len(self._data):
            return self._need_more()
        self._position = end
        payload = apply_mask(self._data[body - 4 : body], self._data[body:end])
        if opcode == CLOSE:
            read_close(payload)
        return opcode, payload

    def _start_frame(self, first: int, body: int, length: int) -> Event | None:
        """Take a frame of a message, or what there is of it."""
        data = self._data
        opcode = first & _OPCODE
        assembly = self._assembly
        end = body + length
        if length + (len(assembly.payload) if assembly is not None else 0) > self.max_message_size:
            raise ProtocolError(_TOO_BIG, f"message is larger than {self.max_message_size} bytes")
        if assembly is None and first & _FIN and end <= len(data):
            self._position = end
            payload = apply_mask(data[body - 4 : body], data[body:end])
            if opcode == TEXT:
                _check_text(payload)
            return opcode, payload
        if assembly is None:
            assembly = self._assembly = _Assembly(opcode, self._room)
        assembly.fragments += 1
        if assembly.fragments > self._max_fragments:
            raise ProtocolError(_TOO_BIG, f"message has more than {self._max_fragments} fragments")
        assembly.missing = length
        assembly.mask = data[body - 4 : body]
        assembly.final = bool(first & _FIN)
        self._position = body
        return self._continue_frame(assembly)

    def _continue_frame(self, assembly: _Assembly) -> Event | None:
        start = self._position
        piece = self._data[start : start + assembly.missing]
        self._position = start + len(piece)
        assembly.add(piece)
        if assembly.missing:
            return self._need_more()
        if not assembly.final:
            return CONTINUATION, b""
        self._assembly = None
        return assembly.opcode, assembly.finish()

    def _need_more(self) -> None:
        """Keep only what was not taken: data may be a large read of which nothing is left."""
        if self._position:
            self._data = self._data[self._position :]
            self._position = 0


def _check_text(payload: bytes) -> None:
    try:
        payload.decode()
    except UnicodeDecodeError:
        raise ProtocolError(_INVALID_TEXT, "invalid UTF-8") from None
