"""Tells Redis which channels an object has, for frontends to know. Runs on the I/O thread.

Rules:
- All channels are declared when the object is about to be served, and again when one comes or goes.
- What Redis does not take goes with the next renewal of the lease: a channel that nobody knows of has no readers.
- A channel that was removed goes with all that Redis has of it, unless it is there again.
"""

import logging
from collections.abc import Sequence

from wispy.broker.errors import BrokerError
from wispy.broker.store import ObjectStore
from wispy.worker.calls import ChannelUpdate
from wispy.worker.stage import Stage

log = logging.getLogger("wispy.worker")


class Declarations:
    """The declarations of one object's channels under one lease.

    Args:
        stage: where the object is.
        store: the object's scripts.
        epoch: the lease's epoch.
    """

    def __init__(self, stage: Stage, store: ObjectStore, epoch: str) -> None:
        self._stage = stage
        self._store = store
        self._epoch = epoch
        self._declared: dict[str, bytes] = {}
        """Channel to its declaration, as it was sent last."""
        self._removed: set[str] = set()
        """What Redis has still to forget."""
        self._is_due = False
        """Redis did not take the last ones."""

    async def declare(self) -> None:
        """Declare all channels.

        Raises:
            BrokerError: Redis did not take it.
        """
        self._declared = declared = self._stage.declarations()
        removed, self._removed = self._removed - declared.keys(), set()
        try:
            await self._store.declare(self._epoch, declared, sorted(removed))
        except BrokerError:
            self._removed |= removed
            self._is_due = True
            raise

    def follow(self, updates: Sequence[ChannelUpdate]) -> None:
        """Declare anew if these updates are of channels that came or went."""
        removed = {update.channel for update in updates if update.kind == "removed"}
        if removed or any(update.channel not in self._declared for update in updates):
            self._removed |= removed
            self._declare_soon()

    def renewed(self) -> None:
        """Redis answers: try again what it did not take."""
        if self._is_due:
            self._declare_soon()

    def _declare_soon(self) -> None:
        self._is_due = False
        self._stage.supervise(self._try(), f"channels of {self._stage.name}")

    async def _try(self) -> None:
        try:
            await self.declare()
        except BrokerError as error:
            log.warning("the channels of %s were not declared, trying again: %s", self._stage.name, error)
