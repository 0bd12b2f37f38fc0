"""Feeds on a real server: an update that was lost on the way is brought from the history, in its place."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.support.waiting import wait_until
from wispy.broker.embedded import EmbeddedServer
from wispy.broker.keys import Keys
from wispy.broker.link import Link
from wispy.broker.store import GivenOut, ObjectStore, Update
from wispy.broker.subscriber import Subscriber
from wispy.config.redis_address import RedisAddress
from wispy.frontend import hub as module
from wispy.frontend.counts import FrontendCounts
from wispy.frontend.feed import Feed
from wispy.frontend.hub import Hub
from wispy.frontend.websocket.seam import PreparedMessages
from wispy.protocol import errors
from wispy.protocol.positions import generation_of, parse_position
from wispy.protocol.values import decode

DAY_MS = 86_400_000

DECLARATIONS = {"value": b'{"kind":"value"}', "event": b'{"kind":"event"}'}


@dataclass(eq=False)
class Listener:
    """A session that keeps what is delivered."""

    messages: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    roles: list[Any] = field(default_factory=list[Any])
    """Of each declaration of its channel that came while it listened."""

    def deliver(self, feed: Feed, messages: PreparedMessages) -> None:
        del feed
        self.messages += [decode(payload) for payload in messages.payloads]

    def redeclared(self, feed: Feed) -> None:
        self.roles.append(feed.declaration.roles)

    @property
    def values(self) -> list[Any]:
        return [message["params"]["value"] for message in self.messages if message["method"] == "rpc.update"]

    @property
    def gaps(self) -> list[tuple[int, int]]:
        return [(parse_position(first)[1], parse_position(last)[1]) for first, last in self.gap_positions]

    @property
    def gap_positions(self) -> list[tuple[str, str]]:
        gaps = [message["params"] for message in self.messages if message["method"] == "rpc.gap"]
        return [(gap["from"], gap["to"]) for gap in gaps]


@dataclass
class Owner:
    """Publishes on two channels of an object, or pretends that a message was lost."""

    link: Link
    store: ObjectStore
    epoch: str
    heads: dict[str, int] = field(default_factory=lambda: {"value": 0, "event": 0})

    async def acquire(self, *, given_out: GivenOut | None = None) -> None:
        """Another owner, or the same one again."""
        seen = await self.store.read_record()
        acquired = await self.store.acquire(seen, nonce="b", lease_ms=60_000, holder="test", given_out=given_out)
        assert acquired is not None
        self.epoch = acquired.epoch
        await self.store.declare(self.epoch, DECLARATIONS)
        self.heads |= await self.store.heads()

    async def lose(self, channel: str, number: int) -> None:
        """What a failover does: another server, which has not got the last updates."""
        keys, head = self.store.keys, self.heads[channel]
        history = await self.store.history(channel, 0, head - number)
        await self.link.call("DEL", keys.history(channel))
        for generation, offset, value in history:
            await self.link.call("XADD", keys.history(channel), f"{offset}-{generation}", "v", value)
        await self.link.call("PEXPIRE", keys.history(channel), DAY_MS)
        self.heads[channel] = head - number
        await self.link.call("HSET", keys.heads, channel, head - number)
        await self.link.call("HSET", keys.log, "since", "another-run:1")

    async def publish(self, channel: str, value: int, *, retain: bool | None = None) -> None:
        self.heads[channel] += 1
        retain = channel == "value" if retain is None else retain
        update = Update(channel, self.heads[channel], b"%d" % value, retain, 3)
        replies: list[object] = []
        self.store.publish(self.epoch, [update], replies.append)
        await wait_until(lambda: replies == [True], "the update is published")

    async def publish_unheard(self, channel: str, value: int) -> None:
        """All that publishing does in Redis, but the message."""
        self.heads[channel] += 1
        head, keys = self.heads[channel], self.store.keys
        history = keys.history(channel)
        await self.link.call("XADD", history, "MAXLEN", 3, f"{head}-{generation_of(self.epoch)}", "v", value)
        await self.link.call("PEXPIRE", history, DAY_MS)
        await self.link.call("HSET", keys.heads, channel, head)
        if channel == "value":
            await self.link.call("HSET", keys.values, channel, f"{head}:{value}")


@dataclass
class Stage:
    """An owner, and a frontend's hub that hears it."""

    owner: Owner
    hub: Hub

    async def listen(self, channel: str) -> Listener:
        feed = self.hub.join(f"sample.{channel}")
        await self.hub.wait_open(feed)
        listener = Listener()
        self.hub.add(feed, listener)
        self.hub.release(feed)
        return listener


@pytest.fixture
async def stage(valkey: EmbeddedServer) -> AsyncIterator[Stage]:
    address, keys = RedisAddress.parse(valkey.url), Keys()
    link = Link(address, name="test")
    subscriber = Subscriber(address, name="test", command_link=link)
    await link.start()
    await subscriber.start()
    await wait_until(lambda: link.connected and subscriber.connected, "the links are up")
    store = ObjectStore(link, keys.of("sample"))
    acquired = await store.acquire(None, nonce="a", lease_ms=60_000, holder="test")
    assert acquired is not None
    await store.declare(acquired.epoch, DECLARATIONS)
    hub = Hub(link, subscriber, keys, FrontendCounts(), max_feeds=100)
    subscriber.after_read = hub.flush
    yield Stage(Owner(link, store, acquired.epoch), hub)
    await hub.close()
    await subscriber.stop()
    await link.stop()


@pytest.mark.parametrize("channel", ["value", "event"])
async def test_a_lost_update_is_delivered_before_the_next_one(stage: Stage, channel: str) -> None:
    listener = await stage.listen(channel)
    await stage.owner.publish(channel, 1)
    await stage.owner.publish_unheard(channel, 2)
    await stage.owner.publish(channel, 3)
    await wait_until(lambda: len(listener.values) == 3, "all three are delivered")
    assert listener.values == [1, 2, 3]
    assert not listener.gaps


@pytest.mark.parametrize("channel", ["value", "event"])
async def test_a_lost_last_update_is_noticed_by_a_renewal(stage: Stage, channel: str) -> None:
    listener = await stage.listen(channel)
    await stage.owner.publish(channel, 1)
    await stage.owner.publish_unheard(channel, 2)
    assert await stage.owner.store.renew(stage.owner.epoch, [channel])
    await wait_until(lambda: listener.values == [1, 2], "the last one is delivered")


async def test_events_beyond_the_history_are_named_and_the_others_delivered(stage: Stage) -> None:
    listener = await stage.listen("event")
    await stage.owner.publish("event", 1)
    for number in range(2, 7):
        await stage.owner.publish_unheard("event", number)
    await stage.owner.publish("event", 7)
    await wait_until(lambda: listener.values == [1, 5, 6, 7], "what the history has is delivered")
    assert listener.gaps == [(2, 4)]


async def test_a_value_beyond_the_history_ends_at_the_newest(stage: Stage) -> None:
    listener = await stage.listen("value")
    await stage.owner.publish("value", 1)
    for number in range(2, 9):
        await stage.owner.publish_unheard("value", number)
    await stage.owner.publish("value", 9)
    await wait_until(lambda: listener.values[-1:] == [9], "the newest is delivered")
    assert listener.values == sorted(set(listener.values))
    assert not listener.gaps


# --- another owner ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channel", ["value", "event"])
async def test_the_next_owner_is_followed_without_a_gap(stage: Stage, channel: str) -> None:
    listener = await stage.listen(channel)
    await stage.owner.publish(channel, 1)
    await stage.owner.publish_unheard(channel, 2)
    await stage.owner.acquire()
    await stage.owner.publish(channel, 3)
    await wait_until(lambda: len(listener.values) == 3, "all three are delivered")
    assert listener.values == [1, 2, 3]
    assert not listener.gaps


async def test_what_a_repair_has_found_does_not_wait_for_what_redis_has_not_got_yet(stage: Stage) -> None:
    listener = await stage.listen("event")
    await stage.owner.publish("event", 1)
    await wait_until(lambda: listener.values == [1], "the first is delivered")
    await stage.owner.publish_unheard("event", 2)
    feed = stage.hub.join("sample.event")
    stage.hub._subscriber.after_read = lambda: None  # no message comes by whose end this would be delivered anyway
    stage.hub._updated(feed, b'["%b",4,4]' % stage.owner.epoch.encode())
    stage.hub.release(feed)
    await wait_until(lambda: listener.values == [1, 2], "the second is delivered while the third is looked for")
    stage.hub._subscriber.after_read = stage.hub.flush
    await stage.owner.publish("event", 3)
    await stage.owner.publish_unheard("event", 4)
    await wait_until(lambda: listener.values == [1, 2, 3, 4], "all are delivered, once")
    assert not listener.gaps


async def test_a_repair_ends_with_the_last_subscriber(stage: Stage) -> None:
    """Redis has lost what was heard, and nobody is there any more for whom it could be looked for."""
    listener = await stage.listen("event")
    feed = stage.hub.join("sample.event")
    stage.hub._updated(feed, b'["%b",4,4]' % stage.owner.epoch.encode())
    stage.hub.release(feed)
    stage.hub.remove(feed, listener)
    await wait_until(lambda: not stage.hub._tasks.running, "the repair has ended")
    assert stage.hub.counts.gaps == 1
    assert stage.hub.counts.recovered == 0


async def test_a_subscription_that_redis_does_not_confirm_is_refused_in_time(
    valkey: EmbeddedServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "OPEN_S", 0.1)
    address, keys = RedisAddress.parse(valkey.url), Keys()
    link = Link(address, name="test")
    subscriber = Subscriber(address, name="test", command_link=link)  # never started
    hub = Hub(link, subscriber, keys, FrontendCounts(), max_feeds=100)
    for _ in range(2):
        feed = hub.join("sample.event")
        with pytest.raises(errors.RPCError) as raised:
            await hub.wait_open(feed)
        hub.release(feed)
        assert (raised.value.code, raised.value.retryable) == (errors.UNAVAILABLE.code, True)
        assert hub.channels == 0
    assert "sample.event cannot be followed: the subscription is not confirmed" in caplog.text


async def heard_four_of_which_two_are_lost(stage: Stage, channel: str) -> Listener:
    """Of a reader that has 1 to 4, while Redis has 1 and 2 again."""
    listener = await stage.listen(channel)
    for number in range(1, 5):
        await stage.owner.publish(channel, number)
    await wait_until(lambda: len(listener.values) == 4, "all four are delivered")
    await stage.owner.lose(channel, 2)
    return listener


async def test_after_a_loss_of_data_what_a_reader_has_is_not_said_to_be_missing(stage: Stage) -> None:
    """It has 1 to 4; Redis lost 3 and 4, and the next owner uses these numbers again."""
    former = stage.owner.epoch
    listener = await heard_four_of_which_two_are_lost(stage, "event")
    await stage.owner.acquire()
    await wait_until(lambda: bool(listener.gaps), "the reader is told at once that some may be missing")
    await stage.owner.publish("event", 5)
    await wait_until(lambda: len(listener.values) == 5, "the next one is delivered")
    assert listener.values == [1, 2, 3, 4, 5]
    assert listener.gap_positions == [(f"{former}:5", f"{stage.owner.epoch}:2")]


async def test_after_a_loss_of_data_the_owner_itself_knows_what_is_missing(stage: Stage) -> None:
    """It has published up to 6, the last of them in vain, and acquires again on a server that has 2."""
    former = stage.owner.epoch
    listener = await heard_four_of_which_two_are_lost(stage, "event")
    await stage.owner.acquire(given_out=GivenOut(generation_of(former), {"event": 6}))
    await stage.owner.publish("event", 7)
    await wait_until(lambda: len(listener.values) == 5, "the next one is delivered")
    assert listener.values == [1, 2, 3, 4, 7]
    assert listener.gap_positions == [(f"{stage.owner.epoch}:5", f"{stage.owner.epoch}:6")]


async def test_after_a_loss_of_data_a_value_is_the_next_owners(stage: Stage) -> None:
    listener = await heard_four_of_which_two_are_lost(stage, "value")
    await stage.owner.link.call("HSET", stage.owner.store.keys.values, "value", "2:2")
    await stage.owner.acquire()
    await stage.owner.publish("value", 7)
    await wait_until(lambda: listener.values[-1:] == [7], "the newest is delivered")
    assert not listener.gaps


async def test_a_renewal_tells_that_channels_were_declared_anew(stage: Stage) -> None:
    owner = stage.owner
    listener = await stage.listen("value")
    assert await owner.store.renew(owner.epoch, [])
    await wait_until(lambda: listener.roles == [None], "the declaration is read with the first renewal that is heard")
    assert await owner.store.renew(owner.epoch, [])
    await owner.store.declare(owner.epoch, {"value": b'{"kind":"value","roles":["chief"]}'})
    await owner.publish("value", 1)
    assert await owner.store.renew(owner.epoch, [])
    await wait_until(lambda: listener.roles == [None, ("chief",)], "and again once it is another one, and only then")


async def test_the_next_owners_declarations_are_read_whenever_they_come(stage: Stage) -> None:
    """A slow instrument: its owner renews for a while before it declares."""
    owner = stage.owner
    listener = await stage.listen("value")
    seen = await owner.store.read_record()
    acquired = await owner.store.acquire(seen, nonce="b", lease_ms=60_000, holder="test")
    assert acquired is not None
    assert await owner.store.renew(acquired.epoch, [])
    await wait_until(lambda: listener.roles == [None], "the former owner's declaration is still there")
    await owner.store.declare(acquired.epoch, {"value": b'{"kind":"value","roles":[]}'})
    assert await owner.store.renew(acquired.epoch, [])
    await wait_until(lambda: listener.roles == [None, ()], "its own is read")


async def test_the_next_owner_may_declare_another_kind(stage: Stage) -> None:
    owner = stage.owner
    listener = await stage.listen("event")
    feed = stage.hub.join("sample.event")
    await owner.acquire()
    await owner.publish("event", 1, retain=True)
    await wait_until(lambda: listener.values == [1], "it is delivered as an event")
    await owner.store.declare(owner.epoch, {"event": b'{"kind":"value"}'})
    assert await owner.store.renew(owner.epoch, [])
    await wait_until(lambda: (feed.kind, feed.value) == ("value", b"1"), "who comes now gets the value")
    await owner.publish("event", 2, retain=True)
    await wait_until(lambda: feed.value == b"2", "and the next one")
    await owner.store.declare(owner.epoch, {"event": b'{"kind":"event"}'})
    assert await owner.store.renew(owner.epoch, [])
    await wait_until(lambda: (feed.kind, feed.value) == ("event", None), "it has no value any more")
    assert listener.values == [1, 2]
    assert not listener.gaps
    stage.hub.release(feed)
