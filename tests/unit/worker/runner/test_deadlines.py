"""What is started too late, or takes too long."""

import threading
import time

from tests.support.waiting import wait_until, wait_until_blocking
from tests.unit.worker.runner.bench import Stage, code, end, settings
from wispy.config.units import Seconds
from wispy.protocol import errors
from wispy.worker.calls import Call


async def test_what_is_too_late_is_not_started(stage: Stage) -> None:
    late, good = stage.call("add", 1, start_by=time.monotonic() - 1), stage.call("add", 2)
    stage.runner.run([late, good])
    assert code(await stage.answered(late)) == (errors.NOT_STARTED.code, "no")
    assert stage.bench.log == ["add 2"]


async def test_a_call_that_waits_too_long_is_answered_while_it_waits(stage: Stage) -> None:
    soon = time.monotonic() + 0.05
    holding = stage.call("locked_wait", "x", session="a")
    head = stage.call("locked", "y", session="b", start_by=soon)
    behind = stage.call("add", 1, session="b")
    late_behind = [stage.call("locked", "z", session="c"), stage.call("add", 2, session="c", start_by=soon)]
    also_late = stage.call("add", 9, session="b", start_by=soon)
    stage.runner.run([holding, head, also_late, behind, *late_behind])
    assert code(await stage.answered(head)) == (errors.NOT_STARTED.code, "no")
    assert code(await stage.answered(also_late)) == (errors.NOT_STARTED.code, "no")
    assert await stage.answered(behind) == 1
    assert code(await stage.answered(late_behind[1])) == (errors.NOT_STARTED.code, "no")
    stage.bench.gate.set()
    assert await stage.answered(late_behind[0]) == "z"


async def test_asynchronous_code_is_cancelled_at_its_deadline(stage: Stage) -> None:
    assert code(await stage.answer(stage.call("short"))) == (errors.TIMED_OUT.code, "maybe")
    call = stage.call("wait", timeout_s=0.03)
    assert code(await stage.answer(call)) == (errors.TIMED_OUT.code, "maybe")
    assert not stage.runner.overdue(time.monotonic())


async def test_the_default_time_limit_and_a_longer_wish() -> None:
    stage = Stage(settings(run_timeout_default=Seconds(0.05)))
    assert code(await stage.answer(stage.call("wait", timeout_s=60.0))) == (errors.TIMED_OUT.code, "maybe")
    await end(stage)


async def test_a_task_that_swallows_cancellation_is_the_owners_to_answer(stage: Stage) -> None:
    call = stage.call("stubborn")
    stage.runner.run([call])
    await wait_until(lambda: stage.bench.log == ["swallowed"], "the cancellation was swallowed")
    assert stage.runner.overdue(time.monotonic()) == [call]
    stage.runner.expire(call)
    assert not stage.runner.overdue(time.monotonic())
    assert not stage.outcomes
    stage.bench.gate.set()
    await wait_until(lambda: bool(stage.outcomes), "it has ended")
    assert stage.outcomes[0].body == b""


async def test_a_property_that_hangs_has_a_deadline_too() -> None:
    stage = Stage(settings(run_timeout_default=Seconds(0.05)))
    call = stage.do("get", "slow")
    seen: list[Call] = []

    def watch() -> None:
        wait_until_blocking(lambda: stage.runner.overdue(time.monotonic()), "it is overdue")
        seen.extend(stage.runner.overdue(time.monotonic()))
        stage.bench.open.set()

    thread = threading.Thread(target=watch)
    thread.start()
    stage.runner.run([call])
    thread.join()
    assert seen == [call]
    await end(stage)
