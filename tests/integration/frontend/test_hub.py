"""Feeds on a real server: an update that was lost on the way is brought from the history, in its place."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.support.waiting import wait_until
from wispy.broker.address import RedisAddress
from wispy.broker.embedded import EmbeddedServer
from wispy.broker.keys import Keys
from wispy.broker.link import Link
from wispy.broker.store import ObjectStore, Update
from wispy.broker.subscriber import Subscriber
from wispy.frontend.hub import Feed, Hub
from wispy.frontend.websocket.seam import PreparedMessages
from wispy.protocol.positions import parse_position
from wispy.protocol.values import decode

DAY_MS = 86_400_000


@dataclass(eq=False)
class Listener:
    """A session that keeps what is delivered."""

    messages: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    def deliver(self, feed: Feed, messages: PreparedMessages) -> None:
        del feed
        self.messages += [decode(payload) for payload in messages.payloads]

    @property
    def values(self) -> list[Any]:
        return [message["params"]["value"] for message in self.messages if message["method"] == "rpc.update"]

    @property
    def gaps(self) -> list[tuple[int, int]]:
        gaps = [message["params"] for message in self.messages if message["method"] == "rpc.gap"]
        return [(parse_position(gap["from"])[1], parse_position(gap["to"])[1]) for gap in gaps]


@dataclass
class Owner:
    """Publishes on two channels of an object, or pretends that a message was lost."""

    link: Link
    store: ObjectStore
    epoch: str
    heads: dict[str, int] = field(default_factory=lambda: {"value": 0, "event": 0})

    async def publish(self, channel: str, value: int) -> None:
        self.heads[channel] += 1
        update = Update(channel, self.heads[channel], b"%d" % value, channel == "value", 3)
        replies: list[object] = []
        self.store.publish(self.epoch, [update], replies.append)
        await wait_until(lambda: replies == [True], "the update is published")

    async def publish_unheard(self, channel: str, value: int) -> None:
        """All that publishing does in Redis, but the message."""
        self.heads[channel] += 1
        head, keys = self.heads[channel], self.store.keys
        history = keys.history(channel)
        await self.link.call("XADD", history, "MAXLEN", 3, f"{head}-1", "v", value)
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
        feed = await self.hub.join(f"sample.{channel}")
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
    await store.declare(acquired.epoch, {"value": b'{"kind":"value"}', "event": b'{"kind":"event"}'})
    hub = Hub(link, subscriber, keys)
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
