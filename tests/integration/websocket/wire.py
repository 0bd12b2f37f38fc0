"""A websocket client that can be wrong on purpose: frames written and read as bytes over a plain socket.

Frames are written in short, in tests and in `situations.json`: `KIND[+][!FLAG]:TEXT`, `KIND...=HEX` or `KIND...*SIZE`.

    text:hello      a whole message           text+:hel  cont:lo     in two fragments; + says: not the last
    ping=00ff       payload in hex            binary*65536           so many bytes
    close=03e8      1000                      opcode3:               a reserved opcode
    text!rsv4:x     reserved bits, as 1 to 7  text!unmasked:x        no mask
    raw=81ff        these bytes, no frame
"""

import asyncio
import base64
import os
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import cast

KINDS = {"cont": 0, "text": 1, "binary": 2, "close": 8, "ping": 9, "pong": 10}
_NAMES = {opcode: kind for kind, opcode in KINDS.items()}

_FRAME = re.compile(
    r"(?P<kind>[a-z]+)(?P<opcode>\d*)(?P<more>\+?)(?:!(?P<flag>\w+))?(?P<form>[:=*])(?P<payload>.*)", re.S
)

_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class Frame:
    """A frame that the server sent."""

    kind: str
    payload: bytes
    final: bool = True

    @property
    def code(self) -> int:
        """Of a Close frame; 1005 if it has none."""
        return int.from_bytes(self.payload[:2], "big") if self.payload else 1005


def encode(text: str, mask: bytes | None = None) -> bytes:
    """Return the bytes that a client sends for a frame in short."""
    found = _FRAME.fullmatch(text)
    assert found is not None, text
    payload = _payload(found["form"], found["payload"])
    if found["kind"] == "raw":
        return payload
    opcode = int(found["opcode"]) if found["kind"] == "opcode" else KINDS[found["kind"]]
    flag = found["flag"] or ""
    reserved = int(flag.removeprefix("rsv")) << 4 if flag.startswith("rsv") else 0
    first = (0 if found["more"] else 0x80) | reserved | opcode
    if flag == "unmasked":
        return bytes((first, len(payload))) + payload
    mask = os.urandom(4) if mask is None else mask
    return _header(first, len(payload)) + mask + masked(payload, mask)


def masked(payload: bytes, mask: bytes) -> bytes:
    """Return the payload masked, which is the same as unmasked."""
    stream = (mask * (len(payload) // 4 + 1))[: len(payload)]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(stream, "big")).to_bytes(len(payload), "big")


def expected(text: str) -> Frame:
    """Return the frame of the server that a frame in short stands for."""
    found = _FRAME.fullmatch(text)
    assert found is not None, text
    return Frame(found["kind"], _payload(found["form"], found["payload"]))


def _payload(form: str, payload: str) -> bytes:
    if form == ":":
        return payload.encode()
    if form == "=":
        return bytes.fromhex(payload)
    return b"*" * int(payload)


def _header(first: int, length: int) -> bytes:
    if length < 126:
        return bytes((first, 0x80 | length))
    if length < 65536:
        return bytes((first, 0x80 | 126)) + length.to_bytes(2, "big")
    return bytes((first, 0x80 | 127)) + length.to_bytes(8, "big")


def upgrade_request(path: str = "/", **headers: str | None) -> bytes:
    """Return a client's handshake. `headers` change single lines (`sec_websocket_key`); None leaves one out."""
    lines: dict[str, str | None] = {
        "host": "localhost",
        "upgrade": "websocket",
        "connection": "Upgrade",
        "sec_websocket_version": "13",
        "sec_websocket_key": base64.b64encode(os.urandom(16)).decode(),
    }
    lines |= headers
    head = [f"{name.replace('_', '-')}: {value}" for name, value in lines.items() if value is not None]
    return "\r\n".join([f"GET {path} HTTP/1.1", *head, "", ""]).encode()


class WireClient:
    """The client's end of one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def upgrade(self, early: bytes = b"", *, path: str = "/", **headers: str | None) -> bytes:
        """Shake hands, `early` being sent without waiting for the answer; returns the answer's head."""
        self.writer.write(upgrade_request(path, **headers) + early)
        return await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), _TIMEOUT_S)

    def pause(self) -> None:
        """Read nothing from the socket until `resume`: the kernel's buffers fill."""
        cast("asyncio.ReadTransport", self.writer.transport).pause_reading()

    def resume(self) -> None:
        cast("asyncio.ReadTransport", self.writer.transport).resume_reading()

    def send(self, *frames: str) -> None:
        self.writer.write(b"".join(map(encode, frames)))

    async def send_chopped(self, data: bytes, size: int) -> None:
        """Send in pieces, each in a turn of its own, so that a server in the same loop reads between them.

        A server that refuses what it has read may be gone before the rest.
        """
        with suppress(ConnectionError):
            for start in range(0, len(data), size):
                self.writer.write(data[start : start + size])
                await self.writer.drain()
                await asyncio.sleep(0)

    async def receive(self) -> Frame | None:
        """Return the server's next frame; None at its end of data."""
        return await asyncio.wait_for(self._receive(), _TIMEOUT_S)

    async def receive_compressed(self) -> Frame:
        """Return the next frame, which must be compressed, without inflating it."""
        frame = await asyncio.wait_for(self._receive(reserved=0x40), _TIMEOUT_S)
        assert frame is not None
        return frame

    async def receive_all(self) -> list[Frame]:
        """Return all frames up to the server's end of data."""
        frames: list[Frame] = []
        while (frame := await self.receive()) is not None:
            frames.append(frame)
        return frames

    async def expect(self, *frames: str) -> None:
        """Receive exactly these."""
        for frame in frames:
            assert await self.receive() == expected(frame)

    async def _receive(self, reserved: int = 0) -> Frame | None:
        try:
            first, length = await self.reader.readexactly(2)
            if length >= 126:
                length = int.from_bytes(await self.reader.readexactly(2 if length == 126 else 8), "big")
            payload = await self.reader.readexactly(length)
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        assert first & 0x70 == reserved, "reserved bits"
        return Frame(_NAMES[first & 0x0F], payload, bool(first & 0x80))


@asynccontextmanager
async def connect(port: int) -> AsyncIterator[WireClient]:
    """Connect, without a handshake yet."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield WireClient(reader, writer)
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


@asynccontextmanager
async def open_websocket(port: int) -> AsyncIterator[WireClient]:
    """Connect and shake hands."""
    async with connect(port) as client:
        head = await client.upgrade()
        assert head.startswith(b"HTTP/1.1 101 "), head
        yield client


def encode_all(frames: Sequence[str | list[str | int]]) -> bytes:
    """Return the bytes of frames in short; `[frame, times]` stands for the same one so many times."""
    return b"".join(encode(item) if isinstance(item, str) else encode(str(item[0])) * int(item[1]) for item in frames)
