"""A small JSON-RPC client over a websocket, for tests: shows each message as it came, and when."""

import asyncio
import json
import time
from types import TracebackType
from typing import Any, Self

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.support.waiting import wait_until

ANSWER_TIMEOUT_S = 20.0


class RemoteError(Exception):
    """The answer was an error."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(json.dumps(error))
        self.code: int = error["code"]
        self.message: str = error["message"]
        self.data: dict[str, Any] = error.get("data") or {}


class Client:
    """A plain JSON-RPC client; after `hello` one with a session. Use as `async with Client(url) as client`."""

    def __init__(self, url: str, **options: Any) -> None:
        self._url = url
        self._options = {"compression": None, "proxy": None, "max_size": None, "ping_interval": None, **options}
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._last_id = 0
        self._clock: tuple[int, float] | None = None
        """The server's milliseconds at a moment of this machine's monotonic clock; None for a plain client."""
        self._may_read = asyncio.Event()
        self._may_read.set()
        self.received: list[Any] = []
        """All messages, decoded, in the order in which they came."""
        self.close_code: int | None = None
        """Of the connection, once it is closed."""
        self.close_reason = ""

    async def __aenter__(self) -> Self:
        self.socket: ClientConnection = await connect(self._url, **self._options)
        self._reader = asyncio.create_task(self._read())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._may_read.set()
        await self.socket.close()
        await self._reader

    async def _read(self) -> None:
        try:
            while True:
                await self._may_read.wait()
                self._take(json.loads(await self.socket.recv()))
        except ConnectionClosed as closed:
            self.close_code = closed.rcvd.code if closed.rcvd else 1006
            self.close_reason = closed.rcvd.reason if closed.rcvd else ""
        finally:
            for waiting in self._waiting.values():
                waiting.cancel()

    def _take(self, message: Any) -> None:
        self.received.append(message)
        id = message.get("id") if isinstance(message, dict) else None
        if isinstance(message, dict) and message.get("method") == "rpc.clock" and self._clock is not None:
            self._clock = message["params"]["ms"], time.monotonic()
        if id in self._waiting:
            self._waiting.pop(id).set_result(message)

    # --- requests ---------------------------------------------------------------------------------------------------

    async def hello(self, former: dict[str, Any] | None = None, *, last_id: int = 0) -> dict[str, Any]:
        """Begin a session, or go on with the one that `former` (the answer to its hello) began."""
        self._last_id = max(self._last_id, last_id)
        welcome = await self.call(
            "rpc.hello", {"session": former["session"], "token": former["token"]} if former else None
        )
        self._clock = welcome["ms"], time.monotonic()
        return welcome

    async def start(self, method: str, params: Any = None) -> "asyncio.Future[dict[str, Any]]":
        """Send a request; the future has its whole answer, or TimeoutError: no request may stay without one."""
        self._last_id += 1
        id = self._last_id
        message: dict[str, Any] = {"jsonrpc": "2.0", "id": id, "method": method}
        if params is not None:
            message["params"] = params
        if self._clock is not None:
            ms, moment = self._clock
            oldest = min(self._waiting, default=id)
            message["wispy"] = {"ack": oldest - 1, "at": int(ms + 1000 * (time.monotonic() - moment))}
        future = self._waiting[id] = asyncio.get_running_loop().create_future()
        await self.socket.send(json.dumps(message))
        return asyncio.ensure_future(asyncio.wait_for(future, ANSWER_TIMEOUT_S))

    async def call(self, method: str, params: Any = None) -> Any:
        """Send a request and wait for its result, or raise RemoteError."""
        return result(await (await self.start(method, params)))

    async def error(self, method: str, params: Any = None) -> RemoteError:
        """The error with which a request is answered."""
        answer = await (await self.start(method, params))
        assert "error" in answer, f"an error was expected: {str(answer)[:300]}"
        return RemoteError(answer["error"])

    async def get(self, path: str) -> Any:
        return await self.call("rpc.get", {"path": path})

    async def set(self, path: str, value: Any) -> None:
        await self.call("rpc.set", {"path": path, "value": value})

    # --- channels ---------------------------------------------------------------------------------------------------

    async def subscribe(self, *channels: str, since: dict[str, str] | None = None) -> dict[str, Any]:
        params: dict[str, Any] = {"channels": channels}
        if since:
            params["since"] = since
        return await self.call("rpc.subscribe", params)

    def notifications(self, method: str, channel: str | None = None) -> list[dict[str, Any]]:
        """The params of the notifications that have come so far."""
        messages = [message for message in self.received if isinstance(message, dict)]
        found = [message["params"] for message in messages if message.get("method") == method]
        return [params for params in found if channel is None or params["channel"] == channel]

    def updates(self, channel: str) -> list[Any]:
        """The values that have come so far."""
        return [update["value"] for update in self.notifications("rpc.update", channel)]

    async def wait_for_update(self, channel: str, value: Any) -> None:
        await wait_until(
            lambda: self.updates(channel)[-1:] == [value],
            lambda: f"the newest value of {channel} is {value}; there came {self.updates(channel)[-20:]}",
        )

    # --- raw ----------------------------------------------------------------------------------------------------------

    async def send_raw(self, data: str | bytes) -> None:
        await self.socket.send(data)

    async def ask_raw(self, data: str | bytes) -> Any:
        """Send something; the next message that comes, which must not answer another request."""
        count = len(self.received)
        await self.socket.send(data)
        await wait_until(lambda: len(self.received) > count, lambda: f"an answer to {data[:100]!r}")
        return self.received[count]

    def stop_reading(self) -> None:
        """Leave all that comes unread, after at most one more message."""
        self._may_read.clear()

    def read_on(self) -> None:
        self._may_read.set()

    async def wait_until_closed(self) -> int:
        """The code with which the server closed the connection."""
        await wait_until(lambda: self.close_code is not None, "the connection is closed")
        assert self.close_code is not None
        return self.close_code


def result(answer: dict[str, Any]) -> Any:
    """The result of a whole answer, or RemoteError."""
    if "error" in answer:
        raise RemoteError(answer["error"])
    return answer["result"]
