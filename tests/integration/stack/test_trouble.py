"""Workers, frontends and Redis that go away and come back, while clients are at work."""

import asyncio
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from websockets.exceptions import InvalidStatus

from tests.integration.stack.conftest import MakeStack
from tests.integration.stack.gate import Gate
from tests.support.leaks import is_alive
from tests.support.rpc_client import Client, RemoteError, result
from tests.support.stack import RestartableRedis, Service
from tests.support.waiting import wait_until, wait_until_blocking

SAMPLE = "sample=served:Sample"


async def wait_until_served(client: Client) -> None:
    """Ask until there is a result; no error on the way may claim that the call ran."""

    async def answers() -> bool:
        answer = await (await client.start("sample.test_sum", [1, 2]))
        assert "result" in answer or answer["error"]["data"]["executed"] in ("no", "maybe"), answer
        return "result" in answer

    await wait_until(answers, "sample is served")


# --- workers ----------------------------------------------------------------------------------------------------------


async def test_without_a_worker_there_is_an_error_in_time_and_success_once_there_is_one(make_stack: MakeStack) -> None:
    start_delay_s = 4.0
    stack = make_stack(**{"func_caller.max_start_delay_default": start_delay_s})
    frontend = stack.frontend()
    async with Client(frontend.websocket_url) as client:
        assert (await client.error("sample.test_sum", [1, 2])).code == -32001, "nobody has ever heard of it"
        worker = stack.worker(SAMPLE)
        assert await client.call("sample.test_sum", [1, 2]) == 3
        assert worker.stop() == 0

        began = time.monotonic()
        error = await client.error("sample.note_run", ["too early"])
        assert time.monotonic() - began < start_delay_s + 5
        assert (error.code, error.data) == (-32005, {"executed": "no", "retryable": True})
        assert frontend.post("sample.note_run", "too early")["error"]["code"] == -32005

        stack.worker(SAMPLE)
        assert await client.call("sample.test_sum", [1, 2]) == 3
        assert await client.get("sample.ran") == [], "what was answered `executed: no` never runs"


async def test_a_request_that_waits_for_a_worker_is_taken_up_by_it(make_stack: MakeStack) -> None:
    stack = make_stack(**{"func_caller.max_start_delay_default": "20s"})
    stack.worker(SAMPLE).stop()
    async with Client(stack.frontend().websocket_url) as client:
        await client.hello()
        waiting = await client.start("sample.test_sum", [1, 2])
        stack.worker(SAMPLE)
        assert result(await waiting) == 3


async def test_a_worker_that_ends_hands_over_without_a_failed_call(make_stack: MakeStack) -> None:
    stack = make_stack(**{"lease.duration": "10s"})  # nobody waits for any part of it, nor is held for dead
    owner = stack.worker(SAMPLE)
    stack.standby(SAMPLE)
    frontend = stack.frontend()
    async with Client(frontend.websocket_url) as client:
        await client.hello()
        await client.subscribe("sample.b")
        await client.set("sample.b", "kept")
        calls = Calls(client)
        async with calls:
            await wait_until(lambda: len(calls.answers) > 20, "calls run")
            owner.send(signal.SIGTERM)
            await wait_until(lambda: not owner.is_running, "the owner ends")
            count = len(calls.answers)
            await wait_until(lambda: len(calls.answers) > count + 20, "calls run at the next owner")
        assert not [answer for answer in calls.answers if "error" in answer]
        assert owner.process.returncode == 0
        # The next owner goes on with the value that the former one had published.
        async with Client(frontend.websocket_url) as other:
            assert (await other.subscribe("sample.b"))["sample.b"]["value"] == "kept"
        await client.set("sample.b", "after")
        await client.wait_for_update("sample.b", "after")


class Calls:
    """Calls one after the other, until the block ends; each answer is kept."""

    def __init__(self, client: Client, method: str = "sample.note_run") -> None:
        self._client = client
        self._method = method
        self._is_over = False
        self.answers: list[dict[str, Any]] = []

    async def __aenter__(self) -> "Calls":
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._is_over = True
        await asyncio.wait_for(self._task, 30)

    async def _run(self) -> None:
        while not self._is_over:
            futures = [await self._client.start(self._method, [f"call {each}"]) for each in range(3)]
            self.answers += await asyncio.gather(*futures)


async def test_a_killed_worker_is_replaced_within_two_leases(make_stack: MakeStack, tmp_path: Path) -> None:
    lease_s = 4.0
    stack = make_stack(**{"lease.duration": lease_s, "func_caller.max_start_delay_default": "20s"})
    owner = stack.worker(SAMPLE)
    standby = stack.standby(SAMPLE)
    async with Client(stack.frontend().websocket_url) as client:
        await client.hello()
        lost = await client.start("sample.wait", [str(tmp_path / "never")])
        await wait_until((tmp_path / "never.started").exists, "a call runs")
        owner.kill()
        killed = time.monotonic()
        assert await client.call("sample.test_sum", [1, 2]) == 3
        assert time.monotonic() - killed < 2 * lease_s
        error = RemoteError((await lost)["error"])
        assert (error.code, error.data["executed"]) == (-32006, "maybe")
        await wait_until(lambda: standby.says("sample is served here"), "the standby says that it serves")


async def test_a_fenced_owner_answers_nothing_and_becomes_a_standby(make_stack: MakeStack, gate: Gate) -> None:
    stack = make_stack()
    former = stack.worker(SAMPLE)
    standby = stack.standby(SAMPLE)
    frontend = stack.frontend()
    async with Client(frontend.websocket_url) as client:
        await client.hello()
        lost = await client.start("sample.wait", [gate.path])
        await gate.wait_until_reached()
        former.send(signal.SIGSTOP)
        await wait_until(lambda: standby.says("is served here"), "the standby takes over")
        assert RemoteError((await lost)["error"]).code == -32006
        await client.set("sample.note", "of the new owner")
        await client.subscribe("sample.b")

        gate.open()
        former.send(signal.SIGCONT)
        await wait_until(lambda: former.says("this one stands by"), "the former owner stands by")
        await wait_until(lambda: former.says("not owned by this process any more"), "it says why")
        assert await client.get("sample.note") == "of the new owner"
        answers = [message for message in client.received if message.get("id") == 2]
        assert len(answers) == 1, "a request is answered once"
        assert not client.updates("sample.b")

        standby.kill()
        await wait_until_served(client)
        await client.set("sample.b", "third")
        await client.wait_for_update("sample.b", "third")


# --- frontends --------------------------------------------------------------------------------------------------------


async def test_a_frontend_that_ends_answers_what_is_in_flight_and_says_goodbye(
    make_stack: MakeStack, gate: Gate
) -> None:
    stack = make_stack()
    stack.worker(SAMPLE)
    frontend = stack.frontend()
    async with Client(frontend.websocket_url) as client:
        await client.hello()
        waiting = await client.start("sample.wait", [gate.path])
        await gate.wait_until_reached()
        frontend.send(signal.SIGTERM)
        await wait_until(lambda: client.notifications("rpc.closing"), "the frontend says that it closes")
        assert client.notifications("rpc.closing")[0]["reconnect_in_ms"] >= 0
        assert frontend.readiness() == (503, "draining\n")
        with pytest.raises(InvalidStatus, match="503"):
            async with Client(frontend.websocket_url):
                pass
        assert not waiting.done()
        gate.open()
        assert result(await waiting) == "waited"
        assert await client.wait_until_closed() == 1001
    assert frontend.wait() == 0


def test_frontend_processes_share_a_port_and_are_replaced(make_stack: MakeStack) -> None:
    stack = make_stack(multiprocessed="true")
    stack.worker("quiet=served:quiet")
    frontend = stack.frontend("--processes", "2")

    def children() -> list[psutil.Process]:
        return psutil.Process(frontend.pid).children()

    assert len(children()) == 2
    wait_until_blocking(
        lambda: {frontend.post("quiet.ping").get("result") for _ in range(20)} == {"pong"}, "both processes serve"
    )
    victim = children()[0]
    victim.kill()
    wait_until_blocking(
        lambda: len(children()) == 2 and victim.pid not in {child.pid for child in children()},
        lambda: f"the process is replaced: {frontend.output}",
    )
    frontend.wait_until_says("a frontend process ended")

    left = children()
    frontend.kill_alone()
    wait_until_blocking(lambda: not any(is_alive(child) for child in left), "the children end with their parent")


@pytest.mark.skipif(not hasattr(psutil, "RLIMIT_NOFILE"), reason="platform: no limit of another process can be set")
def test_a_frontend_process_that_cannot_be_started_is_tried_again(make_stack: MakeStack) -> None:
    """The parent may open no file more, as on a system that has none left; the other child serves meanwhile."""
    stack = make_stack(multiprocessed="true")
    stack.worker("quiet=served:quiet")
    frontend = stack.frontend("--processes", "2")
    parent = psutil.Process(frontend.pid)
    wait_until_blocking(lambda: len(parent.children()) == 2, "both are started")
    usual: tuple[int, int] = parent.rlimit(psutil.RLIMIT_NOFILE)
    parent.rlimit(psutil.RLIMIT_NOFILE, (3, usual[1]))
    victim, other = parent.children()
    victim.kill()
    for pause_s in (r"0\.5", r"2\.0"):
        frontend.wait_until_says(rf"could not be started \(.*Too many open files\) and is started again in {pause_s} s")
    assert parent.children() == [other]
    wait_until_blocking(lambda: frontend.post("quiet.ping").get("result") == "pong", "the other one serves")
    parent.rlimit(psutil.RLIMIT_NOFILE, usual)
    wait_until_blocking(lambda: len(parent.children()) == 2, lambda: f"it is started: {frontend.output}")

    told = frontend.output.count("could not be started")
    parent.rlimit(psutil.RLIMIT_NOFILE, (3, usual[1]))
    other.kill()
    wait_until_blocking(lambda: frontend.output.count("could not be started") > told, "one more cannot be started")
    parent.rlimit(psutil.RLIMIT_NOFILE, usual)  # uvloop cannot end without a file
    assert frontend.stop() == 0, f"nor is it started when all are told to end: {frontend.output}"


# --- Redis ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def absent_redis() -> Iterator[RestartableRedis]:
    """Not started yet."""
    server = RestartableRedis()
    yield server
    server.stop()


async def test_redis_may_come_last(make_stack: MakeStack, absent_redis: RestartableRedis) -> None:
    stack = make_stack(absent_redis.url)
    frontend = stack.frontend(wait=False)
    worker = stack.worker(SAMPLE, wait=False)
    for service in (frontend, worker):
        await wait_until(lambda service=service: service.says("Redis|redis"), "a line says that Redis is missing")
    assert frontend.readiness()[0] == 503
    assert "Redis" in frontend.readiness()[1]
    answer = frontend.post("sample.test_sum", 1, 2)
    assert (answer["error"]["code"], answer["error"]["data"]["executed"]) == (-32013, "no")
    for service in (frontend, worker):
        warnings = [line for line in service.output.splitlines() if "edis" in line and "session.secret" not in line]
        assert len(warnings) <= 3, f"one line for each link, not one for each attempt: {warnings}"
        assert "Traceback" not in service.output

    absent_redis.start()
    await wait_until(lambda: frontend.readiness()[0] == 200, "the frontend is ready")
    async with Client(frontend.websocket_url) as client:
        await client.hello()
        await wait_until(lambda: worker.says("sample is served here"), "the worker serves")
        assert await client.call("sample.test_sum", [1, 2]) == 3


async def test_redis_may_restart_under_load(make_stack: MakeStack, absent_redis: RestartableRedis) -> None:
    absent_redis.start()
    stack = make_stack(absent_redis.url)
    worker = stack.worker(SAMPLE)
    frontend = stack.frontend()
    async with Client(frontend.websocket_url) as client, Client(frontend.websocket_url) as plain:
        await client.hello()
        for each in (client, plain):
            await each.subscribe("sample.a", "sample.alarm")
        async with Calls(client) as calls, Calls(plain) as plain_calls:
            await wait_until(lambda: len(calls.answers) > 20 and len(plain_calls.answers) > 20, "calls run")
            absent_redis.stop()
            await wait_until(lambda: frontend.readiness()[0] == 503, "the frontend says that it is not ready")
            absent_redis.start()
            await wait_until(lambda: frontend.readiness()[0] == 200, "the frontend is ready again")
        check_answers(calls)
        check_answers(plain_calls)

        for each in (client, plain):
            await wait_until_served(each)
        await client.set("sample.a", "after the restart")
        await client.call("sample.alarm", ["after the restart"])
        for each in (client, plain):
            await each.wait_for_update("sample.a", "after the restart")
            await each.wait_for_update("sample.alarm", {"text": "after the restart"})
        assert worker.is_running
        assert "Traceback" not in frontend.output + worker.output


def check_answers(calls: Calls) -> None:
    """Each request has ended, and what is said to have not run has not."""
    results = [answer["result"] for answer in calls.answers if "result" in answer]
    assert len(set(results)) == len(results), "no request ran twice"
    for answer in calls.answers:
        if "error" in answer:
            assert answer["error"]["data"]["executed"] in ("no", "maybe"), answer


async def test_waiting_for_redis_costs_next_to_nothing(make_stack: MakeStack, absent_redis: RestartableRedis) -> None:
    absent_redis.start()
    stack = make_stack(absent_redis.url)
    services: list[Service] = [stack.worker(SAMPLE), stack.frontend()]
    frontend = stack.first_frontend
    async with Client(frontend.websocket_url) as client:
        await client.subscribe("sample.a", "sample.b")
        absent_redis.stop()
        await wait_until(lambda: frontend.readiness()[0] == 503, "the outage is noticed")
        before = [service.cpu_s() for service in services]
        began = time.monotonic()
        await wait_until(lambda: time.monotonic() - began > 1.5, "the time of the measurement")
        used = [service.cpu_s() - start for service, start in zip(services, before, strict=True)]
        assert max(used) < 0.4, f"seconds of processor time within 1.5 s: {used}"
        assert len(frontend.output.splitlines()) < 30
        assert len(services[0].output.splitlines()) < 30
        await wait_until(lambda: services[0].says("was not renewed"), "the worker says that it misses its lease")
        assert services[0].output.count("was not renewed") == 1, "an outage is told once"
