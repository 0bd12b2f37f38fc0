"""Pings and time-outs of all websockets of a process, by one timer.

A watched connection is in one of three queues, each in order of deadline because each has one delay for all:

    quiet    looked at twice in a ping interval; not heard of since the last look: pinged, and on to
    pinged   looked at once more when the pong is due; heard of: back to quiet, otherwise cut off
    ending   a Close was sent or the peer's end was seen; not gone by the deadline: cut off

So a connection is pinged after at most one interval of silence, and cut off after one interval and the pong's
time-out, give or take a tick of the timer. One that is busy costs two looks an interval and no ping.

Who is alive is asked for the message that he has sent a part of: answers to pings, or a byte now and then, do not keep
it for ever.
"""

import asyncio
from collections.abc import Iterator
from typing import Protocol

from wispy.frontend.websocket.seam import WebSocketSettings

_COARSEST_TICK_S = 0.5
"""Deadlines within half a second share a wake-up: nothing here is more urgent, and an idle process sleeps."""

_TICKS_PER_DELAY = 10
"""With very short time-outs the tick shrinks with them, to a tenth of the shortest."""


class Watched(Protocol):
    """A connection, as the keepalive sees it."""

    def ping(self) -> None: ...

    def seems_alive(self) -> bool:
        """Whether anything was heard of the peer, or taken by it, since this was last asked."""
        ...

    def look_at_message(self, now: float) -> None:
        """Close the connection, if a message has been coming for too long."""
        ...

    def cut(self, reason: str) -> None:
        """End the connection at once; `discard` follows."""
        ...


class Keepalive:
    """Watches connections from `add` to `discard`.

    Args:
        settings: The three delays. A ping interval of 0 means no pings.
        loop: The loop of the connections.
    """

    def __init__(self, settings: WebSocketSettings, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._look_delay_s = settings.ping_interval_s / 2
        self._pong_delay_s = settings.pong_timeout_s
        self._end_delay_s = settings.close_timeout_s
        delays = (self._look_delay_s or _COARSEST_TICK_S, self._pong_delay_s, self._end_delay_s)
        self._tick_s = min(_COARSEST_TICK_S, min(delays) / _TICKS_PER_DELAY)
        # Connection to deadline; insertion order is order of deadline.
        self._quiet: dict[Watched, float] = {}
        self._pinged: dict[Watched, float] = {}
        self._ending: dict[Watched, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._quiet) + len(self._pinged) + len(self._ending)

    def add(self, connection: Watched) -> None:
        """Watch a connection that has just opened."""
        if self._look_delay_s:
            self._put(self._quiet, connection, self._look_delay_s)

    def expect_end(self, connection: Watched) -> None:
        """Give a connection that is closing the close time-out, and no more pings. May be repeated."""
        if connection not in self._ending:
            self.discard(connection)
            self._put(self._ending, connection, self._end_delay_s)

    def discard(self, connection: Watched) -> None:
        """Forget a connection."""
        self._quiet.pop(connection, None)
        self._pinged.pop(connection, None)
        self._ending.pop(connection, None)

    def stop(self) -> None:
        """Forget all connections and cancel the timer."""
        for queue in (self._quiet, self._pinged, self._ending):
            queue.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _put(self, queue: dict[Watched, float], connection: Watched, delay_s: float) -> None:
        deadline = self._loop.time() + delay_s
        queue[connection] = deadline
        self._wake_at(deadline)

    def _wake_at(self, deadline: float) -> None:
        if self._timer is not None:
            # The timer may well fire a tick late, so that many connections that open together share it.
            if self._timer.when() <= deadline + self._tick_s:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(deadline + self._tick_s, self._look)

    def _look(self) -> None:
        self._timer = None
        now = self._loop.time()
        try:
            self._cut_late(now)
            self._look_at_quiet(now)
        finally:
            # Whatever went wrong with one connection, the others are still watched.
            for queue in (self._quiet, self._pinged, self._ending):
                if queue:
                    self._wake_at(next(iter(queue.values())))

    def _cut_late(self, now: float) -> None:
        for connection in _take_due(self._ending, now):
            connection.cut("close timed out")
        for connection in _take_due(self._pinged, now):
            if connection.seems_alive():
                self._stay(connection, now)
            else:
                connection.cut("no answer to a ping")

    def _look_at_quiet(self, now: float) -> None:
        for connection in _take_due(self._quiet, now):
            if connection.seems_alive():
                self._stay(connection, now)
            else:
                self._put(self._pinged, connection, self._pong_delay_s)
                connection.ping()

    def _stay(self, connection: Watched, now: float) -> None:
        self._put(self._quiet, connection, self._look_delay_s)
        connection.look_at_message(now)


def _take_due(queue: dict[Watched, float], now: float) -> Iterator[Watched]:
    while queue:
        connection, deadline = next(iter(queue.items()))
        if deadline > now:
            return
        del queue[connection]
        yield connection
