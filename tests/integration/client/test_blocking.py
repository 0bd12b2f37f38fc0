"""The blocking form against real servers."""

import asyncio
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import wispy
from tests.support.stack import Frontend, free_port
from tests.support.waiting import wait_until_blocking
from wispy.client import BlockingRpc, RPCError
from wispy.protocol import errors


@pytest.fixture
def rpc(frontend: Frontend) -> Iterator[BlockingRpc]:
    with wispy.connect_blocking(frontend.url) as rpc:
        yield rpc


def test_attributes_and_methods(rpc: BlockingRpc) -> None:
    assert rpc.sample["limit"] == 10
    rpc.sample.limit = 12
    assert rpc.get("sample.limit") == rpc.sample["limit"] == 12
    del rpc.sample.limit
    assert rpc.sample["limit"] == 10
    assert rpc.sample.test_sum(4, y=5) == 9
    assert rpc.sample.filter.apply(3) == 6.0
    assert rpc.sample.filter.table["dotted.key"] == [10, 20, 30]
    assert rpc.call("sample.test_sum", 4, 5, timeout_s=5) == 9
    assert rpc.object("sample").test_sum(1, 1) == 2


def test_what_there_is_can_be_asked_for(rpc: BlockingRpc) -> None:
    assert rpc.describe("sample.test_sum")["doc"] == "Add two numbers."
    assert "return x + y" in rpc.source("sample.test_sum")
    assert "sample.test_sum" in [each["name"] for each in rpc.discover()["methods"]]


def test_a_set_that_fails_raises(rpc: BlockingRpc) -> None:
    with pytest.raises(RPCError) as caught:
        rpc.sample.limit = "many"
    assert (caught.value.code, caught.value.executed) == (errors.INVALID_PARAMS.code, "no")


def test_updates_come_to_loops_and_handlers(rpc: BlockingRpc) -> None:
    handled: list[Any] = []
    assert "a" in rpc.list_channels("sample")
    rpc.add_channel_handlers("sample", {"a": handled.append}, True)
    seen: list[Any] = []
    for value, _ in rpc.subscribe("sample.a"):
        seen.append(value)
        if value == 3:
            break
        rpc.sample.a = value + 1
    assert seen == [1, 2, 3]
    assert handled == [1, 2, 3]
    rpc.remove_channel_handlers("sample", "a")
    rpc.sample.a = 1
    assert handled == [1, 2, 3]


def test_it_works_beside_a_running_loop(rpc: BlockingRpc) -> None:
    async def in_a_notebook() -> Any:
        return rpc.sample.test_sum(1, 2)

    assert asyncio.run(in_a_notebook()) == 3


def test_several_threads_share_a_connection(rpc: BlockingRpc) -> None:
    sums: list[int] = []
    threads = [threading.Thread(target=lambda: sums.append(rpc.sample.test_sum(1, 1))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sums == [2] * 8


def test_a_handler_that_would_wait_for_itself_is_told(rpc: BlockingRpc) -> None:
    reported: list[BaseException] = []
    rpc.on_error(lambda error, _: reported.append(error))
    rpc.add_channel_handlers("sample", {"b": lambda value: rpc.sample["a"]}, True)
    wait_until_blocking(lambda: reported, "the error is reported")
    assert "must not wait" in str(reported[0])


def test_ctrl_c_cancels_the_call(rpc: BlockingRpc, tmp_path: Path) -> None:
    main = threading.get_ident()
    before = rpc.sample["ran"].count("cancelled")

    def interrupt() -> None:
        wait_until_blocking(lambda: any(tmp_path.iterdir()), "the call runs")
        signal.pthread_kill(main, signal.SIGINT)

    interrupting = threading.Thread(target=interrupt)
    interrupting.start()
    with pytest.raises(KeyboardInterrupt):
        rpc.sample.wait(str(tmp_path / "end"))
    interrupting.join()
    wait_until_blocking(lambda: rpc.sample["ran"].count("cancelled") > before, "the server has cancelled the call")


def test_after_its_end_it_says_so(frontend: Frontend) -> None:
    rpc = wispy.connect_blocking(frontend.url)
    with pytest.raises(RuntimeError, match="is not open"):
        rpc.sample["a"]
    with rpc:
        assert rpc.state == "connected"
    assert rpc.state == "closed"
    with pytest.raises(RuntimeError, match="is not open"):
        rpc.sample["a"]


def test_no_server_is_told_and_leaves_no_thread() -> None:
    before = set(threading.enumerate())
    with pytest.raises(RPCError), wispy.connect_blocking(f"http://127.0.0.1:{free_port()}", connect_timeout_s=0.2):
        pass
    assert set(threading.enumerate()) <= before
