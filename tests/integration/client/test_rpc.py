"""The asyncio form against real servers."""

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import wispy
from tests.support.stack import Frontend, clean_stack, free_port
from tests.support.waiting import wait_until
from wispy.broker.embedded import EmbeddedServer
from wispy.client import Rpc, RPCError, UnencodableError, channels
from wispy.protocol import errors


async def test_an_attribute_is_read_set_and_deleted(rpc: Rpc) -> None:
    await rpc.set(rpc.sample.limit, 12)
    assert await rpc.sample.limit == 12
    assert await rpc.get("sample.limit") == 12
    await rpc.delete("sample.limit")
    assert await rpc.get(["sample", "limit"]) == 10  # the class's own
    with pytest.raises(RPCError) as caught:
        await rpc.sample.nothing
    assert (caught.value.code, caught.value.executed) == (errors.NOT_FOUND.code, "no")


async def test_a_method_is_called_with_positional_and_named_arguments(rpc: Rpc) -> None:
    assert await rpc.sample.test_sum(4, 5) == 9
    assert await rpc.sample.test_sum(4, y=5) == 9
    assert await rpc.call("sample.test_sum", 4, 5, timeout_s=5) == 9
    # A proxy passes every name on: none of them is the client's.
    assert await rpc.sample.collect(1, timeout_s=2, idempotent=3) == [[1], {"timeout_s": 2, "idempotent": 3}]


async def test_values_travel_unchanged(rpc: Rpc) -> None:
    value = {"big": 2**80, "tag": {"$float": "no number"}, "infinite": math.inf, "text": "ä"}
    assert await rpc.sample.echo(value) == value


async def test_what_cannot_travel_is_told_before_anything_is_sent(rpc: Rpc) -> None:
    before = await rpc.sample.ran
    for value in (print, rpc.sample.a, "\ud800"):
        with pytest.raises(UnencodableError):
            await rpc.sample.echo(value)
    assert await rpc.sample.ran == before


@pytest.mark.parametrize("timeout_s", [0, -1, math.nan, math.inf, "5", True])
async def test_what_is_no_time_out_is_told(rpc: Rpc, timeout_s: Any) -> None:
    with pytest.raises(ValueError, match="a time-out is a number of seconds above 0, not "):
        await rpc.call("sample.echo", 1, timeout_s=timeout_s)


async def test_paths_reach_nested_objects_and_keys_with_dots(rpc: Rpc) -> None:
    assert await rpc.sample.filter.gain == 2.0
    assert await rpc.sample.filter.apply(3) == 6.0
    assert await rpc.sample.filter.table["dotted.key"] == [10, 20, 30]
    assert await rpc.get(["sample", "filter", "table", "dotted.key"]) == [10, 20, 30]
    assert await rpc.object("sample").filter.gain == 2.0


async def test_an_exception_of_the_object_is_told_with_its_class(rpc: Rpc) -> None:
    with pytest.raises(RPCError) as caught:
        await rpc.sample.fail("broken")
    assert (caught.value.code, caught.value.executed) == (errors.OBJECT_ERROR.code, "yes")
    assert caught.value.data == {"type": "ValueError", "args": ["broken", 7]}


async def test_many_calls_at_once_are_all_answered(rpc: Rpc) -> None:
    answers = await asyncio.gather(*(rpc.sample.test_sum(number, 1) for number in range(1000)))
    assert answers == [number + 1 for number in range(1000)]


async def test_a_value_channel_begins_with_its_value_and_goes_on(rpc: Rpc) -> None:
    seen: list[Any] = []
    async with contextlib.aclosing(rpc.subscribe("sample.a")) as updates:
        async for value, at in updates:
            assert at
            seen.append(value)
            if value == 3:
                break
            await rpc.set("sample.a", value + 1)
    assert seen == [1, 2, 3]
    await rpc.set("sample.a", 1)


async def test_handlers_are_called_until_they_are_removed(rpc: Rpc) -> None:
    seen: list[Any] = []
    await rpc.add_channel_handlers("sample", {"b": seen.append}, True)
    await rpc.set("sample.b", 3)
    assert seen == [2, 3]  # an update precedes the answer of the request that made it
    rpc.remove_channel_handlers("sample", "b")
    await rpc.set("sample.b", 2)
    await rpc.sample.b
    assert seen == [2, 3]


async def test_a_handler_that_fails_is_reported_and_stops_no_other(rpc: Rpc) -> None:
    seen: list[Any] = []
    reported: list[str] = []
    rpc.on_error(lambda _, what: reported.append(what))
    await rpc.add_channel_handlers("sample", {"b": lambda value: 1 / 0})
    await rpc.add_channel_handlers("sample", {"b": seen.append})
    await rpc.set("sample.b", 2)
    assert seen == [2]
    assert reported == ["a handler of channel sample.b failed"]


async def test_channels_are_listed_and_an_unknown_one_is_refused(rpc: Rpc) -> None:
    assert set(await rpc.list_channels("sample")) >= {"a", "b", "alarm"}
    with pytest.raises(RPCError) as caught:
        async for _ in rpc.subscribe("sample.nothing"):
            pass
    assert caught.value.code == errors.NOT_FOUND.code


@pytest.fixture
async def limited(
    valkey_server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Rpc]:
    """A connection that may follow one channel, and asks for each by itself."""
    monkeypatch.setattr(channels, "BATCH", 1)
    config: dict[str, Any] = {"limits.subscriptions_per_connection": 1}
    with clean_stack(valkey_server, tmp_path_factory, **config) as stack:
        stack.worker("sample=served:Sample")
        async with wispy.connect(stack.frontend().url) as rpc:
            yield rpc


async def test_of_several_handlers_all_are_added_or_none(limited: Rpc, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    reported: list[str] = []
    limited.on_error(lambda _, what: reported.append(what))

    async def refused(*names: str) -> int:
        with pytest.raises(RPCError) as caught:
            await limited.add_channel_handlers("sample", dict.fromkeys(names, seen.append))
        for value in (6, 7):
            await limited.set("sample.a", value)
            await limited.set("sample.b", value)
        assert seen == []
        return caught.value.code

    assert await refused("a", "b") == errors.OVERLOADED.code  # by the server, which has taken the first
    with monkeypatch.context() as patched:
        patched.setattr(channels, "MAX_CHANNELS", 1)
        assert await refused("a", "b") == errors.OVERLOADED.code  # here
    await limited.add_channel_handlers("sample", {"b": seen.append})  # the server has its place free again
    await limited.set("sample.b", 8)
    assert (seen, reported) == ([8], [])


async def test_handlers_that_others_have_added_stay_when_new_ones_are_refused(rpc: Rpc) -> None:
    seen: list[Any] = []
    await rpc.add_channel_handlers("sample", {"b": seen.append})

    def refused(_: Any) -> None:
        seen.append("refused")

    with pytest.raises(RPCError) as caught:
        await rpc.add_channel_handlers("sample", {"a": refused, "b": refused, "nothing": refused})
    assert caught.value.code == errors.NOT_FOUND.code
    await rpc.set("sample.a", 1)
    await rpc.set("sample.b", 2)
    assert seen == [2]


async def test_a_cancelled_call_is_cancelled_on_the_server(rpc: Rpc, tmp_path: Path) -> None:
    before = (await rpc.sample.ran).count("cancelled")
    running = asyncio.create_task(rpc.sample.wait(str(tmp_path / "end")))
    await wait_until(lambda: any(tmp_path.iterdir()), "the call runs")
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    async def was_cancelled() -> bool:
        return (await rpc.sample.ran).count("cancelled") > before

    await wait_until(was_cancelled, "the server has cancelled the call")


async def test_a_call_ends_at_its_time_out(rpc: Rpc, tmp_path: Path) -> None:
    with pytest.raises(RPCError) as caught:
        await rpc.call("sample.wait", str(tmp_path / "end"), timeout_s=0.05)
    assert caught.value.code == errors.TIMED_OUT.code
    assert caught.value.executed == "maybe"


async def test_states_are_told(frontend: Frontend) -> None:
    states: list[str] = []
    rpc = wispy.connect(frontend.websocket_url)
    rpc.on_state(lambda state, _: states.append(state))
    async with rpc:
        assert rpc.state == "connected"
    assert states == ["connecting", "connected", "closed"]
    with pytest.raises(RPCError) as caught:
        await rpc.sample.a
    assert caught.value.executed == "no"


async def test_no_server_is_told_within_the_connect_time_out() -> None:
    with pytest.raises(RPCError) as caught:
        async with wispy.connect(f"http://127.0.0.1:{free_port()}", connect_timeout_s=0.3):
            pass
    assert caught.value.code == errors.UNAVAILABLE.code
    assert "refused" in caught.value.message


async def test_no_password_of_an_address_is_told(frontend: Frontend) -> None:
    told: list[Any] = []
    for address in (frontend.url, f"{frontend.url}/elsewhere", f"http://127.0.0.1:{free_port()}"):
        rpc = wispy.connect(address.replace("://", "://ann:s3cret@"), connect_timeout_s=0.3)
        rpc.on_state(lambda *state: told.append(state))
        try:
            async with rpc:
                told.append(repr(rpc))
        except RPCError as error:
            told.append(str(error))
    assert len([each for each in told if "ann:***@127.0.0.1" in str(each)]) == 6
    assert "s3cret" not in str(told)


async def test_another_kind_of_server_is_told_at_once(frontend: Frontend) -> None:
    with pytest.raises(RPCError, match="404"):
        async with wispy.connect(f"{frontend.url}/elsewhere"):
            pass


async def test_looking_at_proxies_sends_nothing(rpc: Rpc) -> None:
    before = await rpc.sample.ran
    for look in (repr, dir, callable, lambda proxy: hasattr(proxy, "_repr_html_")):
        look(rpc.sample.a)
    with pytest.raises(TypeError, match=r"await rpc\.set\('sample\.a', \.\.\.\)"):
        rpc.sample.a = 2
    with pytest.raises(TypeError, match="await it"):
        bool(rpc.sample.a)
    assert await rpc.sample.ran == before
