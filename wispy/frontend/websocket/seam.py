"""The seam between a websocket and what sits on it: the frontend's session, or the echo of the conformance suite.

Rules that both shells keep:

- `connection_made` comes first, `connection_lost` last and exactly once. No `message_received` after `connection_lost`,
  after the session called `close`, or between `pause_reading` and `resume_reading`.
- All calls are made on the loop's thread. A session never gets a call inside one of its own calls to the connection,
  with one exception: `flush` may call `writable`.
- What is sent in one turn of the loop leaves in one write at the end of the turn, in the order in which it was sent.
- `send` never refuses and never blocks. The session looks at `is_full` and decides: to leave out, to wait for
  `writable`, or to close.
- An exception that a session raises closes the connection with 1011 and is logged.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Protocol

from wispy.protocol.frames import text_frame


class CloseCode(IntEnum):
    """The codes that wispy sends or reports (RFC 6455, section 7.4, and the IANA registry)."""

    NORMAL = 1000
    GOING_AWAY = 1001
    """This frontend is draining: reconnect."""
    PROTOCOL_ERROR = 1002
    NO_STATUS = 1005
    """Only reported: the peer's Close frame had no code."""
    ABNORMAL = 1006
    """Only reported: the connection ended without a Close frame."""
    INVALID_TEXT = 1007
    POLICY = 1008
    TOO_BIG = 1009
    INTERNAL_ERROR = 1011
    TRY_AGAIN_LATER = 1013
    UNAUTHENTICATED = 4401
    """Nobody has logged in, or the login has ended: connect anew, and say who you are."""


SUBPROTOCOL: Final = "wispy"
"""What the server agrees to where a client offers it: a browser wants an answer where it offers its token so."""


@dataclass(frozen=True, slots=True)
class WebSocketSettings:
    """What the connections of one frontend are bound by. Sizes are bytes, times are seconds."""

    shell: str = "detached"
    """`detached` or `tornado`. With `compression`, or where TLS ends in this process, Tornado's is used in any case."""
    compression: bool = False
    """Offer permessage-deflate: less traffic for more CPU, and about 300 KiB for each connection that uses it."""
    max_message_size: int = 10 * 1024 * 1024
    """A larger message closes the connection with 1009. The seed's limit, and Tornado's."""
    partial_messages: int = 512 * 1024 * 1024
    """All that has come of messages that are not whole yet, of all connections: past it one is closed with 1013."""
    message_time_s: float = 300.0
    """A message that has been coming for longer closes the connection with 1008; looked at where pings are sent."""
    write_buffer: int = 1024 * 1024
    """High-water mark of `Connection.buffered`: half a second of a 16 Mbit/s line. Low water is a quarter of it."""
    ping_interval_s: float = 25.0
    """A connection that was silent for this long gets a ping: load balancers cut idle ones, often after 30 or 60 s."""
    pong_timeout_s: float = 10.0
    """Silent for this long after a ping: the peer is gone."""
    close_timeout_s: float = 5.0
    """How long the peer may take to take what is buffered and to answer a Close, before the connection is cut."""


class PreparedMessages:
    """Text messages for many connections: framed once, and the same bytes object is written to each.

    Made once per broadcast, from JSON texts in UTF-8.
    """

    __slots__ = ("_frames", "payloads")

    payloads: tuple[bytes, ...]

    def __init__(self, *payloads: bytes) -> None:
        self.payloads = payloads
        self._frames: bytes | None = None

    @property
    def frames(self) -> bytes:
        """All messages as one run of uncompressed server frames; built when first asked for."""
        frames = self._frames
        if frames is None:
            frames = self._frames = b"".join(map(text_frame, self.payloads))
        return frames


class Connection(Protocol):
    """An open websocket, as its session uses it."""

    @property
    def remote(self) -> str:
        """Address of the peer, for the log: `ip`, or the forwarded one where Tornado was told to trust it."""
        ...

    @property
    def buffered(self) -> int:
        """Bytes that were sent here and that the kernel has not taken yet, in frames."""
        ...

    @property
    def is_full(self) -> bool:
        """Whether `buffered` is above the high-water mark, or was, and has not fallen below the low one since."""
        ...

    def send(self, payload: bytes, *, is_text: bool = True) -> None:
        """Send one message; the payload of a text is UTF-8. After `close` or the connection's end it is dropped."""
        ...

    def send_prepared(self, messages: PreparedMessages) -> None:
        """Send messages that go to many connections, framed once for all of them."""
        ...

    def flush(self) -> None:
        """Write now what this turn has collected, instead of at its end."""
        ...

    def pause_reading(self) -> None:
        """Deliver no further message until `resume_reading`; also from within `message_received`. May be repeated.

        What has arrived is kept; then the socket is not read any more, so that the peer is held back by TCP. Until it
        is, nothing is seen of the peer, not even its end: pause only for what ends by itself.
        """
        ...

    def resume_reading(self) -> None:
        """Deliver messages again, beginning with the next turn of the loop. May be repeated."""
        ...

    def limit_messages(self, size: int) -> None:
        """Take no message of more than `size` bytes from now on: a larger one closes the connection with 1009."""
        ...

    def close(self, code: int, reason: str = "") -> None:
        """Send what is buffered, then Close; wait for the peer's Close for a bounded time. May be repeated.

        `reason` is cut at 123 bytes of UTF-8, the most that a Close frame holds.
        """
        ...


class MessageHandler(Protocol):
    """What sits on a websocket."""

    def connection_made(self, connection: Connection) -> None:
        """Begin. A handler whose client went away during the handshake never gets here."""
        ...

    def message_received(self, data: bytes, is_text: bool) -> None:
        """Take one complete message. Text is checked UTF-8."""
        ...

    def writable(self) -> None:
        """`is_full` has ended."""
        ...

    def connection_lost(self, code: int, reason: str) -> None:
        """Let go of the connection.

        `code` and `reason` are those of the first Close frame, the peer's or ours; 1005 if it had no code,
        1006 if the connection ended without one.
        """
        ...
