"""Numbers an object's updates and brings them to Redis, in order, through lost links. Runs on the I/O thread.

Rules:
- Offsets rise by one per update and channel; they continue where the former owner's ended.
- What Redis has not confirmed is kept, and sent again after the link is back: the script skips what it has. The store
  is bounded; beyond it the oldest goes, which for a value was superseded anyway, and for an event is a gap that
  readers see by its missing offset.
- An update that Redis refuses (out of memory) counts as unconfirmed too: values stay dirty, and go with the next try.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

from wispy.broker.store import ObjectStore, Update
from wispy.errors import BrokerError

log = logging.getLogger("wispy.worker")

MAX_UNCONFIRMED: Final = 10_000
"""Updates kept while Redis does not take them: eight minutes of an instrument that pushes 20 a second."""

RETRY_S: Final = 0.5
"""Pause before a refused batch is tried again: Redis that is out of memory is not helped by haste."""


class ChannelChange(Protocol):
    """What a served object says of a change."""

    @property
    def channel(self) -> str: ...
    @property
    def value(self) -> bytes: ...
    @property
    def kind(self) -> str: ...
    @property
    def number(self) -> int: ...


class Publisher:
    """The updates of one object under one epoch.

    Args:
        store: the object's scripts.
        epoch: the lease's epoch.
        heads: channel to the newest offset in Redis.
        history: updates kept for a channel.
        on_fenced: called when another owner has acquired.
    """

    def __init__(
        self,
        store: ObjectStore,
        epoch: str,
        heads: Mapping[str, int],
        history: Callable[[str], int],
        on_fenced: Callable[[], None],
    ) -> None:
        self._store = store
        self._epoch = epoch
        self._heads = dict(heads)
        self._bases: dict[str, int] = {}
        """Channel to what is added to the numbers that the object counts itself."""
        self._history = history
        self._on_fenced = on_fenced
        self._unconfirmed: OrderedDict[tuple[str, int], Update] = OrderedDict()
        self._changed: set[str] = set()
        """Channels that changed since the last renewal."""
        self._retry: asyncio.TimerHandle | None = None

    @property
    def channels(self) -> list[str]:
        """Every channel that ever had an update."""
        return list(self._heads)

    def take_changed(self) -> set[str]:
        """The channels that changed since the last call."""
        changed, self._changed = self._changed, set()
        return changed

    def publish(self, changes: Sequence[ChannelChange]) -> None:
        """Number these changes and send them to Redis, in one script."""
        updates = [self._number(change) for change in changes]
        for update in updates:
            self._unconfirmed[update.channel, update.offset] = update
        while len(self._unconfirmed) > MAX_UNCONFIRMED:
            (channel, offset), _ = self._unconfirmed.popitem(last=False)
            log.warning("update %d of channel %s is dropped: Redis takes none", offset, channel)
        if self._retry is None:  # else they go with the retry: what overtakes it would make the script skip it
            self._send(updates)

    def _number(self, change: ChannelChange) -> Update:
        channel = change.channel
        base = self._bases.get(channel)
        if base is None:
            base = self._bases[channel] = self._heads.get(channel, 0) + 1 - change.number
        offset = self._heads[channel] = base + change.number
        self._changed.add(channel)
        return Update(channel, offset, change.value, change.kind != "event", self._history(channel))

    def _send(self, updates: list[Update]) -> None:
        self._store.publish(self._epoch, updates, lambda reply: self._sent(updates, reply))

    def _sent(self, updates: list[Update], reply: bool | BrokerError) -> None:
        if reply is True:
            for update in updates:
                self._unconfirmed.pop((update.channel, update.offset), None)
        elif reply is False:
            self._on_fenced()
        elif self._retry is None:
            log.warning("an update is held back, Redis did not take it: %s", reply)
            self._retry = asyncio.get_running_loop().call_later(RETRY_S, self.resend)

    def resend(self) -> None:
        """Send again what is not confirmed: after the link came back, or after a refusal."""
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        if self._unconfirmed:
            self._send(list(self._unconfirmed.values()))

    def stop(self) -> None:
        """Send nothing more."""
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        self._unconfirmed.clear()
