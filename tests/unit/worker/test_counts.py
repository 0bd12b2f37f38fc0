import time

from wispy.worker.calls import Call
from wispy.worker.counts import ObjectCounts, report, totals


def test_totals_are_by_operation_whatever_came_of_it() -> None:
    counts = ObjectCounts()
    counts.done["call"] += 5
    counts.failed["call"] += 2
    counts.refused["call"] += 1
    counts.refused["get"] += 3
    counts.failed["set"] += 4
    counts.done["delete"] += 6
    counts.turned_away += 10
    counts.updates += 7
    assert totals(counts) == {
        "calls": 8,
        "gets": 3,
        "sets": 4,
        "deletes": 6,
        "errors": 6,
        "refused": 14,
        "updates": 7,
    }


def test_a_report_says_what_runs_and_since_when_the_oldest_waits() -> None:
    now = time.monotonic()
    running = Call("s", 1, "call", ("on",), start_by=now - 50, started=now)
    waiting = [Call("s", id, "call", ("on",), start_by=now + 3 - age_s) for id, age_s in ((2, 1.0), (3, 2.5), (4, 0))]
    told = report("lamp", "7-a", ObjectCounts(), [running, *waiting], max_start_delay_s=3, now_ms=100_000)
    assert (told.name, told.epoch, told.running, told.waiting) == ("lamp", "7-a", 1, 3)
    assert told.oldest_ms is not None
    assert abs(told.oldest_ms - 97_500) < 1000
    told = report("lamp", "7-a", ObjectCounts(), [running], max_start_delay_s=3, now_ms=100_000)
    assert (told.waiting, told.oldest_ms) == (0, None)
