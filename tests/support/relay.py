"""A relay between a client and a Redis server that can be cut, stopped and made to swallow replies, or to tell another
time. Real sockets."""

import asyncio
import re
import shutil
import tempfile
from pathlib import Path
from typing import cast

_TIME = re.compile(rb"(?<=\*2\r\n\$10\r\n)\d{10}(?=\r\n\$)")
"""The seconds in a reply to TIME."""


class Relay:
    """Listens on a unix socket and forwards to `target`, another one. Use as `async with Relay(target) as relay`."""

    def __init__(self, target: str) -> None:
        self.target = target.removeprefix("unix://")
        self.accepted = 0  # connections of clients so far
        self.reads = 0  # from clients: about one for each of their writes
        self.is_refusing = False  # new connections are closed at once
        self.is_swallowing = False  # what the server says is thrown away
        self.is_deafening = False  # what it says of published messages is thrown away
        self.ahead_s = 0  # of the server's clock, in its replies to TIME
        self._directory = Path(tempfile.mkdtemp(prefix="relay-"))
        self._path = str(self._directory / "s")
        self._server: asyncio.Server | None = None
        self._sides: set[_Side] = set()

    @property
    def url(self) -> str:
        return f"unix://{self._path}"

    async def __aenter__(self) -> "Relay":
        self._server = await asyncio.get_running_loop().create_unix_server(lambda: _ClientSide(self), self._path)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self.cut()
        self._server.close()
        await self._server.wait_closed()
        shutil.rmtree(self._directory)

    def cut(self) -> None:
        """Break all connections."""
        for side in tuple(self._sides):
            side.transport.abort()

    def stop_reading(self) -> None:
        """Take nothing more from anyone: connections look healthy and are dead."""
        for side in self._sides:
            side.transport.pause_reading()

    def read_on(self) -> None:
        """After `stop_reading`: all that was held up arrives."""
        for side in self._sides:
            side.transport.resume_reading()

    # -- for the sides

    def enter(self, side: "_Side") -> None:
        self._sides.add(side)

    def leave(self, side: "_Side") -> None:
        self._sides.discard(side)


class _Side(asyncio.Protocol):
    transport: asyncio.Transport

    def __init__(self, relay: Relay) -> None:
        self.relay = relay
        self.peer: _Side | None = None
        self.early = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.relay.enter(self)

    def data_received(self, data: bytes) -> None:
        if self.peer is None:
            self.early += data
        else:
            self.peer.transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.relay.leave(self)
        if self.peer is not None:
            self.peer.transport.abort()


class _ClientSide(_Side):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.relay.accepted += 1
        if self.relay.is_refusing:
            self.transport.abort()
            return
        self.task = asyncio.create_task(self._connect())

    async def _connect(self) -> None:
        server_side = _ServerSide(self.relay)
        await asyncio.get_running_loop().create_unix_connection(lambda: server_side, self.relay.target)
        if self.transport.is_closing():
            server_side.transport.abort()
            return
        self.peer, server_side.peer = server_side, self
        server_side.transport.write(bytes(self.early))

    def data_received(self, data: bytes) -> None:
        self.relay.reads += 1
        super().data_received(data)


class _ServerSide(_Side):
    def data_received(self, data: bytes) -> None:
        is_lost = self.relay.is_deafening and b"\r\nmessage\r\n" in data
        if self.relay.ahead_s:
            data = _TIME.sub(lambda seconds: b"%d" % (int(seconds[0]) + self.relay.ahead_s), data)
        if not self.relay.is_swallowing and not is_lost:
            super().data_received(data)
