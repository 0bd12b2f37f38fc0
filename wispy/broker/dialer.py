"""Keeping a connection to Redis up: connecting, handshake, reconnecting with backoff, one log line per outage."""

import asyncio
import functools
import logging
import random
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from wispy.broker.address import RedisAddress
from wispy.broker.connection import Connection
from wispy.broker.errors import BrokerError, ReplyError
from wispy.broker.sentinel import find_master
from wispy.broker.server import Server

logger = logging.getLogger("wispy.broker")


class NotServing(BrokerError):  # noqa: N818 - it names a state of the server, like its siblings
    """The server was reached, and cannot serve us: wrong password, loading, a replica."""


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
        make_connection: Callable[[Callable[[str], None]], Connection],
        on_up: Callable[[Connection], None],
        on_down: Callable[[str], None],
        backoff: Backoff | None = None,
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
        loop = asyncio.get_running_loop()
        connection = self._make_connection(self._go_down)
        address = self.address
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                if address.sentinels:
                    address = await find_master(address, self._make_connection, self._tries)
                if address.path is not None:
                    await loop.create_unix_connection(lambda: connection, address.path)
                else:
                    await loop.create_connection(lambda: connection, address.host, address.port)
                connection.server = await shake_hands(connection, address, self.name)
        except TimeoutError:
            connection.drop("no answer")
            raise TimeoutError(f"no answer within {self._connect_timeout_s:g} s") from None
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


async def shake_hands(connection: Connection, address: RedisAddress, name: str) -> Server:
    """Log in, choose the database, and look at the server. Raises `NotServing` where it cannot serve as a master."""
    login: list[tuple[str | int, ...]] = []
    if address.password is not None:
        login.append(("AUTH", address.user, address.password) if address.user else ("AUTH", address.password))
    if address.database:
        login.append(("SELECT", address.database))
    look = ("INFO", "server", "replication", "persistence", "memory")  # several sections at once: Redis 7
    # A courtesy to people who look at CLIENT LIST: it may be refused. Names are printable ASCII there, without spaces.
    introduction = ("CLIENT", "SETNAME", "wispy-" + re.sub("[^!-~]", "-", name))
    commands = [*login, look, introduction]
    replies: list[Any] = await asyncio.gather(
        *(connection.call(*command) for command in commands), return_exceptions=True
    )
    for command, reply in zip(commands[:-1], replies, strict=False):
        if isinstance(reply, ReplyError):
            raise NotServing(f"{command[0]} was refused: {reply}")
        if isinstance(reply, BaseException):
            raise reply
    info = _parse_info(replies[len(login)])
    if info.get("loading") == "1":
        raise NotServing("it is loading its data")
    if info.get("role") != "master":
        raise NotServing("it is a replica, not a master")
    policy = info.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        _warn_of_eviction(str(address), policy)
    server = Server(info.get("run_id", ""))
    sent_s = time.monotonic()
    server.add_sample(await connection.call("TIME"), sent_s, time.monotonic())
    return server


def _parse_info(reply: bytes) -> dict[str, str]:
    lines = (line.partition(":") for line in reply.decode(errors="replace").splitlines())
    return {key: value for key, separator, value in lines if separator}


@functools.cache  # once per process, not once per link and reconnect
def _warn_of_eviction(address: str, policy: str) -> None:
    logger.warning(
        "redis %s: maxmemory-policy is %s: under memory pressure it deletes requests and leases at random; "
        "set it to noeviction",
        address,
        policy,
    )
