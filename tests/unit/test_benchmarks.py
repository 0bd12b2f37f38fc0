"""What the benchmarks make of their measures: a wrong answer shows, whatever was measured."""

import pytest

from benchmarks.harness import Comparison, Plan, Results, Row, Scaling, Shared, Slow
from benchmarks.jobs import GroupMeasure, Measure
from benchmarks.report import text
from benchmarks.targets import judge


def measure(**errors: int) -> Measure:
    """Of a round of a thousand operations in one second, of which some went wrong."""
    cpu_s = {role: [0.1] for role in ("valkey", "frontend", "worker", "tornado")}
    group = GroupMeasure(1000, 1.0, 2.0, 10, 10.0)
    return Measure(1.0, [group], cpu_s, 0.1, errors, stalled_got=[5], bytes_grown={"frontend": 0})


def results(**wrong: Measure) -> Results:
    """Everything that can be measured; what is `wrong` is in its place."""

    def of(name: str) -> list[Measure]:
        return [measure(), wrong.get(name, measure())]

    return Results(
        {"cores": "2"},
        Plan(rounds=2, seconds=1, warmup_s=0),
        rows=[Row("calls", "64 connections", "add", 0.6, of("ours"), of("baseline"))],
        scaling=Scaling(of("one"), of("two"), 0.2),
        slow=Slow(of("without"), of("beside")),
        shared=[Shared("each waits 5 ms", {workers: of(f"workers{workers}") for workers in (1, 2, 4)}, 0.2)],
        comparisons=[Comparison("1 in flight", of("here"), of("there"))],
        checks=[Comparison("8 in flight", of("checked"), of("unchecked"))],
    )


def told(results: Results) -> list[str]:
    return [verdict.what for verdict in judge(results) if "wrong or missing" in verdict.what]


def test_where_all_is_right_nothing_is_told() -> None:
    assert told(results()) == []
    assert "Not as it should be" not in text(results())


@pytest.mark.parametrize(
    ("place", "load"),
    [
        ("ours", "64 connections, add"),
        ("baseline", "64 connections, tornado"),
        ("one", "one frontend process"),
        ("two", "two frontend processes"),
        ("without", "all subscribers read"),
        ("beside", "some subscribers read nothing"),
        ("workers4", "a shared object, each waits 5 ms, workers: 4"),
        ("here", "1 in flight, here"),
        ("there", "1 in flight, there"),
        ("checked", "8 in flight, checked"),
        ("unchecked", "8 in flight, unchecked"),
    ],
)
def test_a_wrong_answer_is_told_and_misses_a_target(place: str, load: str) -> None:
    made = results(**{place: measure(strange=7)})
    assert told(made) == [f"{load}: wrong or missing answers"]
    assert [line.split() for line in text(made).splitlines() if "strange" in line] == [[*load.split(), "strange", "7"]]
