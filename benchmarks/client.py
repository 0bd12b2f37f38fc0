"""One websocket of the load generator, on picows: it connects, greets, and sends raw frames."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import msgspec
from picows import (
    WSCloseCode,
    WSFrame,
    WSListener,
    WSMsgType,
    WSTransport,
    ws_connect,  # pyright: ignore[reportUnknownVariableType]  (its **kwargs)
)

from benchmarks.wire import REPLY_DECODER, Reply, frame

# Generous: thousands of connections are opened at once on a busy machine.
HANDSHAKE_TIMEOUT_S = 30
ANSWER_TIMEOUT_S = 30
# So many connections are being opened at a time; more would only queue in the server's backlog.
OPENING_AT_ONCE = 64


class Client(WSListener):
    """A connection whose answers to `ask` are awaited; subclasses take the other messages in `message_received`."""

    def __init__(self) -> None:
        self.transport: WSTransport | None = None
        self.closed: str | None = None  # why, once it is closed
        self.clock_offset_ms = 0.0  # Redis' clock minus our monotonic one, from rpc.hello
        self._write: Any = None  # the transport's write: raw frames, no copy
        self._questions: dict[int, asyncio.Future[Reply]] = {}  # unanswered, oldest first

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport
        self._write = transport.underlying_transport.write

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type is WSMsgType.CLOSE:
            self.closed = f"closed by the server: {frame.get_close_code()} {frame.get_close_reason()}"
            transport.disconnect()
        elif frame.msg_type is WSMsgType.TEXT:
            self.message_received(frame.get_payload_as_bytes(), frame.last_in_buffer)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self.closed = self.closed or "connection lost"
        for question in self._questions.values():
            question.cancel(self.closed)

    def message_received(self, payload: bytes, last_of_read: bool) -> None:
        """Take a message; `last_of_read` says that no other complete one has arrived yet."""
        reply = REPLY_DECODER.decode(payload)
        question = self._questions.pop(reply.id, None) if reply.id is not None else None
        if question is not None and not question.done():
            question.set_result(reply)

    def send_frames(self, frames: bytes) -> None:
        """Write complete frames."""
        self._write(frames)

    def ask_nowait(self, number: int, method: str, params: object) -> asyncio.Future[Reply]:
        """Send a request with its own number; the future gets the reply."""
        request = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        if method not in ("rpc.authenticate", "rpc.hello"):
            request["wispy"] = {"ack": next(iter(self._questions), number) - 1, "at": self.now_ms()}
        question: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._questions[number] = question
        self.send_frames(frame(msgspec.json.encode(request)))
        return question

    async def ask(self, number: int, method: str, params: object) -> Any:
        """Send a request, and wait for its result; RuntimeError if it is an error."""
        reply = await asyncio.wait_for(self.ask_nowait(number, method, params), ANSWER_TIMEOUT_S)
        if reply.error is not None:
            raise RuntimeError(f"{method} answered {reply.error}")
        return reply.result

    async def greet(self, token: str | None = None) -> None:
        """Log in, where there is a token for it; begin a session, and learn Redis' clock."""
        if token is not None:
            await self.ask(0, "rpc.authenticate", {"token": token})
        hello = await self.ask(0, "rpc.hello", {"client": "bench"})
        self.clock_offset_ms = hello["ms"] - time.monotonic() * 1000

    def now_ms(self) -> int:
        """Redis' clock, as the session's client estimates it."""
        return int(time.monotonic() * 1000 + self.clock_offset_ms)

    def close(self) -> None:
        """Close from our side."""
        if self.transport is not None and not self.transport.is_disconnected:
            self.transport.send_close(WSCloseCode.OK)
            self.transport.disconnect()


async def open_all(clients: Sequence[Client], url: str) -> None:
    """Connect all clients, some at a time."""
    opening = asyncio.Semaphore(OPENING_AT_ONCE)

    async def connect(client: Client) -> None:
        async with opening:
            await ws_connect(lambda: client, url, websocket_handshake_timeout=HANDSHAKE_TIMEOUT_S)

    async with asyncio.TaskGroup() as tasks:
        for client in clients:
            tasks.create_task(connect(client))
