"""The Tornado handler that answers the GET of a websocket: checks it, asks for a session, chooses the shell."""

from abc import abstractmethod
from typing import Any, cast

from tornado.http1connection import HTTP1Connection
from tornado.iostream import SSLIOStream
from tornado.web import stream_request_body
from tornado.websocket import WebSocketHandler, WebSocketProtocol13

from wispy.frontend.websocket.handshake import accept, agreed, check_upgrade
from wispy.frontend.websocket.seam import MessageHandler
from wispy.frontend.websocket.service import WebSocketService
from wispy.frontend.websocket.tornado_shell import NotingProtocol, TornadoConnection


@stream_request_body
class WebSocketEndpoint(WebSocketHandler):
    """Base of the handler at `/ws`: a subclass says in `admit` who may come in, and what sits on the websocket.

    Args (of the route):
        service: What all websockets of the process share.
    """

    _service: WebSocketService
    _message_handler: MessageHandler
    _protocol: NotingProtocol
    _connection: TornadoConnection | None = None

    def initialize(self, service: WebSocketService, **_other: Any) -> None:
        self._service = service

    @abstractmethod
    async def admit(self) -> MessageHandler | None:
        """Check Origin, Host and identity; return the session, or answer the request with an error and return None.

        Nothing else checks the Origin. The session must not count as open before its `connection_made`.
        """

    def data_received(self, chunk: bytes) -> None:
        """A handshake has no body: what comes all the same passes by, and is not kept."""

    async def get(self, *args: Any, **kwargs: Any) -> None:
        refusal = check_upgrade(self.request)
        if refusal is not None:
            self.set_status(refusal.status)
            for name, value in refusal.headers:
                self.set_header(name, value)
            self.set_header("Content-Type", "text/plain; charset=UTF-8")
            self.write(refusal.reason + "\n")  # pyright: ignore[reportUnknownMemberType]
            return
        message_handler = await self.admit()
        if message_handler is None:
            return
        if self._detaches():
            await accept(self, message_handler, self._service)
            return
        self._message_handler = message_handler
        await super().get(*args, **kwargs)

    def _detaches(self) -> bool:
        settings = self._service.settings
        # Not the protocol of the request: a trusted proxy in front may have set that.
        is_tls = isinstance(cast("HTTP1Connection", self.request.connection).stream, SSLIOStream)
        return settings.shell == "detached" and not settings.compression and not is_tls

    # What Tornado asks in its own shell

    def check_origin(self, origin: str) -> bool:
        # `admit` has.
        return True

    def select_subprotocol(self, subprotocols: list[str]) -> str | None:
        return agreed(self.request.headers)

    def get_compression_options(self) -> dict[str, Any] | None:
        return {} if self._service.settings.compression else None

    @property
    def max_message_size(self) -> int:
        return self._service.settings.max_message_size

    @property
    def ping_interval(self) -> float:
        # Ours pings, by one timer for all connections.
        return 0

    def get_websocket_protocol(self) -> NotingProtocol | None:
        protocol = super().get_websocket_protocol()
        if not isinstance(protocol, WebSocketProtocol13):
            return None
        self._protocol = NotingProtocol(self, protocol.params, self._service.room)
        return self._protocol

    # What Tornado tells in its own shell

    def open(self, *args: Any, **kwargs: Any) -> None:
        offered = self.request.headers.get("Sec-WebSocket-Extensions", "")
        self._connection = TornadoConnection(
            self._service,
            self._message_handler,
            self._protocol,
            remote=str(self.request.remote_ip),
            # Where the client did not offer it, Tornado's compressor would be a detour.
            compressed=self._service.settings.compression and "permessage-deflate" in offered,
        )
        self._connection.opened()

    def on_message(self, message: str | bytes) -> Any:
        return self._connection.received(message) if self._connection is not None else None

    def on_ping(self, data: bytes) -> None:
        if self._connection is not None:
            self._connection.heard()

    def on_pong(self, data: bytes) -> None:
        if self._connection is not None:
            self._connection.heard()

    def on_close(self) -> None:
        if self._connection is not None:
            self._connection.lost()
