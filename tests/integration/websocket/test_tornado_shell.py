"""What only Tornado's shell does: permessage-deflate, and TLS that ends in this process."""

import ssl
import zlib
from pathlib import Path

from websockets.asyncio.client import connect as connect_client

from tests.integration.websocket.servers import NotingHandler, echo, serve
from tests.integration.websocket.wire import connect, encode
from tests.support.certificates import Authority
from tests.support.waiting import wait_until
from wispy.frontend.websocket.connection import DetachedConnection
from wispy.frontend.websocket.seam import PreparedMessages, WebSocketSettings
from wispy.frontend.websocket.tornado_shell import TornadoConnection

LIMIT = 100_000

COMPRESSING = WebSocketSettings(compression=True, max_message_size=LIMIT, write_buffer=LIMIT)


async def test_messages_are_compressed_where_the_client_offers_it() -> None:
    async with (
        serve(COMPRESSING, lambda: NotingHandler(echo)) as server,
        connect_client(f"ws://127.0.0.1:{server.port}/") as client,
    ):
        assert [extension.name for extension in client.protocol.extensions] == ["permessage-deflate"]
        handler = await server.handler()
        assert isinstance(handler.connection, TornadoConnection)
        await client.send("hello " * 1000)
        assert await client.recv() == "hello " * 1000
        await client.send(b"\x00\xff")
        assert await client.recv() == b"\x00\xff"
        handler.open.send_prepared(PreparedMessages(b"one", b"two"))
        handler.open.send(b"three")
        assert [await client.recv() for _ in range(3)] == ["one", "two", "three"]
        await wait_until(lambda: handler.open.buffered == 0, "all is written")


async def test_a_client_that_does_not_offer_it_gets_plain_frames() -> None:
    async with (
        serve(COMPRESSING, lambda: NotingHandler(echo)) as server,
        connect_client(f"ws://127.0.0.1:{server.port}/", compression=None) as client,
    ):
        assert client.protocol.extensions == []
        await client.send("hello")
        assert await client.recv() == "hello"


async def test_a_decompression_bomb_is_refused() -> None:
    """A thousandth on the wire of what it inflates to."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = compressor.compress(b"*" * (100 * LIMIT)) + compressor.flush(zlib.Z_SYNC_FLUSH)
    bomb = bomb.removesuffix(b"\x00\x00\xff\xff")
    assert len(bomb) < LIMIT
    async with serve(COMPRESSING) as server, connect(server.port) as client:
        await client.upgrade(sec_websocket_extensions="permessage-deflate")
        client.writer.write(encode("binary!rsv4=" + bomb.hex()))
        frames = await client.receive_all()
        assert [frame.code for frame in frames] == [1009]
        handler = await server.handler()
        await wait_until(lambda: handler.lost, "the session was told")
        assert handler.lost[0][0] == 1009
        assert handler.messages == []


async def test_compressed_messages_count_until_they_are_written() -> None:
    """By their size before compression; so a slow reader is known rather too early than too late."""
    async with serve(COMPRESSING) as server, connect(server.port) as client:
        await client.upgrade(sec_websocket_extensions="permessage-deflate")
        handler = await server.handler()
        handler.open.send(b"*" * (LIMIT + 1))
        assert handler.open.is_full
        assert (await client.receive_compressed()).kind == "text"
        await wait_until(lambda: handler.times_writable == 1, "the session is told that it may write")
        assert handler.open.buffered == 0


async def test_tls_ends_in_tornados_shell(tmp_path: Path) -> None:
    """Without being asked: a detached connection would speak past TLS."""
    authority = Authority(tmp_path)
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(*authority.sign("server", "IP:127.0.0.1"))
    client_side = ssl.create_default_context(cafile=str(authority.ca))
    async with (
        serve(WebSocketSettings(), lambda: NotingHandler(echo), ssl_options=server_side) as server,
        connect_client(f"wss://127.0.0.1:{server.port}/", ssl=client_side) as client,
    ):
        await client.send("hello" * 50_000)
        assert await client.recv() == "hello" * 50_000
        assert isinstance((await server.handler()).connection, TornadoConnection)
        await client.close(4002, "bye")
        await wait_until(lambda: server.handlers[0].lost, "the session was told")
        assert server.handlers[0].lost == [(4002, "bye")]


async def test_a_well_known_client_in_both_shells(settings: WebSocketSettings) -> None:
    async with serve(settings, lambda: NotingHandler(echo)) as server:
        async with connect_client(f"ws://127.0.0.1:{server.port}/") as client:
            await client.send(["frag", "men", "ted"])
            assert await client.recv() == "fragmented"
            await (await client.ping())
        handler = server.handlers[0]
        expected = DetachedConnection if settings.shell == "detached" else TornadoConnection
        assert isinstance(handler.connection, expected)
        await wait_until(lambda: handler.lost, "the session was told")
        assert handler.lost == [(1000, "")]
