"""A server in the test's own loop, with sessions that note what happens to them."""

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application

from tests.support.waiting import wait_until
from wispy.frontend.websocket.endpoint import WebSocketEndpoint
from wispy.frontend.websocket.seam import Connection, MessageHandler, WebSocketSettings
from wispy.frontend.websocket.service import WebSocketService


class NotingHandler:
    """A session that keeps all it is told, and does what the test says.

    `on_message` is called with each message, behind the note.
    """

    def __init__(self, on_message: Callable[["NotingHandler", bytes, bool], None] | None = None) -> None:
        self.connection: Connection | None = None
        self.messages: list[bytes] = []
        self.times_writable = 0
        self.lost: list[tuple[int, str]] = []
        self._on_message = on_message

    @property
    def open(self) -> Connection:
        assert self.connection is not None
        return self.connection

    def connection_made(self, connection: Connection) -> None:
        assert self.connection is None
        self.connection = connection

    def message_received(self, data: bytes, is_text: bool) -> None:
        assert not self.lost, "a message after the end"
        self.messages.append(data)
        if self._on_message is not None:
            self._on_message(self, data, is_text)

    def writable(self) -> None:
        assert not self.lost, "writable after the end"
        self.times_writable += 1

    def connection_lost(self, code: int, reason: str) -> None:
        self.lost.append((code, reason))


def echo(handler: NotingHandler, data: bytes, is_text: bool) -> None:
    """As `on_message`: send back what comes, and read no further while the peer does not take it."""
    handler.open.send(data, is_text=is_text)


@dataclass
class Server:
    """What `serve` yields."""

    port: int
    service: WebSocketService
    handlers: list[NotingHandler] = field(default_factory=list[NotingHandler])

    async def handler(self, index: int = 0) -> NotingHandler:
        """Wait for the session of the connection with this number."""

        def is_open() -> bool:
            return len(self.handlers) > index and self.handlers[index].connection is not None

        await wait_until(is_open, f"connection {index} is open")
        return self.handlers[index]


@asynccontextmanager
async def serve(
    settings: WebSocketSettings | None = None,
    make_handler: Callable[[], NotingHandler] = NotingHandler,
    ssl_options: ssl.SSLContext | None = None,
) -> AsyncIterator[Server]:
    """Serve websockets on a free port; at the end every session must have been told of its end, once."""
    service = WebSocketService(settings or WebSocketSettings())
    sockets = bind_sockets(0, "127.0.0.1")
    server = Server(sockets[0].getsockname()[1], service)

    class Endpoint(WebSocketEndpoint):
        async def admit(self) -> MessageHandler:
            handler = make_handler()
            server.handlers.append(handler)
            return handler

    http = HTTPServer(Application([(".*", Endpoint, {"service": service})]), ssl_options=ssl_options)
    http.add_sockets(sockets)
    try:
        yield server
        opened = [handler for handler in server.handlers if handler.connection is not None]
        await wait_until(lambda: all(handler.lost for handler in opened), "all sessions were told of their end")
        assert all(len(handler.lost) == 1 for handler in opened), "told twice of the end"
        assert len(service.keepalive) == 0, "the keepalive still watches connections that are gone"
    finally:
        http.stop()
        await http.close_all_connections()
        service.stop()
