"""What a feed does with updates that do not follow each other, without Redis: the parts that need none."""

from typing import Any, cast

import pytest

from wispy.broker.keys import Keys
from wispy.broker.link import Link
from wispy.broker.subscriber import Subscriber
from wispy.frontend.counts import FrontendCounts
from wispy.frontend.feed import Feed
from wispy.frontend.hub import Hub
from wispy.frontend.websocket.seam import PreparedMessages
from wispy.protocol.errors import NOT_FOUND, RPCError
from wispy.protocol.positions import Reader
from wispy.protocol.values import decode


class Listener:
    """Keeps what is delivered."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []

    def deliver(self, feed: Feed, messages: PreparedMessages) -> None:
        del feed
        self.messages += [decode(payload) for payload in messages.payloads]

    def redeclared(self, feed: Feed) -> None: ...


class Unconnected:
    """Stands where a hub keeps its links, which these tests do not reach."""

    def on_connected(self, callback: object) -> None:
        del callback


def make_feed(kind: str, head: int) -> tuple[Hub, Feed, Listener]:
    unconnected = Unconnected()
    hub = Hub(cast(Link, unconnected), cast(Subscriber, unconnected), Keys(), FrontendCounts(), max_feeds=100)
    feed = Feed("sample.x", "sample", "x")
    feed.kind = kind
    feed.reader = Reader("5-a", head)
    feed.held = None
    listener = Listener()
    hub.add(feed, listener)
    return hub, feed, listener


def update(hub: Hub, feed: Feed, epoch: str, offset: int, value: str) -> None:
    hub._updated(feed, f'["{epoch}",{offset},{value}]'.encode())
    hub.flush()


def test_updates_are_delivered_in_order_and_none_twice() -> None:
    hub, feed, listener = make_feed("value", 3)
    update(hub, feed, "5-a", 4, '"four"')
    update(hub, feed, "5-a", 4, '"four"')
    update(hub, feed, "4-z", 5, '"of a former owner"')
    update(hub, feed, "5-a", 5, '"five"')
    assert [message["params"]["value"] for message in listener.messages] == ["four", "five"]
    assert listener.messages[-1]["params"]["at"] == "5-a:5"
    assert feed.value == b'"five"'


@pytest.mark.parametrize("name", ["sample", "sample.", "sample." + "x" * 1001, "s" * 101 + ".x", "a b.x"])
def test_a_name_that_no_channel_can_have_does_not_reach_redis(name: str) -> None:
    hub, _, _ = make_feed("value", 3)
    with pytest.raises(RPCError) as caught:
        hub.join(name)
    assert caught.value.to_json() == NOT_FOUND().to_json()
    assert hub.channels == 0
