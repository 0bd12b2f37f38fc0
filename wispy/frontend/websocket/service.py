"""What all websockets of a process share: the settings, the flush at the end of a turn, the one timer."""

import asyncio
from typing import Final, Protocol

from wispy.frontend.websocket.keepalive import Keepalive
from wispy.frontend.websocket.seam import CloseCode, Connection, WebSocketSettings
from wispy.protocol.room import Room

LATE: Final = "a message has been coming for too long (limits.http_body_time)"
"""Why a connection is closed with 1008."""


class Flushable(Protocol):
    """A connection with something to write at the end of the turn."""

    def flush(self) -> None: ...


class WebSocketService:
    """Made once per process, on the running loop; every endpoint and connection holds it.

    Args:
        settings: Bounds and time-outs of all connections.
    """

    def __init__(self, settings: WebSocketSettings) -> None:
        self.settings = settings
        self.loop = asyncio.get_running_loop()
        self.keepalive = Keepalive(settings, self.loop)
        self.bytes_in = 0
        self.bytes_out = 0
        self.room = Room(settings.partial_messages)
        """For messages that have come in part."""
        self.too_big = 0
        """Messages beyond `max_message_size`."""
        self.too_big_early = 0
        """Messages beyond a smaller size that a session has set (`limit_messages`)."""
        self.late = 0
        """Messages that had been coming for longer than `message_time_s`."""
        # Connections that hold something to write. One callback a turn serves all: a broadcast to a thousand
        # connections does not schedule a thousand.
        self._to_flush: list[Flushable] = []
        self._is_flush_coming = False

    def count_too_big(self, size: int) -> None:
        """A message was larger than `size`, which was its connection's bound."""
        if size < self.settings.max_message_size:
            self.too_big_early += 1
        else:
            self.too_big += 1

    def close_if_late(self, connection: Connection, age_s: float) -> None:
        """Close a connection whose present message is so old, if that is too old."""
        if age_s > self.settings.message_time_s:
            self.late += 1
            connection.close(CloseCode.POLICY, LATE)

    def collect(self) -> None:
        """`flush` is called in this very turn: none need be scheduled."""
        self._is_flush_coming = True

    def flush_later(self, connection: Flushable) -> None:
        """Have `connection.flush()` called at the end of this turn."""
        if not self._to_flush and not self._is_flush_coming:
            self.loop.call_soon(self.flush)
        self._to_flush.append(connection)

    def flush(self) -> None:
        """Let all connections write what they hold; by itself at the end of each turn in which one got something."""
        self._is_flush_coming = False
        connections = self._to_flush
        self._to_flush = []
        for connection in connections:
            connection.flush()

    def stop(self) -> None:
        """Stop the timer; the connections are closed by whoever keeps count of them, before."""
        self.keepalive.stop()
