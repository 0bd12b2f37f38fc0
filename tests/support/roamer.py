"""A client whose session goes on at another frontend, by docs/reference/protocol.md alone."""

import asyncio
import contextlib
import itertools
import json
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from tests.support.rpc_client import result

ANSWER_TIMEOUT_S = 30.0
RETRY_S = 0.05
"""Between two tries to connect."""


class Roamer:
    """Calls, whatever becomes of its connection. Use as `async with Roamer(urls) as roamer`.

    Args:
        urls: the frontends' websockets; it takes the next one each time.
    """

    def __init__(self, urls: Sequence[str]) -> None:
        self._urls = itertools.cycle(urls)
        self._hello: dict[str, Any] | None = None
        self._heard_at = 0.0
        self._last_id = 0
        self._open: dict[int, tuple[dict[str, Any], asyncio.Future[dict[str, Any]]]] = {}
        """Id to the message, with the run of its stamp, and who waits for the answer."""
        self._socket: ClientConnection | None = None
        self._may_send = asyncio.Event()
        self.hellos: list[dict[str, Any]] = []
        self.retries = 0
        self.waits_ms: list[int] = []
        """What closing frontends told it."""

    async def __aenter__(self) -> Self:
        self._roaming = asyncio.create_task(self._roam())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._roaming.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._roaming

    async def call(self, method: str, *params: Any) -> Any:
        """The result, or RemoteError."""
        await self._may_send.wait()
        assert self._socket is not None
        assert self._hello is not None
        stamp = self._stamp()
        self._last_id += 1
        message = {"jsonrpc": "2.0", "id": self._last_id, "method": method, "params": params, "wispy": stamp}
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._open[self._last_id] = message, future
        with contextlib.suppress(ConnectionClosed):  # then it is sent again on the next one
            await self._socket.send(json.dumps(message))
        return result(await asyncio.wait_for(future, ANSWER_TIMEOUT_S))

    def _stamp(self) -> dict[str, Any]:
        assert self._hello is not None
        at = int(self._hello["ms"] + 1000 * (time.monotonic() - self._heard_at))
        return {"ack": self._ack(), "at": at, "run": self._hello["run"]}

    def _ack(self) -> int:
        return min(self._open, default=self._last_id + 1) - 1

    async def _roam(self) -> None:
        while True:
            with contextlib.suppress(OSError, InvalidHandshake, ConnectionClosed):
                async with connect(next(self._urls), compression=None, proxy=None, ping_interval=None) as socket:
                    try:
                        await self._converse(socket)
                    finally:
                        self._may_send.clear()
            await asyncio.sleep(RETRY_S)

    async def _converse(self, socket: ClientConnection) -> None:
        former = self._hello
        params = {"session": former["session"], "token": former["token"]} if former else None
        self._last_id += 1
        await socket.send(
            json.dumps({"jsonrpc": "2.0", "id": self._last_id, "method": "rpc.hello", "params": params or {}})
        )
        answer = json.loads(await socket.recv())
        if "error" in answer:
            return
        self._hello, self._heard_at = answer["result"], time.monotonic()
        self.hellos.append(answer["result"])
        assert answer["result"]["resumed"] is (former is not None)
        for message, _ in sorted(self._open.values(), key=lambda each: each[0]["id"]):
            self.retries += 1
            message["wispy"] |= {"ack": self._ack(), "retry": True}
            await socket.send(json.dumps(message))
        self._socket = socket
        self._may_send.set()
        leaving: asyncio.Task[None] | None = None
        try:
            async for text in socket:
                message = json.loads(text)
                if message.get("id") in self._open:
                    _, future = self._open.pop(message["id"])
                    if not future.done():
                        future.set_result(message)
                elif message.get("method") == "rpc.closing":
                    self._may_send.clear()
                    self.waits_ms.append(message["params"]["reconnect_in_ms"])
                    leaving = asyncio.create_task(self._leave(socket, self.waits_ms[-1] / 1000))
        finally:
            if leaving is not None:
                leaving.cancel()

    async def _leave(self, socket: ClientConnection, wait_s: float) -> None:
        await asyncio.sleep(wait_s)
        if self._open:
            await asyncio.wait([future for _, future in self._open.values()], timeout=1)
        await socket.close()
