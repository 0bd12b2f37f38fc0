"""What a frontend writes for an object, on a real server: entries, and nothing beside them."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

from tests.support.waiting import wait_until
from wispy.broker.embedded import EmbeddedServer
from wispy.broker.keys import Keys
from wispy.broker.link import Link
from wispy.broker.store import ObjectStore
from wispy.broker.subscriber import Subscriber
from wispy.config.redis_address import RedisAddress
from wispy.config.schema import FuncCallerConfig
from wispy.frontend.audit import Audit
from wispy.frontend.counts import FrontendCounts
from wispy.frontend.flights import Flight
from wispy.frontend.relay import Relay
from wispy.protocol import errors, relay
from wispy.protocol.values import decode

KEYS = Keys().of("sample")


@dataclass
class Client:
    """One session's requests, and the answers to them."""

    relay: Relay
    answers: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    def answered(self, text: bytes) -> None:
        self.answers.append(decode(text))

    def submit(self, params: bytes) -> Flight:
        session = self.relay.open_plain_session()
        flight = Flight(session, 0, b"1", "sample.f", msgspec.Raw(params), 0, False, self)
        self.relay.submit_plain("sample", flight)
        return flight


@pytest.fixture
async def client(valkey: EmbeddedServer) -> AsyncIterator[Client]:
    """Of a frontend that relays to `sample`, which somebody owns."""
    address = RedisAddress.parse(valkey.url)
    link = Link(address, name="test")
    subscriber = Subscriber(address, name="test", command_link=link)
    await link.start()
    await subscriber.start()
    await wait_until(lambda: link.connected and subscriber.connected, "the links are up")
    assert await ObjectStore(link, KEYS).acquire(None, nonce="a", lease_ms=60_000, holder="test")
    made = Relay(
        "f",
        link,
        subscriber,
        Keys(),
        settings_of=lambda _: FuncCallerConfig(),
        audit=Audit(),
        max_in_flight=100,
        max_objects=10,
        before_replies=lambda: None,
        counts=FrontendCounts(),
    )
    yield Client(made)
    await made.close()
    await subscriber.stop()
    await link.stop()


async def entries(client: Client) -> list[int]:
    """How many requests each entry of the stream carries."""
    rows = await client.relay.link.call("XRANGE", KEYS.requests, "-", "+")
    return [sum(len(block.requests) for block in relay.decode_entry(fields[1]).sessions) for _, fields in rows]


async def test_a_large_request_that_is_cancelled_before_it_leaves_leaves_nothing_behind(client: Client) -> None:
    client.submit(b"[]")
    await wait_until(lambda: not client.relay.has_unsent, "the object is open")
    client.relay.cancel(client.submit(b'["%b"]' % (b"x" * relay.MAX_ENTRY_BYTES)))
    assert [answer["error"]["code"] for answer in client.answers] == [errors.CANCELLED.code]
    await client.relay.link.call("PING")  # sent after what this turn has left
    assert await entries(client) == [1]
