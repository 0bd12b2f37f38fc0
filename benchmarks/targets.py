"""The targets that the project has set itself, and whether a run of the benchmarks met them."""

from collections.abc import Iterator
from statistics import median
from typing import Literal

import msgspec

from benchmarks.harness import Comparison, Idle, Results, Row, Scaling, Shared, Slow

IDLE_BYTES_PER_CONNECTION = 8 * 1024
IDLE_CPU_SHARE = 0.01
SCALING = 1.6
SHARED_SCALING = {"each waits 5 ms": 3.5, "each computes for 1 ms": 3.0}
"""What four workers of a shared object give, over one."""

FAIR_SHARE = 0.5
CHECKS = 1.05
NEIGHBOUR_P50_MS = 3
NEIGHBOUR_P99_RATIO = 1.5
STALLED_BYTES_PER_CONNECTION = 2 << 20
"""Twice `websocket.write_buffer`: what is unsent, and what Python's allocator holds around it."""


class Verdict(msgspec.Struct):
    """One target beside what was measured."""

    what: str
    measured: float
    sense: Literal["at most", "at least"]
    target: float
    unit: str = ""

    @property
    def is_met(self) -> bool:
        return self.measured <= self.target if self.sense == "at most" else self.measured >= self.target


def judge(results: Results) -> list[Verdict]:
    """Judge everything that has a target, by the median of its rounds."""
    return list(_judge(results))


def _judge(results: Results) -> Iterator[Verdict]:
    for row in results.rows:
        if row.target is not None:
            yield Verdict(
                f"{row.contest}, {row.entry}: cost", median(row.ratios), "at most", row.target, "x the baseline's"
            )
        if row.scenario == "fairness":
            yield _fairness(row)
    if results.scaling is not None:
        yield _scaling(results.scaling)
    for shared in results.shared:
        yield from _shared(shared)
    if results.slow is not None:
        yield from _slow(results.slow)
    if results.idle is not None:
        yield from _idle(results.idle)
    for comparison in results.checks:
        yield from _checks(comparison)
    for load, measures in results.measures():
        wrong = sum(sum(measure.errors.values()) for measure in measures)
        if wrong:
            yield Verdict(f"{load}: wrong or missing answers", wrong, "at most", 0)


def _fairness(row: Row) -> Verdict:
    lasts = [measure.groups[-1] for measure in row.ours]
    if len(row.ours[0].groups) == 1:
        shares = [group.fairness for group in lasts]
        return Verdict(f"{row.contest}: least connection", median(shares), "at least", FAIR_SHARE, "of the mean")
    p50s = [group.p50_ms for group in lasts]
    return Verdict(f"{row.contest}: p50", median(p50s), "at most", NEIGHBOUR_P50_MS, "ms")


def _scaling(scaling: Scaling) -> Verdict:
    gains = [two.per_second / one.per_second for one, two in zip(scaling.one, scaling.two, strict=True)]
    return Verdict("a second frontend process: deliveries/s", median(gains), "at least", SCALING, "x those of one")


def _shared(shared: Shared) -> Iterator[Verdict]:
    what = f"a shared object, {shared.title}"
    if shared.title in SHARED_SCALING:
        most = max(shared.measures)
        gain, target = median(shared.gains(most)), SHARED_SCALING[shared.title]
        yield Verdict(f"{what}: {most} workers, calls/s", gain, "at least", target, "x those of one")


def _slow(slow: Slow) -> Iterator[Verdict]:
    what = "beside subscribers that read nothing"
    yield Verdict(f"{what}: p99", median(slow.p99_ratios), "at most", NEIGHBOUR_P99_RATIO, "x that without them")
    grown = median(measure.bytes_grown["frontend"] / len(measure.stalled_got) for measure in slow.beside)
    yield Verdict(
        f"{what}: frontend's memory for each of them",
        grown / (1 << 20),
        "at most",
        STALLED_BYTES_PER_CONNECTION / (1 << 20),
        "MiB",
    )


def _checks(comparison: Comparison) -> Iterator[Verdict]:
    what = f"{comparison.title}, with checks: cost"
    yield Verdict(what, median(comparison.ratios), "at most", CHECKS, "x that without them")


def _idle(idle: Idle) -> Iterator[Verdict]:
    memory = idle.ours.bytes_per_connection["frontend"] / 1024
    yield Verdict("an idle connection: frontend's memory", memory, "at most", IDLE_BYTES_PER_CONNECTION / 1024, "KiB")
    yield Verdict(
        "an idle system: CPU", idle.unconnected_cpu_share * 100, "at most", IDLE_CPU_SHARE * 100, "% of a core"
    )
