"""Keeps one lease: renews it, and with it what has to live as long. Runs on the I/O thread.

Rules (DESIGN section 5):
- A renewal publishes, from Redis' own heads, those that changed in the last ten renewals, so that a lost last update is
  noticed.
- A lease that Redis has not confirmed runs out by itself; one that Redis refuses, or that another server confirms, is
  lost.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from wispy.broker.directory import ObjectDirectory
from wispy.broker.errors import BrokerError
from wispy.broker.route import Route
from wispy.broker.store import ObjectStore
from wispy.protocol.ownership import HeldLease
from wispy.timing import boottime

log = logging.getLogger("wispy.worker")

REMEMBERED_RENEWALS: Final = 10
"""Renewals for which a changed channel's head is published again, so that a lost last update is noticed."""

RENEWALS_PER_LEASE: Final = 3
"""So that two of them may be lost or late."""

EXTEND_KEYS_S: Final = 60.0
"""How often the keys' time to live (7 days) is renewed."""


class Renewals:
    """The renewals of one lease, and what goes with them.

    Args:
        link: for commands; on it the store sends.
        store: the object's scripts.
        lease: what is renewed.
        directory: where it is announced that the object is served.
        name: the object's name.
        take_changed: the channels that changed since it was called last.
        channels: every channel that has keys.
        on_renewed: called when Redis has confirmed a renewal.
        on_fenced: called when another owner has acquired, or Redis is another server.
    """

    def __init__(
        self,
        link: Route,
        store: ObjectStore,
        lease: HeldLease,
        directory: ObjectDirectory,
        name: str,
        *,
        take_changed: Callable[[], set[str]],
        channels: Callable[[], Iterable[str]],
        on_renewed: Callable[[], None],
        on_fenced: Callable[[], None],
    ) -> None:
        self._link = link
        self._store = store
        self._lease = lease
        self._directory = directory
        self._name = name
        self._take_changed = take_changed
        self._channels = channels
        self._on_renewed = on_renewed
        self._on_fenced = on_fenced
        self._changed: deque[set[str]] = deque(maxlen=REMEMBERED_RENEWALS)
        self._is_failing = False
        """Redis has not taken the last renewal, which the log has said."""

    def changed(self, channels: Iterable[str]) -> None:
        """The heads of these channels are news: the next renewals publish them."""
        self._changed.append(set(channels))

    async def run(self) -> None:
        """Renew until the lease is lost, or this is cancelled."""
        extended = boottime()
        while not self._lease.lost:
            await asyncio.sleep(self._lease.duration_s / RENEWALS_PER_LEASE)
            extend: Sequence[str] = ()
            if boottime() - extended > EXTEND_KEYS_S:
                extended = boottime()
                extend = self._store.keys.lasting(self._channels())
            await self.renew(extend)
            if extend:
                await self._announce_again()

    async def announce(self) -> None:
        """Say that the object is served.

        Raises:
            BrokerError: Redis did not take it.
        """
        await self._directory.announce(self._name)

    async def _announce_again(self) -> None:
        """For discovery only, so that it may fail."""
        try:
            await self.announce()
        except BrokerError as error:
            log.info("%s was not announced: %s", self._name, error)

    async def renew(self, extend: Sequence[str] = ()) -> None:
        """Renew once, and with the lease the time to live of the keys `extend`."""
        self.changed(self._take_changed())
        changed = sorted({channel for channels in self._changed for channel in channels})
        sent_at = boottime()
        try:
            renewed = await self._store.renew(self._lease.epoch, changed, extend)
        except BrokerError as error:
            if not self._is_failing:
                log.warning("the lease of %s was not renewed, trying on: %s", self._name, error)
            self._is_failing = True
            return
        if self._is_failing:
            self._is_failing = False
            log.info("the lease of %s: Redis answers again", self._name)
        server = self._link.server
        if not renewed or server is None or server.run_id != self._lease.run_id:
            self._on_fenced()
            return
        self._lease.renewed(sent_at)
        self._on_renewed()
