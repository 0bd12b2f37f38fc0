"""One websocket of the client, on Tornado's.

Rules:
- What is sent on a connection that is going is dropped: that it goes is told once, by `on_closed`.
- After `abort` nothing that still arrives is passed on.
- Pings find a peer that has gone without a word.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import WebSocketClientConnection, WebSocketClosedError, websocket_connect

from wispy.config.secrets import mask_urls

PING_INTERVAL_S: Final = 20.0
PING_TIMEOUT_S: Final = 10.0
"""A connection that answered no ping for so long is dead: with the interval, a client notices within half a minute."""

MAX_MESSAGE_BYTES: Final = 1024 * 1024 * 1024
"""Of one answer. The server bounds results by its own settings; this one only has to be a bound."""


class RefusedError(Exception):
    """The server is there and does not take this connection: trying again changes nothing."""


class Socket:
    """An open websocket; made by `open_socket`."""

    def __init__(self, on_message: Callable[[bytes], None], on_closed: Callable[[str], None]) -> None:
        self._on_message = on_message
        self._on_closed = on_closed
        self._connection: WebSocketClientConnection | None = None
        self._is_aborted = False
        self._closed = asyncio.Event()

    def attach(self, connection: WebSocketClientConnection) -> None:
        self._connection = connection

    def receive(self, message: str | bytes | None) -> None:
        """Take what Tornado read; None: the connection is closed."""
        if message is None:
            self._closed.set()
        if self._is_aborted:
            return
        if message is not None:
            self._on_message(message.encode() if isinstance(message, str) else message)
            return
        connection = self._connection
        code = connection.close_code if connection is not None else None
        reason = connection.close_reason if connection is not None else None
        self._on_closed(reason or ("the connection was lost" if code is None else f"the server closed it ({code})"))

    def send(self, text: bytes) -> None:
        """Write a text message."""
        assert self._connection is not None
        try:
            self._connection.write_message(text).add_done_callback(_expect_closed)
        except WebSocketClosedError:
            pass  # on_closed tells it

    def abort(self) -> None:
        """Drop the connection at once."""
        self._is_aborted = True
        connection = self._connection
        if connection is not None:
            _cut(connection)

    async def close(self, timeout_s: float) -> None:
        """Say good-bye, and wait for the peer's for a moment."""
        self._is_aborted = True
        connection = self._connection
        protocol = None if connection is None else connection.protocol
        if connection is None or protocol is None:
            return
        connection.close(1000)
        try:
            async with asyncio.timeout(timeout_s):
                await self._closed.wait()
        except TimeoutError:
            pass
        finally:
            if protocol.stream is not None:
                protocol.stream.close()


def _cut(connection: WebSocketClientConnection) -> None:
    """Drop a connection at once, instead of waiting for the peer's part of the end."""
    protocol = connection.protocol
    if protocol is not None:
        connection.close()
        if protocol.stream is not None:
            protocol.stream.close()


def _expect_closed(written: "asyncio.Future[None]") -> None:
    """What could not be written went with its connection; any other error is one."""
    if not written.cancelled():
        error = written.exception()
        if error is not None and not isinstance(error, WebSocketClosedError):
            raise error


async def open_socket(
    url: str, on_message: Callable[[bytes], None], on_closed: Callable[[str], None], timeout_s: float
) -> Socket:
    """Connect.

    Args:
        url: ws: or wss:.
        on_message: gets each message.
        on_closed: gets the reason when the connection is lost, once; not after `abort` or `close`.
        timeout_s: for the whole handshake.

    Raises:
        RefusedError: the server refuses for good.
        Exception: whatever else kept the connection from being made (OSError and Tornado's own).
    """
    socket = Socket(on_message, on_closed)
    request = HTTPRequest(url, connect_timeout=timeout_s, request_timeout=timeout_s)
    connecting = asyncio.ensure_future(
        websocket_connect(
            request,
            on_message_callback=socket.receive,
            ping_interval=PING_INTERVAL_S,
            ping_timeout=PING_TIMEOUT_S,
            max_message_size=MAX_MESSAGE_BYTES,
        )
    )
    try:
        connection = await asyncio.shield(connecting)
    except asyncio.CancelledError:
        connecting.add_done_callback(_drop)
        raise
    except HTTPClientError as error:
        if 400 <= error.code < 500 and error.code not in (408, 425, 429):
            raise RefusedError(mask_urls(f"the server at {url} refused the connection: {error}")) from error
        raise
    socket.attach(connection)
    return socket


def _drop(connecting: "asyncio.Future[WebSocketClientConnection]") -> None:
    """Nobody waits for this connection any more."""
    if not connecting.cancelled() and connecting.exception() is None:
        _cut(connecting.result())
