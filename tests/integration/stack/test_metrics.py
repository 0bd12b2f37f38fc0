"""What `/metrics` says, after a known number of everything."""

import asyncio
import functools
import socket
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import httpx
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.integration.stack.conftest import MakeStack
from tests.integration.stack.gate import Gate
from tests.support.relay import Relay
from tests.support.rpc_client import Client
from tests.support.stack import Frontend, RestartableRedis, Service, command, flags
from tests.support.waiting import wait_until
from wispy.broker.embedded import EmbeddedServer
from wispy.limits import FrontendLimit, ObjectLimit
from wispy.metrics import METRICS
from wispy.protocol import errors
from wispy.protocol.positions import parse_position
from wispy.worker.publisher import MAX_UNCONFIRMED

SAMPLE = "sample=served:Sample"


@pytest.fixture
def make_stack(make_stack: MakeStack) -> MakeStack:
    """In place of the package's: with metrics, which processes by themselves have only if they are told."""
    return functools.partial(make_stack, metrics="true", health_port=0)


class Scrape:
    """One look at `/metrics`."""

    def __init__(self, base: str) -> None:
        response = httpx.get(f"{base}/metrics", timeout=10, trust_env=False)
        assert response.status_code == 200, response.text
        assert response.headers["Content-Type"].startswith("text/plain; version=")
        self.families = list(text_string_to_metric_families(response.text))

    def of(self, name: str, **labels: str) -> float:
        """The sum of a name's series that have these labels."""
        return sum(
            sample.value
            for family in self.families
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def labels(self, label: str) -> set[str]:
        return {sample.labels[label] for family in self.families for sample in family.samples if label in sample.labels}


def base_of(service: Service) -> str:
    if isinstance(service, Frontend):
        return service.url
    return service.wait_until_says(r"health is told at (http://\S+)/healthz")[1]


async def scrape(service: Service) -> Scrape:
    return await asyncio.to_thread(Scrape, base_of(service))


async def scrape_until(service: Service, holds: Callable[[Scrape], bool], description: str) -> Scrape:
    seen: list[Scrape] = []

    async def look() -> bool:
        seen.append(await scrape(service))
        return holds(seen[-1])

    await wait_until(look, lambda: f"{description}: {[family.samples for family in seen[-1].families]}", 20)
    return seen[-1]


async def test_the_numbers_are_those_of_what_was_done(make_stack: MakeStack) -> None:
    stack = make_stack()
    worker, frontend = stack.worker(SAMPLE), stack.frontend()
    async with Client(frontend.websocket_url) as client, Client(frontend.websocket_url) as plain:
        await client.hello()
        await client.subscribe("sample.b")
        for number in range(20):
            assert await client.call("sample.test_sum", [number, 1]) == number + 1
        await client.error("sample.fail", ["x"])
        await client.error("sample.nothing")
        await plain.get("sample.limit")
        await client.set("sample.note", "x")
        here = await scrape(frontend)
    owner = await scrape(worker)

    requests = functools.partial(owner.of, "wispy_object_requests_total", object="sample", process="worker")
    assert requests(operation="call", outcome="ok") == 20
    assert requests(operation="call", outcome="failed") == 1
    assert requests(operation="call", outcome="refused") == 1
    assert requests(operation="get", outcome="ok") == requests(operation="set", outcome="ok") == 1
    assert requests() == 24
    assert owner.of("wispy_object_queue_seconds_count", object="sample") == 24
    assert owner.of("wispy_object_total_seconds_count", object="sample") == 24
    assert owner.of("wispy_object_run_seconds_count", object="sample") == 23, "one was refused"
    assert owner.of("wispy_object_run_seconds_bucket", object="sample", le="60.0") == 23
    assert 0 < owner.of("wispy_object_run_seconds_sum") <= owner.of("wispy_object_total_seconds_sum")
    assert owner.of("wispy_object_takeovers_total") == owner.of("wispy_object_owned") == 1
    assert owner.of("wispy_object_lease_losses_total") == owner.of("wispy_object_queue_length") == 0
    assert owner.of("wispy_ready") == owner.of("wispy_link_up", link="commands") == 1

    # And rpc.hello and rpc.subscribe.
    assert here.of("wispy_frontend_requests_total", process="frontend-0") == 26
    assert here.of("wispy_frontend_connections") == here.of("wispy_frontend_connections_opened_total") == 2
    assert here.of("wispy_frontend_sessions") == here.of("wispy_frontend_channels") == 1
    assert here.of("wispy_frontend_requests_in_flight") == 0
    for direction in ("in", "out"):
        assert here.of("wispy_frontend_websocket_bytes_total", direction=direction) > 24 * 40
    for each in (here, owner):
        names = {family.name for family in each.families}
        assert names <= {metric.name for metric in METRICS}, "each is in the table"
    assert "object" not in {label for family in here.families for sample in family.samples for label in sample.labels}


async def test_the_limits_of_an_object_are_counted(make_stack: MakeStack) -> None:
    stack = make_stack(**{"limits.reply_bytes": 100_000, "limits.snapshot_bytes": 5})
    worker, frontend = stack.worker("limited=limited:Limited"), stack.frontend()
    async with Client(frontend.websocket_url) as client:
        await client.call("limited.seldom", [])
        for _ in range(2):
            assert (await client.error("limited.seldom", [])).code == errors.RATE_LIMITED.code
        assert (await client.error("limited.large", [100_000])).code == errors.TOO_LARGE.code
        assert len(await client.call("limited.large", [90_000])) == 90_000

    def hits(seen: Scrape, limit: str) -> float:
        return seen.of("wispy_object_limit_hits_total", object="limited", limit=limit)

    seen = await scrape_until(worker, lambda seen: hits(seen, "snapshot_bytes") > 1, "states are refused")
    assert (hits(seen, "rate"), hits(seen, "reply_bytes")) == (2, 1)


async def test_each_metric_is_told_before_there_is_anything_to_tell(make_stack: MakeStack) -> None:
    """A counter that appears when it is 1 has never risen, as Prometheus sees it: no alert would tell of it."""
    stack = make_stack()
    told = [await scrape(each) for each in (stack.worker(SAMPLE), stack.frontend())]
    assert {family.name for each in told for family in each.families} == {metric.name for metric in METRICS}
    limits = set[str]().union(*(each.labels("limit") for each in told))
    assert limits == {*get_args(FrontendLimit), *get_args(ObjectLimit)}


async def test_how_long_a_call_took_and_waited(make_stack: MakeStack, tmp_path: Path) -> None:
    """One call holds the objects' thread; the one behind it waits."""
    stack = make_stack(**{"func_caller.max_start_delay_default": "30s"})
    worker, frontend = stack.worker(SAMPLE), stack.frontend()
    release = tmp_path / "release"
    async with Client(frontend.websocket_url) as client:
        await client.hello()
        held = asyncio.create_task(client.call("sample.hold", [str(release)]))
        behind = asyncio.create_task(client.call("sample.test_sum", [1, 2]))
        during = await scrape_until(
            worker, lambda scrape: scrape.of("wispy_object_queue_age_seconds") > 3.0, "one waits for a while"
        )
        assert during.of("wispy_object_running") == during.of("wispy_object_queue_length") == 1
        release.touch()
        assert (await held, await behind) == ("held", 3)
    after = await scrape(worker)
    for name, below, all_of_them in (("run", 1, 2), ("queue", 1, 2), ("total", 0, 2)):
        assert after.of(f"wispy_object_{name}_seconds_bucket", le="2.5") == below, name
        assert after.of(f"wispy_object_{name}_seconds_count") == all_of_them
    assert 1.0 < after.of("wispy_object_busy_seconds_total") <= after.of("wispy_object_run_seconds_sum") + 0.1
    assert after.of("wispy_object_running") == after.of("wispy_object_queue_length") == 0
    for each in (worker, frontend):
        told = await scrape(each)
        process = psutil.Process(each.pid)
        assert abs(told.of("wispy_start_time_seconds") - process.create_time()) < 10
        times = process.cpu_times()
        assert 0 < told.of("wispy_process_cpu_seconds_total") <= times.user + times.system + 0.1


async def test_deliveries_slow_readers_and_lag(make_stack: MakeStack) -> None:
    stack = make_stack(**{"websocket.write_buffer": 16384})
    worker, frontend = stack.worker(SAMPLE), stack.frontend()
    async with Client(frontend.websocket_url) as client:
        await client.subscribe("sample.a", "sample.b")
        for number in range(2, 7):
            await client.set("sample.a", number)
            await client.wait_for_update("sample.a", number)
        seen = await scrape_until(
            frontend, lambda scrape: scrape.of("wispy_frontend_delivery_lag_seconds_count") > 0, "a renewal came"
        )
        assert seen.of("wispy_frontend_deliveries_total") == 5
        assert seen.of("wispy_frontend_channels") == 2
        assert seen.of("wispy_frontend_slow_readers_total") == 0
        assert seen.of("wispy_frontend_delivery_lag_seconds_bucket", le="1.0") > 0
    await scrape_until(
        worker, lambda scrape: scrape.of("wispy_object_publish_seconds_count") >= 5, "the owner was told of each"
    )
    # A reader that reads nothing, and asks for nothing: its channel's updates are more than fits between.
    writer = await raw_subscriber(frontend, "sample.b")
    async with Client(frontend.websocket_url) as client:
        for number in range(60):
            await client.set("sample.b", "x" * 200_000 + str(number))
        slow = await scrape_until(
            frontend, lambda scrape: scrape.of("wispy_frontend_updates_conflated_total") > 0, "updates are conflated"
        )
        writer.transport.abort()
        assert slow.of("wispy_frontend_slow_readers_total") >= 1
        assert slow.of("wispy_frontend_updates_dropped_total") == 0
    # Of events none is skipped: too many are dropped, and told.
    writer = await raw_subscriber(frontend, "sample.alarm")
    async with Client(frontend.websocket_url) as client:
        for number in range(200):
            await client.call("sample.alarm", ["x" * 200_000 + str(number)])
        await scrape_until(
            frontend, lambda scrape: scrape.of("wispy_frontend_updates_dropped_total") > 0, "events are dropped"
        )
        writer.transport.abort()


async def raw_subscriber(frontend: Frontend, channel: str) -> asyncio.StreamWriter:
    """A websocket that has subscribed, and is not read any more."""
    url = httpx.URL(frontend.url)
    reader, writer = await asyncio.open_connection(url.host, url.port, limit=1024)
    key = "AAAAAAAAAAAAAAAAAAAAAA=="
    writer.write(
        f"GET /ws HTTP/1.1\r\nHost: {url.host}:{url.port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    await reader.readuntil(b"\r\n\r\n")
    text = f'{{"jsonrpc":"2.0","id":1,"method":"rpc.subscribe","params":{{"channels":["{channel}"]}}}}'.encode()
    assert len(text) < 126
    writer.write(bytes((0x81, 0x80 | len(text), 0, 0, 0, 0)) + text)  # a mask of zeros
    await reader.readuntil(b'"result":')
    return writer


async def test_a_take_over_is_counted_by_the_next_owner(make_stack: MakeStack) -> None:
    stack = make_stack(**{"lease.duration": "4s"})  # the owner is not held for dead before it is
    worker, standby = stack.worker(SAMPLE), stack.standby(SAMPLE)
    before = await scrape(standby)
    assert before.of("wispy_object_takeovers_total") == before.of("wispy_object_owned") == 0
    assert before.of("wispy_ready") == 1
    worker.kill()
    owner = await scrape_until(
        standby, lambda scrape: scrape.of("wispy_object_owned") == 1, "the standby has taken over"
    )
    assert owner.of("wispy_object_takeovers_total") == 1


async def test_a_redis_that_comes_again_without_its_data(make_stack: MakeStack, redis_server: RestartableRedis) -> None:
    stack = make_stack(redis_server.url)
    worker, frontend = stack.worker(SAMPLE), stack.frontend()
    async with Client(frontend.websocket_url) as client:
        await client.subscribe("sample.a")
        redis_server.stop()
        await scrape_until(
            frontend,
            lambda scrape: scrape.of("wispy_ready") == 0 and scrape.of("wispy_link_up") == 0,
            "the frontend is not ready, and none of its links is up",
        )
        redis_server.start()
        here = await scrape_until(
            frontend, lambda scrape: scrape.of("wispy_frontend_gaps_recovered_total") > 0, "the channel goes on"
        )
    assert here.of("wispy_frontend_gaps_total") >= here.of("wispy_frontend_gaps_recovered_total")
    here = await scrape_until(frontend, lambda scrape: scrape.of("wispy_link_up") == 2, "its links are up again")
    # The worker may not have missed its lease yet: Redis answers the frontend first. Its links come back one by one.
    owner = await scrape_until(
        worker,
        lambda scrape: scrape.of("wispy_object_takeovers_total") >= 2 and scrape.of("wispy_ready") == 1,
        "the object is taken again",
    )
    assert owner.of("wispy_object_owned") == 1
    assert owner.of("wispy_object_takeovers_total") == owner.of("wispy_object_lease_losses_total") + 1
    for each in (here, owner):
        for link in ("commands", "subscription"):
            assert each.of("wispy_link_reconnects_total", link=link) >= 1
            assert each.of("wispy_link_up", link=link) == 1


async def test_events_that_history_has_no_more(make_stack: MakeStack, valkey_server: EmbeddedServer) -> None:
    """A frontend is deaf while more is published than is kept."""
    async with Relay(valkey_server.url) as relay:
        stack = make_stack(**{"redis.probe_interval": 1})
        await asyncio.to_thread(stack.worker, SAMPLE)
        hearing = await asyncio.to_thread(stack.frontend)
        frontend = await asyncio.to_thread(stack.frontend, "--redis", relay.url)
        async with Client(frontend.websocket_url) as client:
            await client.subscribe("sample.alarm")
            relay.is_deafening = True
            deaf = await scrape_until(
                frontend, lambda scrape: scrape.of("wispy_subscription_deaf") == 1, "the frontend is deaf"
            )
            assert deaf.of("wispy_ready") == deaf.of("wispy_frontend_gaps_told_total") == 0
            async with Client(hearing.websocket_url) as other:

                async def is_told_of_a_gap() -> bool:
                    # 5 are kept. The frontend looks at them now and then, which may be in between.
                    for number in range(8):
                        await other.call("sample.alarm", [str(number)])
                    return (await scrape(frontend)).of("wispy_frontend_gaps_told_total") >= 1

                await wait_until(is_told_of_a_gap, "more than history has is missed", 20)
            await wait_until(lambda: client.notifications("rpc.gap"), "the subscriber is told")
            relay.is_deafening = False
            await scrape_until(
                frontend, lambda scrape: scrape.of("wispy_subscription_deaf") == 0, "the frontend hears again"
            )
        await asyncio.to_thread(stack.close)


async def test_updates_that_redis_takes_too_late(
    make_stack: MakeStack, redis_server: RestartableRedis, gate: Gate
) -> None:
    """More than the owner keeps: what is counted is what its readers are told of, to the last one."""
    number = MAX_UNCONFIRMED + 1000
    stack = make_stack(redis_server.url)
    worker, frontend = stack.worker(SAMPLE), stack.frontend()
    async with Client(frontend.websocket_url) as client:
        await client.subscribe("sample.log")
        logging = await client.start("sample.log_after", [gate.path, number])
        await gate.wait_until_reached()
        redis_server.ask("CONFIG", "SET", "maxmemory", 1)
        gate.open()
        owner = await scrape_until(
            worker, lambda scrape: scrape.of("wispy_object_updates_dropped_total") > 0, "updates are dropped"
        )
        redis_server.ask("CONFIG", "SET", "maxmemory", 0)
        assert "result" in await logging
        await wait_until(lambda: client.updates("sample.log")[-1:] == [number], "the last one has come", 20)
        owner = await scrape(worker)
        gaps = [
            (parse_position(gap["from"])[1], parse_position(gap["to"])[1]) for gap in client.notifications("rpc.gap")
        ]
        missing = sum(last - first + 1 for first, last in gaps)
        assert len(client.updates("sample.log")) + missing == number
        dropped = owner.of("wispy_object_updates_dropped_total", object="sample")
        assert MAX_UNCONFIRMED // 2 < dropped <= missing
        assert owner.of("wispy_object_updates_dropped_total") == dropped


async def test_limits_that_were_hit(make_stack: MakeStack) -> None:
    stack = make_stack(**{"limits.subscriptions_per_connection": 1, "limits.connections": 1})
    stack.worker(SAMPLE)
    frontend = stack.frontend()
    async with Client(frontend.websocket_url) as client:
        await client.subscribe("sample.a")
        await client.error("rpc.subscribe", {"channels": ["sample.b"]})
        with pytest.raises(Exception, match="503"):
            async with Client(frontend.websocket_url):
                pass
        seen = await scrape(frontend)
    hits = functools.partial(seen.of, "wispy_frontend_limit_hits_total")
    assert hits(limit="subscriptions_per_connection") == hits(limit="connections") == hits() / 2 == 1


async def test_what_a_worker_turns_away(make_stack: MakeStack) -> None:
    stack = make_stack(**{"limits.reply_bytes": "64KiB"})
    worker, frontend = stack.worker(SAMPLE), stack.frontend()
    async with Client(frontend.websocket_url) as client:
        await client.error("sample.large", [1 << 17])
        await client.error("rpc.set", {"path": "sample.a"})  # to what?
    seen = await scrape(worker)
    assert (
        seen.of("wispy_object_limit_hits_total", limit="reply_bytes") == seen.of("wispy_object_limit_hits_total") == 1
    )
    assert seen.of("wispy_object_requests_turned_away_total", object="sample") == 1


async def test_any_process_tells_of_all(make_stack: MakeStack) -> None:
    """Two processes share the port: each connection, and each scrape, comes to one of them."""
    stack = make_stack(multiprocessed="true")
    stack.worker(SAMPLE)
    frontend = stack.frontend("--processes", "2")
    await scrape_until(
        frontend, lambda scrape: scrape.labels("process") == {"frontend-0", "frontend-1"}, "both processes are told of"
    )
    for _ in range(20):
        assert "result" in await asyncio.to_thread(frontend.post, "sample.test_sum", 1, 2)
    for _ in range(5):  # whichever of the two it comes to, unless the other one is too busy to tell it in time
        await scrape_until(
            frontend, lambda scrape: scrape.of("wispy_frontend_requests_total") == 20, "those of both are counted"
        )


async def test_a_port_of_its_own_tells_of_all_processes(make_stack: MakeStack) -> None:
    """Also while `metrics` is on: the public port shows nothing of it."""
    stack = make_stack(multiprocessed="true", metrics_port=0)
    stack.worker(SAMPLE)
    frontend = stack.frontend("--processes", "2")
    base = frontend.wait_until_says(r"metrics are told at (http://\S+)/metrics")[1]

    async def tells_of_both() -> bool:
        return (await asyncio.to_thread(Scrape, base)).labels("process") == {"frontend-0", "frontend-1"}

    await wait_until(tells_of_both, "both processes are told of")
    for path, url in (("/metrics", frontend.url), ("/", base), ("/rpc", base)):
        response = await asyncio.to_thread(httpx.get, f"{url}{path}", trust_env=False, timeout=30)
        assert response.status_code == 404, f"{url}{path}"


def test_a_metrics_port_in_use_is_told(make_stack: MakeStack) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        stack = make_stack()
        settings = flags({"port": 0, "redis.url": stack.redis_url, "metrics_port": port})
        frontend = stack.run([command("wispy-frontend"), *settings])
        assert frontend.wait() != 0
    assert frontend.says(f"cannot listen on 127.0.0.1, port {port}: .*; choose another one with `metrics_port: N`")


async def test_metrics_are_served_where_they_are_wanted(make_stack: MakeStack) -> None:
    stack = make_stack(metrics="auto")
    frontend = stack.frontend()
    response = await asyncio.to_thread(httpx.get, f"{frontend.url}/metrics", trust_env=False, timeout=30)
    assert response.status_code == 404, "a frontend by itself may stand behind a proxy, for all the world"
