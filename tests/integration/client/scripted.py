"""A server that answers only what a test tells it to. Real sockets."""

import json
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from tests.support.waiting import wait_until

RUN = "r" * 40


class Message:
    """What a client sent, and the connection that it came by."""

    def __init__(self, connection: ServerConnection, number: int, data: dict[str, Any]) -> None:
        self.connection = connection
        self.number = number
        """Of the connection, from 1."""
        self.data = data

    @property
    def method(self) -> str:
        return self.data["method"]

    @property
    def members(self) -> dict[str, Any]:
        return self.data.get("wispy", {})

    async def answer(self, result: Any) -> None:
        await self._send({"jsonrpc": "2.0", "id": self.data["id"], "result": result})

    async def fail(self, code: int, executed: str, retryable: bool = False) -> None:
        error = {"code": code, "message": "it failed", "data": {"executed": executed, "retryable": retryable}}
        await self._send({"jsonrpc": "2.0", "id": self.data["id"], "error": error})

    async def _send(self, answer: dict[str, Any]) -> None:
        await self.connection.send(json.dumps(answer))


class ScriptedServer:
    """Says hello by itself, and answers subscriptions with `channels`; all else is the test's."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.connections: list[ServerConnection] = []
        self.says_hello: Callable[[dict[str, Any]], dict[str, Any]] = lambda said: {}
        """Changes to the answer to a hello."""
        self.channels: dict[str, dict[str, Any]] = {}
        self.is_mute = False
        """Hellos stay without an answer."""
        self._server: Server | None = None
        self.port = 0

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ws"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        self._server = await serve(self._serve, "127.0.0.1", self.port, compression=None)
        self.port = next(iter(self._server.sockets)).getsockname()[1]

    async def stop(self) -> None:
        """Break all connections, and take no more."""
        assert self._server is not None
        self.cut()
        self._server.close()
        await self._server.wait_closed()

    def cut(self) -> None:
        for connection in self.connections:
            connection.transport.abort()

    async def _serve(self, connection: ServerConnection) -> None:
        self.connections.append(connection)
        number = len(self.connections)
        try:
            async for text in connection:
                await self._take(Message(connection, number, json.loads(text)))
        except ConnectionClosed:
            pass

    async def _take(self, message: Message) -> None:
        self.messages.append(message)
        if message.method == "rpc.hello" and not self.is_mute:
            said = message.data["params"]
            answer = {
                "session": f"session-{message.number}",
                "token": f"token-{message.number}",
                "run": RUN,
                "ms": 1_000_000,
                "limits": {"in_flight": 64, "batch": 64, "message_bytes": 10**6},
                "ping_interval_s": 25.0,
                "resumed": False,
                "session_window_s": 60.0,
            }
            await message.answer({**answer, **self.says_hello(said)})
        elif message.method == "rpc.subscribe":
            await message.answer({name: self.channels[name] for name in message.data["params"]["channels"]})

    def resume(self) -> None:
        """From now on sessions resume."""
        self.says_hello = lambda said: {"session": said["session"], "resumed": True} if "session" in said else {}

    async def notify(self, method: str, **params: Any) -> None:
        """Tell the newest connection."""
        message = {"jsonrpc": "2.0", "method": method, "params": params}
        await self.connections[-1].send(json.dumps(message))

    def sent(self, method: str, connection: int | None = None) -> list[Message]:
        return [each for each in self.messages if each.method == method and connection in (None, each.number)]

    async def wait_for(self, method: str, connection: int | None = None, count: int = 1) -> list[Message]:
        """So many messages of a method, on one connection or any."""
        await wait_until(
            lambda: len(self.sent(method, connection)) >= count,
            lambda: f"{count} {method} on {connection}; there came {[each.data for each in self.messages]}",
        )
        return self.sent(method, connection)
