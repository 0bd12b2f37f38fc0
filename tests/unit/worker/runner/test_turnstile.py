"""Which call may start: the order within a session, the lock, the places in the pool, and the lease."""

from tests.support.waiting import wait_until
from tests.unit.worker.runner.bench import Stage, end, settings


async def test_requests_of_a_session_start_in_order_whatever_their_modes(stage: Stage) -> None:
    calls = [
        stage.call("at_once", "0"),
        stage.call("add", 1),
        stage.call("at_once", "2"),
        stage.call("at_once", "3"),
        stage.call("in_thread", "4"),
        stage.call("add", 5),
        stage.call("at_once", "6"),
        stage.call("add", 7),
    ]
    stage.bench.open.set()
    stage.runner.run(calls)
    await wait_until(lambda: len(stage.outcomes) == len(calls), "all have ended")
    begun = [line for line in stage.bench.log if not line.startswith("in_thread")]
    assert begun == ["at_once 0", "add 1", "at_once 2", "at_once 3", "add 5", "at_once 6", "add 7"]


async def test_a_set_does_not_overtake_an_asynchronous_call(stage: Stage) -> None:
    async def read() -> int:
        return stage.bench.value

    stage.bench.read = read  # type: ignore[attr-defined]
    call = stage.call("read")
    stage.runner.run([call, stage.do("set", "value", b"9")])
    assert await stage.answered(call) == 1
    await wait_until(lambda: stage.bench.value == 9, "the set has run")


async def test_later_requests_wait_behind_one_that_waits_and_other_sessions_do_not(stage: Stage) -> None:
    first = stage.call("locked_wait", "first", session="a")
    second = stage.call("locked", "second", session="b")
    behind = [stage.call("add", 1, session="b"), stage.do("get", "value", session="b")]
    other = stage.call("add", 2, session="c")
    stage.runner.run([first, second, *behind, other])
    assert await stage.answered(other) == 2
    assert [outcome.call for outcome in stage.outcomes] == [other]
    later = stage.call("add", 3, session="b")
    stage.runner.run([later])
    stage.bench.gate.set()
    assert await stage.answered(later) == 3
    ended = [outcome.call for outcome in stage.outcomes]
    assert ended[2:] == [second, *behind, later]
    stage.bench.log.remove("add 2")
    assert stage.bench.log == ["locked first", "unlocked first", "locked second", "add 1", "add 3"]


async def test_one_locking_method_at_a_time_in_order_of_arrival(stage: Stage) -> None:
    methods = ["locked_wait", "locked_thread", "locked", "locked_wait", "locked_coroutine", "locked"]
    calls = [stage.call(method, str(number), session=f"s{number}") for number, method in enumerate(methods)]
    stage.runner.run(calls)
    await wait_until(lambda: stage.bench.log == ["locked 0"], "the first has begun")
    stage.bench.gate.set()
    await wait_until(lambda: "locked 1" in stage.bench.log, "the second has begun")
    assert len(stage.outcomes) == 1
    stage.bench.open.set()
    await wait_until(lambda: len(stage.outcomes) == 6, "all have ended")
    expected = "locked 0,unlocked 0,locked 1,unlocked 1,locked 2,locked 3,unlocked 3,wait 4,waited 4,locked 5"
    assert stage.bench.log == expected.split(",")


async def test_a_coroutine_that_a_locking_def_returned_keeps_the_lock(stage: Stage) -> None:
    first, second = stage.call("locked_coroutine", "x", session="a"), stage.call("locked", "y", session="b")
    stage.runner.run([first, second])
    await wait_until(lambda: stage.bench.log == ["wait x"], "the first has begun")
    assert not stage.outcomes
    stage.bench.gate.set()
    assert await stage.answered(second) == "y"
    assert stage.bench.log == ["wait x", "waited x", "locked y"]


async def test_a_locking_threaded_call_waits_for_lock_and_place(stage: Stage) -> None:
    occupying = [stage.call("in_thread", str(number), session=f"o{number}") for number in range(2)]
    waiting = stage.call("locked_thread", "x", session="a")
    after = stage.call("locked", "y", session="b")
    stage.runner.run([*occupying, waiting, after])
    await wait_until(lambda: len(stage.bench.log) == 2, "the pool is full")
    stage.bench.open.set()
    assert await stage.answered(after) == "y"
    assert stage.bench.log[2:] == ["locked x", "unlocked x", "locked y"]


async def test_without_the_lease_calls_are_held_in_order() -> None:
    lease = [True]
    stage = Stage(settings(), may_start=lambda: lease[0])
    holding = stage.call("locked_wait", "x", session="a")
    waiting = stage.call("locked", "y", session="b")
    stage.runner.run([holding, waiting])
    lease[0] = False
    calls = [stage.call("add", number, session=session) for number in range(3) for session in "abc"]
    stage.runner.run(calls[:5])
    stage.runner.run(calls[5:])
    stage.bench.gate.set()
    assert await stage.answered(holding) == "x"
    assert len(stage.outcomes) == 1
    assert [call.started for call in (waiting, *calls)] == [None] * 10
    lease[0] = True
    stage.runner.run([])
    await wait_until(lambda: len(stage.outcomes) == 11, "all have ended")
    for session in "abc":
        ended = [outcome.call.id for outcome in stage.outcomes if outcome.call.session == session]
        assert ended == sorted(ended)
    await end(stage)
