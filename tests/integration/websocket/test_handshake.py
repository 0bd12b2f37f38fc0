"""The opening handshake, and what the socket brings along from Tornado."""

import base64
import hashlib

import pytest

from tests.integration.websocket.servers import NotingHandler, echo, serve
from tests.integration.websocket.wire import connect, encode, open_websocket
from wispy.frontend.websocket.seam import WebSocketSettings

KEY = "dGhlIHNhbXBsZSBub25jZQ=="  # RFC 6455, section 1.3


async def test_answer_of_the_rfc(settings: WebSocketSettings) -> None:
    async with serve(settings) as server, connect(server.port) as client:
        head = (await client.upgrade(sec_websocket_key=KEY)).decode().lower()
        assert head.startswith("http/1.1 101 switching protocols\r\n")
        lines = dict(line.split(": ", 1) for line in head.strip().split("\r\n")[1:])
        assert lines["upgrade"] == "websocket"
        assert lines["connection"] == "upgrade"
        digest = hashlib.sha1((KEY + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
        assert lines["sec-websocket-accept"] == base64.b64encode(digest).decode().lower()


@pytest.mark.parametrize(
    ("headers", "status", "header"),
    [
        ({"upgrade": None}, 426, "upgrade: websocket"),
        ({"upgrade": "h2c"}, 426, "upgrade: websocket"),
        ({"connection": "keep-alive"}, 400, ""),
        ({"sec_websocket_version": None}, 426, "sec-websocket-version: 13"),
        ({"sec_websocket_version": "8"}, 426, "sec-websocket-version: 13"),
        ({"sec_websocket_key": None}, 400, ""),
        ({"sec_websocket_key": "c2hvcnQ="}, 400, ""),
        ({"sec_websocket_key": "not base64 at all!!!!!!!"}, 400, ""),
    ],
)
async def test_a_bad_upgrade_is_refused(
    settings: WebSocketSettings, headers: dict[str, str | None], status: int, header: str
) -> None:
    async with serve(settings) as server, connect(server.port) as client:
        head = (await client.upgrade(b"", path="/", **headers)).decode().lower()
        assert head.startswith(f"http/1.1 {status} ")
        assert header in head
        assert server.handlers == []


async def test_headers_are_lists_and_ignore_case(settings: WebSocketSettings) -> None:
    async with serve(settings) as server, connect(server.port) as client:
        head = await client.upgrade(upgrade="WebSocket", connection="keep-alive, UPGRADE")
        assert head.startswith(b"HTTP/1.1 101 ")


async def test_an_extension_that_is_not_offered_is_not_answered(settings: WebSocketSettings) -> None:
    async with serve(settings) as server, connect(server.port) as client:
        head = await client.upgrade(sec_websocket_extensions="permessage-deflate", sec_websocket_protocol="mqtt")
        assert b"extensions" not in head.lower()
        assert b"protocol:" not in head.lower()


@pytest.mark.parametrize("whole", [True, False], ids=["whole frames", "half a frame"])
async def test_frames_that_come_with_the_request(settings: WebSocketSettings, whole: bool) -> None:
    early = encode("text:early") + encode("text:bird")
    cut = len(early) if whole else len(early) - 3
    async with serve(settings, lambda: NotingHandler(echo)) as server, connect(server.port) as client:
        await client.upgrade(early[:cut])
        client.writer.write(early[cut:])
        await client.expect("text:early", "text:bird")


async def test_a_client_that_is_gone_at_once(settings: WebSocketSettings) -> None:
    async with serve(settings, lambda: NotingHandler(echo)) as server:
        async with connect(server.port) as client:
            client.writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n")
            client.writer.write(f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n".encode())
            client.writer.transport.abort()
        async with open_websocket(server.port) as client:
            client.send("text:next")
            await client.expect("text:next")


async def test_the_address_of_the_peer(settings: WebSocketSettings) -> None:
    async with serve(settings) as server, open_websocket(server.port):
        assert (await server.handler()).open.remote == "127.0.0.1"
