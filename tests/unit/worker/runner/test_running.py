"""What hangs and what was slow is named in the log."""

import asyncio
import logging
import re
import threading
import time
from typing import Any

import pytest

from tests.support.waiting import wait_until, wait_until_blocking
from tests.unit.worker.runner.bench import Stage, calls_ended, end
from wispy.config.schema import Config, LoggingConfig
from wispy.config.units import Seconds
from wispy.protocol.labels import request_name
from wispy.worker import running as running_module

# --- what hangs -------------------------------------------------------------------------------------------------------


async def test_a_def_that_holds_the_loop_is_seen_from_another_thread(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    call = stage.call("short_block")
    seen: list[Any] = []

    def watch() -> None:
        wait_until_blocking(lambda: stage.runner.overdue(time.monotonic()), "it is overdue")
        occupation = stage.runner.running()
        seen.append(occupation and occupation.call)
        now = time.monotonic() + 10
        stage.runner.report_hangs(now)
        stage.runner.report_hangs(now)
        for overdue in stage.runner.overdue(time.monotonic()):
            stage.runner.expire(overdue)
        stage.bench.open.set()

    thread = threading.Thread(target=watch)
    with caplog.at_level(logging.WARNING):
        thread.start()
        stage.runner.run([call])
        thread.join()
    assert seen == [call]
    assert [outcome.body for outcome in stage.outcomes] == [b""]
    assert stage.runner.running() is None
    hanging, ended = (record.getMessage() for record in caplog.records)
    label = re.escape(f"bench.short_block (call, request {request_name('s', 1)})")
    assert re.match(rf"{label} has been running for 1\d\.\d s", hanging)
    assert "nothing else" in hanging
    assert "self.open.wait(10)" in hanging
    assert re.fullmatch(rf"{label} has ended after \d\.\d s", ended)


async def test_hanging_tasks_and_threads_are_named_once(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    calls = [stage.call("wait", session="a"), stage.call("in_thread", session="b")]
    with caplog.at_level(logging.WARNING):
        stage.runner.run(calls)
        await wait_until(lambda: len(stage.bench.log) == 2, "both have begun")
        started = [call.started for call in calls if call.started is not None]
        stage.runner.report_hangs(min(started) + 9.9)
        assert not caplog.records
        stage.runner.report_hangs(max(started) + 10)
        stage.runner.report_hangs(max(started) + 11)
    assert sorted(record.getMessage()[:15] for record in caplog.records) == ["bench.in_thread", "bench.wait (cal"]
    assert any("self.open.wait(10)" in record.getMessage() for record in caplog.records)


async def test_a_task_that_holds_the_loop_is_seen_too(stage: Stage) -> None:
    seen: list[Any] = []

    async def hold() -> None:
        occupied = threading.Thread(target=lambda: seen.append(stage.runner.running()))
        occupied.start()
        occupied.join()

    stage.bench.hold = hold  # type: ignore[attr-defined]
    call = stage.call("hold")
    assert await stage.answer(call) is None
    assert seen[0].call is call


# --- what was slow ----------------------------------------------------------------------------------------------------


SLOW = Config(logging_config=LoggingConfig(slow_call=Seconds(0.25)))


@pytest.mark.parametrize("method", ["short_block", "in_thread", "wait", "slow"])
async def test_a_slow_call_is_named_when_it_ends_and_a_quick_one_is_not(
    caplog: pytest.LogCaptureFixture, method: str
) -> None:
    stage = Stage(SLOW)
    call = stage.do("get", method) if method == "slow" else stage.call(method, *["x"] * (method == "wait"))
    loop = asyncio.get_running_loop()

    def open_when_slow() -> None:
        wait_until_blocking(lambda: call.started and time.monotonic() >= call.started + 0.25, "it is slow")
        stage.bench.open.set()
        loop.call_soon_threadsafe(stage.bench.gate.set)

    opening = threading.Thread(target=open_when_slow)
    opening.start()
    quick = stage.call("add", 1)
    stage.runner.run([quick, call, stage.call("add", 1)])
    await calls_ended(stage, call)
    opening.join()
    assert stage.counts.busy_s >= 0.25
    slow = [record.getMessage() for record in caplog.records if record.getMessage().startswith("slow: ")]
    assert len(slow) == 1
    assert slow[0].startswith(f"slow: bench.{method} ({call.op}, request {request_name('s', call.id)}) took ")
    await end(stage)


async def test_many_slow_calls_are_named_together(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running_module, "SLOW_PAUSE_S", 60.0)
    stage = Stage(Config(logging_config=LoggingConfig(slow_call=Seconds(1e-9))))
    stage.bench.open.set()
    calls = [stage.call("in_thread") for _ in range(20)]
    stage.runner.run(calls)
    await calls_ended(stage, *calls)
    assert sum(record.getMessage().startswith("slow: ") for record in caplog.records) == 1
    await end(stage)


async def test_nothing_is_slow_where_no_limit_is_set(caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage(Config(logging_config=LoggingConfig(slow_call=None)))
    stage.bench.open.set()
    await stage.answer(stage.call("in_thread"))
    assert not caplog.records
    await end(stage)
