"""A frontend that is asked to end: its clients move, spread over time, and no call fails."""

import asyncio
import contextlib
import signal
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from tests.integration.stack.conftest import MakeStack
from tests.integration.stack.gate import Gate
from tests.integration.stack.load import Load
from tests.support.roamer import Roamer
from tests.support.rpc_client import Client
from tests.support.stack import Frontend, Stack
from tests.support.waiting import wait_until

CLIENTS = 10
AT_ONCE = 4
"""Calls that each client has in flight."""
CALLS = 25
"""Calls of each before the end begins, and after the move."""


def start(make_stack: MakeStack, drain_s: float) -> tuple[Stack, list[Frontend]]:
    stack = make_stack(**{"session.secret": "a secret that the frontends share", "websocket.drain": drain_s})
    stack.worker("sample=served:Sample")
    return stack, [stack.frontend(), stack.frontend()]


async def test_no_call_fails_and_none_runs_twice(make_stack: MakeStack) -> None:
    _, (going, staying) = start(make_stack, 3.0)
    urls = [going.websocket_url, staying.websocket_url]
    load = Load(CLIENTS, AT_ONCE)
    async with contextlib.AsyncExitStack() as open_clients:
        # All begin at the one that goes.
        roamers = [await open_clients.enter_async_context(Roamer(urls)) for _ in range(CLIENTS)]
        async with asyncio.TaskGroup() as group:
            for number, roamer in enumerate(roamers):
                group.create_task(load.run(number, roamer))
            await load.wait_for_more(CALLS)
            going.send(signal.SIGTERM)
            await wait_until(lambda: going.readiness() == (503, "draining\n"), "balancers are told")
            await wait_until(lambda: not going.is_running, lambda: f"it ends: {going.output}")
            await load.wait_for_more(CALLS)
            load.stop()
        waits = [wait for roamer in roamers for wait in roamer.waits_ms]
        assert len(waits) == CLIENTS, "each was told once"
        assert max(waits) <= 3000
        assert len(set(waits)) > CLIENTS // 2, f"spread at random: {waits}"
        assert all(len(roamer.hellos) == 2 for roamer in roamers)
    assert going.process.returncode == 0
    assert not going.says("WARNING|ERROR"), going.output
    async with Client(staying.websocket_url) as client:
        ran = await client.get("sample.ran")
    assert sorted(ran) == sorted(load.names), "each call ran, and once"


async def test_a_call_that_outlasts_the_end_goes_along(make_stack: MakeStack, gate: Gate) -> None:
    _, (going, staying) = start(make_stack, 0.3)
    async with Roamer([going.websocket_url, staying.websocket_url]) as roamer:
        held = asyncio.create_task(roamer.call("sample.wait", gate.path))
        await gate.wait_until_reached()
        going.send(signal.SIGTERM)
        await wait_until(lambda: len(roamer.hellos) == 2, "the client moves")
        assert roamer.retries == 1
        assert await roamer.call("sample.test_sum", 20, 22) == 42
        gate.open()
        assert await held == "waited"


async def test_a_plain_client_gets_its_answers_before_its_connection_ends(make_stack: MakeStack, gate: Gate) -> None:
    _, (going, _staying) = start(make_stack, 0.3)
    async with Client(going.websocket_url) as client:
        held = await client.start("sample.wait", [gate.path])
        await gate.wait_until_reached()
        going.send(signal.SIGTERM)
        await wait_until(lambda: client.notifications("rpc.closing"), "it is told")
        with pytest.raises(InvalidStatus, match="503"):
            async with Client(going.websocket_url):
                pass
        gate.open()
        assert (await held)["result"] == "waited"
        assert await client.wait_until_closed() == 1001


async def test_a_post_is_answered(make_stack: MakeStack, gate: Gate) -> None:
    _, (going, _staying) = start(make_stack, 0.3)
    posted = asyncio.create_task(asyncio.to_thread(going.post, "sample.wait", gate.path))
    await gate.wait_until_reached()
    going.send(signal.SIGTERM)
    await wait_until(lambda: going.readiness() == (503, "draining\n"), "balancers are told")
    late = await asyncio.to_thread(
        going.post_any, {"jsonrpc": "2.0", "id": 1, "method": "sample.test_sum", "params": [1, 2]}
    )
    assert late.json()["result"] == 3, "who has not heard of it yet is served"
    assert late.headers["connection"] == "close"
    gate.open()
    assert (await posted)["result"] == "waited"
    await wait_until(lambda: not going.is_running, "it ends")
    with pytest.raises(httpx.TransportError):
        going.post("sample.test_sum", 1, 2)


async def test_a_file_on_its_way_arrives_whole(make_stack: MakeStack, tmp_path: Path) -> None:
    size = 32 << 20  # more than sockets hold for a reader who takes his time
    (tmp_path / "large.bin").write_bytes(bytes(size))
    config: dict[str, Any] = {"websocket.drain": 0.3, "static.folders": f"{{files: {tmp_path}}}"}
    going = make_stack().frontend(**config)
    reader, writer = await asyncio.open_connection(*going.address.split(":"))
    writer.write(f"GET /files/large.bin HTTP/1.1\r\nHost: {going.address}\r\n\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    going.send(signal.SIGTERM)
    await wait_until(lambda: going.readiness() == (503, "draining\n"), "it drains")
    assert len(await reader.readexactly(size)) == size
    await wait_until(lambda: not going.is_running, lambda: f"it ends: {going.output}")
    writer.close()
