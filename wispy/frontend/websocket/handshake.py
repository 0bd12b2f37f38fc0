"""The opening handshake (RFC 6455, section 4.2), and how a socket leaves Tornado.

Tornado has read the request. `check_upgrade` says whether it asks for a websocket that we can serve; `accept` then
takes the socket over:

1. `detach()` ends Tornado's HTTP on the connection and gives out its stream.
2. What the client sent behind its request, without waiting for the answer, is taken out of the stream.
3. The socket is duplicated and the stream closed: so no private part of Tornado is touched, and its stream, request and
   handler are free to go. (They are 16 of the 18 KiB of an idle connection in Tornado's shell.)
4. uvloop makes a transport of the socket, and the first bytes that it writes are the 101.
"""

import base64
import binascii
import hashlib
import logging
import socket
from asyncio import Future
from dataclasses import dataclass
from typing import Final, cast

from tornado.httputil import HTTPHeaders, HTTPServerRequest
from tornado.iostream import IOStream, StreamClosedError
from tornado.web import RequestHandler

from wispy.frontend.websocket.connection import DetachedConnection
from wispy.frontend.websocket.seam import SUBPROTOCOL, MessageHandler
from wispy.frontend.websocket.service import WebSocketService

logger = logging.getLogger(__name__)

_VERSION: Final = "13"
_KEY_BYTES: Final = 16
_ACCEPT_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

SEND_BUFFER: Final = 128 * 1024
"""`SO_SNDBUF`, of which Linux makes 256 KiB: 2.5 MB/s over a round trip of 100 ms. Left alone the kernel takes up to
4 MiB for a peer that does not read, and so much old news would lie between a slow reader and the newest value."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request cannot become a websocket, as an HTTP answer."""

    status: int
    reason: str
    headers: tuple[tuple[str, str], ...] = ()


def check_upgrade(request: HTTPServerRequest) -> Refusal | None:
    """Return why a GET request cannot become a websocket; None if it can. Origin and Host are not looked at here."""
    headers = request.headers
    if request.version != "HTTP/1.1":
        return Refusal(400, "a websocket needs HTTP/1.1")
    if "websocket" not in _tokens(headers.get("Upgrade", "")):
        return Refusal(426, "this address speaks websocket", (("Upgrade", "websocket"), ("Connection", "Upgrade")))
    if "upgrade" not in _tokens(headers.get("Connection", "")):
        return Refusal(400, "the Connection header does not say Upgrade: does a proxy on the way drop it?")
    if headers.get("Sec-WebSocket-Version", "").strip() != _VERSION:
        return Refusal(426, "only version 13 of websocket is spoken here", (("Sec-WebSocket-Version", _VERSION),))
    if not _is_key(headers.get("Sec-WebSocket-Key", "")):
        return Refusal(400, "Sec-WebSocket-Key is not 16 bytes in base64")
    return None


async def accept(handler: RequestHandler, message_handler: MessageHandler, service: WebSocketService) -> None:
    """Answer a checked upgrade request, and run `message_handler` on the socket from then on.

    To be called in `get`, as the last thing that the handler does; not where the stream is TLS. If the client is
    already gone, `message_handler` is not called at all.
    """
    request = handler.request
    response = _response(request.headers)
    remote = str(request.remote_ip)
    stream = handler.detach()
    early, sock = _take_socket(stream)
    if sock is None:
        logger.debug("%s was gone before its websocket opened", remote)
        return
    bound_socket(sock)
    connection = DetachedConnection(service, message_handler, remote=remote, response=response, early=early)
    try:
        await service.loop.connect_accepted_socket(lambda: connection, sock)
    except OSError:
        sock.close()
        logger.debug("%s was gone before its websocket opened", remote, exc_info=True)


def bound_socket(sock: socket.socket) -> None:
    """Set what both shells want of a socket: frames leave at once, and the kernel holds little of them."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
    if sock.family in (socket.AF_INET, socket.AF_INET6):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _take_socket(stream: IOStream) -> tuple[bytes, socket.socket | None]:
    """Return what the stream has already read, and its socket as one of our own; the stream is closed."""
    try:
        # Partial: done at once if there is anything, here or in the kernel. Otherwise closing the stream ends it.
        reading = cast("Future[bytes]", stream.read_bytes(stream.max_buffer_size, partial=True))
        early = reading.result() if reading.done() else b""
        if stream.socket is None:
            return b"", None
        sock = stream.socket.dup()
    except (StreamClosedError, OSError):
        return b"", None
    finally:
        stream.close()
    return early, sock


def agreed(headers: HTTPHeaders) -> str | None:
    """The subprotocol that the server agrees to: wispy's own, beside which a client may offer its token."""
    offered = headers.get("Sec-WebSocket-Protocol", "").split(",")
    return SUBPROTOCOL if any(each.strip() == SUBPROTOCOL for each in offered) else None


def _response(headers: HTTPHeaders) -> bytes:
    key = headers.get("Sec-WebSocket-Key", "").strip().encode()
    digest = hashlib.sha1(key + _ACCEPT_GUID, usedforsecurity=False).digest()
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
        + base64.b64encode(digest)
        + (b"" if agreed(headers) is None else b"\r\nSec-WebSocket-Protocol: " + SUBPROTOCOL.encode())
        + b"\r\n\r\n"
    )


def _tokens(value: str) -> list[str]:
    return [token.strip().lower() for token in value.split(",")]


def _is_key(value: str) -> bool:
    try:
        return len(base64.b64decode(value.strip(), validate=True)) == _KEY_BYTES
    except (binascii.Error, ValueError):
        return False
