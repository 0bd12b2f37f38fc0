"""How many connections one user, one address and all together may have, and what keeps one open."""

import asyncio
import contextlib
import sys
from collections.abc import Awaitable
from contextlib import AsyncExitStack

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.integration.stack.limits.visitors import (
    BEHIND,
    OVERLOADED,
    SLOW,
    StartFrontend,
    client_of,
    hits,
    status_of,
    told,
)
from tests.support.rpc_client import Client
from tests.support.stack import SERVED, Frontend, Stack, command, flags
from tests.support.waiting import wait_until
from wispy.protocol import errors


async def test_connections_of_an_address(start: StartFrontend, shell: str) -> None:
    frontend = start(shell, connections_per_address=2)
    async with client_of(frontend) as one, client_of(frontend, "192.0.2.2"):
        async with client_of(frontend):
            assert await status_of(client_of(frontend)) == (429, None)
        await wait_until(lambda: opens(frontend), "one that is closed makes room")
        assert await one.call("sample.test_sum", [1, 2]) == 3


async def opens(frontend: Frontend) -> bool:
    with contextlib.suppress(InvalidStatus):
        async with client_of(frontend):
            return True
    return False


async def test_many_at_the_same_moment_are_not_more_than_they_may_be(start: StartFrontend, shell: str) -> None:
    frontend = start(shell, connections_per_address=3, connections=8)
    async with AsyncExitStack() as stack:
        clients = [client_of(frontend, f"192.0.2.{1 + number // 10}") for number in range(30)]
        opened = await asyncio.gather(*map(stack.enter_async_context, clients), return_exceptions=True)
        assert all(isinstance(each, Client | InvalidStatus) for each in opened), opened

        async def served() -> list[Client]:
            answers = await asyncio.gather(*(ask(each) for each in opened if isinstance(each, Client)))
            return [client for client in answers if client is not None]

        assert len(await served()) == 8
        turned_away = [each for each in opened if isinstance(each, Client) and each.close_code is not None]
        assert {each.close_code for each in turned_away} <= {1013}
    assert set(hits(frontend)) <= {"connections", "connections_per_address"}
    assert sum(hits(frontend).values()) == 22


async def ask(client: Client) -> Client | None:
    try:
        await client.call("sample.test_sum", [1, 2])
    except (ConnectionClosed, asyncio.CancelledError):  # while it sent, or while it waited for the answer
        await wait_until(lambda: client.close_code is not None, "it is closed")
        return None
    return client


async def test_how_often_an_address_may_connect(start: StartFrontend, shell: str) -> None:
    frontend = start(shell, connection_rate_per_address=SLOW, burst=2 / SLOW)
    for _ in range(2):
        async with client_of(frontend) as client:
            assert await client.call("sample.test_sum", [1, 2]) == 3
    status, seconds = await status_of(client_of(frontend))
    assert status == 429
    assert 20 < int(seconds or 0) <= 50
    async with client_of(frontend, "192.0.2.2"):
        pass
    assert hits(frontend) == {"connection_rate_per_address": 1}


async def test_connections_of_a_user(start: StartFrontend, shell: str) -> None:
    frontend = start(shell, connections_per_user=2, **{"auth.kind": "tokens"})
    async with client_of(frontend, "192.0.2.1", "alice-token"), client_of(frontend, "192.0.2.2") as second:
        await second.call("rpc.authenticate", {"token": "alice-token"})
        await second.call("rpc.authenticate", {"token": "alice-token"})  # it is one of hers already
        assert await status_of(client_of(frontend, "192.0.2.3", "alice-token")) == (429, None)
        async with client_of(frontend, "192.0.2.3") as third:
            refused = await third.error("rpc.authenticate", {"token": "alice-token"})
            assert refused.code == OVERLOADED
            assert (await third.error("guarded.who")).code == errors.UNAUTHENTICATED.code
            assert await third.call("rpc.authenticate", {"token": "bob-token"})
    assert hits(frontend) == {"connections_per_user": 2}


async def test_connections_that_say_nothing_are_bounded(start: StartFrontend, shell: str) -> None:
    frontend = start(shell, http_connections=4)
    host, _, port = frontend.address.partition(":")
    async with client_of(frontend) as client, AsyncExitStack() as stack:
        assert await client.call("sample.test_sum", [1, 2]) == 3, "and what was connected before is gone"
        for _ in range(4):
            _, writer = await asyncio.open_connection(host, int(port))
            stack.callback(writer.close)
        reader, writer = await asyncio.open_connection(host, int(port))
        stack.callback(writer.close)
        assert (await told(reader)).startswith(b"HTTP/1.1 503 ")
        assert await client.call("sample.test_sum", [1, 2]) == 3
    await wait_until(lambda: hits(frontend).get("http_connections"), "those that are gone make room")


async def test_probes_are_answered_while_all_connections_are_held(start: StartFrontend, shell: str) -> None:
    """A frontend that is full lives, and its websockets with it; new clients are another one's."""
    frontend = start(shell, http_connections=4, metrics_port=0)
    base = frontend.wait_until_says(r"metrics are told at (http://\S+)/metrics")[1]

    async def probed(path: str) -> tuple[int, str]:
        response = await asyncio.to_thread(httpx.get, f"{base}{path}", trust_env=False, timeout=30)
        return response.status_code, response.text

    ready, full = (200, "ready\n"), (503, "no more HTTP connections are taken (limits.http_connections)\n")
    await wait_until(lambda: is_answer(probed("/readyz"), ready), "it is ready")
    host, _, port = frontend.address.partition(":")
    async with client_of(frontend) as client:
        assert await client.call("sample.test_sum", [1, 2]) == 3, "and what was connected before is gone"
        async with AsyncExitStack() as stack:
            for _ in range(4):
                _, writer = await asyncio.open_connection(host, int(port))
                stack.callback(writer.close)
            await wait_until(lambda: is_answer(probed("/readyz"), full), "it is full")
            assert await probed("/healthz") == (200, "ok\n")
            refused, writer = await asyncio.open_connection(host, int(port))
            stack.callback(writer.close)
            assert (await told(refused)).startswith(b"HTTP/1.1 503 "), "and so it is on the port for everybody"
            assert await client.call("sample.test_sum", [1, 2]) == 3
        await wait_until(lambda: is_answer(probed("/readyz"), ready), "those that are gone make room")


async def is_answer(asked: Awaitable[tuple[int, str]], expected: tuple[int, str]) -> bool:
    return await asked == expected


async def test_one_address_does_not_take_the_connections_of_all(start: StartFrontend) -> None:
    frontend = start(http_connections_per_address=3, proxies="[127.0.0.2]")
    host, _, port = frontend.address.partition(":")
    async with client_of(frontend) as client:
        assert await client.call("sample.test_sum", [1, 2]) == 3, "and what was connected before is gone"
    async with AsyncExitStack() as stack:

        async def connect(source: str) -> asyncio.StreamReader:
            reader, writer = await asyncio.open_connection(host, int(port), local_addr=(source, 0))
            stack.callback(writer.close)
            return reader

        for source in ("127.0.0.1", "127.0.0.2", "127.0.0.2"):
            for _ in range(3):
                await connect(source)
        assert (await told(await connect("127.0.0.1"))).startswith(b"HTTP/1.1 503 ")
        await connect("127.0.0.3")
    await wait_until(lambda: hits(frontend).get("http_connections_per_address"), "those that are gone make room")


async def test_who_says_nothing_has_to_go(start: StartFrontend) -> None:
    frontend = start(http_idle=0.5)
    host, _, port = frontend.address.partition(":")
    for said in (b"", b"GET / HTTP/1.1\r\nHost: "):
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(said)
        assert await told(reader) == b""
        writer.close()


@pytest.mark.skipif(sys.platform == "win32", reason="platform: processes have no such limit")
async def test_a_frontend_keeps_files_for_itself(worker_stack: Stack) -> None:
    """However many connect: it can accept and refuse them, and serves those who are in."""
    config = flags({**worker_stack._config, **BEHIND, "port": 0, "multiprocessed": "false"})
    frontend = Frontend(
        ["sh", "-c", 'ulimit -n 150; exec "$@"', "sh", command("wispy-frontend"), *config],
        folder=SERVED,
        log=worker_stack._log("few"),
    )
    worker_stack.services.append(frontend)
    frontend.wait_until_listening()
    host, _, port = frontend.address.partition(":")
    async with client_of(frontend) as client:
        assert "files may be open" not in frontend.output
        many = [await asyncio.open_connection(host, int(port)) for _ in range(200)]
        refused = 0
        for reader, writer in reversed(many):
            with contextlib.suppress(TimeoutError, ConnectionError):
                refused += (await asyncio.wait_for(reader.read(1), 0.1 if refused > 100 else 5)) == b"H"
            if refused > 120:
                break
            writer.close()
        assert refused > 120
        assert await client.call("sample.test_sum", [1, 2]) == 3
        for _, writer in many:
            writer.close()
    assert "Too many open files" not in frontend.output
    assert frontend.output.count("only 150 files may be open") == 1
    assert frontend.stop() == 0
