"""What is small on the wire and large when it is unpacked: refused, and the memory is never there."""

import asyncio
import functools
import re
import sys
import zlib
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.integration.stack.conftest import MakeStack
from tests.integration.stack.limits.visitors import codes, hits, request
from tests.integration.websocket.wire import connect, encode
from tests.support.stack import Frontend, Stack

INFLATED = 256 << 20
ROOM = 24 << 20
"""What a frontend may grow by meanwhile: a few messages of the size that it takes. Unpacked they are a hundred times
as much."""


COMPRESSED: dict[str, Any] = {"websocket.compression": "true"}


def frontend_of(stack: Stack, **config: Any) -> Frontend:
    stack.worker("sample=served:Sample")
    return stack.frontend(metrics="true", **config)


class Peak:
    """The most memory that a process has had."""

    def __init__(self, process: Frontend) -> None:
        self._pid = process.pid
        Path(f"/proc/{self._pid}/clear_refs").write_text("5")  # from now on
        self._before = self._read("VmRSS")

    def _read(self, name: str) -> int:
        status = Path(f"/proc/{self._pid}/status").read_text()
        match = re.search(rf"{name}:\s+(\d+) kB", status)
        assert match is not None
        return int(match[1]) << 10

    @property
    def grown(self) -> int:
        return self._read("VmHWM") - self._before


@functools.cache
def deflated(wbits: int) -> bytes:
    """A text of JSON that is 256 MiB long, in a quarter of a megabyte."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, wbits)
    parts = [compressor.compress(b'{"jsonrpc":"2.0","id":1,"method":"sample.echo","params":["')]
    parts += [compressor.compress(b"*" * (1 << 20)) for _ in range(INFLATED >> 20)]
    parts += [compressor.compress(b'"]}'), compressor.flush(zlib.Z_SYNC_FLUSH if wbits < 0 else zlib.Z_FINISH)]
    return b"".join(parts)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="platform: memory is told elsewhere")
@pytest.mark.parametrize("fragments", [1, 7])
async def test_a_message_that_unpacks_to_more_than_it_may_be(make_stack: MakeStack, fragments: int) -> None:
    frontend = frontend_of(make_stack(), websocket_max_message_size="1 MiB", **COMPRESSED)
    bomb = deflated(-15).removesuffix(b"\x00\x00\xff\xff")
    assert len(bomb) < 1 << 20
    port = int(frontend.address.rpartition(":")[2])
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(connect(port)) for _ in range(8)]
        for client in clients:
            await client.upgrade(path="/ws", host=frontend.address, sec_websocket_extensions="permessage-deflate")
        peak = Peak(frontend)
        size = -(-len(bomb) // fragments)
        pieces = [bomb[begin : begin + size] for begin in range(0, len(bomb), size)]
        for client in clients:
            for number, piece in enumerate(pieces):
                kind = "cont" if number else "text"
                more = "+" if number < len(pieces) - 1 else ""
                client.writer.write(encode(f"{kind}{more}{'' if number else '!rsv4'}={piece.hex()}"))
        answers = await asyncio.gather(*(client.receive_all() for client in clients))
        assert [frames[-1].code for frames in answers] == [1009] * 8
        assert peak.grown < ROOM
    assert hits(frontend) == {"websocket_max_message_size": 8}
    assert codes([frontend.post_any(request(1)).json()]) == [0]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="platform: memory is told elsewhere")
async def test_a_body_that_unpacks_to_more_than_it_may_be(make_stack: MakeStack) -> None:
    frontend = frontend_of(make_stack())
    assert codes([frontend.post_any(request(1)).json()]) == [0]
    bomb = deflated(31)
    host, _, port = frontend.address.partition(":")
    peak = Peak(frontend)

    async def post() -> bytes:
        reader, writer = await asyncio.open_connection(host, int(port))
        head = f"POST /rpc HTTP/1.1\r\nHost: {frontend.address}\r\nContent-Type: application/json\r\n"
        writer.write(f"{head}Content-Encoding: gzip\r\nContent-Length: {len(bomb)}\r\n\r\n".encode() + bomb)
        line = await reader.readline()
        writer.close()
        await writer.wait_closed()
        return line

    lines = await asyncio.gather(*(post() for _ in range(8)))
    assert {line.split()[1] for line in lines} == {b"415"}
    assert peak.grown < ROOM
    assert codes([frontend.post_any(request(1)).json()]) == [0]
