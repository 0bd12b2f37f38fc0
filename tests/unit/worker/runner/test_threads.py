"""Threaded calls: how many at a time, and what a thread that is late or missing means for the others."""

import asyncio
import threading
import time

import pytest

from tests.support.waiting import wait_until
from tests.unit.worker.runner.bench import Stage, code
from wispy.protocol import errors


async def test_threaded_calls_run_in_threads_and_no_more_than_there_are_places(stage: Stage) -> None:
    calls = [stage.call("in_thread", str(number), session=f"s{number}") for number in range(4)]
    stage.runner.run(calls)
    await wait_until(lambda: len(stage.bench.log) == 2, "two have begun")
    assert await stage.answer(stage.call("add", 1)) == 1
    assert {*stage.bench.log[:2]} == {"in_thread 0", "in_thread 1"}
    assert stage.bench.log[2:] == ["add 1"]
    stage.bench.open.set()
    names = [await stage.answered(call) for call in calls]
    assert all(name.startswith("wispy-bench-") for name in names)
    assert len(set(names)) <= 2


async def test_where_the_system_gives_no_threads_calls_are_refused_and_later_ones_run(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = threading.Thread.start

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert code(await stage.answer(stage.call("in_thread"))) == (errors.OVERLOADED.code, "no")
    monkeypatch.setattr(threading.Thread, "start", start)
    stage.bench.open.set()
    assert await stage.answer(stage.call("in_thread")) == "wispy-bench-1"
    stage.bench.open.clear()
    monkeypatch.setattr(threading.Thread, "start", refuse)
    calls = [stage.call("in_thread", session=session) for session in "ab"]
    stage.runner.run(calls)
    stage.bench.open.set()
    assert [await stage.answered(call) for call in calls] == ["wispy-bench-1"] * 2, "the one there is runs both"


async def test_a_thread_past_its_deadline_keeps_its_place_until_it_ends(stage: Stage) -> None:
    calls = [stage.call("short_thread", session=session) for session in "ab"]
    stage.runner.run([*calls, waiting := stage.call("in_thread", "x", session="c")])
    await wait_until(lambda: len(stage.runner.overdue(time.monotonic())) == 2, "both are overdue")
    for call in calls:
        stage.runner.expire(call)
    await asyncio.sleep(0)
    assert not stage.outcomes
    assert waiting.started is None
    stage.bench.open.set()
    assert str(await stage.answered(waiting)).startswith("wispy-bench")
    assert {outcome.body for outcome in stage.outcomes if outcome.call in calls} == {b""}
