"""Channels in a frontend: one feed for each channel that has local subscribers.

Rules (DESIGN section 5):
- The first local subscriber makes the feed: subscribe in Redis, wait for the confirmation, read the snapshot, drop what
  it covers, go live. Later ones join, or are served from the feed's memory, which goes with the last subscriber.
- A gap is repaired from history before anything newer is delivered; so is the step to another owner, since updates may
  have been lost before it. What cannot be repaired is named (`wispy.protocol.positions` has the rules).
- The answer to a subscription precedes its updates, and a request's updates precede its reply.
- Who may follow a channel is read again when its owner has declared it anew, as renewals tell: who may not any more is
  sent away within a renewal.
- An update is encoded and framed once; all updates of one read of the socket go to a subscriber in one write.
"""

import asyncio
import logging
import time
from typing import Final

import msgspec

from wispy.broker.errors import BrokerError
from wispy.broker.keys import Keys
from wispy.broker.route import Commands
from wispy.broker.store import ObjectStore, Snapshot
from wispy.broker.subscriber import Subscriptions
from wispy.frontend.counts import FrontendCounts
from wispy.frontend.feed import ChannelSubscriber, Feed
from wispy.frontend.tasks import Tasks
from wispy.frontend.websocket.seam import PreparedMessages
from wispy.protocol import errors
from wispy.protocol.paths import MAX_NAME_LENGTH
from wispy.protocol.positions import (
    Brought,
    Line,
    Missing,
    Reader,
    Verdict,
    format_position,
    generation_of,
    resume,
)

log = logging.getLogger("wispy.frontend")

MAX_HELD: Final = 1000
"""Updates kept while a feed is being opened or repaired; what goes beyond is a gap, repaired in turn."""

OPEN_S: Final = 5.0
"""How long a subscription may wait for its confirmation: as long as any command to Redis for its reply. Clients ask
again, at the pace of their own."""

REPAIR_RETRY_S: Final = 0.5
"""Pause after a repair that Redis did not answer."""

_decode_update: Final = msgspec.json.Decoder(tuple[str, int, msgspec.Raw]).decode


class _Notice(msgspec.Struct):
    """What a feed reads of an owner's renewal."""

    epoch: str
    heads: dict[str, int] = msgspec.field(default_factory=dict[str, int])
    ms: int | None = None
    declared: int | None = None
    """How often the object's channels were declared."""


_decode_notice: Final = msgspec.json.Decoder(_Notice).decode


class Hub:
    """All feeds of one frontend process.

    Args:
        link: for commands.
        subscriber: for updates.
        keys: the deployment's keys.
        counts: what is counted.
        max_feeds: channels that are followed.
    """

    def __init__(
        self, link: Commands, subscriber: Subscriptions, keys: Keys, counts: FrontendCounts, *, max_feeds: int
    ) -> None:
        self._max_feeds = max_feeds
        self.counts = counts
        self._link = link
        self._subscriber = subscriber
        self._keys = keys
        self._feeds: dict[str, Feed] = {}
        self._feeds_of: dict[str, set[Feed]] = {}
        """Object to its feeds: an object with feeds has its notices followed."""
        self._declared: dict[str, tuple[str, int]] = {}
        """Object to the epoch and number of the declarations that were read last; as long as it has feeds."""
        self._fresh: list[Feed] = []
        """Feeds with updates to deliver."""
        self.deliveries = 0
        """Updates that were handed to subscribers, each counted as often as there were some."""
        self._tasks = Tasks("channels")
        subscriber.on_connected(self._resubscribed)

    @property
    def channels(self) -> int:
        """How many are followed."""
        return len(self._feeds)

    # --- subscribing ------------------------------------------------------------------------------------------------

    def join(self, name: str) -> Feed:
        """The feed of a channel, which is opened if nobody else has it; it stays until `release`.

        Raises:
            RPCError: there can be no such channel, or too many are followed.
        """
        feed = self._feeds.get(name)
        if feed is None:
            feed = self._make(name)
        feed.joining += 1
        return feed

    async def wait_open(self, feed: Feed) -> None:
        """Wait until a feed that was joined is open.

        Raises:
            RPCError: there is no such channel, or Redis cannot be asked.
        """
        if feed.reader is None:
            assert feed.opened is not None
            await asyncio.shield(feed.opened)
        if feed.refusal is not None:
            raise feed.refusal

    def release(self, feed: Feed) -> None:
        """What `join` returned is not needed any more, or is a subscription now (`add`)."""
        feed.joining -= 1
        self._drop_if_unused(feed)

    def add(self, feed: Feed, subscriber: ChannelSubscriber) -> None:
        """Deliver the feed's updates to a subscriber from now on."""
        feed.subscribers.add(subscriber)

    def remove(self, feed: Feed, subscriber: ChannelSubscriber) -> None:
        """End a subscription."""
        feed.subscribers.discard(subscriber)
        self._drop_if_unused(feed)

    async def missed(self, feed: Feed, epoch: str, offset: int, line: Line) -> list[Brought | Missing]:
        """What brings a reader from a position to `line`: updates, as far as the history has them, and gaps."""
        after = offset if line.continues(epoch) else 0
        return resume(epoch, offset, line, await self._store(feed).history(feed.channel, after, line.head))

    def _make(self, name: str) -> Feed:
        object_name, _, channel = name.partition(".")
        keys = self._keys.of(object_name)
        if not 0 < len(channel) <= MAX_NAME_LENGTH:  # Redis is not told of what clients make up at any length
            raise errors.NOT_FOUND()
        if len(self._feeds) >= self._max_feeds:
            self.counts.hit("channels")
            raise errors.OVERLOADED("this frontend follows as many channels as it may")
        feed = self._feeds[name] = Feed(name, object_name, channel)
        feeds = self._feeds_of.setdefault(object_name, set())
        if not feeds:
            self._subscriber.subscribe(keys.notices, lambda payload: self._noticed(object_name, payload))
        feeds.add(feed)
        feed.opened = self._tasks.start(self._open(feed), f"opening of {name}")
        return feed

    async def _open(self, feed: Feed) -> None:
        updates = self._keys.of(feed.object_name).updates(feed.channel)
        try:
            async with asyncio.timeout(OPEN_S):
                await self._subscriber.subscribe(updates, lambda payload: self._updated(feed, payload))
            snapshot = await self._store(feed).snapshot(feed.channel)
        except (BrokerError, TimeoutError) as error:
            log.warning("%s cannot be followed: %s", feed.name, str(error) or "the subscription is not confirmed")
            feed.refusal = errors.UNAVAILABLE()
            return
        if snapshot is None:
            feed.refusal = errors.NOT_FOUND()
            return
        feed.declare(snapshot.declaration)
        line = snapshot.line
        feed.reader = Reader(line.epoch, line.head, line.lineage)
        feed.delivered = (line.epoch, line.head)
        feed.value, feed.value_offset = snapshot.value, snapshot.value_offset
        self._go_live(feed)

    def _drop_if_unused(self, feed: Feed) -> None:
        if feed.subscribers or feed.joining or self._feeds.get(feed.name) is not feed:
            return
        del self._feeds[feed.name]
        keys = self._keys.of(feed.object_name)
        self._subscriber.unsubscribe(keys.updates(feed.channel))
        feeds = self._feeds_of[feed.object_name]
        feeds.discard(feed)
        if not feeds:
            del self._feeds_of[feed.object_name]
            self._declared.pop(feed.object_name, None)
            self._subscriber.unsubscribe(keys.notices)

    def _store(self, feed: Feed) -> ObjectStore:
        return ObjectStore(self._link, self._keys.of(feed.object_name))

    # --- updates ----------------------------------------------------------------------------------------------------

    def _updated(self, feed: Feed, payload: bytes) -> None:
        try:
            epoch, offset, value = _decode_update(payload)
        except msgspec.MsgspecError:
            log.exception("an update of %s cannot be read", feed.name)
            return
        if feed.held is not None:
            if len(feed.held) < MAX_HELD:
                feed.held.append((epoch, offset, bytes(value)))
        else:
            self._take(feed, epoch, offset, bytes(value))

    def _take(self, feed: Feed, epoch: str, offset: int, value: bytes) -> None:
        assert feed.reader is not None
        verdict = feed.reader.judge(epoch, offset)
        if verdict is Verdict.DELIVER:
            self._advance(feed, epoch, offset, value)
        elif verdict is Verdict.GAP:
            self._repair(feed, (epoch, offset, value))

    def _advance(self, feed: Feed, epoch: str, offset: int, value: bytes) -> None:
        assert feed.reader is not None
        self._queue(feed, feed.update_text(epoch, offset, value))
        feed.reader.head = offset
        if feed.kind == "value":
            feed.value = value
            feed.value_offset = offset

    def _queue(self, feed: Feed, text: bytes) -> None:
        if not feed.fresh:
            self._fresh.append(feed)
        feed.fresh.append(text)

    def flush(self) -> None:
        """Deliver what this read of the socket has brought."""
        if not self._fresh:
            return
        feeds, self._fresh = self._fresh, []
        for feed in feeds:
            messages = PreparedMessages(*feed.fresh)
            feed.fresh = []
            self.deliveries += len(messages.payloads) * len(feed.subscribers)
            for subscriber in feed.subscribers:
                subscriber.deliver(feed, messages)
            assert feed.reader is not None
            feed.delivered = (feed.reader.epoch, feed.reader.head)

    def _go_live(self, feed: Feed) -> None:
        """Take what was held back; it may hold a gap of its own."""
        held, feed.held = feed.held or [], None
        for number, (epoch, offset, value) in enumerate(held):
            self._take(feed, epoch, offset, value)
            if feed.held is not None:  # a repair has begun: the rest waits for it
                feed.held += held[number + 1 :]
                break
        self.flush()

    # --- gaps -------------------------------------------------------------------------------------------------------

    def _noticed(self, object_name: str, payload: bytes) -> None:
        """An owner's renewal says how far its channels are: a lost last update is noticed by it."""
        try:
            notice = _decode_notice(payload)
        except msgspec.MsgspecError:
            log.exception("a notice of %s cannot be read", object_name)
            return
        server = self._link.route(self._keys.of(object_name).notices).server
        if notice.ms is not None and server is not None:
            self.counts.lag.observe((server.now_ms(time.monotonic()) - notice.ms) / 1000)
        self._look_at_declarations(object_name, notice)
        generation = generation_of(notice.epoch)
        for feed in self._feeds_of.get(object_name, ()):
            reader = feed.reader
            if feed.held is not None or reader is None:
                continue
            if generation > reader.generation or notice.heads.get(feed.channel, 0) > reader.head:
                self._repair(feed)

    def _look_at_declarations(self, object_name: str, notice: _Notice) -> None:
        if notice.declared is None:
            return
        declared = (notice.epoch, notice.declared)
        if object_name in self._feeds_of and self._declared.get(object_name) != declared:
            self._declared[object_name] = declared
            self._tasks.start(self._read_declarations(object_name), f"declarations of {object_name}")

    async def _read_declarations(self, object_name: str) -> None:
        feeds = list(self._feeds_of.get(object_name, ()))
        if not feeds:
            return
        key = self._keys.of(object_name).channels
        try:
            channels = [feed.channel for feed in feeds]
            texts: list[bytes | None] = await self._link.route(key).call("HMGET", key, *channels)
        except BrokerError as error:
            log.info("the declarations of %s cannot be read yet: %s", object_name, error)
            self._declared.pop(object_name, None)  # the next renewal tries again
            return
        for feed, text in zip(feeds, texts, strict=True):
            if text is not None:
                if feed.declare(text) and feed.held is None:
                    self._repair(feed)
                for subscriber in list(feed.subscribers):
                    subscriber.redeclared(feed)

    def _resubscribed(self) -> None:
        """The subscription was broken: whatever was published meanwhile was missed."""
        for feed in self._feeds.values():
            if feed.held is None:
                self._repair(feed)

    def _repair(self, feed: Feed, *newer: tuple[str, int, bytes]) -> None:
        feed.held = list(newer)
        self.counts.gaps += 1
        self._tasks.start(self._repair_until_done(feed), f"repair of {feed.name}")

    async def _repair_until_done(self, feed: Feed) -> None:
        while self._feeds.get(feed.name) is feed:
            try:
                if await self._catch_up(feed):
                    break
                log.info("%s: Redis has less than was heard of it, and no owner yet", feed.name)
            except BrokerError as error:
                log.info("%s: missed updates cannot be read yet: %s", feed.name, error)
            self.flush()  # what was found is not held back by what was not
            await asyncio.sleep(REPAIR_RETRY_S)
        else:
            return  # the last subscriber has left: what is held back is for nobody, and its gap stays one
        self.counts.recovered += 1
        self._go_live(feed)

    async def _catch_up(self, feed: Feed) -> bool:
        """Bring the feed to the head that Redis has now; False if what is held back comes from further on."""
        reader = feed.reader
        assert reader is not None
        snapshot = await self._store(feed).snapshot(feed.channel)
        if snapshot is None:
            self._go_on_unrepaired(feed)
            return True
        feed.declare(snapshot.declaration)
        line = snapshot.line
        if not line.is_behind(reader.epoch, reader.head):
            pieces = await self.missed(feed, reader.epoch, reader.head, line)
            is_continued = line.continues(reader.epoch)
            reader.follow(line.epoch, line.lineage)
            for piece in pieces:
                if isinstance(piece, Brought):
                    self._advance(feed, *piece)
                else:
                    self._report(feed, piece)
            if reader.head < line.head or not is_continued:
                self._take_retained(feed, snapshot, is_continued=is_continued)
                reader.head = line.head
            if feed.kind == "value" and feed.value is None:  # what came while it was an event channel is not kept
                feed.value, feed.value_offset = snapshot.value, snapshot.value_offset
        verdicts = (reader.judge(epoch, offset) for epoch, offset, _ in feed.held or ())
        return next((verdict for verdict in verdicts if verdict is not Verdict.SKIP), None) is not Verdict.GAP

    def _take_retained(self, feed: Feed, snapshot: Snapshot, *, is_continued: bool) -> None:
        assert feed.reader is not None
        is_newer = snapshot.value_offset > feed.reader.head if is_continued else snapshot.value != feed.value
        if feed.kind == "value" and snapshot.value is not None and is_newer:
            self._advance(feed, feed.reader.epoch, snapshot.value_offset, snapshot.value)

    def _report(self, feed: Feed, gap: Missing) -> None:
        if feed.kind == "event":
            self.counts.told += 1
            self._queue(feed, feed.gap_text(gap))

    def _go_on_unrepaired(self, feed: Feed) -> None:
        """The channel was removed, or is not declared again yet: take what was heard as it came."""
        reader = feed.reader
        assert reader is not None
        for epoch, offset, _ in feed.held or ():
            if reader.judge(epoch, offset) is Verdict.GAP:
                first, last = format_position(reader.epoch, reader.head + 1), format_position(epoch, offset - 1)
                self._report(feed, Missing(first, last))
                reader.follow(epoch, frozenset({generation_of(epoch)}))
                reader.head = offset - 1
                break

    async def close(self) -> None:
        """End openings and repairs."""
        await self._tasks.cancel()
