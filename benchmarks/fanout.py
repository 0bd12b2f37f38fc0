"""The load of fan-out: many subscribers of one channel, and one connection that tells the server when to publish."""

import asyncio
import socket
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec

from benchmarks.client import Client, open_all
from benchmarks.jobs import FanoutLoad, Job, Measure
from benchmarks.processes import resident_of
from benchmarks.publisher import read_update
from benchmarks.window import Tally, measure_window
from benchmarks.wire import Reply

# Saturation: the server always has a batch to publish while the one before is on its way, and never more than these
# two: a third is asked for when all subscribers have all of the first. So it is as fast as deliveries allow, and no
# queue grows. The size of a batch bounds how many updates a server can send in one write.
BATCHES_IN_FLIGHT = 2

STREAM_MARGIN_S = 0.5  # a stream outlasts the window by this
SETTLE_S = 10  # how long the server may take to finish publishing after the window
CATCH_UP_POLL_S = 0.05
READING_BUFFER_BYTES = 1 << 20
STALLED_BUFFER_BYTES = 4096  # the kernel holds little for who does not read: the server notices soon

# All subscribers get the same bytes: a payload is parsed and checked once, then known. Bound: some batches' worth.
KNOWN_PAYLOADS = 1024


class Feed:
    """What all subscribers share: the payloads seen, and how far everyone has come."""

    def __init__(self, load: FanoutLoad, tally: Tally, errors: Counter[str]) -> None:
        self.channel = f"bench.{load.channel}"
        self.subscribers = load.subscribers
        self.batch = load.batch
        self.length = load.length
        self.tally = tally
        self.errors = errors
        self.skipped = 0
        self.on_batch_delivered: Callable[[], None] = _nothing  # every subscriber has all of another batch
        self._known: dict[bytes, tuple[int, float]] = {}
        self._passed: Counter[int] = Counter()  # last update of a batch -> how many subscribers have it

    def read(self, payload: bytes) -> tuple[int, float]:
        """Return number and time of an update; ValueError if it is not one, whole and of our channel."""
        known = self._known.get(payload)
        if known is None:
            if len(self._known) >= KNOWN_PAYLOADS:
                self._known.clear()
            known = self._known[payload] = read_update(_value(payload, self.channel), self.length)
        return known

    def passed(self, milestone: int) -> None:
        """A subscriber has the last update of a batch."""
        self._passed[milestone] += 1
        if self._passed[milestone] == self.subscribers:
            del self._passed[milestone]
            self.on_batch_delivered()


def _nothing() -> None:
    pass


def _value(payload: bytes, channel: str) -> str:
    message: Any = msgspec.json.decode(payload)
    if isinstance(message, str):
        return message  # the baseline sends the bare value
    if message["method"] != "rpc.update" or message["params"]["channel"] != channel:
        raise ValueError(f"not an update of {channel}: {payload!r}")
    return message["params"]["value"]


class Subscriber(Client):
    """Checks that updates arrive whole and in order; an event channel must not skip any."""

    def __init__(self, index: int, feed: Feed) -> None:
        super().__init__()
        self._index = index
        self._feed = feed
        self._last = 0
        self._milestone = 0  # the last update of the batch that arrives now
        self.listening = False

    def listen(self, newest: int) -> None:
        """Count from here on: `newest` is the number of the last update before the load starts."""
        self._last = newest
        self._milestone = newest + self._feed.batch
        self.listening = True

    def message_received(self, payload: bytes, last_of_read: bool) -> None:
        if not self.listening:
            super().message_received(payload, last_of_read)
            return
        feed = self._feed
        try:
            number, published = feed.read(payload)
        except (ValueError, KeyError, TypeError):
            feed.errors[f"not an update: {payload[:60]!r}"] += 1
            return
        if number != self._last + 1:
            self._skip_to(number)
        self._last = number
        feed.tally.latencies_s.append(time.monotonic() - published)
        feed.tally.by_connection[self._index] += 1
        while number >= self._milestone:
            feed.passed(self._milestone)
            self._milestone += feed.batch

    def _skip_to(self, number: int) -> None:
        if number <= self._last:
            self._feed.errors["an update twice or out of order"] += 1
        elif self._feed.channel.endswith("event"):
            self._feed.errors["an event missing"] += number - self._last - 1
        else:
            self._feed.skipped += number - self._last - 1


class Stalled(Client):
    """Subscribes, and then reads nothing until it is told to."""

    def __init__(self, feed: Feed) -> None:
        super().__init__()
        self._feed = feed
        self.got = 0
        self.newest = 0
        self._is_subscribed = False

    async def subscribe(self) -> None:
        await self.ask(1, "rpc.subscribe", {"channels": [self._feed.channel]})
        self._is_subscribed = True
        assert self.transport is not None
        self._socket = self.transport.underlying_transport
        self._buffer(STALLED_BUFFER_BYTES)
        self._socket.pause_reading()

    def _buffer(self, size: int) -> None:
        self._socket.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)

    def message_received(self, payload: bytes, last_of_read: bool) -> None:
        if not self._is_subscribed:
            super().message_received(payload, last_of_read)
            return
        number, _ = self._feed.read(payload)
        if number <= self.newest:
            self._feed.errors["an update twice or out of order"] += 1
        self.newest = number
        self.got += 1

    async def read_up_to(self, newest: int) -> None:
        """Read on; an error if the newest update never comes."""
        self._buffer(READING_BUFFER_BYTES)
        self._socket.resume_reading()
        until = time.monotonic() + SETTLE_S
        while self.newest != newest:
            if time.monotonic() > until or self.closed is not None:
                self._feed.errors["a stalled subscriber that never came to the newest update"] += 1
                return
            await asyncio.sleep(CATCH_UP_POLL_S)


class Director(Client):
    """The connection that tells the server to publish."""

    def __init__(self, load: FanoutLoad, errors: Counter[str]) -> None:
        super().__init__()
        self._batch = load.batch
        self._length = load.length
        self._number = 0
        self._method = "bench.push_events" if load.channel == "event" else "bench.push"
        self._errors = errors
        self._orders: set[asyncio.Future[Reply]] = set()  # not answered yet

    async def newest(self) -> int:
        """The number of the newest update so far."""
        self._number += 1
        return await self.ask(self._number, self._method, [0])

    def push(self) -> None:
        """Have another batch published."""
        self._order(self._method, [self._batch])

    async def settle(self) -> None:
        """Wait until the server has published all it was told to."""
        if self._orders:
            await asyncio.wait(self._orders, timeout=SETTLE_S)
        if self._orders:
            self._errors["the publisher never answered"] += len(self._orders)

    def stream(self, per_s: float, seconds: float) -> None:
        """Have updates published at a steady pace."""
        self._order("bench.stream", [per_s, seconds, self._length])

    def _order(self, method: str, params: list[float]) -> None:
        self._number += 1
        order = self.ask_nowait(self._number, method, params)
        self._orders.add(order)
        order.add_done_callback(self._done)

    def _done(self, question: asyncio.Future[Reply]) -> None:
        self._orders.discard(question)
        if not question.cancelled() and question.result().error is not None:
            self._errors[f"the publisher answered {question.result().error}"] += 1


async def run_fanout(job: Job, load: FanoutLoad) -> Measure:
    """Subscribe everyone, then measure the deliveries."""
    errors: Counter[str] = Counter()
    tally = Tally(load.subscribers)
    feed = Feed(load, tally, errors)
    subscribers = [Subscriber(index, feed) for index in range(load.subscribers)]
    stalled = [Stalled(feed) for _ in range(load.stalled)]
    director = Director(load, errors)
    clients = [director, *subscribers, *stalled]
    await open_all(clients, job.url)
    await asyncio.gather(*(client.greet() for client in clients))
    newest = await director.newest()
    await asyncio.gather(*(_subscribe(subscriber, feed.channel, newest) for subscriber in subscribers))
    await asyncio.gather(*(each.subscribe() for each in stalled))
    before = resident_of(job.watch)
    if load.rate:
        director.stream(load.rate, job.warmup_s + job.seconds + STREAM_MARGIN_S)
    else:
        feed.on_batch_delivered = director.push
        for _ in range(BATCHES_IN_FLIGHT):
            director.push()
    measure = await measure_window(job, [tally], errors)
    measure.bytes_grown = {role: size - before[role] for role, size in resident_of(job.watch).items()}
    feed.on_batch_delivered = _nothing
    measure.skipped = feed.skipped
    await director.settle()
    if stalled:
        newest = await director.newest()
        await asyncio.gather(*(each.read_up_to(newest) for each in stalled))
        measure.stalled_got = [each.got for each in stalled]
    for client in clients:
        if client.closed is not None:
            errors[client.closed] += 1
        client.close()
    return measure


async def _subscribe(subscriber: Subscriber, channel: str, newest: int) -> None:
    await subscriber.ask(1, "rpc.subscribe", {"channels": [channel]})
    subscriber.listen(newest)
