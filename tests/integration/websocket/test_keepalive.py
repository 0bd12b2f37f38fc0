"""Pings and time-outs: first of noting objects, then of real connections."""

import asyncio
import dataclasses
from typing import cast

import pytest

from tests.integration.websocket.servers import serve
from tests.integration.websocket.wire import WireClient, open_websocket
from tests.support.waiting import wait_until
from wispy.frontend.websocket.keepalive import Keepalive, Watched
from wispy.frontend.websocket.seam import CloseCode, WebSocketSettings
from wispy.frontend.websocket.service import LATE

INTERVAL_S = 0.2
PONG_S = 0.1
CLOSE_S = 0.15

UNHURRIED_S = 0.8
"""For clients that have something to do before they would be pinged, or cut off: also on a machine that is busy.
After a stall the server looks at the clock before it reads what has come."""

SETTINGS = WebSocketSettings(ping_interval_s=INTERVAL_S, pong_timeout_s=PONG_S, close_timeout_s=CLOSE_S)


class Peer:
    """Notes when it is pinged and cut, and answers pings or does not."""

    def __init__(self, keepalive: Keepalive, *, answers: bool = False, talks: bool = False) -> None:
        self._keepalive = keepalive
        self._answers = answers
        self._talks = talks
        self._heard = True
        self._loop = asyncio.get_running_loop()
        self._start = self._loop.time()
        self.pings_s: list[float] = []
        self.cut_s: float | None = None
        self.reason = ""

    def ping(self) -> None:
        self.pings_s.append(self._loop.time() - self._start)
        self._heard = self._answers

    def seems_alive(self) -> bool:
        alive = self._heard or self._talks
        self._heard = False
        return alive

    def look_at_message(self, now: float) -> None: ...

    def cut(self, reason: str) -> None:
        self.cut_s = self._loop.time() - self._start
        self.reason = reason
        self._keepalive.discard(self)


@pytest.fixture
async def keepalive() -> Keepalive:
    return Keepalive(SETTINGS, asyncio.get_running_loop())


async def test_a_silent_peer_is_pinged_and_then_cut(keepalive: Keepalive) -> None:
    peer = Peer(keepalive)
    keepalive.add(peer)
    await wait_until(lambda: peer.cut_s is not None, "the peer is cut off")
    assert len(peer.pings_s) == 1
    assert peer.pings_s[0] >= INTERVAL_S * 0.99
    assert peer.cut_s is not None
    assert peer.cut_s >= (INTERVAL_S + PONG_S) * 0.99
    assert peer.reason == "no answer to a ping"
    assert len(keepalive) == 0


async def test_a_peer_that_answers_is_pinged_in_each_interval(keepalive: Keepalive) -> None:
    peer = Peer(keepalive, answers=True)
    keepalive.add(peer)
    await wait_until(lambda: len(peer.pings_s) == 3, "three pings")
    assert peer.cut_s is None
    keepalive.stop()


async def test_a_peer_that_talks_is_not_pinged(keepalive: Keepalive) -> None:
    talker = Peer(keepalive, talks=True)
    silent = Peer(keepalive)
    keepalive.add(talker)
    keepalive.add(silent)
    await wait_until(lambda: silent.cut_s is not None, "the silent peer is cut off")
    assert talker.pings_s == []
    assert len(keepalive) == 1
    keepalive.stop()


async def test_a_closing_peer_is_cut_after_the_close_time_out(keepalive: Keepalive) -> None:
    """Earlier than the next look at it as an open one, and without a ping."""
    peer = Peer(keepalive)
    keepalive.add(peer)
    keepalive.expect_end(peer)
    keepalive.expect_end(peer)
    await wait_until(lambda: peer.cut_s is not None, "the peer is cut off")
    assert peer.cut_s is not None
    assert peer.cut_s >= CLOSE_S * 0.99
    assert peer.reason == "close timed out"
    assert peer.pings_s == []


async def test_a_discarded_peer_is_forgotten(keepalive: Keepalive) -> None:
    gone, silent = Peer(keepalive), Peer(keepalive)
    keepalive.add(gone)
    keepalive.add(silent)
    keepalive.discard(gone)
    await wait_until(lambda: silent.cut_s is not None, "the other peer is cut off")
    assert gone.cut_s is None
    assert gone.pings_s == []


async def test_an_interval_of_zero_means_no_pings() -> None:
    keepalive = Keepalive(WebSocketSettings(ping_interval_s=0, close_timeout_s=CLOSE_S), asyncio.get_running_loop())
    open_peer, closing = Peer(keepalive), Peer(keepalive)
    keepalive.add(open_peer)
    keepalive.add(closing)
    keepalive.expect_end(closing)
    await wait_until(lambda: closing.cut_s is not None, "the closing peer is cut off")
    assert open_peer.pings_s == []


async def test_what_goes_wrong_with_one_peer_concerns_no_other(keepalive: Keepalive) -> None:
    class Broken(Peer):
        def seems_alive(self) -> bool:
            raise ValueError("broken")

    failures: list[str] = []
    asyncio.get_running_loop().set_exception_handler(
        lambda _loop, context: failures.append(str(context.get("exception")))
    )
    peers = [Peer(keepalive), Broken(keepalive), Peer(keepalive)]
    for peer in peers:
        keepalive.add(peer)
    await wait_until(lambda: peers[0].cut_s is not None and peers[2].cut_s is not None, "the others are cut off")
    assert failures == ["broken"]
    assert len(keepalive) == 0


async def test_a_timer_only_runs_while_there_is_something_to_watch(keepalive: Keepalive) -> None:
    peer = Peer(keepalive)
    keepalive.add(peer)
    await wait_until(lambda: peer.cut_s is not None, "the peer is cut off")
    assert keepalive._timer is None


# Real connections


@pytest.fixture
def settings(shell: str) -> WebSocketSettings:
    return WebSocketSettings(
        shell=shell,
        ping_interval_s=INTERVAL_S,
        pong_timeout_s=PONG_S,
        close_timeout_s=CLOSE_S,
        write_buffer=100_000,
    )


async def test_a_client_that_answers_stays(settings: WebSocketSettings) -> None:
    settings = dataclasses.replace(settings, pong_timeout_s=UNHURRIED_S)
    async with serve(settings) as server, open_websocket(server.port) as client:
        for _ in range(3):
            await client.expect("ping:")
            client.send("pong:")
        assert server.handlers[0].lost == []


async def test_a_client_that_does_not_answer_is_cut_off(settings: WebSocketSettings) -> None:
    async with serve(settings) as server, open_websocket(server.port) as client:
        await client.expect("ping:")
        assert await client.receive() is None
        await wait_until(lambda: server.handlers[0].lost, "the session was told")
        assert server.handlers[0].lost == [(CloseCode.ABNORMAL, "no answer to a ping")]


async def others_are_cut_off(port: int) -> None:
    """Others that connect later are silent too, one after the other, and are cut off: the time for it has come."""
    for _ in range(2):
        async with open_websocket(port) as other:
            await other.expect("ping:")
            assert await other.receive() is None


async def test_a_client_that_is_held_back_stays(settings: WebSocketSettings) -> None:
    """Its pong could not be seen."""
    settings = dataclasses.replace(settings, ping_interval_s=UNHURRIED_S, pong_timeout_s=UNHURRIED_S)
    async with serve(settings) as server, open_websocket(server.port) as client:
        handler = await server.handler()
        handler.open.pause_reading()
        client.send("text:x", "text:y")
        await others_are_cut_off(server.port)
        assert handler.lost == []
        handler.open.resume_reading()


async def test_a_client_that_is_held_back_and_takes_nothing_is_cut_off(settings: WebSocketSettings) -> None:
    settings = dataclasses.replace(settings, ping_interval_s=UNHURRIED_S, pong_timeout_s=UNHURRIED_S)
    async with serve(settings) as server, open_websocket(server.port) as client:
        handler = await server.handler()
        handler.open.pause_reading()
        client.send("text:x", "text:y")
        client.pause()
        while not handler.open.is_full:
            handler.open.send(b"*" * 20_000)
            await asyncio.sleep(0)
        await wait_until(lambda: handler.lost, "the session was told")
        assert handler.lost == [(CloseCode.ABNORMAL, "no answer to a ping")]


async def test_a_slow_client_stays_as_long_as_it_takes_something(shell: str) -> None:
    """Its full buffer keeps pings from it for longer than the pong's time-out."""
    settings = WebSocketSettings(
        shell=shell, ping_interval_s=UNHURRIED_S, pong_timeout_s=UNHURRIED_S, write_buffer=100_000
    )
    async with serve(settings) as server, open_websocket(server.port) as client:
        handler = await server.handler()
        others = asyncio.create_task(others_are_cut_off(server.port))
        client.pause()
        while not others.done():
            while not handler.open.is_full and not handler.lost:
                handler.open.send(b"*" * 20_000)
                await asyncio.sleep(0)
            client.resume()
            await client.expect("text*20000")
            client.pause()
            await asyncio.sleep(0.005)  # the client's pace
        await others
        assert handler.lost == []


async def begin(client: WireClient) -> None:
    client.send("text+:begun")


async def drip(client: WireClient) -> None:
    """A frame of 64 KB, byte by byte."""
    client.send("raw=82feffff00000000")
    while True:
        client.send("raw=00")
        await asyncio.sleep(0.005)  # the client's pace


@pytest.mark.parametrize("way", ["a fragment, then answers to pings", "a byte now and then"])
async def test_a_message_that_does_not_end_ends_its_connection(shell: str, way: str) -> None:
    settings = WebSocketSettings(
        shell=shell, ping_interval_s=0.6, pong_timeout_s=0.5, close_timeout_s=CLOSE_S, message_time_s=0.4
    )
    async with serve(settings) as server, open_websocket(server.port) as client, asyncio.timeout(20):
        talking = asyncio.create_task(drip(client) if "byte" in way else begin(client))
        try:
            while (frame := await client.receive()) is not None and frame.kind == "ping":
                if "answers" in way:
                    client.send("pong:")
            assert frame is not None
            assert (frame.kind, frame.code, frame.payload[2:].decode()) == ("close", CloseCode.POLICY, LATE)
        finally:
            talking.cancel()
        await wait_until(lambda: server.handlers[0].lost, "the session was told")
        assert server.handlers[0].lost == [(CloseCode.POLICY, LATE)]
        assert server.service.late == 1


async def test_what_counts_is_the_age_of_one_message_and_only_while_it_is_read(shell: str) -> None:
    settings = WebSocketSettings(shell=shell, ping_interval_s=0, message_time_s=10)
    async with serve(settings) as server, open_websocket(server.port) as client:
        handler = await server.handler()
        connection = cast("Watched", handler.open)

        async def came(*frames: str) -> None:
            client.send(*frames, "ping:")
            await client.expect("pong:")

        connection.look_at_message(100)  # nothing has come
        await came("text+:one")
        connection.look_at_message(200)
        connection.look_at_message(209)
        await came("cont:", "text+:two")
        connection.look_at_message(220)  # another one
        handler.open.pause_reading()
        connection.look_at_message(229)
        handler.open.resume_reading()
        connection.look_at_message(240)
        connection.look_at_message(250)
        assert server.service.late == 0
        await came("cont:", "text:three", "text+:four")
        connection.look_at_message(300)
        connection.look_at_message(311)
        assert server.service.late == 1
        frame = await client.receive()
        assert frame is not None
        assert (frame.kind, frame.code) == ("close", CloseCode.POLICY)
        assert handler.messages == [b"one", b"two", b"three"]
