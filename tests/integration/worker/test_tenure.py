"""One owner's time with an object, on a real server: what it takes, when it ends, and what the next one finds."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

import msgspec
import pytest

from tests.integration.broker.conftest import QUICK
from tests.integration.broker.support import add_entry, fill_memory, free_memory, own, read_entries
from tests.support.relay import Relay
from tests.support.waiting import wait_until
from wispy.broker.embedded import EmbeddedServer
from wispy.broker.keys import Keys
from wispy.broker.link import Link
from wispy.broker.store import Acquired, ObjectStore
from wispy.broker.subscriber import Subscriber
from wispy.config.redis_address import RedisAddress
from wispy.config.schema import Config
from wispy.protocol import errors, relay
from wispy.protocol.relay import MAX_ENTRY_REQUESTS, MAX_REPLY_MESSAGE_BYTES, Entry, RelayedRequest, SessionRequests
from wispy.timing import boottime
from wispy.worker import desk, entry_reader, large_results, upkeep
from wispy.worker.entry_reader import READS_AHEAD
from wispy.worker.source import from_instances
from wispy.worker.stage import Stage
from wispy.worker.tenure import Links, Tenure


class Lamp:
    event_channels: ClassVar = ["event"]
    publish: Callable[[str, Any], None]

    def __init__(self) -> None:
        self.calls: list[int] = []
        self.may_end = asyncio.Event()
        self.may_return = threading.Event()

    def note(self, number: int) -> int:
        self.calls.append(number)
        return number

    async def wait(self, number: int) -> int:
        self.calls.append(number)
        await self.may_end.wait()
        return number

    def hold(self, number: int) -> int:
        self.calls.append(number)
        self.may_return.wait(20)
        return number


class GatedTenure(Tenure):
    """Starts nothing while its gate is closed, as if the lease could not be renewed."""

    is_gate_open = True

    def may_start(self) -> bool:
        return self.is_gate_open and super().may_start()


@dataclass
class World:
    """A server with one object, its owner's links, and a frontend that hears the answers."""

    link: Link
    commands: Link
    reader: Link
    store: ObjectStore
    relay: Relay
    """Between the reader and the server."""
    commands_relay: Relay
    lamp: Lamp = field(default_factory=Lamp)
    answers: dict[int, Any] = field(default_factory=dict[int, Any])
    tasks: list["asyncio.Task[None]"] = field(default_factory=list["asyncio.Task[None]"])
    last_id: int = 0

    def hear(self, message: bytes) -> None:
        for block in relay.decode_replies(message):
            for reply in block.replies:
                assert reply.id not in self.answers
                body = msgspec.json.decode(reply.body)
                self.answers[reply.id] = body["code"] if reply.kind == relay.ERROR else body

    async def begin(
        self, acquired: Acquired | None = None, objects_loop: asyncio.AbstractEventLoop | None = None
    ) -> tuple[GatedTenure, "asyncio.Task[None]"]:
        """A tenure that serves the lamp."""
        sent_at = boottime()
        acquired = acquired or await own(self.store)
        (source,) = from_instances({"lamp": self.lamp})
        stage = Stage(source, Config(), objects_loop or asyncio.get_running_loop())
        tenure = GatedTenure(Links(self.commands, self.reader), Keys(), acquired, sent_at, Config(), stage)
        task = asyncio.create_task(tenure.run())
        self.tasks.append(task)
        await wait_until(lambda: tenure.is_open or task.done(), "the lamp is served")
        return tenure, task

    def now_ms(self) -> int:
        server = self.link.server
        assert server is not None
        return server.now_ms(asyncio.get_running_loop().time())

    async def is_clock_past_horizon(self) -> bool:
        since: bytes = await self.link.call("HGET", self.store.keys.log, "since")
        return self.now_ms() >= int(since.rpartition(b":")[2])

    async def add(self, method: str = "note", number: int = 1) -> str:
        """An entry with requests, of which each has its id as its only argument."""
        ids = range(self.last_id + 1, self.last_id + number + 1)
        self.last_id += number
        # An estimate of the server's clock is some milliseconds late, more on a busy machine: a request would be
        # stamped before the first acquisition, and its outcome unknown.
        await wait_until(self.is_clock_past_horizon, "the time is past the first acquisition")
        server = self.link.server
        assert server is not None
        at = self.now_ms()
        requests = [RelayedRequest(id, at, False, f"lamp.{method}", msgspec.Raw(b"[%d]" % id)) for id in ids]
        block = SessionRequests("me", server.run_id, 0, [], requests)
        return await add_entry(self.link, self.store, relay.encode(Entry("f1", [block])))

    async def reader_client(self) -> str:
        """What the server says of the reader's connection."""
        clients: bytes = await self.link.call("CLIENT", "LIST")
        (line,) = (line for line in clients.decode().splitlines() if " name=wispy-reader " in line)
        return line

    async def groups(self) -> list[bytes]:
        """The names of the stream's consumer groups."""
        groups = await self.link.call("XINFO", "GROUPS", self.store.keys.requests)
        return [group[group.index(b"name") + 1] for group in groups]

    async def stream_length(self) -> int:
        length: int = await self.link.call("XLEN", self.store.keys.requests)
        return length


@pytest.fixture
async def world(valkey: EmbeddedServer) -> AsyncIterator[World]:
    keys = Keys().of("lamp")
    async with Relay(valkey.url) as breakable, Relay(valkey.url) as commands_relay:
        link = Link(RedisAddress.parse(valkey.url), name="test", backoff=QUICK)
        commands = Link(RedisAddress.parse(commands_relay.url), name="commands", backoff=QUICK)
        reader = Link(RedisAddress.parse(breakable.url), name="reader", backoff=QUICK)
        subscriber = Subscriber(RedisAddress.parse(valkey.url), name="frontend", command_link=link, backoff=QUICK)
        for part in (link, commands, reader, subscriber):
            await part.start()
        for each in (link, commands, reader):
            await each.wait_connected()
        world = World(link, commands, reader, ObjectStore(link, keys), breakable, commands_relay)
        await subscriber.subscribe(keys.replies("f1"), world.hear)
        yield world
        for task in world.tasks:
            task.cancel()
        await asyncio.gather(*world.tasks, return_exceptions=True)
        for part in (subscriber, reader, commands, link):
            await part.stop()


@pytest.fixture
def objects_loop() -> Iterator[asyncio.AbstractEventLoop]:
    """A loop in a thread of its own, as the objects of a worker have it."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


async def test_requests_are_answered_and_their_entries_go(world: World) -> None:
    await world.begin()
    for _ in range(3):
        await world.add()
    await wait_until(lambda: world.answers == {1: 1, 2: 2, 3: 3}, "all are answered")
    assert world.lamp.calls == [1, 2, 3]
    assert await world.stream_length() == 0


async def test_large_results_that_are_fetched_leave_room_for_others(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = 2 * MAX_REPLY_MESSAGE_BYTES
    monkeypatch.setattr(large_results, "STORED_QUOTA_BYTES", size)
    monkeypatch.setattr(world.lamp, "note", lambda number: "x" * size)
    await world.begin()
    for id in (1, 2):
        await world.add()
        await wait_until(lambda id=id: id in world.answers, "it is answered")
        assert len(await world.link.call("GETDEL", world.answers[id])) == size + 2
    await world.add()
    await wait_until(lambda: 3 in world.answers, "it is answered")
    await world.add()
    await wait_until(lambda: world.answers.get(4) == errors.RESULT_GONE.code, "nobody fetches the one before")


async def test_what_a_former_owner_was_given_is_settled_before_anything_new_runs(world: World) -> None:
    former = await own(world.store)
    await world.add()
    assert len(await read_entries(world.link, world.store, former.group)) == 1
    await world.add()
    await world.begin(await own(world.store, nonce="b2"))
    await wait_until(lambda: len(world.answers) == 2, "both are answered")
    assert list(world.answers.items()) == [(1, errors.OUTCOME_UNKNOWN.code), (2, 2)]
    assert world.lamp.calls == [2]
    assert await world.stream_length() == 0


async def test_nothing_is_left_out_or_run_twice_where_the_reader_is_cut_off(world: World) -> None:
    await world.begin()
    await world.add()
    await wait_until(lambda: world.answers == {1: 1}, "the first is answered")
    world.relay.is_swallowing = True
    await world.add()  # given to the reader, and lost on its way
    world.relay.is_refusing = True
    world.relay.cut()
    await world.add()
    world.relay.is_swallowing = world.relay.is_refusing = False
    await wait_until(lambda: world.answers == {1: 1, 2: 2, 3: 3}, "all are answered")
    assert world.lamp.calls == [1, 2, 3]


async def test_one_write_asks_for_several_reads(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entry_reader, "BLOCK_MS", 60_000)
    await world.begin()
    await world.add()
    await wait_until(lambda: 1 in world.answers, "it is answered")
    before = world.relay.reads
    for id in range(2, READS_AHEAD):
        await world.add()
        await wait_until(lambda id=id: id in world.answers, "it is answered")
        assert world.relay.reads == before
    await world.add()
    await wait_until(lambda: world.relay.reads == before + 1, "the last one is answered, and it asks for more")


async def test_all_reads_that_are_asked_for_bring_no_more_than_there_is_room_for(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk, "MAX_IN_FLIGHT", 2 * MAX_ENTRY_REQUESTS)
    acquired = await own(world.store)
    for _ in range(READS_AHEAD + 1):
        await world.add("wait", MAX_ENTRY_REQUESTS)
    await world.begin(acquired)
    await wait_until(lambda: len(world.lamp.calls) == 2 * MAX_ENTRY_REQUESTS, "two entries fill the room")
    assert " flags=U " in await world.reader_client(), "it is not blocked (b): it asks for no more"
    assert len(world.lamp.calls) == 2 * MAX_ENTRY_REQUESTS
    world.lamp.may_end.set()
    await wait_until(lambda: len(world.answers) == (READS_AHEAD + 1) * MAX_ENTRY_REQUESTS, "all are answered")


async def test_a_read_that_is_refused_does_not_cost_what_later_ones_bring(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    await world.begin()
    client_id = (await world.reader_client()).split()[0].removeprefix("id=")
    assert await world.link.call("CLIENT", "UNBLOCK", client_id, "ERROR") == 1
    await wait_until(lambda: "UNBLOCKED" in caplog.text, "the log tells of it")
    await world.add()
    await wait_until(lambda: world.answers == {1: 1}, "it is answered")


async def test_a_group_that_is_gone_is_made_anew_once(world: World) -> None:
    tenure, _ = await world.begin()
    (before,) = await world.groups()
    await world.link.call("XGROUP", "DESTROY", world.store.keys.requests, before)
    await world.add()
    await wait_until(lambda: world.answers == {1: 1}, "it is answered")
    (after,) = await world.groups()
    assert after != before
    await world.add()
    await wait_until(lambda: world.answers == {1: 1, 2: 2}, "it is answered")
    assert await world.groups() == [after]
    assert tenure.is_open


async def test_another_owner_ends_it(world: World) -> None:
    tenure, task = await world.begin()
    await own(world.store, nonce="b2")
    await asyncio.wait_for(task, 10)
    assert not tenure.is_open
    assert not tenure.may_start()


async def test_a_release_waits_for_what_runs_and_leaves_what_did_not_start_to_the_next_owner(world: World) -> None:
    tenure, task = await world.begin()
    await world.add("wait")
    await wait_until(lambda: world.lamp.calls == [1], "the first runs")
    tenure.is_gate_open = False
    left = [await world.add(), await world.add()]
    desk = tenure._desk
    assert desk is not None
    await wait_until(lambda: desk.in_flight == 3, "all are on the desk")
    release = asyncio.create_task(tenure.release(10.0))
    await wait_until(lambda: not tenure.is_open, "it releases")
    assert not release.done()
    world.lamp.may_end.set()
    await asyncio.wait_for(release, 10)
    await asyncio.wait_for(task, 10)
    await wait_until(lambda: world.answers == {1: 1}, "what ran is answered")
    record = await world.store.read_record()
    assert record is not None
    assert record.released
    next_owner = await own(world.store, nonce="b2")
    assert await read_entries(world.link, world.store, next_owner.group) == left
    assert world.lamp.calls == [1]


@pytest.mark.parametrize("is_lost", [False, True])
async def test_a_renewal_beside_a_release_is_no_loss(
    world: World, caplog: pytest.LogCaptureFixture, is_lost: bool
) -> None:
    """It is refused since the lease was given back: only what another owner has taken is told as a loss, and once."""
    tenure, task = await world.begin()
    if is_lost:
        await own(world.store, nonce="b2")
    # Both leave in one write, the release first: the renewal's answer is there before the release's task goes on.
    release = asyncio.create_task(tenure._give_back("0-0"))
    await asyncio.gather(release, tenure._renewals.renew())
    await asyncio.wait_for(task, 10)
    losses = [line for line in caplog.messages if "is not owned by this process any more" in line]
    assert len(losses) == is_lost


async def test_a_release_waits_until_redis_has_what_was_published(world: World) -> None:
    """Its memory is full when the owner is told to end, and is freed a little later: no event is lost in silence."""
    tenure, task = await world.begin()
    await fill_memory(world.link)
    world.lamp.publish("event", "the last one")
    publisher = tenure._publisher
    assert publisher is not None
    await wait_until(lambda: publisher._is_held, "Redis does not take it")
    release = asyncio.create_task(tenure.release(10.0))
    await wait_until(lambda: not tenure.is_open, "it releases")
    await free_memory(world.link)
    await asyncio.wait_for(release, 10)
    await asyncio.wait_for(task, 10)
    assert await world.store.heads() == {"event": 1}


async def test_what_does_not_end_in_time_is_answered_as_unknown(world: World) -> None:
    tenure, task = await world.begin()
    await world.add("wait")
    await wait_until(lambda: world.lamp.calls == [1], "it runs")
    await tenure.release(0.0)
    await asyncio.wait_for(task, 10)
    await wait_until(lambda: world.answers == {1: errors.OUTCOME_UNKNOWN.code}, "it is answered")
    assert await world.stream_length() == 0


async def test_a_call_that_holds_the_objects_thread_does_not_keep_the_lease(
    world: World, objects_loop: asyncio.AbstractEventLoop
) -> None:
    tenure, task = await world.begin(objects_loop=objects_loop)
    await world.add("hold")
    await wait_until(lambda: world.lamp.calls == [1], "it runs")
    await asyncio.wait_for(tenure.release(0.0), 10)
    record = await world.store.read_record()
    assert record is not None
    assert record.released
    await wait_until(lambda: world.answers == {1: errors.OUTCOME_UNKNOWN.code}, "it is answered")
    assert not world.lamp.may_return.is_set()
    world.lamp.may_return.set()
    await asyncio.wait_for(task, 10)


async def test_a_fault_of_the_renewals_ends_it(world: World) -> None:
    """Else nobody would renew, nothing would start, and nobody would be told."""
    tenure, task = await world.begin()

    def fail() -> None:
        raise RuntimeError("a fault")

    desk: Any = tenure._desk
    desk.resend = fail
    with pytest.raises(RuntimeError, match="a fault"):
        await asyncio.wait_for(task, 10)
    assert not tenure.is_open


async def declared(world: World) -> set[str]:
    return {name.decode() for name in await world.link.call("HKEYS", world.store.keys.channels)}


async def test_a_channel_that_came_while_redis_was_away_is_declared_afterwards(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    await world.begin()
    lamp: Any = world.lamp
    world.commands_relay.is_refusing = True
    world.commands_relay.cut()
    await wait_until(lambda: not world.commands.connected, "it is away")
    lamp.tracked_channel_values["late"] = 1
    await wait_until(lambda: "were not declared" in caplog.text, "it is refused")
    world.commands_relay.is_refusing = False
    await wait_until(lambda: is_declared(world, "late"), "it is declared")
    await wait_until(lambda: has_value(world, "late", b"1"), "its value is there")


async def is_declared(world: World, channel: str) -> bool:
    return channel in await declared(world)


async def test_a_channel_that_was_removed_and_is_there_again_keeps_what_redis_has(world: World) -> None:
    await world.begin()
    lamp: Any = world.lamp
    values = lamp.tracked_channel_values
    values["there"] = values["gone"] = 1
    await wait_until(lambda: is_declared(world, "gone"), "both are declared")
    del values["there"], values["gone"]
    await asyncio.sleep(0)  # the removal is on its way to the I/O thread
    values["there"] = 2
    await wait_until(lambda: has_value(world, "there", b"2"), "its new value is there")
    await wait_until(lambda: is_gone(world, "gone"), "the other one is gone")
    assert await declared(world) == {"there", "event"}
    assert await world.store.retained() == {"there": (3, b"2")}


async def has_value(world: World, channel: str, value: bytes) -> bool:
    return (await world.store.retained()).get(channel, (0, b""))[1] == value


async def is_gone(world: World, channel: str) -> bool:
    return channel not in await declared(world)


async def test_a_cancellation_reaches_the_call(world: World) -> None:
    tenure, _ = await world.begin()
    await world.add("wait")
    await wait_until(lambda: world.lamp.calls == [1], "it runs")
    tenure.cancel("me", 1)
    await wait_until(lambda: world.answers == {1: errors.CANCELLED.code}, "it is answered")


async def test_a_clock_that_was_set_back_is_told_once(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(upkeep, "PERIOD_S", 0.0)
    tenure, _ = await world.begin()
    assert world.link.server is not None
    in_an_hour = f"{world.link.server.run_id}:{world.now_ms() + 3600_000}"
    await world.link.call("HSET", world.store.keys.log, "since", in_an_hour)
    await tenure.release(5.0)
    tenure, _ = await world.begin(await own(world.store, nonce="b2"))
    renewals = await world.link.call("HGET", world.store.keys.owner, "renewals")

    async def is_renewed_again() -> bool:
        return int(await world.link.call("HGET", world.store.keys.owner, "renewals")) > int(renewals) + 2

    await wait_until(is_renewed_again, "the lease is renewed more than once")
    assert caplog.text.count("Redis' clock was set back") == 1
