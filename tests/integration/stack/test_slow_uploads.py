"""Uploads that take too long, and disks that fail: the frontend runs in this process, where both can be had."""

import asyncio
import errno
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.waiting import wait_until
from wispy import RPCWebApp
from wispy.frontend import uploads
from wispy.frontend.incoming import IncomingFile


class Thing:
    a = 1


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    config = {
        "port": 0,
        "launch": "never",
        "multiprocessed": False,
        "upload": {
            "folders": {"in": str(tmp_path / "in")},
            "rules": {"accepted_filetypes": ["png"], "file_creation_whitelist": ["*"]},
        },
    }
    with RPCWebApp(config, thing=Thing()) as app:
        yield app.url.removeprefix("http://").rstrip("/")


async def begin(address: str, name: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """An upload that has sent half of what it promised."""
    reader, writer = await asyncio.open_connection(*address.split(":"))
    writer.write(f"PUT /in/{name} HTTP/1.1\r\nHost: {address}\r\nContent-Length: 200\r\n\r\n".encode() + b"x" * 100)
    await writer.drain()
    return reader, writer


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """All that comes until the server ends the connection."""
    text = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    await writer.wait_closed()
    return text


async def test_an_upload_that_stalls_is_ended(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(uploads, "GRACE_S", 0.2)
    monkeypatch.setattr(uploads, "LOOK_EVERY_S", 0.05)
    reader, writer = await begin(address, "x.png")
    await wait_until(lambda: list((tmp_path / "in").iterdir()), "the upload has begun")
    text = await answer(reader, writer)
    assert b" 408 " in text.splitlines()[0]
    assert b"too slowly" in text
    assert list((tmp_path / "in").iterdir()) == []
    assert "Traceback" not in caplog.text
    assert "destroyed" not in caplog.text, "nothing waits on for a body that nobody reads"


async def test_a_refused_upload_is_not_read_for_ever(
    address: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(uploads, "DISCARD_S", 0.2)
    text = await answer(*await begin(address, "x.exe"))
    assert b" 415 " in text.splitlines()[0]
    assert b"accepted_filetypes" in text
    assert "Traceback" not in caplog.text
    assert "destroyed" not in caplog.text, "nothing waits on for a body that nobody reads"


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
