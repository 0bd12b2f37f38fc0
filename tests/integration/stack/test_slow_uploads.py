"""Uploads and other bodies that take too long, or do not come, and disks that fail: the frontend runs in this process,
where all of it can be had.
"""

import asyncio
import errno
import gc
import tracemalloc
from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path

import pytest

from tests.integration.stack.attacks import read_to_end
from tests.support.waiting import wait_until
from wispy import RPCWebApp
from wispy.frontend import bodies, uploads
from wispy.frontend.incoming import IncomingFile
from wispy.frontend.rpc_post import Rpc
from wispy.frontend.upload_rules import RefusedError

BODY_TIME_S = 1
"""For the test that waits until it is over."""


class Thing:
    a = 1


@pytest.fixture
def address(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A server's; its parameter is the time that bodies have, in seconds."""
    config = {
        "port": 0,
        "launch": "never",
        "multiprocessed": False,
        "limits": {"http_body_time": getattr(request, "param", 60)},
        "upload": {
            "folders": {"in": str(tmp_path / "in")},
            "rules": {"accepted_filetypes": ["png"], "file_creation_whitelist": ["*"]},
        },
    }
    with RPCWebApp(config, thing=Thing()) as app:
        yield app.url.removeprefix("http://").rstrip("/")


async def begin(
    address: str, name: str, length: str = "Content-Length: 200"
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """An upload that has sent a part of what it promised."""
    reader, writer = await asyncio.open_connection(*address.split(":"))
    start = b"64\r\n" if "chunked" in length else b""
    writer.write(f"PUT /in/{name} HTTP/1.1\r\nHost: {address}\r\n{length}\r\n\r\n".encode() + start + b"x" * 100)
    await writer.drain()
    return reader, writer


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """All that comes until the server ends the connection."""
    text = await read_to_end(reader)
    writer.close()
    await writer.wait_closed()
    return text


async def test_an_upload_that_stalls_is_ended(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(uploads, "LOOK_EVERY_S", 0.05)
    reader, writer = await begin(address, "x.png")
    await wait_until(lambda: list((tmp_path / "in").iterdir()), "the upload has begun")
    monkeypatch.setattr(uploads, "GRACE_S", 0.2)  # now that it was seen
    text = await answer(reader, writer)
    assert b" 408 " in text.splitlines()[0]
    assert b"too slowly" in text
    assert list((tmp_path / "in").iterdir()) == []
    assert "Traceback" not in caplog.text
    assert "destroyed" not in caplog.text, "nothing waits on for a body that nobody reads"


@pytest.mark.parametrize("length", ["Content-Length: 200", "Content-Length: 10000000", "Transfer-Encoding: chunked"])
async def test_a_refused_upload_is_not_read_for_ever(
    address: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, length: str
) -> None:
    monkeypatch.setattr(bodies, "LINGER_S", 0.2)
    text = await answer(*await begin(address, "x.exe", length))
    assert b" 415 " in text.splitlines()[0]
    assert b"accepted_filetypes" in text
    assert text.count(b"HTTP/1.1") == 1
    assert "Traceback" not in caplog.text
    assert "destroyed" not in caplog.text, "nothing waits on for a body that nobody reads"


async def test_who_is_refused_is_told_at_once_and_may_go_on_sending(address: str) -> None:
    """A client that sends all before it reads gets to read why, too."""
    reader, writer = await begin(address, "x.exe", "Content-Length: 3000000")
    head = await asyncio.wait_for(reader.readuntil(b"}"), 20)
    assert b" 415 " in head.splitlines()[0]
    assert b"Connection: close" in head
    writer.write(b"x" * 2_999_900)
    await writer.drain()
    writer.write(f"GET /healthz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n".encode())
    assert b"200 OK" in await answer(reader, writer), "all of the body was read, and nothing else"


async def test_who_is_refused_while_he_sends_is_told_at_once(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads.Uploads, "_check_size", refuse_past(150))
    reader, writer = await begin(address, "x.png", "Content-Length: 3000000")
    writer.write(b"x" * 100)
    assert b" 413 " in (await asyncio.wait_for(reader.readuntil(b"}"), 20)).splitlines()[0]
    writer.transport.abort()


def refuse_past(limit: int) -> Callable[[uploads.Uploads, int], None]:
    """In place of the check of a size, for one that was not announced."""

    def check(upload: uploads.Uploads, size: int) -> None:
        if limit < size < 3_000_000:
            raise RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too large")

    return check


async def test_a_request_that_is_refused_before_its_large_body_is_answered(address: str) -> None:
    head = "POST /rpc HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 5000000\r\n\r\n"
    reader, writer = await asyncio.open_connection(*address.split(":"))
    writer.write(head.encode())
    assert b" 421 " in await asyncio.wait_for(reader.readline(), 20)
    writer.transport.abort()


@pytest.mark.parametrize(
    ("number", "status", "said"), [(errno.ENOSPC, b"507", b"no room"), (errno.EIO, b"500", b"cannot be stored")]
)
async def test_a_disk_that_fails_leaves_nothing(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, status: bytes, said: bytes
) -> None:
    def fail(file: IncomingFile, data: bytearray) -> None:
        raise OSError(number, "the disk fails", str(tmp_path))

    monkeypatch.setattr(IncomingFile, "_write", fail)
    reader, writer = await begin(address, "x.png")
    writer.write(b"x" * 100)
    text = await asyncio.wait_for(reader.readuntil(b"}"), 10)
    writer.close()
    await writer.wait_closed()
    assert status in text.splitlines()[0]
    assert said in text
    assert str(tmp_path).encode() not in text
    assert list((tmp_path / "in").iterdir()) == []


# --- other bodies -----------------------------------------------------------------------------------------------------


async def promise(
    address: str, start: str, host: str | None = None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A request with a body of which half comes."""
    reader, writer = await asyncio.open_connection(*address.split(":"))
    head = (
        f"{start} HTTP/1.1\r\nHost: {host or address}\r\nContent-Type: application/json\r\nContent-Length: 200\r\n\r\n"
    )
    writer.write(head.encode() + b"[" * 100)
    await writer.drain()
    return reader, writer


def posts() -> int:
    """How many `POST /rpc` there are in this process."""
    gc.collect()
    return sum(type(each) is Rpc for each in gc.get_objects())


async def test_a_post_that_breaks_off_is_over(address: str) -> None:
    """It is checked after each test that no task was destroyed while it waited."""
    _, writer = await promise(address, "POST /rpc")
    await wait_until(lambda: posts() == 1, "it has begun")
    writer.close()
    await writer.wait_closed()
    await wait_until(lambda: posts() == 0, "it has ended")


@pytest.mark.parametrize(("start", "status"), [("POST /nowhere", 404), ("GET /ws", 426), ("POST /ws", 405)])
async def test_a_body_that_nobody_wants_is_not_kept(address: str, start: str, status: int) -> None:
    size = 8 << 20
    body = bytes(size)
    reader, writer = await asyncio.open_connection(*address.split(":"))
    tracemalloc.start()
    try:
        writer.write(f"{start} HTTP/1.1\r\nHost: {address}\r\nContent-Length: {size + 1}\r\n\r\n".encode() + body)
        del body
        await writer.drain()
        before = tracemalloc.get_traced_memory()[0]
        await wait_until(lambda: tracemalloc.get_traced_memory()[0] < 1 << 20, f"it is gone; {before} bytes were kept")
    finally:
        tracemalloc.stop()
    writer.write(b"x")
    assert f" {status} ".encode() in await asyncio.wait_for(reader.readline(), 10)
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize("address", [BODY_TIME_S], indirect=True)
@pytest.mark.parametrize(
    ("start", "host"),
    [("GET /", None), ("GET /in/x.png", None), ("PUT /in/x.png", "evil.example"), ("POST /rpc", None)],
)
async def test_every_body_that_is_no_upload_has_its_time(address: str, start: str, host: str | None) -> None:
    text = await answer(*await promise(address, start, host))
    assert text[:12] in (b"", b"HTTP/1.1 421")
