"""The link to Redis: implicit pipelining over one connection that is kept up.

Commands issued in one turn of the loop leave in one write, replies match in order. What a caller may conclude from
an error is in `wispy.broker.errors`: `LinkDown` (not sent), `LinkLost` (unknown), `ReplyError` (Redis said so).
A link is used from the thread of its event loop only.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

from wispy.broker.connection import MAX_QUEUED_BYTES, UNFIT, Argument, Connection, OnReply
from wispy.broker.dialer import Backoff, Dialer, Locate
from wispy.broker.errors import BrokerError, CommandTimeout, LinkDown, LinkLost, ReplyError
from wispy.broker.route import Commands, Route
from wispy.broker.server import Server
from wispy.config.redis_address import RedisAddress

__all__ = ["Backoff", "BrokerError", "CommandTimeout", "Link", "LinkDown", "LinkLost", "ReplyError", "Server"]

logger = logging.getLogger("wispy.broker")

# For their drift (see server.py) a look at clocks in a minute would do. But the server's may be set, and a laptop may
# sleep with all that runs on it: for so long requests may then be refused as too old, by who has noticed sooner. The
# first look comes early, because a process that has just connected is busy starting, and its first sample was late.
_CLOCK_REFRESH_S = 5.0
_FIRST_CLOCK_REFRESH_S = 1.0

# A correction that is told to who stamps by the clock: a tenth of the time that a request may wait to be started.
_TOLD_CORRECTION_S = 0.25


class Link(Commands):
    """One connection to Redis with implicit pipelining.

    `name` is for logs and CLIENT LIST. `command_timeout_s` is the longest wait for a reply before the
    connection is given up; it must exceed the block time of blocking reads. None: no deadline, and no refresh of the
    server's clock; for links that block for ever. `max_queued_bytes` bounds what is held for a stalled server; past
    it, commands fail with `LinkDown`. `locate` finds the server at each try to connect, where the address does not say
    which it is. `unfit` are the codes of errors that end the connection.
    """

    def __init__(
        self,
        address: RedisAddress,
        *,
        name: str,
        connect_timeout_s: float = 5.0,
        command_timeout_s: float | None = 5.0,
        backoff: Backoff | None = None,
        max_queued_bytes: int = MAX_QUEUED_BYTES,
        locate: Locate | None = None,
        unfit: frozenset[str] = UNFIT,
    ) -> None:
        super().__init__()
        self._command_timeout_s = command_timeout_s
        self._dialer = Dialer(
            address,
            name=name,
            connect_timeout_s=connect_timeout_s,
            make_connection=lambda on_lost: Connection(
                on_lost, command_timeout_s=command_timeout_s, max_queued_bytes=max_queued_bytes, unfit=unfit
            ),
            on_up=self._came_up,
            on_down=self._went_down,
            backoff=backoff,
            locate=locate,
        )
        self._listeners_up: list[Callable[[], None]] = []
        self._listeners_down: list[Callable[[], None]] = []
        self._listeners_clock: list[Callable[[], None]] = []
        self._up = asyncio.Event()
        self._stopped = False
        self._clock_timer: asyncio.TimerHandle | None = None

    async def start(self) -> None:
        self.begin()

    def begin(self) -> None:
        """The same as `start`, for callers that cannot wait."""
        self._dialer.start()

    async def stop(self) -> None:
        self._stopped = True
        await self._dialer.stop()
        self._up.set()  # so that nobody waits for ever

    @property
    def address(self) -> RedisAddress:
        """What it leads to."""
        return self._dialer.address

    @property
    def connected(self) -> bool:
        connection = self._dialer.connection
        return connection is not None and not connection.ended

    @property
    def connection(self) -> int:
        return self._dialer.count

    @property
    def server(self) -> Server | None:
        connection = self._dialer.connection
        return None if connection is None else connection.server

    async def wait_connected(self) -> None:
        while not self.connected:
            if self._stopped:
                raise LinkDown("the link was stopped")
            await self._up.wait()

    def on_connected(self, callback: Callable[[], None]) -> None:
        self._listeners_up.append(callback)

    def on_lost(self, callback: Callable[[], None]) -> None:
        """Call `callback` at each loss of the connection, after all pending commands were answered."""
        self._listeners_down.append(callback)

    def on_clock(self, callback: Callable[[], None]) -> None:
        self._listeners_clock.append(callback)

    def remove_connected(self, callback: Callable[[], None]) -> None:
        self._listeners_up.remove(callback)

    def send(self, args: tuple[Argument, ...], on_reply: OnReply, *, will_flush: bool = False) -> None:
        connection = self._dialer.connection
        if connection is None:
            asyncio.get_running_loop().call_soon(on_reply, LinkDown("not connected to Redis"))
        else:
            connection.send(args, on_reply, will_flush=will_flush)

    def flush(self) -> None:
        connection = self._dialer.connection
        if connection is not None:
            connection.flush()

    def route(self, key: str) -> Route:
        return self

    # -- inside

    def _came_up(self, connection: Connection) -> None:
        self._up.set()
        if self._command_timeout_s is not None:
            self._schedule_clock(_FIRST_CLOCK_REFRESH_S)
        notify(self._listeners_up)

    def _went_down(self, reason: str) -> None:
        self._up.clear()
        if self._clock_timer is not None:
            self._clock_timer.cancel()
        notify(self._listeners_down)

    def _schedule_clock(self, delay_s: float) -> None:
        self._clock_timer = asyncio.get_running_loop().call_later(delay_s, self._refresh_clock)

    def _refresh_clock(self) -> None:
        server = self.server
        if server is None:
            return
        sent_s = time.monotonic()

        def take(reply: Any) -> None:
            if isinstance(reply, BrokerError):
                return
            if abs(server.add_sample(reply, sent_s, time.monotonic())) > _TOLD_CORRECTION_S:
                notify(self._listeners_clock)

        self.send(("TIME",), take)
        self._schedule_clock(_CLOCK_REFRESH_S)


def notify(listeners: list[Callable[[], None]]) -> None:
    """Call all listeners; a bug in one does not keep the others from hearing."""
    for listener in tuple(listeners):
        try:
            listener()
        except Exception:
            logger.exception("an error in a listener of the link to Redis")
