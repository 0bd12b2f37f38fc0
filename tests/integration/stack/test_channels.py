"""Channels from an object to its subscribers: snapshots, order, events, positions, readers that are slow."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.integration.stack.conftest import running_stack
from tests.integration.stack.gate import Gate
from tests.support.rpc_client import Client
from tests.support.stack import Frontend, Stack, metrics_at
from tests.support.waiting import wait_until
from wispy.broker.embedded import EmbeddedServer


def offset(at: str) -> int:
    return int(at.rpartition(":")[2])


@pytest.fixture
async def other(frontend: Frontend) -> AsyncIterator[Client]:
    """A second client, a plain one."""
    async with Client(frontend.websocket_url) as client:
        yield client


# --- value channels ---------------------------------------------------------------------------------------------------


async def test_a_subscriber_gets_the_value_and_then_each_update_in_order(client: Client) -> None:
    await client.set("sample.b", 0)
    snapshot = (await client.subscribe("sample.b"))["sample.b"]
    assert snapshot["value"] == 0
    await client.call("sample.count_to", [100])
    await client.wait_for_update("sample.b", 100)
    assert client.updates("sample.b") == list(range(1, 101))
    positions = [offset(update["at"]) for update in client.notifications("rpc.update", "sample.b")]
    assert positions == list(range(offset(snapshot["at"]) + 1, offset(snapshot["at"]) + 101))


async def test_subscribers_do_not_disturb_each_other(client: Client, other: Client) -> None:
    await client.subscribe("sample.a", "sample.b")
    await client.set("sample.a", "first")
    assert (await other.subscribe("sample.a"))["sample.a"]["value"] == "first"
    await client.set("sample.a", "second")
    for each in (client, other):
        await each.wait_for_update("sample.a", "second")
    assert other.updates("sample.a") == ["second"]

    await other.call("rpc.unsubscribe", {"channels": ["sample.a"]})
    await client.set("sample.a", "third")
    await client.wait_for_update("sample.a", "third")
    await other.call("quiet.ping")
    assert other.updates("sample.a") == ["second"]


async def test_who_leaves_a_channel_before_it_is_open_has_left_it(client: Client) -> None:
    """A page that shows a part and takes it away at once gets no updates for the rest of its life."""
    messages = [
        {"jsonrpc": "2.0", "id": method, "method": method, "params": {"channels": ["sample.a"]}}
        for method in ("rpc.subscribe", "rpc.unsubscribe")
    ]
    answers = {answer["id"]: answer["result"] for answer in await client.ask_raw(json.dumps(messages))}
    assert "at" in answers["rpc.subscribe"]["sample.a"]
    await client.set("sample.a", "later")
    assert client.updates("sample.a") == []
    await client.subscribe("sample.a")
    await client.set("sample.a", "last")
    assert client.updates("sample.a") == ["last"]


async def test_all_subscribers_of_a_busy_channel_start_without_a_gap(client: Client, frontend: Frontend) -> None:
    async def follow() -> None:
        async with Client(frontend.websocket_url) as follower:
            snapshot = (await follower.subscribe("sample.b"))["sample.b"]
            assert "result" in follower.received[0]
            if snapshot["value"] != 3000:  # else it came when all was over
                await follower.wait_for_update("sample.b", 3000)
            positions = [offset(update["at"]) for update in follower.notifications("rpc.update")]
            first = offset(snapshot["at"]) + 1
            assert positions == list(range(first, first + len(positions)))
            assert follower.updates("sample.b") == list(range(3001 - len(positions), 3001))

    await client.call("sample.count_to", [3000])
    await asyncio.gather(*(follow() for _ in range(5)))


async def test_the_answer_to_a_subscription_precedes_its_updates(client: Client) -> None:
    await client.call("sample.count_to", [1000])
    for _ in range(20):
        client.received.clear()
        await client.subscribe("sample.b")
        assert "result" in client.received[0], "the answer comes before any update"
        await client.call("rpc.unsubscribe", {"channels": ["sample.b"]})
    await client.subscribe("sample.b")
    await wait_until(lambda: client.updates("sample.b")[-1:] == [1000] or _is_over(client), "the count is over")


def _is_over(client: Client) -> bool:
    results = [message["result"] for message in client.received if "result" in message]
    return any(result["sample.b"]["value"] == 1000 for result in results if result)


async def test_an_update_precedes_the_reply_of_the_call_that_made_it(client: Client) -> None:
    await client.subscribe("sample.a")
    for value in range(50):
        await client.call("sample.set_a", [value])
        update, reply = client.received[-2:]
        assert update["params"]["value"] == value
        assert reply["result"] == value


async def test_changes_in_place_are_updates(client: Client) -> None:
    await client.subscribe("sample.list", "sample.settings")
    await client.call("sample.append", [{"n": 1}])
    await wait_until(lambda: client.updates("sample.list"), "an update of the list")
    assert client.updates("sample.list")[-1][-1] == {"n": 1}
    await client.call("sample.change_range", [-5])
    await client.wait_for_update("sample.settings", {"range": [-5, 1]})
    await client.set("sample.settings.range.1", 9)
    await client.wait_for_update("sample.settings", {"range": [-5, 9]})
    await client.set("sample.settings", {"range": [0, 1]})


async def test_an_attribute_and_its_channel_follow_each_other(client: Client) -> None:
    await client.subscribe("sample.a")
    await client.set("sample.a", 17)
    await client.wait_for_update("sample.a", 17)
    assert await client.get("sample.a") == 17
    assert await client.call("sample.set_a", [18]) == 18, "the channel's value has followed"
    assert await client.get("sample.a") == 18
    await client.call("rpc.delete", {"path": "sample.a"})
    await client.wait_for_update("sample.a", 1)


async def test_several_channels_and_unknown_ones_in_one_subscription(client: Client) -> None:
    results = await client.subscribe("sample.a", "sample.absent", "sample.b", "absent.a", "sample", "sample._secret")
    assert set(results["sample.a"]) == {"value", "at"}
    assert set(results["sample.b"]) == {"value", "at"}
    for name in ("sample.absent", "absent.a", "sample", "sample._secret"):
        assert results[name]["error"]["code"] == -32001, name
    await client.call("rpc.unsubscribe", {"channels": ["sample.a", "sample.absent", "sample.a"]})


# --- event channels ---------------------------------------------------------------------------------------------------


async def test_events_reach_all_who_listen(client: Client, other: Client) -> None:
    for each in (client, other):
        result = await each.subscribe("sample.alarm")
        assert set(result["sample.alarm"]) == {"at"}
    for text in ("one", "two"):
        await client.call("sample.alarm", [text])
    for each in (client, other):
        await each.wait_for_update("sample.alarm", {"text": "two"})
        assert each.updates("sample.alarm") == [{"text": "one"}, {"text": "two"}]


async def test_a_subscription_goes_on_where_a_former_one_stopped(client: Client, other: Client) -> None:
    at = (await client.subscribe("sample.alarm"))["sample.alarm"]["at"]
    await client.call("rpc.unsubscribe", {"channels": ["sample.alarm"]})
    for number in range(3):
        await client.call("sample.alarm", [str(number)])
    for each in (client, other):
        await each.subscribe("sample.alarm", since={"sample.alarm": at})
        await each.call("sample.alarm", ["next"])
        await each.wait_for_update("sample.alarm", {"text": "next"})
        assert [update["text"] for update in each.updates("sample.alarm")][:3] == ["0", "1", "2"]
        assert not each.notifications("rpc.gap")
        await each.call("rpc.unsubscribe", {"channels": ["sample.alarm"]})


async def test_events_that_are_not_kept_any_more_are_named(client: Client) -> None:
    at = (await client.subscribe("sample.alarm"))["sample.alarm"]["at"]
    await client.call("rpc.unsubscribe", {"channels": ["sample.alarm"]})
    for number in range(12):
        await client.call("sample.alarm", [str(number)])
    client.received.clear()
    result = await client.subscribe("sample.alarm", since={"sample.alarm": at})
    await client.call("quiet.ping")
    assert [update["text"] for update in client.updates("sample.alarm")] == ["7", "8", "9", "10", "11"]
    (gap,) = client.notifications("rpc.gap")
    assert (offset(gap["from"]), offset(gap["to"])) == (offset(at) + 1, offset(at) + 7)
    assert offset(result["sample.alarm"]["at"]) == offset(at) + 12
    methods = [message.get("method", "answer") for message in client.received]
    assert methods == ["answer", "rpc.gap", *["rpc.update"] * 5, "answer"]


async def test_a_position_from_before_redis_lost_its_data_is_answered_with_a_gap(client: Client) -> None:
    """How many are missing is not known then; what the client has is not said to be missing."""
    await client.call("sample.alarm", ["something"])
    at = (await client.subscribe("sample.alarm"))["sample.alarm"]["at"]
    await client.call("rpc.unsubscribe", {"channels": ["sample.alarm"]})
    client.received.clear()
    await client.subscribe("sample.alarm", since={"sample.alarm": "1-x:5000"})
    await client.call("quiet.ping")
    first, *updates = [message["params"] for message in client.received if "params" in message]
    generation, _, start = updates[0]["at"].partition(":")
    assert (first["from"], first["to"]) == ("1-x:5001", f"{generation}:{int(start) - 1}")
    assert updates[-1]["at"] == at
    assert client.updates("sample.alarm")[-1] == {"text": "something"}


@pytest.mark.parametrize("channel", ["sample.a", "sample.alarm"])
async def test_who_knows_more_than_redis_is_to_ask_again(client: Client, channel: str) -> None:
    """What comes next, the client may have: so it is until this frontend, or the next owner, is further on."""
    epoch, _, position = (await client.subscribe(channel))[channel]["at"].partition(":")
    await client.call("rpc.unsubscribe", {"channels": [channel]})
    for ahead in (f"{epoch}:{int(position) + 3}", f"9{epoch}:1"):
        answer = (await client.subscribe(channel, since={channel: ahead}))[channel]
        assert answer["error"]["data"]["retryable"] is True
    known = await client.subscribe(channel, since={channel: f"{epoch}:{position}"})
    assert known[channel]["at"] == f"{epoch}:{position}"


async def test_a_position_that_is_none_is_refused(client: Client) -> None:
    assert (await client.error("rpc.subscribe", {"channels": ["sample.a"], "since": {"sample.a": "x"}})).code == -32602


# --- slow readers -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tight_stack(valkey_server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Small bounds, so that a reader is slow soon."""
    bounds = {"websocket.write_buffer": "16KiB", "limits.reply_bytes": "512KiB", "metrics": "true"}
    with running_stack(valkey_server, tmp_path_factory, **bounds) as stack:
        yield stack


@asynccontextmanager
async def narrow_client(frontend: Frontend) -> AsyncIterator[Client]:
    """A client whose kernel buffers little, and the library one message."""
    host, _, port = frontend.address.partition(":")
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    await asyncio.to_thread(connection.connect, (host, int(port)))
    connection.setblocking(False)
    async with Client(frontend.websocket_url, sock=connection, max_queue=1) as client:
        yield client


async def test_a_slow_reader_of_a_value_ends_at_the_newest_and_slows_nobody(tight_stack: Stack) -> None:
    frontend = tight_stack.first_frontend
    async with Client(frontend.websocket_url) as quick, narrow_client(frontend) as slow:
        await quick.subscribe("sample.b")
        await slow.subscribe("sample.b")
        slow.stop_reading()
        for number in range(1, 301):
            await quick.set("sample.b", [number, "x" * 10_000])
        assert [value[0] for value in quick.updates("sample.b")] == list(range(1, 301))

        slow.read_on()
        await wait_until(lambda: slow.updates("sample.b")[-1][0] == 300, "the newest value for the slow reader")
        numbers = [value[0] for value in slow.updates("sample.b")]
        assert numbers == sorted(set(numbers)), "in order, none twice"
        assert len(numbers) < 300, "this reader was never slow, so that the test says nothing"
        assert not slow.notifications("rpc.gap")
        await quick.set("sample.b", "after")
        await slow.wait_for_update("sample.b", "after")


async def test_a_slow_reader_of_events_is_told_exactly_what_is_missing(tight_stack: Stack) -> None:
    frontend = tight_stack.first_frontend
    async with Client(frontend.websocket_url) as quick, narrow_client(frontend) as slow:
        await quick.subscribe("sample.alarm")
        start = offset((await slow.subscribe("sample.alarm"))["sample.alarm"]["at"])
        slow.stop_reading()
        for number in range(300):
            await quick.call("sample.alarm", [str(number) + "x" * 10_000])
        assert len(quick.updates("sample.alarm")) == 300

        slow.read_on()
        await slow.call("quiet.ping")
        await quick.call("sample.alarm", ["last"])
        await wait_until(lambda: _accounted(slow)[-1:] == [start + 301], "the last event for the slow reader")
        assert _accounted(slow) == list(range(start + 1, start + 302)), "each event is there or named, once, in order"
        assert len(slow.notifications("rpc.gap")) >= 1


async def test_who_has_missed_much_gets_it_bit_by_bit(tight_stack: Stack) -> None:
    """All of it at once would be more than a reader may leave unread, and end its connection."""
    channels = ["sample.log", "sample.alarm", "sample.a", "sample.b"]
    async with Client(tight_stack.first_frontend.websocket_url) as writer:
        since = {name: entry["at"] for name, entry in (await writer.subscribe(*channels)).items()}
        await writer.call("sample.log_many", [8, 40_000])
        await wait_until(lambda: len(writer.updates("sample.log")) == 8, "all is logged")
        for number in range(5):
            await writer.call("sample.alarm", [str(number) + "x" * 40_000])
        for name in ("a", "b"):
            await writer.set(f"sample.{name}", "x" * 100_000)

    answers: list[dict[str, Any]] = []
    left = list(channels)
    async with Client(tight_stack.first_frontend.websocket_url) as reader:

        async def has_all() -> bool:
            answer = await reader.subscribe(*left, since={name: since[name] for name in left})
            answers.append(answer)
            left[:] = [name for name in left if "error" in answer[name]]
            assert all(answer[name]["error"]["data"]["retryable"] for name in left)
            return not left

        await wait_until(has_all, lambda: f"everything has come: {left}")
        await reader.call("quiet.ping")
        assert [update[0] for update in reader.updates("sample.log")] == list(range(1, 9))
        assert [update["text"][0] for update in reader.updates("sample.alarm")] == list("01234")
        assert not reader.notifications("rpc.gap")
        assert len(answers) > 1, "there was room for all at once, so that the test says nothing"


def _accounted(client: Client) -> list[int]:
    """The offsets that updates brought or gaps named, in the order in which they came."""
    offsets: list[int] = []
    for message in client.received:
        params: Any = message.get("params")
        if message.get("method") == "rpc.update":
            offsets.append(offset(params["at"]))
        elif message.get("method") == "rpc.gap":
            offsets += range(offset(params["from"]), offset(params["to"]) + 1)
    return offsets


async def test_too_many_unread_replies_close_the_connection_and_say_why(tight_stack: Stack, gate: Gate) -> None:
    frontend = tight_stack.first_frontend

    async def all_are_read() -> bool:
        metrics = await asyncio.to_thread(metrics_at, frontend.url)
        return 'wispy_frontend_requests_in_flight{process="frontend-0"} 13.0\n' in metrics

    async with Client(frontend.websocket_url) as quick, narrow_client(frontend) as slow:
        held = await quick.start("sample.hold", [gate.path])
        await gate.wait_until_reached()
        slow.stop_reading()
        for _ in range(12):
            await slow.start("sample.large", [60_000])
        # Once answers wait for a slow reader, nothing more is read from it.
        await wait_until(all_are_read, "the frontend has read all requests")
        gate.open()
        await held
        await wait_until(lambda: frontend.says("slow reader"), "the frontend gives the reader up")
        assert await quick.call("quiet.ping") == "pong"
        slow.read_on()
        assert await slow.wait_until_closed() == 1008
        assert "slow reader" in slow.close_reason
    metrics = await asyncio.to_thread(metrics_at, frontend.url)
    assert 'wispy_frontend_slow_readers_closed_total{process="frontend-0"} 1.0\n' in metrics


@pytest.mark.parametrize("option", ["websocket.shell=tornado", "websocket.compression=true"])
async def test_the_other_shell_does_the_same(shared_stack: Stack, frontend: Frontend, option: str) -> None:
    other = shared_stack.frontend("--set", option)
    async with Client(other.websocket_url, compression="deflate") as client, Client(frontend.websocket_url) as plain:
        await client.hello()
        await client.subscribe("sample.b", "sample.alarm")
        await plain.call("sample.count_to", [100])
        await client.wait_for_update("sample.b", 100)
        assert client.updates("sample.b") == list(range(1, 101))
        futures = [await client.start("sample.test_sum", [number, 1]) for number in range(500)]
        assert [(await future)["result"] for future in futures] == list(range(1, 501))
        await client.send_raw(b"\x00")
        assert await client.wait_until_closed() == 1003
    assert other.stop() == 0
