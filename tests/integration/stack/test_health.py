"""What the worker's health port says, and the frontend's `/readyz`, when something is wrong."""

import asyncio
import time
from pathlib import Path

import httpx

from tests.integration.stack.conftest import MakeStack
from tests.support.relay import Relay
from tests.support.rpc_client import Client
from tests.support.stack import RestartableRedis, Service, command, flags, free_port
from tests.support.waiting import wait_until, wait_until_blocking
from wispy.broker.embedded import EmbeddedServer

SAMPLE = "sample=served:Sample"


def health_of(worker: Service, path: str) -> tuple[int, str]:
    """Status and text; (0, "") while nobody answers."""
    said = worker.wait_until_says(r"health is told at (http://\S+)/healthz")
    try:
        response = httpx.get(f"{said[1]}/{path}", timeout=15, trust_env=False)
    except httpx.TransportError:
        return 0, ""
    return response.status_code, response.text


def wait_for_health(worker: Service, path: str, status: int, text: str) -> None:
    def seen() -> tuple[int, str]:
        return health_of(worker, path)

    wait_until_blocking(
        lambda: seen()[0] == status and text in seen()[1], lambda: f"{path} is {status} {text!r}: {seen()}", 20
    )


def test_an_owner_and_a_standby_are_alive_and_ready(make_stack: MakeStack) -> None:
    stack = make_stack(health_port=0)
    for worker in (stack.worker(SAMPLE), stack.standby(SAMPLE)):
        wait_for_health(worker, "readyz", 200, "ready\n")
        assert health_of(worker, "healthz") == (200, "ok\n")
        assert health_of(worker, "nothing")[0] == 404


async def test_a_hanging_object_ends_its_workers_health_and_is_named(make_stack: MakeStack, tmp_path: Path) -> None:
    stack = make_stack(health_port=0, health_hang="1 s", **{"func_caller.hang_warning": "0.5 s"})
    worker, frontend = stack.worker(SAMPLE), stack.frontend()
    release = tmp_path / "release"
    async with Client(frontend.websocket_url) as client:
        held = asyncio.create_task(client.call("sample.hold", [str(release)]))
        await asyncio.to_thread(wait_for_health, worker, "healthz", 503, "sample.hold (call, request")
        worker.wait_until_says(r"sample\.hold \(call, request \S+\) has been running for")
        worker.wait_until_says(r"the objects' thread hangs, /healthz says so: sample\.hold")
        # Its requests wait, which is no reason to send them elsewhere: nobody else could take them.
        assert health_of(worker, "readyz")[0] == 200
        release.touch()
        assert await held == "held"
        await asyncio.to_thread(wait_for_health, worker, "healthz", 200, "ok")


async def test_a_program_that_is_all_in_one_tells_of_its_objects_on_its_health_port(
    make_stack: MakeStack, tmp_path: Path
) -> None:
    stack = make_stack()
    settings = flags({"port": 0, "redis.url": stack.redis_url, "redis.prefix": stack.prefix, "health_port": 0})
    arguments = [command("wispy"), "serve", *settings, *flags({"health_hang": "1 s"}), "--object", SAMPLE]
    program = stack.run(arguments)
    page = program.wait_until_says(r"wispy serves .+ at (http://\S+)/")[1]
    await asyncio.to_thread(wait_for_health, program, "readyz", 200, "ready")
    release = tmp_path / "release"
    async with Client(f"{page.replace('http', 'ws')}/ws") as client:
        held = asyncio.create_task(client.call("sample.hold", [str(release)]))
        await asyncio.to_thread(wait_for_health, program, "healthz", 503, "sample.hold (call, request")
        served = await asyncio.to_thread(httpx.get, f"{page}/healthz", trust_env=False, timeout=30)
        assert served.text == "ok\n", "pages are served"
        release.touch()
        assert await held == "held"


def test_a_constructor_that_hangs_ends_health_and_is_never_ready(make_stack: MakeStack) -> None:
    stack = make_stack(health_port=0, health_hang="1 s")
    worker = stack.worker("slow=unwell:never", wait=False)
    wait_for_health(worker, "readyz", 503, "slow: the object is being made")
    wait_for_health(worker, "healthz", 503, "the objects' thread has taken no work for")
    worker.kill()


def test_a_worker_whose_object_cannot_be_made_is_not_ready(make_stack: MakeStack) -> None:
    stack = make_stack(health_port=0)
    worker = stack.worker("broken=unwell:Broken", wait=False)
    worker.wait_until_says("trying again in 1 s")
    wait_for_health(worker, "readyz", 503, "broken: ")
    assert health_of(worker, "healthz")[0] == 200
    worker.wait_until_says("trying again in 8 s")
    assert worker.output.count("Traceback") == 1, "its author is told once where it happened"
    asked = time.monotonic()
    worker.stop()
    assert time.monotonic() - asked < 6, "it is not waited for"


def test_a_worker_is_ready_again_once_redis_is(make_stack: MakeStack, redis_server: RestartableRedis) -> None:
    stack = make_stack(redis_server.url, health_port=0)
    worker = stack.worker(SAMPLE)
    wait_for_health(worker, "readyz", 200, "ready")
    redis_server.stop()
    wait_for_health(worker, "readyz", 503, "the link to Redis is down")
    assert health_of(worker, "healthz") == (200, "ok\n")
    redis_server.start()
    wait_for_health(worker, "readyz", 200, "ready")


async def test_who_is_deaf_is_not_ready_though_all_connections_are_up(
    make_stack: MakeStack, valkey_server: EmbeddedServer
) -> None:
    async with Relay(valkey_server.url) as relay:
        stack = make_stack(relay.url, health_port=0, **{"redis.probe_interval": 1})
        worker = await asyncio.to_thread(stack.worker, SAMPLE)
        frontend = await asyncio.to_thread(stack.frontend)
        await asyncio.to_thread(wait_for_health, worker, "readyz", 200, "ready")
        relay.is_deafening = True
        deaf = (503, "the subscription to Redis is deaf\n")
        readiness: list[tuple[int, str]] = []

        async def look(expected: tuple[int, str]) -> bool:
            readiness.append(await asyncio.to_thread(frontend.readiness))
            return readiness[-1] == expected

        await wait_until(lambda: look(deaf), lambda: f"the frontend is deaf: {readiness[-1]}", 20)
        await asyncio.to_thread(wait_for_health, worker, "readyz", *deaf)
        relay.is_deafening = False
        await wait_until(lambda: look((200, "ready\n")), lambda: f"the frontend is ready: {readiness[-1]}", 20)
        await asyncio.to_thread(wait_for_health, worker, "readyz", 200, "ready")
        await asyncio.to_thread(stack.close)


def test_a_health_port_in_use_is_told(make_stack: MakeStack) -> None:
    port = free_port()
    stack = make_stack(health_port=port)
    stack.worker(SAMPLE)
    second = stack.worker(SAMPLE, wait=False)
    assert second.wait() != 0
    assert second.says("--health-port N")
