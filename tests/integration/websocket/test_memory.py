"""What an idle connection costs, of the echo server as a process of its own."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack

import psutil
import pytest

from tests.integration.websocket.wire import open_websocket

CONNECTIONS = 400

WARM_UP = 100
"""The first connections pay for what the process needs once."""

LIMIT_BYTES = 6 * 1024
"""Measured with 2,000: 1.9 KiB detached, 18 KiB in Tornado's shell. A forgotten handler or request is over this."""


@pytest.fixture
def echo_server() -> Iterator[tuple[int, psutil.Process]]:
    """Port and process of a detached echo server."""
    command = [sys.executable, "-m", "wispy.frontend.websocket.echo", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        address = server.stdout.readline().strip().rstrip("/")
        yield int(address.rpartition(":")[2]), psutil.Process(server.pid)
        server.terminate()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="resident memory means other things elsewhere")
async def test_tornados_objects_are_released(echo_server: tuple[int, psutil.Process]) -> None:
    port, process = echo_server
    async with AsyncExitStack() as clients:

        async def open_one() -> None:
            client = await clients.enter_async_context(open_websocket(port))
            client.send("text:hello")
            await client.expect("text:hello")

        for _ in range(WARM_UP):
            await open_one()
        before = process.memory_info().rss
        for _ in range(CONNECTIONS):
            await open_one()
        await asyncio.sleep(0)
        grown = process.memory_info().rss - before
    assert grown / CONNECTIONS < LIMIT_BYTES
