"""What a frontend writes for an object, on a real server: entries, and nothing beside them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.support.relay import Relay as RedisRelay
from tests.support.stack import RestartableRedis
from tests.support.waiting import wait_until
from wispy.broker.embedded import EmbeddedServer
from wispy.broker.keys import OBJECT_TTL_MS, Keys
from wispy.broker.link import Link
from wispy.broker.shared_store import SharedStore
from wispy.broker.store import ObjectStore
from wispy.broker.subscriber import Subscriber
from wispy.config.redis_address import RedisAddress
from wispy.config.schema import FuncCallerConfig, Seconds
from wispy.frontend.audit import Audit
from wispy.frontend.counts import FrontendCounts
from wispy.frontend.flights import Flight
from wispy.frontend.object_relay import OpenEntry
from wispy.frontend.relay import Relay
from wispy.protocol import errors, relay
from wispy.protocol.relay import RelayedRequest
from wispy.protocol.values import decode

NAMES = ("sample", "lamp", "oven")
"""One more than the frontend relays to at a time."""

KEYS = Keys().of("sample")


@dataclass
class Client:
    """One session's requests, and the answers to them."""

    relay: Relay
    answers: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    def answered(self, text: bytes) -> None:
        self.answers.append(decode(text))

    def abandoned(self) -> None: ...

    def submit(self, params: bytes = b"[]", name: str = "sample") -> Flight:
        session = self.relay.open_plain_session()
        flight = Flight(session, 0, b"1", f"{name}.f", msgspec.Raw(params), 0, False, self)
        self.relay.submit_plain(name, flight)
        return flight

    async def sent(self, name: str = "sample") -> Flight:
        """A request that Redis has, and that nobody answers."""
        flight = self.submit(name=name)
        await wait_until(lambda: not self.relay.has_unsent, "Redis has it")
        return flight

    def answer(self, flight: Flight, kind: int, body: bytes) -> None:
        """What the owner says of a request comes in."""
        replies = relay.SessionReplies(flight.session.name, [relay.Reply(flight.id, kind, msgspec.Raw(body))])
        self.relay.take_replies(relay.encode([replies]))

    @property
    def codes(self) -> list[int | None]:
        """Of the errors among the answers so far; None: a result."""
        return [answer["error"]["code"] if "error" in answer else None for answer in self.answers]


@asynccontextmanager
async def client_of(url: str, subscriber_url: str, start_delay_s: float = 3.0) -> AsyncIterator[Client]:
    """Of a frontend that relays to `sample`, which somebody owns.

    Args:
        url: where the frontend sends commands.
        subscriber_url: where it listens for replies.
        start_delay_s: after how long it takes back what nobody has taken.
    """
    link = Link(RedisAddress.parse(url), name="test")
    subscriber = Subscriber(RedisAddress.parse(subscriber_url), name="test", command_link=link)
    await link.start()
    await subscriber.start()
    await wait_until(lambda: link.connected and subscriber.connected, "the links are up")
    for name in NAMES:
        assert await ObjectStore(link, Keys().of(name)).acquire(None, nonce="a", lease_ms=60_000, holder="test")
    made = Relay(
        "f",
        link,
        subscriber,
        Keys(),
        settings_of=lambda _: FuncCallerConfig(max_start_delay_default=Seconds(start_delay_s)),
        audit=Audit(),
        max_in_flight=100,
        max_objects=len(NAMES) - 1,
        before_replies=lambda: None,
        counts=FrontendCounts(),
    )
    yield Client(made)
    await made.close()
    await subscriber.stop()
    await link.stop()


@pytest.fixture
async def client(valkey: EmbeddedServer) -> AsyncIterator[Client]:
    async with client_of(valkey.url, valkey.url) as client:
        yield client


async def requests(client: Client) -> list[list[RelayedRequest]]:
    """What each entry of the stream carries."""
    rows = await client.relay.link.call("XRANGE", KEYS.requests, "-", "+")
    return [[each for block in relay.decode_entry(fields[1]).sessions for each in block.requests] for _, fields in rows]


async def entries(client: Client) -> list[int]:
    """How many requests each entry of the stream carries."""
    return list(map(len, await requests(client)))


async def test_a_large_request_that_is_cancelled_before_it_leaves_leaves_nothing_behind(client: Client) -> None:
    client.submit(b"[]")
    await wait_until(lambda: not client.relay.has_unsent, "the object is open")
    client.relay.cancel(client.submit(b'["%b"]' % (b"x" * relay.MAX_ENTRY_BYTES)))
    assert [answer["error"]["code"] for answer in client.answers] == [errors.CANCELLED.code]
    await client.relay.link.call("PING")  # sent after what this turn has left
    assert await entries(client) == [1]


async def test_what_is_in_flight_waits_for_the_link_where_the_subscription_is_back_first(
    valkey: EmbeddedServer,
) -> None:
    """Its answer may have been missed, so that it is to be asked for again; and not to be given up."""
    async with RedisRelay(valkey.url) as way, client_of(way.url, valkey.url) as client:
        await client.sent()
        way.is_refusing = True
        way.cut()
        await wait_until(lambda: not client.relay.link.connected, "the link is down")
        client.relay._resubscribed()
        way.is_refusing = False
        await wait_until(lambda: client.relay.link.connected and not client.relay.has_unsent, "it was sent again")
        await client.relay.link.call("PING")
        assert client.answers == []
        assert [[each.retry for each in entry] for entry in await requests(client)] == [[False], [True]]


async def test_what_nobody_has_taken_in_time_has_not_run(valkey: EmbeddedServer) -> None:
    async with client_of(valkey.url, valkey.url, start_delay_s=0.1) as client:
        await client.sent()
        await wait_until(lambda: client.answers != [], "it is taken back")
        assert client.codes == [errors.NO_OWNER.code]
        assert await entries(client) == []


async def test_a_session_whose_connection_is_gone_is_forgotten_with_its_last_request(valkey: EmbeddedServer) -> None:
    async with client_of(valkey.url, valkey.url, start_delay_s=0.1) as client:
        flight = await client.sent()
        client.relay.close_session(flight.session)
        assert list(client.relay.sessions) == [flight.session.name]
        await wait_until(lambda: not client.relay.in_flight, "it is taken back")
        assert client.relay.sessions == {}


async def test_so_is_one_that_is_gone_while_its_large_result_is_fetched(client: Client) -> None:
    key = KEYS.body("s", 1)
    flight = await client.sent()
    await client.relay.link.call("SET", key, b"[1]", "EX", 60)
    client.answer(flight, relay.STORED_RESULT, b'"%b"' % key.encode())
    client.relay.close_session(flight.session)
    await wait_until(lambda: not client.relay.in_flight, "it has landed")
    assert client.relay.sessions == {}


async def test_it_has_not_where_the_link_was_down_at_that_time(valkey: EmbeddedServer) -> None:
    async with RedisRelay(valkey.url) as way, client_of(way.url, valkey.url, start_delay_s=0.1) as client:
        flight = await client.sent()
        way.is_refusing = True
        way.cut()
        await wait_until(lambda: asked(flight), "it was asked for")
        assert client.answers == []
        way.is_refusing = False
        await wait_until(lambda: client.answers != [], "it is taken back")
        assert client.codes == [errors.NO_OWNER.code]
        assert await entries(client) == []


async def test_it_has_not_where_redis_takes_longer_to_write_it_down(valkey: EmbeddedServer) -> None:
    async with RedisRelay(valkey.url) as way, client_of(way.url, valkey.url, start_delay_s=0.1) as client:
        await client.sent()  # the object is open
        way.stop_reading()
        flight = client.submit()
        await wait_until(lambda: asked(flight), "it was to be asked for")
        way.read_on()
        await wait_until(lambda: len(client.answers) == 2, "both are taken back")
        assert client.codes == [errors.NO_OWNER.code] * 2
        assert await entries(client) == []


def asked(flight: Flight) -> bool:
    """Whether it is time to take the request back."""
    return isinstance(flight.entry, OpenEntry) and flight.entry.is_asked


async def test_what_a_server_has_given_out_its_successor_does_not_know(tmp_path: Path) -> None:
    """Replication is late, and so may be what is on disk: that nobody was given a request is known to one server."""
    server = RestartableRedis(tmp_path)
    server.start()
    try:
        async with client_of(server.url, server.url, start_delay_s=5.0) as client:
            await share(client)  # the requests to an object with an owner are sent again, and settled by him
            await client.sent()
            server.stop()
            await wait_until(lambda: not client.relay.link.connected, "the link is down")
            server.start()
            await wait_until(lambda: client.answers != [], "it is taken back", 30)
            assert client.codes == [errors.OUTCOME_UNKNOWN.code]
            assert await entries(client) == [], "and does not run any more"
    finally:
        server.stop()


async def share(client: Client) -> None:
    """Have workers share `sample`."""
    store = SharedStore(client.relay.link, KEYS, "a worker")
    assert await store.join(await store.read_record(), nonce="s", lease_ms=60_000, holder="test")


async def test_a_large_result_waits_for_a_session_that_goes_on_elsewhere(client: Client) -> None:
    """Its connection is gone: what comes here is for nobody, and what it asks for again is answered with the same."""
    flight = await client.sent()
    client.relay.close_session(flight.session)
    await client.relay.link.call("SET", "body", "large", "PX", 60_000)
    client.answer(flight, relay.STORED_RESULT, b'"body"')
    await wait_until(lambda: not client.relay.in_flight, "the answer has come")
    assert client.relay.tasks.running == 0
    assert await client.relay.link.call("GET", "body") == b"large"
    assert client.relay.sessions == {}


async def test_a_large_result_is_fetched_for_who_waits(client: Client) -> None:
    flight = await client.sent()
    await client.relay.link.call("SET", "body", '"large"', "PX", 60_000)
    client.answer(flight, relay.STORED_RESULT, b'"body"')
    await wait_until(lambda: client.answers != [], "it is answered")
    assert client.answers[0]["result"] == "large"
    assert await client.relay.link.call("EXISTS", "body") == 0


async def lose(client: Client, name: str = "sample") -> None:
    """What a failover or a restart does that loses data."""
    await client.relay.link.call("DEL", Keys().of(name).requests, Keys().of(name).owner)


async def test_an_object_that_redis_has_lost_has_no_owner_until_it_is_back(client: Client) -> None:
    client.answer(await client.sent(), relay.RESULT, b"1")
    await lose(client)
    for number in range(1, 4):  # the first is written in vain, the others look whether there is such an object
        client.submit()
        await wait_until(lambda number=number: len(client.answers) > number, "it is answered")
    assert client.codes[1:] == [errors.NO_OWNER.code] * 3
    assert client.answers[-1]["error"]["data"] == {"executed": "no", "retryable": True}
    client.submit(name="absent")
    await wait_until(lambda: len(client.answers) > 4, "it is answered")
    assert client.codes[4:] == [errors.NOT_FOUND.code], "that one never was"
    assert await ObjectStore(client.relay.link, KEYS).acquire(None, nonce="b", lease_ms=60_000, holder="test")
    client.answer(await client.sent(), relay.RESULT, b"2")
    assert client.codes[5:] == [None]
    assert client.relay._missed == {}


async def test_an_object_that_does_not_come_back_is_not_found_in_the_end(client: Client) -> None:
    """When its keys would have gone in any case; and of more than the frontend relays to, the first are forgotten."""
    for name in NAMES:
        client.answer(await client.sent(name), relay.RESULT, b"1")
        await lose(client, name)
        client.submit(name=name)
        await wait_until(lambda: not client.relay.in_flight, "it is answered")
    assert list(client.relay._missed) == list(NAMES[1:])
    client.relay._missed[NAMES[1]] -= OBJECT_TTL_MS / 1000
    client.answers.clear()
    for name in NAMES:
        client.submit(name=name)
        await wait_until(lambda: not client.relay.in_flight, "it is answered")
    assert client.codes == [errors.NOT_FOUND.code] * 2 + [errors.NO_OWNER.code]


async def test_a_name_that_no_object_can_have_reaches_nobody(client: Client) -> None:
    """Nor does it take the place of an object that is idle."""
    for name in NAMES[:2]:
        client.answer(await client.sent(name), relay.RESULT, b"1")
    for name in ("", "}", "a.b", "a b"):
        with pytest.raises(errors.RPCError):
            client.submit(name=name)
    assert list(client.relay._objects) == list(NAMES[:2])
    assert client.relay.tasks.running == 0


async def test_objects_that_nobody_asks_for_make_room_for_others(client: Client) -> None:
    """However many there are over time: a frontend runs for months."""
    for name in (*NAMES, *NAMES):
        flight = await client.sent(name)
        client.answer(flight, relay.RESULT, b"1")
    assert client.codes == [None] * 6
    kept = [await client.sent(name) for name in NAMES[:2]]
    client.submit(name=NAMES[2])
    assert client.codes[6:] == [errors.OVERLOADED.code], "those that are in use stay"
    for flight in kept:
        client.answer(flight, relay.RESULT, b"1")
    assert client.codes[7:] == [None, None]
