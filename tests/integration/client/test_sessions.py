"""Sessions that outlive connections, against a server that does as it is told."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

import wispy
from tests.integration.client.scripted import RUN, ScriptedServer
from tests.support.waiting import wait_until
from wispy.client import Gap, Rpc, RPCError
from wispy.protocol import errors


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with ScriptedServer() as server:
        yield server


@pytest.fixture
def states() -> list[str]:
    return []


@pytest.fixture
async def rpc(server: ScriptedServer, states: list[str]) -> AsyncIterator[Rpc]:
    rpc = wispy.connect(server.url)
    rpc.on_state(lambda state, _: states.append(state))
    async with rpc:
        yield rpc


async def test_a_refusal_is_told_though_another_channel_is_not_there_yet(server: ScriptedServer, rpc: Rpc) -> None:
    starting = {"error": {"code": errors.NO_OWNER.code, "message": "", "data": {"executed": "no", "retryable": True}}}
    absent = {"error": {"code": errors.NOT_FOUND.code, "message": "", "data": {"executed": "no", "retryable": False}}}
    server.channels = {"sample.a": starting, "sample.b": absent}
    with pytest.raises(RPCError) as caught:
        await rpc.add_channel_handlers("sample", {"a": print, "b": print})
    assert caught.value.code == errors.NOT_FOUND.code


async def failure(call: "asyncio.Task[Any]") -> RPCError:
    with pytest.raises(RPCError) as caught:
        await call
    return caught.value


async def test_what_is_unanswered_is_asked_for_again_with_its_id_and_stamp(
    server: ScriptedServer, rpc: Rpc, states: list[str]
) -> None:
    server.resume()
    first, second = (asyncio.create_task(rpc.sample.run(number)) for number in (1, 2))
    before = await server.wait_for("sample.run", 1, 2)
    await before[0].answer("one")
    assert await first == "one"
    server.cut()
    await wait_until(lambda: "resumed" in states, lambda: f"the session resumes: {states}")
    later = asyncio.create_task(rpc.sample.run(3))
    again, new = await server.wait_for("sample.run", 2, 2)
    assert again.data["id"] == before[1].data["id"]
    assert again.data["params"] == [2]
    assert again.members == {"ack": before[0].data["id"], "at": before[1].members["at"], "run": RUN, "retry": True}
    assert new.data["id"] > again.data["id"]
    assert "retry" not in new.members
    said = server.sent("rpc.hello", 2)[0].data["params"]
    assert (said["session"], said["token"]) == ("session-1", "token-1")
    await again.answer("two")
    await new.answer("three")
    assert (await second, await later) == ("two", "three")
    assert states == ["connecting", "connected", "connecting", "resumed"]


async def test_a_session_that_is_not_resumed_leaves_what_was_sent_open(
    server: ScriptedServer, rpc: Rpc, states: list[str]
) -> None:
    sent = asyncio.create_task(rpc.sample.run(1))
    await server.wait_for("sample.run", 1)
    server.cut()
    await wait_until(lambda: len(states) > 2, "the loss is noticed")
    waiting = asyncio.create_task(rpc.sample.run(2))
    error = await failure(sent)
    assert (error.code, error.executed, error.retryable) == (errors.OUTCOME_UNKNOWN.code, "maybe", False)
    (message,) = await server.wait_for("sample.run", 2)
    assert message.data["params"] == [2]
    await message.answer("two")
    assert await waiting == "two"
    assert states == ["connecting", "connected", "connecting", "lost", "connected"]


async def test_a_session_is_given_up_when_its_window_is_over(server: ScriptedServer, states: list[str]) -> None:
    server.says_hello = lambda said: {"session_window_s": 0.2}
    rpc = wispy.connect(server.url)
    rpc.on_state(lambda state, _: states.append(state))
    async with rpc:
        sent = asyncio.create_task(rpc.sample.run(1))
        await server.wait_for("sample.run", 1)
        await server.stop()
        assert (await failure(sent)).executed == "maybe"
        assert "lost" in states
        await server.start()
        await wait_until(lambda: states[-1] == "connected", lambda: f"a new session begins: {states}")
        (said,) = await server.wait_for("rpc.hello", 2)
        assert "session" not in said.data["params"]


async def test_a_request_ends_at_its_deadline_also_without_a_connection(
    server: ScriptedServer, rpc: Rpc, states: list[str]
) -> None:
    sent = asyncio.create_task(rpc.call("sample.run", 1, timeout_s=0.3))
    await server.wait_for("rpc.call")
    await server.stop()
    await wait_until(lambda: states[-1] == "connecting", "the loss is noticed")
    waiting = asyncio.create_task(rpc.call("sample.run", 2, timeout_s=0.3))
    late = await failure(sent)
    assert (late.code, late.executed) == (errors.TIMED_OUT.code, "maybe")
    unsent = await failure(waiting)
    assert (unsent.code, unsent.executed) == (errors.NOT_STARTED.code, "no")
    await server.start()


async def test_a_closing_frontend_answers_what_it_has_and_gets_nothing_new(
    server: ScriptedServer, rpc: Rpc, states: list[str]
) -> None:
    server.resume()
    server.channels = {"sample.alarm": {"at": "1-a:0"}}
    marks: list[Any] = []
    await rpc.add_channel_handlers("sample", {"alarm": marks.append})
    running = asyncio.create_task(rpc.sample.run(1))
    (message,) = await server.wait_for("sample.run")
    await server.notify("rpc.closing", reconnect_in_ms=0)
    for number in (1, 2):  # by the second one the time to reconnect has come
        await server.notify("rpc.update", channel="sample.alarm", value=number, at=f"1-a:{number}")
        await wait_until(lambda number=number: marks[-1:] == [number], "the client has read so far")
    waiting = asyncio.create_task(rpc.sample.run(2))
    await server.notify("rpc.update", channel="sample.alarm", value=3, at="1-a:3")
    await wait_until(lambda: marks[-1] == 3, "the client has read so far")
    assert len(server.connections) == 1
    await message.answer("one")
    assert await running == "one"
    (moved,) = await server.wait_for("sample.run", 2)
    assert moved.data["params"] == [2]
    assert len(server.sent("sample.run", 1)) == 1
    await moved.answer("two")
    assert await waiting == "two"
    assert states == ["connecting", "connected", "connecting", "resumed"]


async def test_a_token_that_has_expired_is_told_and_a_newer_one_helps(server: ScriptedServer) -> None:
    rpc = wispy.connect(server.url, token="first")
    reported: list[BaseException] = []
    rpc.on_error(lambda error, _: reported.append(error))
    user = {"user": "ann", "roles": []}
    opened = asyncio.create_task(rpc.open())
    (login,) = await server.wait_for("rpc.authenticate", 1)
    await login.answer(user)
    await opened
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(rpc.close)
        server.cut()
        (login,) = await server.wait_for("rpc.authenticate", 2)
        await login.fail(errors.UNAUTHENTICATED.code, "it has expired", retryable=False)
        await wait_until(lambda: reported, "the refusal is told")
        renewal = asyncio.create_task(rpc.authenticate("newer"))
        (login,) = await server.wait_for("rpc.authenticate", 3)
        assert login.data["params"] == {"token": "newer"}
        await login.answer(user)
        _, renewed = await server.wait_for("rpc.authenticate", 3, count=2)
        await renewed.answer(user)
        await renewal
        assert rpc.state == "connected"
    assert [error.code for error in reported if isinstance(error, RPCError)] == [errors.UNAUTHENTICATED.code]


async def test_channels_continue_where_they_stopped(server: ScriptedServer, rpc: Rpc) -> None:
    server.resume()
    server.channels = {"sample.a": {"value": 1, "at": "1-a:1"}, "sample.alarm": {"at": "1-a:5"}}
    values: list[Any] = []
    alarms: list[Any] = []
    gaps: list[Gap] = []
    rpc.on_gap(gaps.append)
    await rpc.add_channel_handlers("sample", {"a": values.append, "alarm": alarms.append}, True)
    await server.notify("rpc.update", channel="sample.a", value=2, at="1-a:2")
    await server.notify("rpc.update", channel="sample.alarm", value="x", at="1-a:6")
    await wait_until(lambda: alarms == ["x"], "the event is delivered")
    server.channels["sample.a"] = {"value": 9, "at": "1-a:9"}
    server.cut()
    (again,) = await server.wait_for("rpc.subscribe", 2)
    assert again.data["params"] == {
        "channels": ["sample.a", "sample.alarm"],
        "since": {"sample.a": "1-a:2", "sample.alarm": "1-a:6"},
    }
    await server.notify("rpc.gap", channel="sample.alarm", **{"from": "1-a:7", "to": "1-a:8"})
    await server.notify("rpc.update", channel="sample.alarm", value="y", at="1-a:9")
    await wait_until(lambda: alarms == ["x", "y"], "events go on")
    assert values == [1, 2, 9]
    assert gaps == [Gap("sample.alarm", "1-a:7", "1-a:8")]


async def test_a_channel_that_has_worked_and_is_refused_from_then_on_is_told_of_once(
    server: ScriptedServer, rpc: Rpc
) -> None:
    reported: list[str] = []
    rpc.on_error(lambda _, what: reported.append(what))
    server.channels = {"sample.a": {"value": 1, "at": "1-a:1"}}
    values: list[Any] = []
    await rpc.add_channel_handlers("sample", {"a": values.append}, True)
    absent = {"code": errors.NOT_FOUND.code, "message": "", "data": {"executed": "no", "retryable": False}}
    server.channels["sample.a"] = {"error": absent}
    server.cut()
    await wait_until(lambda: reported, "the refusal is told")
    server.channels["sample.a"] = {"value": 2, "at": "2-b:1"}
    await wait_until(lambda: values == [1, 2], "it is asked for until it is there again")
    assert reported == ["following sample.a failed"]


async def test_what_a_handler_has_removed_is_not_called(server: ScriptedServer, rpc: Rpc) -> None:
    server.channels = {"sample.a": {"value": 1, "at": "1-a:1"}, "sample.b": {"value": 1, "at": "1-a:1"}}
    called: list[str] = []

    def first(_: Any) -> None:
        called.append("first")
        rpc.remove_channel_handlers("sample", "a")

    await rpc.add_channel_handlers("sample", {"a": first})
    await rpc.add_channel_handlers("sample", {"a": lambda _: called.append("second")})
    await rpc.add_channel_handlers("sample", {"b": lambda _: called.append("b")})
    for channel in ("sample.a", "sample.b"):
        await server.notify("rpc.update", channel=channel, value=2, at="1-a:2")
    await wait_until(lambda: "b" in called, "the other channel goes on")
    assert called == ["first", "b"]


async def test_a_value_that_did_not_change_meanwhile_is_not_delivered_again(server: ScriptedServer, rpc: Rpc) -> None:
    server.channels = {"sample.a": {"value": 1, "at": "1-a:1"}}
    values: list[Any] = []
    await rpc.add_channel_handlers("sample", {"a": values.append}, True)
    server.cut()
    await server.wait_for("rpc.subscribe", 2)
    await server.notify("rpc.update", channel="sample.a", value=2, at="1-a:2")
    await wait_until(lambda: values[-1] == 2, "updates go on")
    assert values == [1, 2]


async def test_a_loop_that_does_not_keep_up_with_events_is_told_what_it_missed(
    server: ScriptedServer, rpc: Rpc
) -> None:
    server.channels = {"sample.alarm": {"at": "1-a:0"}}
    gaps: list[Gap] = []
    arrived: list[int] = []
    async with contextlib.aclosing(rpc.subscribe("sample.alarm", on_gap=gaps.append)) as updates:
        first = asyncio.ensure_future(anext(updates))
        await server.wait_for("rpc.subscribe")
        await server.notify("rpc.update", channel="sample.alarm", value=1, at="1-a:1")
        assert await first == (1, "1-a:1")
        await rpc.add_channel_handlers("sample", {"alarm": arrived.append})
        for number in range(2, 1027):  # an inbox holds 1,024 updates and gaps
            await server.notify("rpc.update", channel="sample.alarm", value=number, at=f"1-a:{number}")
        await server.notify("rpc.gap", **{"channel": "sample.alarm", "from": "1-a:1027", "to": "1-a:1029"})
        await server.notify("rpc.update", channel="sample.alarm", value=1030, at="1-a:1030")
        await wait_until(lambda: arrived[-1:] == [1030], "all have arrived")
        assert await anext(updates) == (5, "1-a:5")
        assert gaps == [("sample.alarm", "1-a:2", "1-a:4")], "what had to go is told first"
        assert [(await anext(updates))[0] for _ in range(6, 1027)] == list(range(6, 1027))
        assert len(gaps) == 1, "a gap is told where it is"
        assert await anext(updates) == (1030, "1-a:1030")
    assert gaps[1:] == [("sample.alarm", "1-a:1027", "1-a:1029")]


async def test_stamps_follow_the_servers_clock(server: ScriptedServer, rpc: Rpc) -> None:
    first = asyncio.create_task(rpc.sample.run(1))
    (message,) = await server.wait_for("sample.run")
    assert 1_000_000 <= message.members["at"] < 1_010_000
    assert "run" not in message.members
    await server.notify("rpc.clock", run="s" * 40, ms=5_000_000)
    await message.answer(1)
    await first
    second = asyncio.create_task(rpc.sample.run(2))
    message = (await server.wait_for("sample.run", count=2))[1]
    assert 5_000_000 <= message.members["at"] < 5_010_000
    assert message.members["run"] == "s" * 40
    await message.answer(2)
    await second


async def test_at_most_the_servers_limit_is_in_flight(server: ScriptedServer) -> None:
    server.says_hello = lambda said: {"limits": {"in_flight": 3}}
    async with wispy.connect(server.url) as rpc:
        calls = [asyncio.create_task(rpc.sample.run(number)) for number in range(4)]
        for number in range(4):
            messages = await server.wait_for("sample.run", count=number + 1)
            assert len(messages) <= number + 2
            await messages[number].answer(number)
        assert await asyncio.gather(*calls) == [0, 1, 2, 3]


async def test_a_refusal_that_may_be_tried_again_is(server: ScriptedServer, rpc: Rpc) -> None:
    call = asyncio.create_task(rpc.sample.run(1))
    (first,) = await server.wait_for("sample.run")
    await first.fail(errors.OVERLOADED.code, "no", retryable=True)
    second = (await server.wait_for("sample.run", count=2))[1]
    assert second.data["id"] > first.data["id"]
    assert "retry" not in second.members
    await second.answer("done")
    assert await call == "done"


async def test_an_idempotent_call_is_asked_again_in_a_new_session(server: ScriptedServer, rpc: Rpc) -> None:
    call = asyncio.create_task(rpc.call("sample.run", 1, idempotent=True))
    await server.wait_for("sample.run", 1)
    server.cut()
    (again,) = await server.wait_for("sample.run", 2)
    await again.answer("done")
    assert await call == "done"


async def test_a_strange_message_is_reported_and_breaks_nothing(server: ScriptedServer, rpc: Rpc) -> None:
    reported: list[str] = []
    rpc.on_error(lambda _, what: reported.append(what))
    for text in ("no JSON", "[]", '{"error": {"code": -32600}}', '{"method": "rpc.update", "params": 3}'):
        await server.connections[-1].send(text)
    await server.connections[-1].send('{"id": 77, "result": 1}')  # perhaps of a call that was given up
    await server.notify("rpc.news_of_a_later_version")
    call = asyncio.create_task(rpc.sample.run(1))
    (message,) = await server.wait_for("sample.run")
    await message.answer(1)
    assert await call == 1
    assert reported == ["the server sent a message that cannot be understood"] * 4


async def test_the_end_settles_everything(server: ScriptedServer) -> None:
    server.says_hello = lambda said: {"limits": {"in_flight": 2}}
    async with wispy.connect(server.url) as rpc:
        sent, waiting = (asyncio.create_task(rpc.sample.run(number)) for number in (1, 2))
        await server.wait_for("sample.run")
    assert (await failure(sent)).executed == "maybe"
    assert (await failure(waiting)).executed == "no"


async def test_a_server_that_does_not_say_hello_is_no_connection(server: ScriptedServer) -> None:
    server.is_mute = True
    with pytest.raises(RPCError) as caught:
        async with wispy.connect(server.url, connect_timeout_s=0.2):
            pass
    assert caught.value.code == errors.UNAVAILABLE.code


async def test_a_fault_of_the_clients_own_ends_what_waits(
    server: ScriptedServer, rpc: Rpc, caplog: pytest.LogCaptureFixture
) -> None:
    async def follow() -> list[Any]:
        return [value async for value, _ in rpc.subscribe("sample.a")]

    server.channels = {"sample.a": {"value": 5, "at": "1:1"}}
    following = asyncio.create_task(follow())
    await server.wait_for("rpc.subscribe", 1)
    calling = asyncio.create_task(rpc.sample.run(1))
    await server.wait_for("sample.run", 1)

    def fail() -> float:
        raise RuntimeError("a fault")

    parts = rpc._parts
    assert parts is not None
    link: Any = parts[0]
    link._backoff = SimpleNamespace(next_s=fail)
    server.cut()
    assert await asyncio.wait_for(following, 10) == [5]
    assert (await failure(calling)).code == errors.OUTCOME_UNKNOWN.code
    assert rpc.state == "closed"
    assert "a fault" in caplog.text
