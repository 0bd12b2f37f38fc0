"""wispy.frontend.subscription: what one subscription brings, and what has to be asked for again.

How it opens feeds, resumes and is refused is tested with a real server, in tests/integration/stack/test_channels.py.
"""

import json
from collections.abc import Iterable
from typing import Any

import pytest

from tests.unit.frontend.recorders import RecordingConnection, RecordingHub, RecordingRelay, make_feed, open_plain
from wispy.config.schema import LimitsConfig
from wispy.frontend.dispatch import Dispatcher
from wispy.frontend.feed import Feed
from wispy.frontend.quotas import Quotas
from wispy.frontend.session import Session, SessionLimits
from wispy.frontend.subscription import Subscription
from wispy.protocol.positions import Brought, Line, Missing


class Client:
    """A websocket's client that may leave 1,000 bytes unread."""

    def __init__(self) -> None:
        self.relay = RecordingRelay()
        limits = SessionLimits(in_flight=64, batch=64, depth=64, digits=4300, unread_bytes=1000)
        dispatcher = Dispatcher(self.relay, {})
        self.connection = RecordingConnection()
        self.session = Session(dispatcher, RecordingHub(), limits, open_plain, lambda _: None, lambda _: None)
        self.session.connection_made(self.connection)


class BusyHub(RecordingHub):
    """Event channels that are open, and keep all of their updates; while one is read for the first time, one comes."""

    def __init__(self, names: Iterable[str], size: int) -> None:
        super().__init__()
        self._feeds = {name: make_feed(name, "event", 2) for name in names}
        for feed in self._feeds.values():
            feed.joining = 1  # so that it stays
        self._fresh = []
        self._size = size
        self._were_read: set[Feed] = set()

    async def missed(self, feed: Feed, epoch: str, offset: int, line: Line) -> list[Brought | Missing]:
        if feed not in self._were_read and feed.reader is not None:
            self._were_read.add(feed)
            feed.reader.head += 1
        return [Brought(epoch, each, b"1" * self._size) for each in range(offset + 1, line.head + 1)]


async def subscribe_since_the_first(client: Client, hub: BusyHub, *names: str) -> dict[str, Any]:
    quotas = Quotas(LimitsConfig(), hub.counts, lambda: 0.0)
    since: dict[str, tuple[str, int]] = dict.fromkeys(names, ("5-a", 1))
    subscription = Subscription(hub, quotas, client.relay.audit, client.session, list(names), since)
    answer = json.loads(await subscription.run())
    client.session.landed(0)
    return answer


@pytest.mark.parametrize("size", [600, 150], ids=["too large in itself", "too large together"])
async def test_a_channel_for_which_there_is_no_room_beside_another_is_to_be_asked_for_again(size: int) -> None:
    client, hub = Client(), BusyHub(["lamp.a", "lamp.b"], size)
    answer = await subscribe_since_the_first(client, hub, "lamp.a", "lamp.b")
    assert answer["lamp.a"] == {"at": "5-a:3"}
    assert [message["params"]["at"] for message in client.connection.messages] == ["5-a:2", "5-a:3"]
    assert answer["lamp.b"]["error"]["data"]["retryable"] is True
    assert await subscribe_since_the_first(client, hub, "lamp.b") == {"lamp.b": {"at": "5-a:3"}}


async def test_channels_that_fit_come_together_and_none_to_a_reader_who_has_stopped() -> None:
    client, hub = Client(), BusyHub(["lamp.a", "lamp.b", "lamp.c"], 1)
    assert "error" not in str(await subscribe_since_the_first(client, hub, "lamp.a", "lamp.b"))
    client.connection.is_full, client.connection.buffered = True, 501
    answer = await subscribe_since_the_first(client, hub, "lamp.c")
    assert answer["lamp.c"]["error"]["data"]["retryable"] is True
    assert list(client.session.subscriptions) == ["lamp.a", "lamp.b"]
