"""Keeping a connection to Redis up: connecting, handshake, reconnecting with backoff, one log line per outage."""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from wispy.broker.connection import Connection
from wispy.broker.opening import MakeConnection, NotServing, open_connection, shake_hands
from wispy.broker.sentinel import find_master
from wispy.config.redis_address import RedisAddress

logger = logging.getLogger("wispy.broker")


Locate = Callable[[MakeConnection, int], Awaitable[RedisAddress]]
"""Finds the server that an address stands for; gets the number of the try, so that each may ask another one."""


@dataclass(frozen=True)
class Backoff:
    """Full jitter: the pause before try n is `minimum_s` and a random part of `base_s * 2**n`, at most `cap_s`.

    The cap is small beside that of browsers (20 s): the processes of a deployment are few, and an object has no owner
    while its worker waits.
    """

    minimum_s: float = 0.05
    base_s: float = 0.1
    cap_s: float = 2.0

    def pause_s(self, attempt: int) -> float:
        # The exponent stops where the cap is reached long since; 2**attempt itself would grow without bound.
        most_s = min(self.cap_s, self.base_s * 2 ** min(attempt, 16))
        return self.minimum_s + random.uniform(0, most_s)  # noqa: S311 -- jitter  # nosec B311


class Dialer:
    """Holds at most one connection, and makes the next one when it ends.

    `on_up(connection)` is called after each handshake, `on_down(reason)` at each end of a connection that was up.
    """

    def __init__(
        self,
        address: RedisAddress,
        *,
        name: str,
        connect_timeout_s: float,
        make_connection: MakeConnection,
        on_up: Callable[[Connection], None],
        on_down: Callable[[str], None],
        backoff: Backoff | None = None,
        locate: Locate | None = None,
    ) -> None:
        self.address = address
        self.name = name
        self.connection: Connection | None = None  # after its handshake, until its end
        self.count = 0  # connections so far
        self._connect_timeout_s = connect_timeout_s
        self._make_connection = make_connection
        self._on_up = on_up
        self._on_down = on_down
        self._backoff = backoff or Backoff()
        self._locate = partial(find_master, address) if address.sentinels else locate
        self._task: asyncio.Task[None] | None = None
        self._down_since = time.monotonic()
        self._tries = 0  # in this outage; also chooses which Sentinel is asked first
        self._logged: set[str] = set()  # the reasons that were logged in this outage

    def start(self) -> None:
        """Connect in the background, and stay connected."""
        if self._task is None:
            self._down_since = time.monotonic()
            self._task = asyncio.create_task(self._stay_connected(), name=f"redis-{self.name}")
            self._task.add_done_callback(self._report_end)

    async def stop(self) -> None:
        """End the connection, and make no other."""
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.wait([self._task])
        if self.connection is not None:
            self.connection.drop("the link was stopped")
        # The turn in which the loop closes the socket. There is nothing to wait for: uvloop, cancelled between a
        # connection and its announcement, closes it without ever calling connection_lost.
        await asyncio.sleep(0)

    async def _stay_connected(self) -> None:
        attempt = 0
        while True:
            self._tries += 1
            try:
                connection = await self._connect()
            except Exception as error:
                self._log_failure(error)
            else:
                up_at = time.monotonic()
                self._come_up(connection)
                await asyncio.shield(connection.end)
                # A server that drops us at once, again and again, must not be met by a hot loop.
                if time.monotonic() - up_at > self._backoff.cap_s:
                    attempt = 0
            await asyncio.sleep(self._backoff.pause_s(attempt))
            attempt += 1

    async def _connect(self) -> Connection:
        connection = self._make_connection(self._go_down)
        address = self.address
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                if self._locate is not None:
                    address = await self._locate(self._make_connection, self._tries)
                await open_connection(connection, address)
                connection.server = await shake_hands(connection, address, self.name)
        except TimeoutError:
            connection.drop("no answer")
            hint = "" if address.tls is None else " (does it speak TLS at this port?)"
            raise TimeoutError(f"no answer within {self._connect_timeout_s:g} s{hint}") from None
        except BaseException:
            connection.drop("the handshake failed")
            raise
        return connection

    def _come_up(self, connection: Connection) -> None:
        if connection.ended:  # in the turn between the handshake and now
            return
        self.connection = connection
        self.count += 1
        if self._logged:
            logger.info(
                "redis link %r: connected to %s after %.1f s (try %d)",
                self.name,
                self.address,
                time.monotonic() - self._down_since,
                self._tries,
            )
        self._tries = 0
        self._logged.clear()
        self._on_up(connection)

    def _go_down(self, reason: str) -> None:
        if self.connection is None:  # it never came up
            return
        self.connection = None
        self._down_since = time.monotonic()
        if self._task is not None and not self._task.done():
            self._logged.add("lost")
            logger.warning("redis link %r: lost %s: %s; reconnecting", self.name, self.address, reason)
        self._on_down(reason)

    def _log_failure(self, error: Exception) -> None:
        """One line per outage, and one for each refusal of a server that was reached: those need somebody to act."""
        kind = str(error) if isinstance(error, NotServing) else "unreachable"
        if kind in self._logged or (kind == "unreachable" and self._logged):
            return
        self._logged.add(kind)
        reason = error.strerror or error if isinstance(error, OSError) else error
        logger.warning("redis link %r: cannot use %s: %s; trying again", self.name, self.address, reason)

    def _report_end(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            logger.critical(
                "redis link %r: ended by a bug; nothing reconnects it", self.name, exc_info=task.exception()
            )
