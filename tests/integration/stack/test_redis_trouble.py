"""Redis in trouble under load, and what each call is told then: the books must balance."""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.integration.stack.conftest import MakeStack
from tests.support.books import Books
from tests.support.relay import Relay
from tests.support.rpc_client import Client
from tests.support.sentinel import SentinelDeployment
from tests.support.stack import Frontend, RestartableRedis, Stack
from tests.support.waiting import wait_until
from wispy.broker.embedded import EmbeddedServer
from wispy.protocol import errors
from wispy.protocol.positions import parse_position

BOOKS = "books=served:Books"
KILLS = 6
CALLS = 30
"""Results that show that calls run."""


@pytest.fixture
def lasting_redis(tmp_path: Path) -> Iterator[RestartableRedis]:
    """With an append-only file; running."""
    folder = tmp_path / "data"
    folder.mkdir()
    server = RestartableRedis(folder)
    server.start()
    yield server
    server.stop()


@asynccontextmanager
async def load(stack: Stack, folder: Path) -> AsyncIterator[Books]:
    """A session and a plain client that call; at the end calls run, the books balance, and a value is up to date."""
    url = next(service.websocket_url for service in stack.services if isinstance(service, Frontend))
    async with Client(url) as client, Client(url) as plain:
        await client.hello()
        await plain.subscribe("books.newest")
        async with Books(folder / "executions", client, plain) as books:
            await books.wait_for_more()
            yield books
            await books.wait_for_more()
        books.check()
        last = (folder / "executions").read_text().split()[-1]
        await plain.wait_for_update("books.newest", last)
        # (The value may: an owner that has acquired anew states it again, as an update of its own epoch.)
        positions = [update["at"] for update in plain.notifications("rpc.update", "books.newest")]
        assert len(set(positions)) == len(positions), "no update came twice"
    for service in stack.services:
        assert service.is_running
        assert "Traceback" not in service.output


def serve(make_stack: MakeStack, url: str, *, standby: bool = False) -> Stack:
    stack = make_stack(url)
    stack.worker(BOOKS)
    if standby:
        stack.standby(BOOKS)
    stack.frontend()
    return stack


async def test_a_restart_that_loses_the_data(
    make_stack: MakeStack, redis_server: RestartableRedis, tmp_path: Path
) -> None:
    stack = serve(make_stack, redis_server.url)
    async with load(stack, tmp_path):
        redis_server.stop()
        redis_server.start()


async def test_an_object_whose_owner_has_not_noticed_that_redis_lost_all_is_not_called_absent(
    make_stack: MakeStack, redis_server: RestartableRedis
) -> None:
    stack = serve(make_stack, redis_server.url)
    worker, frontend = stack.services[0], stack.first_frontend

    def answer(name: str = "books") -> int | None:
        """Its code, or None: a result."""
        return frontend.post(f"{name}.note", "/dev/null", "key").get("error", {}).get("code")

    assert answer() is None
    worker.send(signal.SIGSTOP)
    await asyncio.to_thread(redis_server.stop)
    await asyncio.to_thread(redis_server.start)
    codes: list[int | None] = []

    def answered(*, ends: int | None) -> bool:
        codes.append(answer())
        return codes[-1] == ends

    await wait_until(lambda: answered(ends=errors.NO_OWNER.code), lambda: f"Redis is back: {set(codes)}")
    assert answer("absent") == errors.NOT_FOUND.code
    worker.send(signal.SIGCONT)
    await wait_until(lambda: answered(ends=None), lambda: f"calls run again: {set(codes)}")
    assert errors.NOT_FOUND.code not in codes


async def test_events_that_are_lost_with_redis_are_named_exactly(
    make_stack: MakeStack, redis_server: RestartableRedis
) -> None:
    """The owner goes on publishing while Redis is away, and comes back to one without data: it knows its numbers."""
    stack = make_stack(redis_server.url)
    stack.worker("clock=served:Clock")
    frontend = stack.frontend()
    async with Client(frontend.websocket_url) as client:
        await client.subscribe("clock.tick")
        await wait_until(lambda: len(client.updates("clock.tick")) > CALLS, "events come")
        await asyncio.to_thread(redis_server.stop)
        last = client.updates("clock.tick")[-1]
        await asyncio.to_thread(redis_server.start)
        await wait_until(lambda: client.updates("clock.tick")[-1] > last, "events come again", 20)
        numbers = client.updates("clock.tick")
        missing = sorted(set(range(numbers[0], numbers[-1])) - set(numbers))
        (gap,) = client.notifications("rpc.gap")
        assert missing, "some were published in vain"
        (epoch, first), (same_epoch, end) = parse_position(gap["from"]), parse_position(gap["to"])
        assert epoch == same_epoch, "their number is known"
        positions = {update["value"]: parse_position(update["at"])[1] for update in client.notifications("rpc.update")}
        assert (first, end) == (positions[missing[0] - 1] + 1, positions[missing[-1] + 1] - 1)
        # What it says while it is let go of, between two leases, has no number: an event or two, or many where
        # the machine is busy.
        assert 0 < end - first + 1 <= len(missing)
        at = client.notifications("rpc.update")[0]["at"]
        async with Client(stack.frontend().websocket_url) as other:
            await other.subscribe("clock.tick", since={"clock.tick": at})
            await wait_until(lambda: bool(other.updates("clock.tick")), "another one goes on from before")
            (named,) = other.notifications("rpc.gap")
            assert parse_position(named["from"])[1] == parse_position(at)[1] + 1
            next_one = other.notifications("rpc.update")[0]["at"]
            assert parse_position(named["to"])[1] == parse_position(next_one)[1] - 1


async def test_a_restart_that_keeps_the_data(
    make_stack: MakeStack, lasting_redis: RestartableRedis, tmp_path: Path
) -> None:
    stack = serve(make_stack, lasting_redis.url, standby=True)
    async with load(stack, tmp_path):
        lasting_redis.stop()
        lasting_redis.start()


async def test_a_server_that_loads_its_data_for_a_while(
    make_stack: MakeStack, lasting_redis: RestartableRedis, tmp_path: Path
) -> None:
    for number in range(200):
        lasting_redis.ask("SET", f"other-{number}", "x" * 1000)
    lasting_redis.ask("CONFIG", "SET", "aof-use-rdb-preamble", "yes")
    lasting_redis.ask("BGREWRITEAOF")
    await wait_until(
        lambda: lasting_redis.ask("INFO", "persistence")["aof_rewrite_in_progress"] == 0, "the data is an RDB file"
    )
    stack = serve(make_stack, lasting_redis.url)
    async with load(stack, tmp_path):
        lasting_redis.stop()
        # 10 ms for each of the 200 keys; what connects meanwhile is answered LOADING.
        slowly = ("--key-load-delay", "10000", "--loading-process-events-interval-bytes", "1024")
        await asyncio.to_thread(lasting_redis.start, *slowly)
    assert any("loading its data" in service.output for service in stack.services)


@pytest.mark.parametrize("kind", ["normal", "pubsub"])
async def test_connections_that_are_killed_again_and_again(
    make_stack: MakeStack, redis_server: RestartableRedis, tmp_path: Path, kind: str
) -> None:
    stack = serve(make_stack, redis_server.url, standby=True)
    async with load(stack, tmp_path) as books:
        for _ in range(3):
            assert redis_server.ask("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes") > 0
            await books.wait_for_more()
    assert not books.executed("yes")


async def test_calls_keep_their_order_when_what_the_owner_was_to_read_is_lost(
    make_stack: MakeStack, valkey_server: EmbeddedServer, tmp_path: Path
) -> None:
    """The owner's connections break while a read is on the way: what was in it comes again, before what came since."""
    async with Relay(valkey_server.url) as relay:
        stack = make_stack(**{"lease.duration": "10s"})
        through_it = {"redis.url": relay.url}
        worker = await asyncio.to_thread(lambda: stack.worker(BOOKS, **through_it))  # pyright: ignore[reportArgumentType] # it is a setting's name
        url = stack.frontend().websocket_url
        async with Client(url) as client, Client(url) as other:
            await client.hello()
            more: list[asyncio.Future[dict[str, Any]]] = []

            async def one_more_is_unread() -> bool:
                """On a busy machine all the others may have been in the read that is lost, and none come since."""
                more.append(await other.start("books.note", [str(tmp_path / "others"), f"{len(more)}"]))
                return is_unread(valkey_server, stack)

            async with Books(tmp_path / "executions", client, parallel=40, method="books.note_and_linger") as books:
                for _ in range(KILLS):
                    await books.wait_for_more()
                    relay.is_swallowing = True
                    await wait_until(one_more_is_unread, "a read is lost, and more is to be read")
                    relay.cut()
                    relay.is_swallowing = False
            books.check()
            assert books.results == len(books.sent), "nothing is doubtful"
            assert all("result" in answer for answer in await asyncio.gather(*more))
        assert await asyncio.to_thread(worker.stop) == 0


def is_unread(server: EmbeddedServer, stack: Stack) -> bool:
    """Whether there are entries that no owner has received: it reads at once, unless it waits for a lost answer."""
    with redis.Redis(unix_socket_path=server.url.removeprefix("unix://"), protocol=2) as connection:
        requests = f"{stack.prefix}{{books}}:requests"
        newest = connection.xinfo_stream(requests)["last-generated-id"]
        return connection.xinfo_groups(requests)[0]["last-delivered-id"] != newest


async def test_a_clock_that_is_set_forward(make_stack: MakeStack, valkey_server: EmbeddedServer) -> None:
    """As a laptop's that has slept, with all that runs on it: sessions are told, and what they ask is not too old."""
    async with Relay(valkey_server.url) as relay:
        stack = make_stack(redis_url=relay.url)
        await asyncio.to_thread(stack.worker, "sample=served:Sample")
        frontend = await asyncio.to_thread(stack.frontend)
        async with Client(frontend.websocket_url) as client:
            welcome = await client.hello()
            relay.ahead_s = 3600

            def is_told() -> bool:
                clocks = client.notifications("rpc.clock")
                return any(each["run"] == welcome["run"] and each["ms"] > welcome["ms"] + 3600_000 for each in clocks)

            await wait_until(is_told, "the session is told of the clock")
            assert await client.call("sample.test_sum", [4, 5]) == 9


async def test_scripts_that_are_flushed(make_stack: MakeStack, redis_server: RestartableRedis, tmp_path: Path) -> None:
    stack = serve(make_stack, redis_server.url)
    async with load(stack, tmp_path) as books:
        for _ in range(5):
            redis_server.ask("SCRIPT", "FLUSH")
            await books.wait_for_more()
    assert books.results == len(books.sent), "nobody notices"


async def test_a_stream_that_is_deleted_is_made_again(
    make_stack: MakeStack, redis_server: RestartableRedis, tmp_path: Path
) -> None:
    stack = serve(make_stack, redis_server.url)
    frontend = stack.first_frontend
    for number in range(3):
        redis_server.ask("DEL", f"{stack.prefix}{{books}}:requests")
        await wait_until(
            lambda number=number: "result" in frontend.post("books.note", str(tmp_path / "notes"), f"{number}"),
            "calls run again",
        )
    assert " ERROR " not in stack.services[0].output
    assert stack.services[0].output.count("is served here") == 1, "the owner is the same"


async def test_memory_that_is_full_and_freed(
    make_stack: MakeStack, redis_server: RestartableRedis, tmp_path: Path
) -> None:
    stack = serve(make_stack, redis_server.url)

    def renewals() -> int:
        return int(redis_server.ask("HGET", f"{stack.prefix}{{books}}:owner", "renewals"))

    async with load(stack, tmp_path) as books:
        redis_server.ask("CONFIG", "SET", "maxmemory", 1)
        await wait_until(lambda: len(books.executed("no")) > CALLS, "calls are refused")
        count = renewals()
        await wait_until(lambda: renewals() > count + 1, "renewals pass")
        redis_server.ask("CONFIG", "SET", "maxmemory", 0)
    assert not books.executed("maybe"), "what Redis refuses for certain did not run for certain"
    refusals = [answer["error"] for answer in books.answers.values() if "error" in answer]
    assert all(refusal["data"]["retryable"] for refusal in refusals)
    assert "not owned by this process any more" not in stack.services[0].output


async def test_a_failover_by_sentinel(
    make_stack: MakeStack, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    with SentinelDeployment(tmp_path_factory.mktemp("sentinel")) as deployment:
        stack = serve(make_stack, deployment.url, standby=True)
        async with load(stack, tmp_path) as books:
            killed = deployment.kill_master()
        assert books.executed("maybe") or books.executed("no")
        (left,) = (port for port in deployment.servers if port != killed)
        assert deployment.ask(left, "ROLE")[0] == "master"
        stack.close()


async def test_a_master_that_comes_back_as_a_replica_is_not_used(
    make_stack: MakeStack, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    with SentinelDeployment(tmp_path_factory.mktemp("sentinel")) as deployment:
        stack = serve(make_stack, deployment.url)
        async with load(stack, tmp_path) as books:
            killed = deployment.kill_master()
            await books.wait_for_more()
            deployment.start_server(killed)
            await wait_until(lambda: deployment.ask(killed, "ROLE")[0] == "slave", "it is a replica now", 30)
        stack.close()
