"""The watch over an owner's calls: what it answers by itself, on a real desk, beside a stage that the tests play."""

from collections.abc import AsyncIterator
from typing import cast

import pytest

from tests.support.waiting import wait_until
from tests.unit.worker.desk.owner import Owner
from wispy.protocol import errors, relay
from wispy.worker import call_watch as module
from wispy.worker.call_watch import CallWatch
from wispy.worker.calls import Call
from wispy.worker.stage import Stage


class Played:
    """The stage, as far as the watch asks it."""

    def __init__(self) -> None:
        self.late: list[Call] = []
        self.has_begun: list[Call] = []
        """What cannot be withdrawn any more."""
        self.expired: list[Call] = []
        self.looks = 0

    def overdue(self, now: float) -> list[Call]:
        return [call for call in self.late if call not in self.expired]

    def expire(self, call: Call) -> None:
        self.expired.append(call)

    def withdraw(self, call: Call) -> bool:
        return call not in self.has_begun

    def report_hangs(self, now: float) -> None:
        self.looks += 1


@pytest.fixture
def stage() -> Played:
    return Played()


@pytest.fixture
async def watch(owner: Owner, stage: Played, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[CallWatch]:
    """It looks often; calls may take five seconds."""
    monkeypatch.setattr(module, "WATCH_S", 0.01)
    watch = CallWatch(owner.desk, cast("Stage", stage), 5.0)
    yield watch
    watch.stop()


async def test_a_call_past_its_deadline_is_answered_once_and_what_it_still_brings_is_dropped(
    owner: Owner, stage: Played, watch: CallWatch
) -> None:
    owner.take("1-0", 1, 2)
    stage.late = owner.handed_over[:1]
    watch.begin()
    await wait_until(lambda: stage.looks > 2, "it has looked several times")
    ((_, _, id, kind, body),) = owner.answers
    assert (id, kind, body["code"]) == (1, relay.ERROR, errors.TIMED_OUT.code)
    assert stage.expired == owner.handed_over[:1]


async def test_a_call_that_was_not_started_in_time_is_withdrawn_and_refused(
    owner: Owner, stage: Played, watch: CallWatch
) -> None:
    owner.take("1-0", 1, 2, 3)
    first, second, third = owner.handed_over
    first.start_by = second.start_by = third.start_by = 0.0
    second.started, second.deadline = 1.0, 2.0
    stage.has_begun = [third]  # while it was looked at
    watch.begin()
    await wait_until(lambda: stage.looks > 2, "it has looked several times")
    ((_, _, id, kind, body),) = owner.answers
    assert (id, kind, body["code"]) == (1, relay.ERROR, errors.NOT_STARTED.code)


async def test_a_frontend_is_told_once_of_a_call_that_may_take_longer(
    owner: Owner, stage: Played, watch: CallWatch
) -> None:
    owner.take("1-0", 1, 2)
    for call, run_s in zip(owner.handed_over, (5.0, 60.0), strict=True):
        call.started, call.deadline = 10.0, 10.0 + run_s
    watch.begin()
    await wait_until(lambda: stage.looks > 2, "it has looked several times")
    assert [(id, kind) for _, _, id, kind, _ in owner.answers] == [(2, relay.EXTENDED)]


async def test_it_looks_as_long_as_there_are_calls(owner: Owner, stage: Played, watch: CallWatch) -> None:
    owner.take("1-0", 1)
    watch.begin()
    watch.begin()
    await wait_until(lambda: stage.looks > 5, "it goes on looking")
    owner.settle(1)
    await wait_until(lambda: watch._timer is None, "it has nothing to look for")
    owner.take("2-0", 2)
    looks = stage.looks
    watch.begin()
    await wait_until(lambda: stage.looks > looks, "it begins again")


async def test_once_stopped_it_answers_nothing(owner: Owner, stage: Played, watch: CallWatch) -> None:
    owner.take("1-0", 1)
    stage.late = list(owner.handed_over)
    watch.begin()
    watch.stop()
    assert watch._timer is None
