"""What the runner hands over, and when: outcomes and the updates of channels, together and in batches."""

import asyncio

import pytest

from tests.support.waiting import wait_until
from tests.unit.worker.runner.bench import Stage, end, settings
from wispy.worker import runner as runner_module

# --- outcomes ---------------------------------------------------------------------------------------------------------


async def test_a_batch_of_synchronous_calls_ends_within_run_and_is_handed_over_once(stage: Stage) -> None:
    calls = [stage.call("add", number, 1) for number in range(64)]
    stage.runner.run(calls)
    assert len(stage.hand_overs) == 1
    assert [outcome.call for outcome in stage.outcomes] == calls
    assert stage.answers() == {call.id: number + 1 for number, call in enumerate(calls)}


async def test_results_are_copied_before_the_next_call_runs(stage: Stage) -> None:
    stage.runner.run([stage.call("shared") for _ in range(3)])
    assert list(stage.answers().values()) == [[0], [0, 1], [0, 1, 2]]


async def test_a_long_batch_is_handed_over_in_parts_and_lets_others_run(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner_module, "TURN_S", 0.0001)
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0)

    ticking = asyncio.create_task(tick())
    calls = [stage.call("add", number) for number in range(500)]
    stage.runner.run(calls)
    more = [stage.call("add", number) for number in range(500)]
    stage.runner.run(more)
    await wait_until(lambda: len(stage.outcomes) == 1000, "all have ended")
    ticking.cancel()
    assert [outcome.call for outcome in stage.outcomes] == calls + more
    assert len(stage.hand_overs) > 2
    assert ticks > 2


async def test_what_ends_in_one_turn_is_handed_over_once(stage: Stage) -> None:
    stage.runner.run([stage.call("wait", str(number), session=f"s{number}") for number in range(20)])
    await wait_until(lambda: len(stage.bench.log) == 20, "all have begun")
    stage.hand_overs.clear()
    stage.bench.gate.set()
    await wait_until(lambda: len(stage.outcomes) == 20, "all have ended")
    assert len(stage.hand_overs) == 1


# --- updates of channels ----------------------------------------------------------------------------------------------


async def test_updates_of_a_batch_come_with_its_outcomes(stage: Stage) -> None:
    def change(to: int) -> int:
        stage.channels.values["a"] = to
        stage.channels.publish("alarm", to)
        return to

    stage.bench.change = change  # type: ignore[attr-defined]
    stage.runner.run([stage.call("change", number) for number in range(3)])
    ((outcomes, updates),) = stage.hand_overs
    assert len(outcomes) == 3
    assert [(update.channel, update.value) for update in updates] == [
        ("a", b"2"),
        ("alarm", b"0"),
        ("alarm", b"1"),
        ("alarm", b"2"),
    ]


async def test_changes_between_requests_are_one_update_a_turn(stage: Stage) -> None:
    for number in range(5):
        stage.channels.values["a"] = number
    await wait_until(lambda: bool(stage.hand_overs), "the change was handed over")
    ((outcomes, updates),) = stage.hand_overs
    assert outcomes == []
    assert [update.value for update in updates] == [b"4"]


async def test_changes_by_another_thread_are_handed_over_on_the_loop(stage: Stage) -> None:
    def change() -> None:
        stage.channels.values["a"] = [1]
        stage.channels.values["a"].append(2)

    await asyncio.to_thread(change)
    await wait_until(lambda: [u.value for _, updates in stage.hand_overs for u in updates][-1:] == [b"[1,2]"], "news")


async def test_the_first_values_are_handed_over_when_the_owner_says_so(stage: Stage) -> None:
    first = Stage(settings(), flushed=False)
    first.channels.values["a"] = 5
    assert not first.hand_overs
    first.runner.begin()
    ((_, updates),) = first.hand_overs
    assert [(update.value, update.number) for update in updates] == [(b"5", 1)]
    first.channels.values["a"] = 6
    await wait_until(lambda: len(first.hand_overs) == 2, "the change was handed over")
    await end(first)
