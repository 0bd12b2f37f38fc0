"""What is cancelled, withdrawn or closed, while it waits and while it runs."""

from tests.support.waiting import wait_until
from tests.unit.worker.runner.bench import Stage, code, end, ended, settings
from wispy.protocol import errors


async def test_a_call_that_was_withdrawn_never_runs(stage: Stage) -> None:
    holding, waiting = stage.call("locked_wait", "x", session="a"), stage.call("locked", "y", session="b")
    stage.runner.run([holding, waiting])
    await wait_until(lambda: stage.bench.log == ["locked x"], "the first has begun")
    assert not stage.runner.withdraw(holding)
    assert stage.runner.withdraw(waiting)
    stage.bench.gate.set()
    assert code(await stage.answered(waiting)) == (errors.NOT_STARTED.code, "no")
    assert await stage.answered(holding) == "x"
    assert "locked y" not in stage.bench.log


async def test_cancelling(stage: Stage) -> None:
    running = stage.call("locked_wait", "x", session="a")
    head = stage.call("locked", "y", session="b")
    behind = [stage.call("add", 1, session="b"), stage.call("add", 2, session="b")]
    in_thread = stage.call("in_thread", session="c")
    stage.runner.run([running, head, *behind, in_thread])
    await wait_until(lambda: len(stage.bench.log) == 2, "two have begun")
    stage.runner.cancel("b", behind[0].id)
    assert code(await stage.answered(behind[0])) == (errors.CANCELLED.code, "no")
    stage.runner.cancel("b", head.id)
    assert code(await stage.answered(head)) == (errors.CANCELLED.code, "no")
    assert await stage.answered(behind[1]) == 2
    stage.runner.cancel("a", running.id)
    assert code(await stage.answered(running)) == (errors.CANCELLED.code, "maybe")
    stage.runner.cancel("c", in_thread.id)
    stage.runner.cancel("c", 99)
    stage.bench.open.set()
    assert str(await stage.answered(in_thread)).startswith("wispy-bench")
    assert "locked y" not in stage.bench.log


async def test_cancelling_at_once_after_the_start(stage: Stage) -> None:
    call = stage.call("wait", "x")
    stage.runner.run([call])
    stage.runner.cancel("s", call.id)
    assert code(await stage.answered(call)) == (errors.CANCELLED.code, "maybe")
    assert await stage.answer(stage.call("add", 1)) == 1


async def test_cancelling_what_is_still_in_the_backlog() -> None:
    stage = Stage(settings(), may_start=lambda: False)
    call = stage.call("add", 1)
    stage.runner.run([call])
    stage.runner.cancel("s", call.id)
    assert code(await stage.answered(call)) == (errors.CANCELLED.code, "no")
    await end(stage)


async def test_a_cancelled_head_passes_its_lock_on(stage: Stage) -> None:
    occupying = [stage.call("in_thread", session=f"o{number}") for number in range(2)]
    holding = stage.call("locked_thread", "x", session="a")  # has the lock, and waits for a place
    after = stage.call("locked", "y", session="b")
    stage.runner.run([*occupying, holding, after])
    stage.runner.cancel("a", holding.id)
    assert await stage.answered(after) == "y"


async def test_closing_cancels_and_hands_nothing_over(stage: Stage) -> None:
    stage.runner.run([stage.call("wait", session="a"), stage.call("in_thread", session="b")])
    await wait_until(lambda: len(stage.bench.log) == 2, "two have begun")
    stage.runner.close()
    stage.bench.open.set()
    await ended(stage)
    assert not stage.outcomes
