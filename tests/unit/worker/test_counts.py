from types import SimpleNamespace

import pytest

from wispy.metrics import BOUNDS_S, COUNTED_AT, Histogram
from wispy.worker import counts as counts_module
from wispy.worker.calls import Call, Outcome
from wispy.worker.counts import ObjectCounts, report, totals


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> float:
    """The monotonic time, which stands still."""
    monkeypatch.setattr(counts_module, "time", SimpleNamespace(monotonic=lambda: 1000.0))
    return 1000.0


def test_totals_are_by_operation_whatever_came_of_it() -> None:
    counts = ObjectCounts()
    counts.done["call"] += 5
    counts.failed["call"] += 2
    counts.refused["call"] += 1
    counts.refused["get"] += 3
    counts.failed["set"] += 4
    counts.done["delete"] += 6
    counts.turned_away += 10
    counts.deny("role")
    counts.deny("absent")
    counts.deny_unread("absent")
    counts.deny_unread("login")
    counts.deny_unread("seal")
    counts.updates += 7
    assert totals(counts) == {
        "calls": 8,
        "gets": 3,
        "sets": 4,
        "deletes": 6,
        "errors": 6,
        "refused": 14,
        "denied": 5,
        "updates": 7,
    }


def test_a_report_says_what_runs_and_since_when_the_oldest_waits(now: float) -> None:
    running = Call("s", 1, "call", ("on",), start_by=now - 50, started=now)
    waiting = [Call("s", id, "call", ("on",), start_by=now + 3 - age_s) for id, age_s in ((2, 1.0), (3, 2.5), (4, 0))]
    told = report("lamp", "7-a", ObjectCounts(), [running, *waiting], max_start_delay_s=3, now_ms=100_000)
    assert (told.name, told.epoch, told.running, told.waiting) == ("lamp", "7-a", 1, 3)
    assert told.oldest_ms == 97_500
    told = report("lamp", "7-a", ObjectCounts(), [running], max_start_delay_s=3, now_ms=100_000)
    assert (told.waiting, told.oldest_ms) == (0, None)


def bucket(histogram: Histogram, bound_s: float) -> int:
    return histogram.read()[0][BOUNDS_S.index(bound_s)]


def ended(sent: float, started: float | None) -> Outcome:
    """A call that was sent then, and may wait for 3 s."""
    return Outcome(Call("s", 1, "call", ("a",), start_by=sent + 3, started=started), b"1", False)


def test_each_request_that_started_has_a_place_by_its_own_times(now: float) -> None:
    counts = ObjectCounts()
    fresh = [ended(now, now + number * 1e-6) for number in range(5)]
    waited = ended(now - 0.2, now)
    ran_long = ended(now - 0.2, now - 0.12)  # sent with the one that waited, and started earlier
    counts.observe_ended([*fresh, waited, ran_long, ended(now, None)], 3.0)
    (queue, queue_s), (total, total_s) = counts.queue.read(), counts.total.read()
    assert sum(queue) == sum(total) == 7, "one never started"
    assert (queue[0], bucket(counts.queue, 0.25), bucket(counts.queue, 0.1)) == (5, 1, 1)
    assert bucket(counts.total, 0.25) == 2
    assert queue_s == pytest.approx(0.28, abs=0.001)
    assert total_s == pytest.approx(0.4, abs=0.001), "of the same: 0.2 s each"


def test_requests_without_end_take_no_room(now: float) -> None:
    counts = ObjectCounts()
    for _ in range(COUNTED_AT):
        counts.observe_ended([ended(now - 0.02, now), ended(now - 0.02, now)], 3.0)
    assert not counts.queue.uncounted
    assert not counts.total.uncounted
    assert bucket(counts.queue, 0.025) == sum(counts.total.read()[0]) == 2 * COUNTED_AT


def test_a_turn_gives_its_last_request_a_place_of_its_own() -> None:
    counts = ObjectCounts()
    counts.observe_turn(11, 2.01, 2.0)
    assert (bucket(counts.run, 0.001), bucket(counts.run, 2.5)) == (10, 1)
    counts.observe_turn(4, 0.002, None)
    assert (bucket(counts.run, 0.001), sum(counts.run.read()[0])) == (14, 15)
    assert counts.run.read()[1] == pytest.approx(2.012)


def test_an_owner_goes_on_from_what_it_had_counted(now: float) -> None:
    former, present = ObjectCounts(), ObjectCounts()
    for counts in (former, present):
        counts.observe_ended([ended(now, now)], 3.0)
        counts.observe_turn(1, 0.02, None)
        counts.publish.observe(0.02)
    former.add(present)
    assert [sum(each.read()[0]) for each in (former.queue, former.total, former.run, former.publish)] == [2, 2, 2, 2]
