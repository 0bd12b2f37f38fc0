import asyncio
import logging
import os
import signal
import time
from typing import Any

import pytest

from tests.integration.broker.conftest import QUICK, OpenLink
from tests.support.relay import Relay
from tests.support.stack import free_port
from tests.support.waiting import wait_until
from wispy.broker.embedded import EmbeddedServer
from wispy.broker.errors import CommandTimeout, LinkDown, LinkLost, ReplyError, Unfit
from wispy.broker.link import Backoff, Link
from wispy.config.redis_address import RedisAddress


async def outcome(future: "asyncio.Future[Any]") -> object:
    """The reply, or the exception as a value."""
    return (await asyncio.gather(future, return_exceptions=True))[0]


# -- commands and replies


async def test_replies_match_their_commands_in_order(link: Link) -> None:
    assert await link.call("SET", "a", b"\x00\xff", "EX", 60) == b"OK"
    replies = await asyncio.gather(link.call("GET", "a"), link.call("INCRBY", "n", 41), link.call("EXPIRE", "n", 60))
    assert replies == [b"\x00\xff", 41, 1]


async def test_send_hands_the_reply_over_only_after_it_has_returned(link: Link) -> None:
    replies: list[object] = []
    link.send(("ECHO", "x"), replies.append)
    link.flush()
    assert replies == []
    await wait_until(lambda: replies == [b"x"], "the reply was handed over")


async def test_commands_of_one_turn_leave_in_one_write(link: Link, writes: list[int]) -> None:
    await asyncio.gather(*(link.call("ECHO", number) for number in range(500)))
    assert len(writes) == 1


async def test_an_error_reply_is_an_exception_with_its_code(link: Link) -> None:
    with pytest.raises(ReplyError, match="No such key") as caught:
        await link.call("XREADGROUP", "GROUP", "g", "c", "STREAMS", "nothing", ">")
    assert caught.value.code == "NOGROUP"
    assert await link.call("ECHO", "still there") == b"still there"


async def test_an_argument_of_a_wrong_type_is_refused_at_once(link: Link) -> None:
    with pytest.raises(TypeError):
        link.send(("ECHO", None), lambda reply: None)  # type: ignore[arg-type]
    assert await link.call("ECHO", 1) == b"1"


async def test_a_bug_in_the_handling_of_a_reply_costs_the_others_nothing(
    link: Link, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(reply: object) -> None:
        raise ValueError("a bug")

    link.send(("ECHO", 1), fail)
    assert await link.call("ECHO", 2) == b"2"
    assert "an error in the handling of a reply" in caplog.text


async def test_a_caller_that_no_longer_waits_is_no_trouble(link: Link) -> None:
    future = link.call("ECHO", 1)
    future.cancel()
    assert await link.call("ECHO", 2) == b"2"


# -- handshake


async def test_connects_over_tcp(open_link: OpenLink) -> None:
    port = free_port()
    server = await asyncio.to_thread(EmbeddedServer.start, extra=["--port", str(port)])
    try:
        link = await open_link(f"redis://127.0.0.1:{port}")
        assert await link.call("ECHO", 1) == b"1"
        await link.stop()
    finally:
        server.stop()


async def test_gives_a_server_up_that_does_not_answer_the_handshake(
    valkey: EmbeddedServer, open_link: OpenLink, caplog: pytest.LogCaptureFixture
) -> None:
    async with Relay(valkey.url) as relay:
        relay.is_swallowing = True
        link = await open_link(relay.url, wait=False, connect_timeout_s=0.1)
        await wait_until(lambda: relay.accepted > 1, "a second try")
        assert "no answer within 0.1 s" in caplog.text
        relay.is_swallowing = False
        await asyncio.wait_for(link.wait_connected(), 10)
        await link.stop()


async def test_knows_the_server_and_its_clock(link: Link) -> None:
    server = link.server
    assert server is not None
    info: bytes = await link.call("INFO", "server")
    assert f"run_id:{server.run_id}".encode() in info
    before = time.monotonic()
    seconds, microseconds = await link.call("TIME")
    server_ms = int(seconds) * 1000 + int(microseconds) // 1000
    # As late as the answer by which it was made: that may have been on its way for a while.
    assert server.now_ms(before) <= server_ms <= server.now_ms(time.monotonic()) + 10_000


async def test_introduces_itself_to_people(open_link: OpenLink) -> None:
    link = await open_link(name="reader of größe")
    assert await link.call("CLIENT", "GETNAME") == b"wispy-reader-of-gr--e"


async def test_logs_in_and_chooses_the_database(valkey: EmbeddedServer, open_link: OpenLink, link: Link) -> None:
    await link.call("ACL", "SETUSER", "wispy", "on", ">se/cret", "~*", "&*", "+@all")
    other = await open_link(f"{valkey.url}?db=3", wait=False)
    assert other.server is None
    address = RedisAddress.parse(f"{valkey.url}?db=3", user="wispy", password="se/cret")
    logged_in = Link(address, name="logged-in")
    await logged_in.start()
    await logged_in.wait_connected()
    assert await logged_in.call("ACL", "WHOAMI") == b"wispy"
    assert b" db=3 " in await logged_in.call("CLIENT", "INFO")
    await logged_in.stop()


async def test_a_wrong_password_is_logged_once_and_without_it(
    valkey: EmbeddedServer, link: Link, caplog: pytest.LogCaptureFixture
) -> None:
    await link.call("CONFIG", "SET", "requirepass", "right")
    try:
        async with Relay(valkey.url) as relay:
            refused = Link(RedisAddress.parse(relay.url, password="wrong-one"), name="refused", backoff=QUICK)
            await refused.start()
            await wait_until(lambda: "WRONGPASS" in caplog.text, "the refusal is logged")
            assert (await outcome(refused.call("ECHO", 1))).__class__ is LinkDown
            # A try ends before the next one begins: others were refused too, and not logged.
            await wait_until(lambda: relay.accepted >= 4, "it tries again")
            await refused.stop()
    finally:
        await link.call("CONFIG", "SET", "requirepass", "")
    assert caplog.text.count("WRONGPASS") == 1
    assert "wrong-one" not in caplog.text


async def test_a_replica_counts_as_not_connected(
    link: Link, open_link: OpenLink, caplog: pytest.LogCaptureFixture
) -> None:
    await link.call("REPLICAOF", "127.0.0.1", "1")
    try:
        other = await open_link(wait=False)
        await wait_until(lambda: "it is a replica" in caplog.text, "the reason is logged")
        assert not other.connected
        # A link from before notices at its next write, which was not executed.
        with pytest.raises(Unfit) as caught:
            await link.call("SET", "a", 1)
        assert caught.value.code == "READONLY"
        assert not link.connected
        assert isinstance(await outcome(link.call("ECHO", 1)), LinkDown)
    finally:
        await promote(link)
    await asyncio.wait_for(other.wait_connected(), 10)
    await asyncio.wait_for(link.wait_connected(), 10)


async def promote(link: Link) -> None:
    """Make the server a master again, over a socket of our own: no link talks to a replica."""
    path = link._dialer.address.path
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(b"REPLICAOF NO ONE\r\n")
    assert await reader.readline() == b"+OK\r\n"
    writer.close()
    await writer.wait_closed()


async def test_a_server_that_loads_its_data_counts_as_not_connected(
    open_link: OpenLink, caplog: pytest.LogCaptureFixture
) -> None:
    server = await asyncio.to_thread(EmbeddedServer.start, extra=["--enable-debug-command", "yes"])
    try:
        loader = await open_link(server.url, command_timeout_s=None)
        filled = [loader.call("SET", number, "x" * 100, "EX", 600) for number in range(2000)]
        await asyncio.gather(*filled)
        await loader.call("CONFIG", "SET", "key-load-delay", 1000, "loading-process-events-interval-bytes", 1024)
        loading = loader.call("DEBUG", "RELOAD")
        other = await open_link(server.url, wait=False)
        await wait_until(lambda: "loading its data" in caplog.text, "the reason is logged")
        assert not other.connected
        await loading
        await asyncio.wait_for(other.wait_connected(), 10)
    finally:
        server.stop()


async def test_warns_of_a_server_that_evicts_keys(
    link: Link, open_link: OpenLink, caplog: pytest.LogCaptureFixture
) -> None:
    from wispy.broker import opening

    opening._warn_of_eviction.cache_clear()
    await link.call("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    try:
        await open_link()
        await open_link()
    finally:
        await link.call("CONFIG", "SET", "maxmemory-policy", "noeviction")
    assert caplog.text.count("maxmemory-policy is allkeys-lru") == 1


async def test_a_peer_that_is_no_redis_is_refused(open_link: OpenLink, caplog: pytest.LogCaptureFixture) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await reader.read()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    link = await open_link(f"redis://127.0.0.1:{port}", wait=False)
    await wait_until(lambda: "does not speak the Redis protocol" in caplog.text, "the reason is logged")
    assert not link.connected
    await link.stop()
    server.close()
    await server.wait_closed()


# -- what is known when the connection ends


async def test_without_a_connection_commands_fail_as_not_sent(open_link: OpenLink) -> None:
    link = await open_link("unix:///nowhere/s", wait=False)
    replies: list[object] = []
    link.send(("ECHO", 1), replies.append)
    assert replies == []  # never before send has returned
    assert isinstance(await outcome(link.call("ECHO", 1)), LinkDown)
    assert [type(reply) for reply in replies] == [LinkDown]


async def test_written_commands_are_unknown_and_unwritten_ones_are_not_sent(
    valkey: EmbeddedServer, open_link: OpenLink
) -> None:
    async with Relay(valkey.url) as relay:
        link = await open_link(relay.url)
        relay.is_swallowing = True
        written = link.call("INCR", "n")
        reads = relay.reads
        await wait_until(lambda: relay.reads > reads, "the command has left")
        seen: list[tuple[bool, object]] = []
        link.on_lost(lambda: seen.append((link.connected, outcomes.copy())))
        outcomes: list[type] = []
        link.send(("ECHO", 1), lambda reply: outcomes.append(type(reply)))
        link._dialer.connection.drop("the test ends it in the same turn")  # type: ignore[union-attr]
        assert type(await outcome(written)) is LinkLost
        assert outcomes == [LinkDown]
        assert seen == [(False, [LinkDown])]  # listeners hear of it when all commands are answered
        relay.is_swallowing = False
        await asyncio.wait_for(link.wait_connected(), 10)
        assert link.connection == 2
        assert await link.call("GET", "n") == b"1"
        await link.call("DEL", "n")


async def test_a_killed_server_answers_nothing(open_link: OpenLink) -> None:
    server = await asyncio.to_thread(EmbeddedServer.start)
    try:
        link = await open_link(server.url)
        os.kill(server.pid, signal.SIGSTOP)
        pending = [link.call("ECHO", number) for number in range(10)]
        await asyncio.sleep(0)
        os.kill(server.pid, signal.SIGKILL)
        assert {type(await outcome(future)) for future in pending} == {LinkLost}
    finally:
        server.stop()


async def test_a_stalled_server_is_given_a_bounded_queue(open_link: OpenLink) -> None:
    server = await asyncio.to_thread(EmbeddedServer.start)
    try:
        link = await open_link(server.url, max_queued_bytes=1_000_000, command_timeout_s=None)
        os.kill(server.pid, signal.SIGSTOP)
        taken: list[asyncio.Future[Any]] = []
        refused = 0
        payload = "x" * 10_000
        for _ in range(50):
            for _ in range(10):
                future = link.call("ECHO", payload)
                if future.done() or not link.connected:
                    refused += 1
                else:
                    taken.append(future)
            await asyncio.sleep(0)
        refused += sum(future.done() for future in taken)
        accepted = [future for future in taken if not future.done()]
        assert refused > 100
        # The turn in which the bound is reached, the bound itself, and what the kernel holds.
        assert 100 <= len(accepted) <= 250
        for future in taken:
            if future.done():
                assert type(future.exception()) is LinkDown
        os.kill(server.pid, signal.SIGCONT)
        assert set(await asyncio.gather(*accepted)) == {payload.encode()}
        assert await link.call("ECHO", "again") == b"again"
        assert link.connection == 1
    finally:
        os.kill(server.pid, signal.SIGCONT)
        server.stop()


async def test_a_reply_that_does_not_come_ends_the_connection(open_link: OpenLink) -> None:
    server = await asyncio.to_thread(EmbeddedServer.start)
    try:
        link = await open_link(server.url, command_timeout_s=1.0)
        os.kill(server.pid, signal.SIGSTOP)
        started = time.monotonic()
        with pytest.raises(CommandTimeout, match=r"no reply within 1 s"):
            await link.call("ECHO", 1)
        assert time.monotonic() - started >= 1.0
        assert not link.connected
        os.kill(server.pid, signal.SIGCONT)
        await asyncio.wait_for(link.wait_connected(), 10)
        assert await link.call("ECHO", 2) == b"2"
    finally:
        os.kill(server.pid, signal.SIGCONT)
        server.stop()


async def test_steady_traffic_does_not_hide_a_late_reply_nor_cause_one(link: Link, open_link: OpenLink) -> None:
    busy = await open_link(command_timeout_s=2.5)  # a busy server needs more than a moment, too
    until = time.monotonic() + 4.0
    while time.monotonic() < until:
        await busy.call("ECHO", 1)
    assert busy.connection == 1
    # A link for blocking reads needs a longer deadline than their block time; this one has too short a one.
    with pytest.raises(CommandTimeout):
        await busy.call("BLPOP", "nothing", 5)


async def test_a_pause_of_this_process_is_no_late_reply(open_link: OpenLink) -> None:
    link = await open_link(command_timeout_s=0.2)
    pending = link.call("ECHO", 1)
    link.flush()
    time.sleep(0.5)  # noqa: ASYNC251 - as if the process had been stopped
    assert await pending == b"1"
    assert link.connection == 1


# -- reconnecting


async def test_one_line_for_an_outage_and_one_for_its_end(
    valkey: EmbeddedServer, open_link: OpenLink, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "wispy.broker")
    async with Relay(valkey.url) as relay:
        link = await open_link(relay.url)
        heard: list[str] = []
        link.on_connected(lambda: heard.append("connected"))
        link.on_lost(lambda: heard.append("lost"))
        assert caplog.records == []
        relay.is_refusing = True
        relay.cut()
        await wait_until(lambda: relay.accepted > 4, "several tries")
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        assert f"lost {relay.url}" in caplog.text
        relay.is_refusing = False
        await asyncio.wait_for(link.wait_connected(), 10)
        await wait_until(lambda: len(caplog.records) == 2, "the end is logged")
        assert "connected to" in caplog.records[1].message
        assert heard == ["lost", "connected"]


async def test_a_server_that_drops_every_connection_is_not_met_by_a_hot_loop(
    valkey: EmbeddedServer, open_link: OpenLink
) -> None:
    async with Relay(valkey.url) as relay:
        link = await open_link(relay.url, backoff=None)
        start, first = time.monotonic(), relay.accepted

        def cut_until_six_more() -> bool:
            relay.cut()  # also those that just came up
            return relay.accepted >= first + 6

        await wait_until(cut_until_six_more, "it tries again")
        assert time.monotonic() - start >= 6 * 0.05 * 0.9  # the least pause is 50 ms
        await link.stop()


async def test_connects_when_the_server_comes_later(
    valkey: EmbeddedServer, open_link: OpenLink, caplog: pytest.LogCaptureFixture
) -> None:
    relay = Relay(valkey.url)
    link = await open_link(relay.url, wait=False)
    waiting = asyncio.create_task(link.wait_connected())
    await wait_until(lambda: "cannot use" in caplog.text, "a try has failed")
    assert not waiting.done()
    async with relay:
        await asyncio.wait_for(waiting, 10)
        await link.stop()


async def test_a_listener_may_send_at_once_and_be_removed(valkey: EmbeddedServer, open_link: OpenLink) -> None:
    async with Relay(valkey.url) as relay:
        link = await open_link(relay.url)
        replies: list[object] = []

        def greet() -> None:
            link.send(("ECHO", "hello"), replies.append)

        link.on_connected(greet)
        relay.cut()
        await wait_until(lambda: replies == [b"hello"], "the listener's command was answered")
        link.remove_connected(greet)
        relay.cut()
        await wait_until(lambda: link.connection == 3, "connected again")
        assert await link.call("ECHO", 1) == b"1"
        assert replies == [b"hello"]
        await link.stop()


# -- stopping


async def test_stop_answers_what_is_pending_and_may_be_repeated(link: Link) -> None:
    pending = link.call("BLPOP", "nothing", 0)
    link.flush()
    unwritten = link.call("ECHO", 1)
    await link.stop()
    await link.stop()
    assert type(await outcome(pending)) is LinkLost
    assert type(await outcome(unwritten)) is LinkLost  # stopping takes a turn, in which it was written
    assert type(await outcome(link.call("ECHO", 1))) is LinkDown
    with pytest.raises(LinkDown):
        await link.wait_connected()


async def test_stop_releases_those_who_wait_for_a_connection(open_link: OpenLink) -> None:
    link = await open_link("unix:///nowhere/s", wait=False)
    waiting = asyncio.create_task(link.wait_connected())
    await asyncio.sleep(0)
    await link.stop()
    with pytest.raises(LinkDown):
        await waiting


async def test_stop_ends_at_any_moment_of_connecting(valkey: EmbeddedServer) -> None:
    address = RedisAddress.parse(valkey.url)
    for turns in range(30):
        for connect_timeout_s in (5.0, 0.0002, 0.001):
            link = Link(address, name="hasty", connect_timeout_s=connect_timeout_s, backoff=Backoff(0.0002, 0, 0))
            await link.start()
            for _ in range(turns):
                await asyncio.sleep(0)
            await asyncio.wait_for(link.stop(), 10)
