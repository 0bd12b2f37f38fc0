"""Numbers an object's updates and brings them to Redis, in order, through lost links. Runs on the I/O thread.

Rules:
- Offsets rise by one per update and channel; they continue where the former owner's ended. Where that was this process,
  it is what it has given out, and not what Redis has: readers may have seen what Redis has lost, and the events that
  Redis never took are a gap.
- What Redis has not confirmed is kept, and sent again after the link is back: the script skips what it has. The store
  is bounded. Beyond it values go that newer ones have superseded, and then the oldest events, which readers see as a
  gap; the newest value of a channel is always kept.
- An update that Redis refuses (out of memory) counts as unconfirmed too: values stay dirty, and go with the next try.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

from wispy.broker.store import GivenOut, ObjectStore, Update
from wispy.errors import BrokerError
from wispy.protocol.positions import generation_of
from wispy.worker.counts import ObjectCounts
from wispy.worker.removed import RemovedChannels

log = logging.getLogger("wispy.worker")

MAX_UNCONFIRMED: Final = 10_000
"""Updates kept while Redis does not take them: eight minutes of an instrument that pushes 20 a second."""

MAX_UNCONFIRMED_BYTES: Final = 64 * 1024 * 1024
"""The same in bytes of values: an image in each of them must not fill the process. One large value is kept anyway."""

MAX_RESENT: Final = 500
"""Updates in one script when they are sent again: some milliseconds of Redis' time."""

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
        retained: channel to the value that Redis has. An object that begins with it has no news: nobody is told twice.
        history: updates kept for a channel.
        on_fenced: called when another owner has acquired.
        counts: what is counted.
    """

    def __init__(
        self,
        store: ObjectStore,
        epoch: str,
        heads: Mapping[str, int],
        retained: Mapping[str, bytes],
        history: Callable[[str], int],
        on_fenced: Callable[[], None],
        counts: ObjectCounts,
    ) -> None:
        self._store = store
        self._epoch = epoch
        self._heads = dict(heads)
        self._bases = dict(heads)
        """Channel to what is added to the numbers that the object counts itself, from 1."""
        self._retained = {channel: value for channel, value in retained.items() if channel in heads}
        self._history = history
        self._on_fenced = on_fenced
        self._counts = counts
        self._waiting_since: float | None = None
        """When the oldest of what Redis did not take was sent first; monotonic seconds."""
        self._unconfirmed: dict[tuple[str, int], Update] = {}
        """By channel and offset, the oldest first."""
        self._bytes = 0
        """Of the values in it."""
        self._removed = RemovedChannels()
        self._changed: set[str] = set()
        """Channels that changed since the last renewal."""
        self._is_held = False
        """Redis did not take the last update that it was sent."""
        self._retry: asyncio.TimerHandle | None = None

    @property
    def channels(self) -> list[str]:
        """Every channel that had an update, but for those that were removed long ago."""
        return list(self._heads)

    @property
    def given_out(self) -> GivenOut:
        """The offsets in use, for the case that this process acquires again."""
        return GivenOut(generation_of(self._epoch), dict(self._heads))

    @property
    def is_settled(self) -> bool:
        """Whether Redis has confirmed all updates."""
        return not self._unconfirmed

    def take_changed(self) -> set[str]:
        """The channels that changed since the last call."""
        changed, self._changed = self._changed, set()
        return changed

    def publish(self, changes: Sequence[ChannelChange]) -> None:
        """Number these changes and send them to Redis, in one script."""
        updates = [self._number(change) for change in changes if not self._is_known(change)]
        for update in updates:
            self._unconfirmed[update.channel, update.offset] = update
            self._bytes += len(update.value)
        if len(self._unconfirmed) > MAX_UNCONFIRMED or self._bytes > MAX_UNCONFIRMED_BYTES:
            self._make_room()
        # During a retry they go with it: what overtakes it would make the script skip it.
        if updates and self._retry is None:
            self._send(updates)

    def count(self, changes: Sequence[ChannelChange]) -> None:
        """Number these changes, which nobody will get: the lease is over."""
        for change in changes:
            self._number(change)

    def _is_known(self, change: ChannelChange) -> bool:
        """Whether this is a channel's first value under this lease, and the one that subscribers have."""
        channel = change.channel
        if change.number > 1 or change.kind != "value" or self._retained.pop(channel, None) != change.value:
            return False
        self._bases[channel] -= 1  # the next one is numbered as if this had not been
        return True

    def _number(self, change: ChannelChange) -> Update:
        channel = change.channel
        offset = self._heads[channel] = self._bases.get(channel, 0) + change.number
        self._changed.add(channel)
        if change.kind == "removed":
            self._forget(self._removed.add(channel))
        elif self._removed:
            self._removed.discard(channel)
        return Update(channel, offset, change.value, change.kind != "event", self._history(channel))

    def _forget(self, channel: str | None) -> None:
        if channel is not None:
            del self._heads[channel]
            self._bases.pop(channel, None)

    def _send(self, updates: list[Update]) -> None:
        sent_at = self._waiting_since or time.monotonic()
        self._store.publish(self._epoch, updates, lambda reply: self._sent(updates, sent_at, reply))

    def _sent(self, updates: list[Update], sent_at: float, reply: bool | BrokerError) -> None:
        if reply is True:
            self._counts.publish.observe(time.monotonic() - sent_at)
            self._waiting_since = None
            self._is_held = False
            for update in updates:
                self._drop(update.channel, update.offset)
        elif reply is False:
            self._on_fenced()
        elif self._unconfirmed:
            if not self._is_held:
                log.warning("updates are held back, Redis did not take them: %s", reply)
            self._is_held = True
            self._waiting_since = sent_at
            if self._retry is None:
                self._retry = asyncio.get_running_loop().call_later(RETRY_S, self.resend)

    def _drop(self, channel: str, offset: int) -> None:
        update = self._unconfirmed.pop((channel, offset), None)
        if update is not None:
            self._bytes -= len(update.value)

    def _make_room(self) -> None:
        """Half of it, so that this is seldom."""
        unconfirmed = self._unconfirmed
        newest = dict(unconfirmed.keys())
        superseded = [key for key, update in unconfirmed.items() if update.retain and newest[key[0]] != key[1]]
        events = [key for key, update in unconfirmed.items() if not update.retain]
        before = len(unconfirmed)
        for key in (*superseded, *events):
            if len(unconfirmed) <= MAX_UNCONFIRMED // 2 and self._bytes <= MAX_UNCONFIRMED_BYTES // 2:
                break
            self._drop(*key)
        self._counts.dropped += before - len(unconfirmed)
        log.warning("%d updates are dropped: Redis takes none", before - len(unconfirmed))

    def resend(self) -> None:
        """Send again what is not confirmed: after the link came back, or after a refusal."""
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        updates = list(self._unconfirmed.values())
        for start in range(0, len(updates), MAX_RESENT):
            self._send(updates[start : start + MAX_RESENT])

    def stop(self) -> None:
        """Send nothing more."""
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        self._unconfirmed.clear()
        self._bytes = 0
