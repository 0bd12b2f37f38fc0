"""Between the parts: what a frontend has sealed, and what somebody else has written to the stream."""

import asyncio
import contextlib
import json
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import redis

from tests.integration.stack.conftest import MakeStack
from tests.integration.stack.logins import SECRET, bearer, settings, write_tokens
from tests.support.rpc_client import Client
from tests.support.stack import Frontend, Stack
from tests.support.waiting import wait_until, wait_until_blocking
from wispy.broker.embedded import EmbeddedServer
from wispy.broker.keys import Keys
from wispy.protocol.envelope import Seal


@contextlib.contextmanager
def writer(server: EmbeddedServer, stack: Stack) -> Iterator[Callable[..., None]]:
    """Writes requests of an imagined frontend to the stream, in the name of alice: `write(name, id, seal)`."""
    keys = Keys(stack.prefix).of("sample")
    with redis.Redis(unix_socket_path=server.url.removeprefix("unix://"), protocol=2) as connection:
        run: str = cast("dict[str, str]", connection.info("server"))["run_id"]
        at = int(time.time() * 1000)

        def write(name: str, seal: Callable[[bytes], bytes], *, expires_ms: int = 0, times: int = 1) -> None:
            request = [1, at, False, "sample.note_run", [name]]
            block = [f"session {name}", run, 0, [], [request], ["alice", [], expires_ms]]
            for _ in range(times):
                connection.xadd(keys.requests, {"e": seal(json.dumps(["f", [block]]).encode())})

        yield write
        wait_until_blocking(lambda: connection.xlen(keys.requests) == 0, "all are dealt with")


async def test_a_worker_runs_only_what_a_frontend_has_sealed(
    guarded: Stack, frontend: Frontend, valkey_server: EmbeddedServer
) -> None:
    stream = Keys(guarded.prefix).of("sample").requests
    seals: dict[str, Callable[[bytes], bytes]] = {
        "bare": lambda entry: entry,
        "zero": lambda entry: b"\x01" + bytes(32) + entry,
        "secret": Seal("another secret", stream).seal,
        "object": Seal(SECRET, Keys(guarded.prefix).of("other").requests).seal,
        "changed": lambda entry: Seal(SECRET, stream).seal(entry).replace(b"alice", b"admin"),
    }
    with writer(valkey_server, guarded) as write:
        for name, seal in seals.items():
            write(name, seal)
        write("late", Seal(SECRET, stream).seal, expires_ms=int(time.time() * 1000) - 60_000)
        write("good", Seal(SECRET, stream).seal, times=3)  # written again, it does not run again
        async with Client(frontend.websocket_url, **bearer("alice-token")) as client:
            assert await client.get("sample.ran") == ["good"]
    worker = guarded.services[0]
    await wait_until(lambda: worker.output.count('"reason": "seal"') >= len(seals), "each forgery is told of")
    assert worker.output.count('"reason": "seal"') == len(seals)


async def test_what_a_frontend_has_sealed_is_good_once_and_for_nothing_else(
    make_stack: MakeStack, tmp_path: Path, valkey_server: EmbeddedServer
) -> None:
    write_tokens(tmp_path / "tokens.yaml", alice=[])
    stack = make_stack(**settings(kind="tokens", tokens=tmp_path / "tokens.yaml"))
    worker = stack.worker("sample=served:Sample", "other=served:Sample")
    frontend = stack.frontend()
    sample, other = (Keys(stack.prefix).of(name).requests for name in ("sample", "other"))
    path = valkey_server.url.removeprefix("unix://")
    with redis.Redis(unix_socket_path=path, protocol=2) as thief:
        async with Client(frontend.websocket_url, **bearer("alice-token")) as client:
            await client.hello()
            assert await client.get("sample.ran") == await client.get("other.ran") == []
            worker.send(signal.SIGSTOP)
            try:
                waiting = await client.start("sample.note_run", ["captured"])
                await wait_until(lambda: thief.xlen(sample) == 1, "the entry is in the stream")
                ((_, fields),) = cast("list[tuple[bytes, dict[bytes, bytes]]]", thief.xrange(sample))
            finally:
                worker.send(signal.SIGCONT)
            assert "result" in await waiting
            entry = fields[b"e"]
            assert b"captured" in entry
            thief.xadd(sample, {"e": entry})  # once more, as it is
            thief.xadd(other, {"e": entry})  # to another object
            thief.xadd(sample, {"e": entry.replace(b"captured", b"doctored")})
            thief.xadd(sample, {"e": entry.replace(b"note_run", b"set_a")})
            thief.xadd(sample, {"e": entry.replace(b"alice", b"admin")})
            thief.xadd(sample, {"e": entry[:1] + bytes(32) + entry[33:]})
            thief.xadd(sample, {"e": entry + b" "})
            await wait_until(lambda: thief.xlen(sample) == thief.xlen(other) == 0, "all are dealt with")
            assert await client.get("sample.ran") == ["captured"]
            assert await client.get("other.ran") == []
    await wait_until(lambda: worker.output.count('"reason": "seal"') >= 6, "each forgery is told of")
    assert worker.output.count('"reason": "seal"') == 6


async def test_frontend_and_worker_need_the_same_secret(make_stack: MakeStack, tmp_path: Path) -> None:
    write_tokens(tmp_path / "tokens.yaml", alice=[])
    stack = make_stack(**settings(kind="tokens", tokens=tmp_path / "tokens.yaml"))
    config: dict[str, Any] = {"session.secret": "another secret, which is as long as it"}
    worker = stack.worker("sample=served:Sample", **config)
    frontend = stack.frontend()
    async with Client(frontend.websocket_url, **bearer("alice-token")) as client:
        await client.start("sample.note_run", ["x"])
        await asyncio.to_thread(worker.wait_until_says, "no frontend with this session.secret")
