"""What a session is promised of its connection (see `seam`), by both shells."""

import asyncio
import dataclasses
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.integration.websocket.servers import NotingHandler, Server, echo, serve
from tests.integration.websocket.wire import WireClient, encode, open_websocket
from tests.support.waiting import wait_until
from wispy.frontend.websocket.seam import CloseCode, PreparedMessages, WebSocketSettings
from wispy.protocol.frames import NO_ROOM
from wispy.protocol.room import FREE

WRITE_BUFFER = 256 * 1024


@pytest.fixture
def settings(shell: str) -> WebSocketSettings:
    return WebSocketSettings(
        shell=shell, max_message_size=1024 * 1024, write_buffer=WRITE_BUFFER, close_timeout_s=20, ping_interval_s=0
    )


@pytest.fixture
def hasty(settings: WebSocketSettings) -> WebSocketSettings:
    """With a time-out that can be waited for."""
    return dataclasses.replace(settings, close_timeout_s=0.5)


@asynccontextmanager
async def slow_reader(server: Server) -> AsyncIterator[WireClient]:
    """A client that reads nothing unless told to."""
    async with open_websocket(server.port) as client:
        client.pause()
        yield client


async def fill(handler: NotingHandler) -> int:
    """Send until the connection is full, with turns of the loop between; returns how many messages that took."""
    for number in range(10_000):
        if handler.open.is_full:
            return number
        handler.open.send(b"x" * 10_000)
        await asyncio.sleep(0)
    raise AssertionError("never full")


# Sending


async def test_messages_leave_in_the_order_sent(settings: WebSocketSettings) -> None:
    async with serve(settings) as server, open_websocket(server.port) as client:
        connection = (await server.handler()).open
        connection.send(b"one")
        connection.send_prepared(PreparedMessages(b"two", b"three"))
        connection.send(b"\x00\xff", is_text=False)
        assert connection.buffered > 0
        await client.expect("text:one", "text:two", "text:three", "binary=00ff")
        assert connection.buffered == 0


async def test_flush_writes_at_once(settings: WebSocketSettings) -> None:
    async with serve(settings) as server, open_websocket(server.port) as client:
        connection = (await server.handler()).open
        connection.send(b"one")
        connection.flush()
        assert connection.buffered == 0
        await client.expect("text:one")


async def test_a_broadcast_is_framed_once() -> None:
    messages = PreparedMessages(b"one", "zwölf".encode())
    assert messages.frames == b"\x81\x03one\x81\x06" + "zwölf".encode()
    assert messages.frames is messages.frames
    async with serve() as server, open_websocket(server.port) as first, open_websocket(server.port) as second:
        for index in range(2):
            (await server.handler(index)).open.send_prepared(messages)
        for client in (first, second):
            await client.expect("text:one", "text:zwölf")


async def test_a_slow_reader_is_known(settings: WebSocketSettings) -> None:
    async with serve(settings) as server, slow_reader(server) as client:
        handler = await server.handler()
        sent = await fill(handler)
        assert handler.open.buffered > WRITE_BUFFER
        # What the kernel holds is bounded too, or nobody would know that the reader is slow.
        assert sent * 10_000 < 4_000_000
        assert handler.times_writable == 0
        client.resume()
        await client.expect(*["text:" + "x" * 10_000] * sent)
        await wait_until(lambda: handler.times_writable, "the session is told that it may write")
        assert handler.times_writable == 1
        assert not handler.open.is_full


async def test_too_much_in_one_turn_is_full_until_the_kernel_has_taken_it(settings: WebSocketSettings) -> None:
    async with serve(settings) as server, open_websocket(server.port) as client:
        handler = await server.handler()
        handler.open.send(b"*" * (WRITE_BUFFER + 1))
        assert handler.open.is_full
        await client.expect(f"text*{WRITE_BUFFER + 1}")
        await wait_until(lambda: handler.times_writable == 1, "the session is told that it may write")
        assert not handler.open.is_full


async def test_pings_of_a_slow_reader_do_not_fill_memory(settings: WebSocketSettings) -> None:
    async with serve(settings, lambda: NotingHandler(echo)) as server, slow_reader(server) as client:
        handler = await server.handler()
        sent = await fill(handler)
        before = handler.open.buffered
        for number in range(10):
            client.writer.write(encode("ping*100") * 1000 + encode(f"ping:last {number}"))
            await client.writer.drain()
        assert handler.open.buffered <= before
        client.resume()
        await client.expect(*["text:" + "x" * 10_000] * sent)
        while (frame := await client.receive()) is not None and frame.payload != b"last 9":
            assert frame.kind == "pong"


# Reading


async def test_nothing_is_delivered_while_reading_is_paused(settings: WebSocketSettings) -> None:
    """Paused in the middle of what one read brought; the rest comes afterwards, in order, and with more."""

    def pause(handler: NotingHandler, data: bytes, is_text: bool) -> None:
        if data == b"2":
            handler.open.pause_reading()

    async with serve(settings, lambda: NotingHandler(pause)) as server, open_websocket(server.port) as client:
        client.send(*[f"text:{number}" for number in range(5)])
        handler = await server.handler()
        await wait_until(lambda: len(handler.messages) == 3, "three messages came")
        client.send(*[f"text:{number}" for number in range(5, 10)])
        await client.writer.drain()
        for _ in range(20):
            await asyncio.sleep(0)
        assert handler.messages == [b"0", b"1", b"2"]
        handler.open.resume_reading()
        assert len(handler.messages) == 3, "not within the session's own call"
        await wait_until(lambda: len(handler.messages) == 10, "all messages came")
        assert handler.messages == [str(number).encode() for number in range(10)]


async def test_a_paused_client_is_held_back(settings: WebSocketSettings) -> None:
    async with serve(settings) as server, open_websocket(server.port) as client:
        handler = await server.handler()
        handler.open.pause_reading()
        chunk = encode("text*50000") * 20
        size = 0
        while client.writer.transport.get_write_buffer_size() == 0:
            client.writer.write(chunk)
            size += len(chunk)
            assert size < 100_000_000, "the server takes without end"
        assert len(handler.messages) <= 1, "Tornado may have had one in hand"
        handler.open.resume_reading()
        await client.writer.drain()
        await wait_until(lambda: len(handler.messages) * 50_008 == size, "all messages came")


async def test_pause_and_resume_within_a_message(settings: WebSocketSettings) -> None:
    def flicker(handler: NotingHandler, data: bytes, is_text: bool) -> None:
        handler.open.pause_reading()
        handler.open.resume_reading()

    async with serve(settings, lambda: NotingHandler(flicker)) as server, open_websocket(server.port) as client:
        client.send(*["text:x"] * 1000)
        handler = await server.handler()
        await wait_until(lambda: len(handler.messages) == 1000, "all messages came")


async def test_a_flood_lets_the_neighbours_pass() -> None:
    """Empty pings cost six bytes each: a read may bring tens of thousands, and must not be taken in one go."""
    async with (
        serve(make_handler=lambda: NotingHandler(echo)) as server,
        open_websocket(server.port) as flooder,
        open_websocket(server.port) as neighbour,
    ):
        flooder.writer.write(encode("pong:") * 50_000 + encode("text:done"))
        flooding = asyncio.create_task(flooder.expect("text:done"))
        answered = 0
        while not flooding.done():
            neighbour.send("text:hello")
            await neighbour.expect("text:hello")
            answered += 1
        await flooding
        # 50,000 frames are 195 turns; an answer takes the neighbour a few of them. Taken read by read it would be two.
        assert answered >= 20


async def test_messages_before_the_clients_end_of_data_are_delivered() -> None:
    """More frames than are taken in one turn, and the end right behind them."""
    async with serve() as server, open_websocket(server.port) as client:
        client.send(*["text:x"] * 2000)
        client.writer.write_eof()
        handler = await server.handler()
        await wait_until(lambda: handler.lost, "the connection ended")
        assert len(handler.messages) == 2000
        assert handler.lost[0][0] == CloseCode.ABNORMAL


# Closing


async def test_the_session_closes(settings: WebSocketSettings) -> None:
    async with serve(settings) as server, open_websocket(server.port) as client:
        handler = await server.handler()
        handler.open.send(b"last words")
        handler.open.close(CloseCode.GOING_AWAY, "draining")
        handler.open.close(CloseCode.POLICY, "only the first counts")
        handler.open.send(b"too late")
        await client.expect("text:last words", "close=03e9" + b"draining".hex())
        assert handler.lost == [], "not before the peer has answered"
        client.send("text:dropped", "close=03e9")
        assert await client.receive() is None
        await wait_until(lambda: handler.lost, "the session was told")
        assert handler.lost == [(1001, "draining")]
        assert handler.messages == []


async def test_the_session_closes_while_it_holds_the_client_back(settings: WebSocketSettings) -> None:
    async with serve(settings) as server, open_websocket(server.port) as client:
        handler = await server.handler()
        handler.open.pause_reading()
        client.send("text:dropped")
        handler.open.close(CloseCode.UNAUTHENTICATED, "")
        await client.expect("close=1131")
        client.send("close=1131")
        await wait_until(lambda: handler.lost, "the session was told")
        assert handler.lost == [(4401, "")]


async def test_the_client_closes_with_a_reason(settings: WebSocketSettings) -> None:
    async with serve(settings, lambda: NotingHandler(echo)) as server, open_websocket(server.port) as client:
        client.send("text:hello", "close=0fa0" + "grüß".encode().hex())
        await client.expect("text:hello")
        frames = await client.receive_all()
        assert [(frame.kind, frame.code) for frame in frames] == [("close", 4000)]
    handler = server.handlers[0]
    assert handler.lost == [(4000, "grüß")]


async def test_a_close_that_is_not_answered_times_out(hasty: WebSocketSettings) -> None:
    async with serve(hasty) as server, open_websocket(server.port) as client:
        handler = await server.handler()
        handler.open.close(CloseCode.TRY_AGAIN_LATER, "busy")
        await client.expect("close=03f5" + b"busy".hex())
        assert await client.receive() is None
        await wait_until(lambda: handler.lost, "the session was told")
        assert handler.lost == [(1013, "busy")]


async def test_a_close_behind_a_full_buffer_times_out(hasty: WebSocketSettings) -> None:
    async with serve(hasty) as server, slow_reader(server):
        handler = await server.handler()
        await fill(handler)
        handler.open.close(CloseCode.POLICY, "slow reader")
        await wait_until(lambda: handler.lost, "the session was told")
        assert handler.lost == [(1008, "slow reader")]


@pytest.mark.parametrize("how", ["reset", "end of data"])
async def test_a_client_that_just_goes(settings: WebSocketSettings, how: str) -> None:
    async with serve(settings) as server, open_websocket(server.port) as client:
        handler = await server.handler()
        if how == "reset":
            client.writer.transport.abort()
        else:
            client.writer.write_eof()
        await wait_until(lambda: handler.lost, "the session was told")
        assert handler.lost[0][0] == CloseCode.ABNORMAL
        handler.open.send(b"nobody hears this")
        handler.open.flush()
        handler.open.pause_reading()
        handler.open.resume_reading()
        handler.open.close(CloseCode.NORMAL, "")


async def test_a_long_reason_is_cut(settings: WebSocketSettings) -> None:
    async with serve(settings) as server, open_websocket(server.port) as client:
        handler = await server.handler()
        handler.open.close(CloseCode.POLICY, "ü" * 100)
        await client.expect("close=03f0" + ("ü" * 61).encode().hex())


async def test_a_violation_while_the_peer_goes_on_sending() -> None:
    """The Close must arrive although much is on its way to us: no reset may overtake it."""
    async with serve() as server, open_websocket(server.port) as client:
        client.writer.write(encode("opcode3:") + encode("text*100000") * 50)
        frames = await client.receive_all()
        assert [frame.code for frame in frames] == [1002]
    assert server.handlers[0].lost == [(1002, "unknown opcode")]


async def test_too_large_a_message(settings: WebSocketSettings) -> None:
    async with serve(settings) as server, open_websocket(server.port) as client:
        client.send("text*1048577")
        frames = await client.receive_all()
        assert [frame.code for frame in frames] == [1009]
    assert server.handlers[0].lost[0][0] == CloseCode.TOO_BIG


# Sessions that fail


@pytest.mark.parametrize("call", ["connection_made", "message_received", "writable", "connection_lost"])
async def test_an_exception_ends_this_connection_only(
    hasty: WebSocketSettings, call: str, caplog: pytest.LogCaptureFixture
) -> None:
    class Failing(NotingHandler):
        pass

    def fail(*_arguments: object) -> None:
        raise RuntimeError(f"bug in {call}")

    def bystander_or_failing() -> NotingHandler:
        handler = NotingHandler(echo) if not server_box[0].handlers else Failing()
        if isinstance(handler, Failing) and call != "connection_lost":
            setattr(handler, call, fail)
        return handler

    server_box: list[Server] = []
    async with serve(hasty, bystander_or_failing) as server:
        server_box.append(server)
        async with open_websocket(server.port) as neighbour, open_websocket(server.port) as client:
            failing = server.handlers[1]
            client.send("text:hello")
            if call == "writable":
                (await server.handler(1)).open.send(b"*" * (WRITE_BUFFER + 1))
                await client.expect(f"text*{WRITE_BUFFER + 1}")
            elif call == "connection_lost":
                await server.handler(1)
                noted = failing.connection_lost
                failing.connection_lost = lambda code, reason: (noted(code, reason), fail())[0]
                client.send("close=03e8")
            frames = await client.receive_all()
            assert [frame.code for frame in frames] == [1000 if call == "connection_lost" else 1011]
            await wait_until(lambda: failing.lost, "the session was told of its end")
            neighbour.send("text:still here")
            await neighbour.expect("text:still here")
    failures = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(failures) == 1
    assert f"bug in {call}" in str(failures[0].exc_text or failures[0].exc_info)


# What messages that have come in part may hold together


async def begun(server: Server, client: WireClient, size: int) -> None:
    """A client has sent so much of a message, and the server has read it."""
    taken = server.service.room.taken
    client.send(f"text+*{size}")
    await wait_until(
        lambda: server.service.room.taken >= taken + size - FREE, lambda: f"it has come: {server.service.room.taken}"
    )


async def test_partly_received_messages_share_a_room(settings: WebSocketSettings) -> None:
    settings = dataclasses.replace(settings, partial_messages=500_000)
    async with serve(settings) as server, open_websocket(server.port) as first:
        room = server.service.room
        await begun(server, first, 400_000)
        async with open_websocket(server.port) as second:
            second.send("text+*150000")
            close = (await second.receive_all())[-1]
            assert (close.code, close.payload[2:].decode()) == (1013, NO_ROOM)
        async with open_websocket(server.port) as third:
            third.send("text+*8000", "cont*8000", "text*60000")
            handler = await server.handler(2)
            await wait_until(lambda: len(handler.messages) == 2, "small ones and whole ones have room")
        assert room.refused == 1
        first.send("cont:!")
        handler = await server.handler(0)
        await wait_until(lambda: handler.messages, "the first one is whole")
        assert len(handler.messages[0]) == 400_001
        assert room.taken == 0
        await begun(server, first, 400_000)
    await wait_until(lambda: room.taken == 0, "who is gone holds nothing")


@pytest.mark.parametrize("end", ["close=03e8", "opcode3:"])
async def test_a_message_that_is_given_up_holds_nothing(settings: WebSocketSettings, end: str) -> None:
    async with serve(settings) as server, open_websocket(server.port) as client:
        await begun(server, client, 300_000)
        client.send(end)
        await client.receive_all()
        await wait_until(lambda: server.service.room.taken == 0, "its memory is free")


async def test_a_message_larger_than_a_session_takes_is_counted_for_itself(settings: WebSocketSettings) -> None:
    async with serve(settings) as server:
        for size in (1000, settings.max_message_size):
            async with open_websocket(server.port) as client:
                (await server.handler(len(server.handlers) - 1)).open.limit_messages(size)
                client.send(f"text*{size + 1}")
                assert (await client.receive_all())[-1].code == 1009
        await wait_until(lambda: (server.service.too_big_early, server.service.too_big) == (1, 1), "both are counted")
