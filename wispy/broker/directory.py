"""The list of all objects that are served: who has an owner, for discovery. A hint, not a promise: leases are."""

import asyncio
import time

from wispy.broker.errors import LinkDown
from wispy.broker.keys import OBJECT_TTL_MS, Keys
from wispy.broker.route import Route


class ObjectDirectory:
    """The zset `Keys.objects` on one link. Owners announce their objects when they acquire, and now and then after."""

    def __init__(self, link: Route, keys: Keys) -> None:
        self._key = keys.objects
        self._link = link.route(self._key)

    async def announce(self, name: str) -> None:
        """Say that the object `name` is served; names that nobody has announced for a week go."""
        now_ms = self._now_ms()
        await asyncio.gather(
            self._link.call("ZADD", self._key, now_ms, name),
            self._link.call("ZREMRANGEBYSCORE", self._key, "-inf", now_ms - OBJECT_TTL_MS),
            self._link.call("PEXPIRE", self._key, OBJECT_TTL_MS),
        )

    async def withdraw(self, name: str) -> None:
        """Say that the object `name` is not served any more."""
        await self._link.call("ZREM", self._key, name)

    async def names(self, within_ms: int = OBJECT_TTL_MS) -> list[str]:
        """The objects that were announced in the last `within_ms` milliseconds, by name."""
        reply: list[bytes] = await self._link.call("ZRANGEBYSCORE", self._key, self._now_ms() - within_ms, "+inf")
        return sorted(name.decode() for name in reply)

    def _now_ms(self) -> int:
        server = self._link.server
        if server is None:
            raise LinkDown("not connected to Redis")
        return server.now_ms(time.monotonic())
