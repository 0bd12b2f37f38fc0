"""Runs the scenarios: starts the servers, sends the load generator against them in turns, and collects its measures."""

import itertools
import os
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.jobs import CallLoad, FanoutLoad, IdleLoad, IdleMeasure, Job, Measure
from benchmarks.processes import capped, cpu_of, cpu_since, placed_on
from benchmarks.scenarios import (
    BESIDE_NONE,
    BESIDE_STALLED,
    CHECKED,
    COMPARED,
    IDLE_CONNECTIONS,
    SATURATION,
    SHARED_CALLS,
    SHARING,
    STALLED_WARMUP_S,
    Contest,
    Entry,
)
from benchmarks.systems import BenchmarkError, System, Tornado, Wispy, run_generator

IDLE_SETTLE_S = 3.0
IDLE_WATCH_S = 10.0

FRONTEND_SHARE = 0.2
"""Of one core, for each frontend process of the scaling: the generator then takes less than half of the machine."""


HERE_AND_THERE = ("here", "there")
WITH_AND_WITHOUT_CHECKS = ("checked", "unchecked")
"""The two sides of each kind of comparison."""

WORKER_SHARE = 0.2
"""Of one core, for each worker that shares an object: four of them then take less than one of two cores."""


class Plan(msgspec.Struct, frozen=True):
    """How long, how often, and where."""

    rounds: int
    seconds: float
    warmup_s: float
    match: str = ""  # only entries whose titles contain it
    pin: bool = True
    tornado_on_uvloop: bool = False

    @property
    def server_cpus(self) -> list[int]:
        """One core for all servers, so that their throughput is the inverse of their cost."""
        return self._cores[:1] if self._pins else []

    @property
    def generator_cpus(self) -> list[int]:
        """The other cores."""
        return self._cores[1:] if self._pins else []

    @property
    def _cores(self) -> list[int]:
        return sorted(os.sched_getaffinity(0))

    @property
    def _pins(self) -> bool:
        return self.pin and len(self._cores) > 1


class Row(msgspec.Struct):
    """One entry of a contest, and the baseline beside it: one measure a round each."""

    scenario: str
    contest: str
    entry: str
    target: float | None
    ours: list[Measure]
    baseline: list[Measure]

    @property
    def ratios(self) -> list[float]:
        """Our cost over the baseline's, by round."""
        pairs = zip(self.ours, self.baseline, strict=True)
        return [ours.us_per_operation() / baseline.us_per_operation() for ours, baseline in pairs]


class Idle(msgspec.Struct):
    """Idle connections, ours and the baseline's, and the CPU share of a wispy that nobody is connected to."""

    ours: IdleMeasure
    baseline: IdleMeasure
    unconnected_cpu_share: float


class Scaling(msgspec.Struct):
    """Fan-out at saturation with one and with two frontend processes, by round; all processes share all cores.

    Two cores hold no load generator that could ask for more than one frontend gives. So each frontend process gets a
    part of a core, where the system allows it, and the generator has the rest.
    """

    one: list[Measure]
    two: list[Measure]
    share: float | None
    """Of one core, for each frontend process; None where it could not be limited."""


class Slow(msgspec.Struct):
    """Fan-out of large updates, without and with subscribers that read nothing beside the others, by round."""

    without: list[Measure]
    beside: list[Measure]

    @property
    def p99_ratios(self) -> list[float]:
        """How much later the others get their updates, by round."""
        pairs = zip(self.beside, self.without, strict=True)
        return [beside.groups[0].p99_ms / without.groups[0].p99_ms for beside, without in pairs]


class Shared(msgspec.Struct):
    """Calls of an object that several workers share, by number of workers and by round."""

    title: str
    measures: dict[int, list[Measure]]
    share: float | None
    """Of one core, for each worker; None where it could not be limited."""

    def gains(self, workers: int) -> list[float]:
        """Calls a second of so many workers over those of one, by round."""
        pairs = zip(self.measures[workers], self.measures[1], strict=True)
        return [many.per_second / one.per_second for many, one in pairs]


class Comparison(msgspec.Struct):
    """One load of two systems, by round: of this tree of the project and of another one, or with and without checks."""

    title: str
    ours: list[Measure]
    theirs: list[Measure]

    @property
    def ratios(self) -> list[float]:
        """Our cost over theirs, by round."""
        pairs = zip(self.ours, self.theirs, strict=True)
        return [ours.us_per_operation() / theirs.us_per_operation() for ours, theirs in pairs]


class Results(msgspec.Struct):
    """Everything of one run of the benchmarks."""

    machine: dict[str, str]
    plan: Plan
    rows: list[Row] = msgspec.field(default_factory=list[Row])
    idle: Idle | None = None
    scaling: Scaling | None = None
    slow: Slow | None = None
    shared: list[Shared] = msgspec.field(default_factory=list[Shared])
    comparisons: list[Comparison] = msgspec.field(default_factory=list[Comparison])
    checks: list[Comparison] = msgspec.field(default_factory=list[Comparison])

    def measures(self) -> Iterator[tuple[str, list[Measure]]]:
        """All rounds of each load, with what it is."""
        for row in self.rows:
            yield f"{row.contest}, {row.entry}", row.ours
        for contest, baseline in {row.contest: row.baseline for row in self.rows}.items():
            yield f"{contest}, tornado", baseline
        if self.scaling is not None:
            yield "one frontend process", self.scaling.one
            yield "two frontend processes", self.scaling.two
        if self.slow is not None:
            yield "all subscribers read", self.slow.without
            yield "some subscribers read nothing", self.slow.beside
        for shared in self.shared:
            for workers, measures in shared.measures.items():
                yield f"a shared object, {shared.title}, workers: {workers}", measures
        for (ours, theirs), compared in ((HERE_AND_THERE, self.comparisons), (WITH_AND_WITHOUT_CHECKS, self.checks)):
            for each in compared:
                yield f"{each.title}, {ours}", each.ours
                yield f"{each.title}, {theirs}", each.theirs


Progress = Callable[[str], None]


@contextmanager
def running(cpus: list[int], *systems: System) -> Generator[None]:
    """Start all on some cores, and end them all."""
    with ExitStack() as stack:
        for system in systems:
            stack.callback(system.stop)
        with placed_on(cpus):
            for system in systems:
                system.start()
        yield


def run_contests(plan: Plan, chosen: list[Contest], progress: Progress) -> list[Row]:
    """Run contests between one wispy and one baseline, which stay up all the while."""
    wispy, tornado = Wispy(), Tornado(use_uvloop=plan.tornado_on_uvloop)
    rows: list[Row] = []
    with running(plan.server_cpus, wispy, tornado):
        for contest in chosen:
            rows += _run_contest(plan, contest, wispy, tornado, progress)
    return rows


def _run_contest(plan: Plan, contest: Contest, wispy: Wispy, tornado: Tornado, progress: Progress) -> list[Row]:
    entries = [entry for entry in contest.entries if plan.match in f"{contest.title}, {entry.title}"]
    if not entries:
        return []
    baseline: list[Measure] = []
    rows = [_row(contest, entry, baseline) for entry in entries]
    for turn in range(plan.rounds):
        progress(f"{contest.title}: round {turn + 1} of {plan.rounds}")
        baseline.append(measure(plan, contest.baseline, tornado, contest.path))
        for row, entry in zip(rows, entries, strict=True):
            row.ours.append(measure(plan, entry.load, wispy))
    return rows


def _row(contest: Contest, entry: Entry, baseline: list[Measure]) -> Row:
    return Row(contest.scenario, contest.title, entry.title, entry.target, [], baseline)


def measure(plan: Plan, load: CallLoad | FanoutLoad, system: System, path: str = "", **changes: Any) -> Measure:
    """Run one load against one system; `changes` are of the job."""
    result = run_generator(_job(plan, load, system, path, **changes))
    if not isinstance(result, Measure):
        raise BenchmarkError(f"the load generator answered {type(result).__name__} to {load}")
    return result


def _job(plan: Plan, load: Any, system: System, path: str, **changes: Any) -> Job:
    timing: dict[str, Any] = {"warmup_s": plan.warmup_s, "seconds": plan.seconds} | changes
    return Job(load=load, url=system.url(path), watch=system.watch, cpus=plan.generator_cpus, **timing)


def run_idle(plan: Plan, connections: int, progress: Progress) -> Idle:
    """Measure idle connections; each system is fresh, so that nothing freed earlier hides what they take."""
    measures: list[IdleMeasure] = []
    unconnected = 0.0
    for system in (Tornado(use_uvloop=plan.tornado_on_uvloop), Wispy()):
        progress(f"{connections:,} idle connections: {system.name}")
        with running(plan.server_cpus, system):
            if isinstance(system, Wispy):
                unconnected = cpu_share(system)
            measures.append(measure_idle(plan, connections, system))
    baseline, ours = measures
    return Idle(ours, baseline, unconnected)


def measure_idle(plan: Plan, connections: int, system: System) -> IdleMeasure:
    """Open so many connections to a system, and look at what they take while they do nothing."""
    job = _job(plan, IdleLoad(connections), system, "/broadcast", warmup_s=IDLE_SETTLE_S, seconds=IDLE_WATCH_S)
    result = run_generator(job)
    if not isinstance(result, IdleMeasure):
        raise BenchmarkError(f"the load generator answered {type(result).__name__} to an idle load")
    return result


def cpu_share(system: System) -> float:
    """The part of one core that a system uses while nobody is connected."""
    time.sleep(IDLE_SETTLE_S)
    start, before = time.monotonic(), cpu_of(system.watch)
    time.sleep(IDLE_WATCH_S)
    used = sum(sum(seconds) for seconds in cpu_since(system.watch, before).values())
    return used / (time.monotonic() - start)


def run_scaling(plan: Plan, progress: Progress) -> Scaling:
    """Compare one and two frontend processes, each with a part of a core."""
    free = msgspec.structs.replace(plan, pin=False)
    one, two = Wispy(processes=1), Wispy(processes=2)
    with running([], one, two), capped(one.watch["frontend"] + two.watch["frontend"], FRONTEND_SHARE) as is_capped:
        scaling = Scaling([], [], FRONTEND_SHARE if is_capped else None)
        for turn in range(plan.rounds):
            progress(f"one and two frontend processes: round {turn + 1} of {plan.rounds}")
            scaling.one.append(measure(free, SATURATION, one))
            scaling.two.append(measure(free, SATURATION, two))
    return scaling


def run_slow(plan: Plan, progress: Progress) -> Slow:
    """See whether subscribers that read nothing disturb the others, or fill the frontend."""
    wispy, slow = Wispy(), Slow([], [])
    with running(plan.server_cpus, wispy):
        for turn in range(plan.rounds):
            progress(f"subscribers that read nothing: round {turn + 1} of {plan.rounds}")
            slow.without.append(measure(plan, BESIDE_NONE, wispy, warmup_s=STALLED_WARMUP_S))
            slow.beside.append(measure(plan, BESIDE_STALLED, wispy, warmup_s=STALLED_WARMUP_S))
    return slow


def run_shared(plan: Plan, progress: Progress) -> list[Shared]:
    """Measure how calls scale with the workers of a shared object, each of which has a part of a core."""
    free = msgspec.structs.replace(plan, pin=False)
    systems = {workers: Wispy(sharing=workers) for workers in SHARING}
    with running([], *systems.values()):
        pids = [pid for system in systems.values() for pid in system.watch["worker"]]
        with capped(pids, WORKER_SHARE) as is_capped:
            share = WORKER_SHARE if is_capped else None
            runs = [Shared(title, {workers: [] for workers in SHARING}, share) for title in SHARED_CALLS]
            for run, turn, (workers, system) in itertools.product(runs, range(plan.rounds), systems.items()):
                progress(f"a shared object, {run.title}: round {turn + 1} of {plan.rounds}, workers: {workers}")
                run.measures[workers].append(measure(free, SHARED_CALLS[run.title], system))
    return runs


def run_comparison(plan: Plan, machine: dict[str, str], tree: Path, progress: Progress) -> Results:
    """Measure a call in this tree and in another one, in turns: what a change costs."""
    ours, theirs = Wispy(), Wispy(root=tree)
    results = Results(machine, plan)
    with running(plan.server_cpus, ours, theirs):
        for title, load in COMPARED.items():
            comparison = Comparison(title, [], [])
            results.comparisons.append(comparison)
            for turn in range(plan.rounds):
                progress(f"{title}: round {turn + 1} of {plan.rounds}")
                comparison.theirs.append(measure(plan, load, theirs))
                comparison.ours.append(measure(plan, load, ours))
    return results


def run_checked(plan: Plan, machine: dict[str, str], progress: Progress) -> Results:
    """Measure a call with all checks and one without any, in turns."""
    guarded, bare = Wispy(guarded=True), Wispy()
    results = Results(machine, plan)
    with running(plan.server_cpus, guarded, bare):
        for title, (unchecked, checked) in CHECKED.items():
            comparison = Comparison(title, [], [])
            results.checks.append(comparison)
            for turn in range(plan.rounds):
                progress(f"checks, {title}: round {turn + 1} of {plan.rounds}")
                comparison.theirs.append(measure(plan, unchecked, bare))
                comparison.ours.append(measure(plan, checked, guarded, token=guarded.token))
    return results


def run_all(
    plan: Plan,
    machine: dict[str, str],
    chosen: list[Contest],
    *,
    idle: bool,
    slow: bool,
    shared: bool,
    progress: Progress,
) -> Results:
    """Run what was chosen; the scaling of frontends belongs to the fan-out."""
    results = Results(machine, plan)
    if chosen:
        results.rows = run_contests(plan, chosen, progress)
    if any(contest.scenario == "fanout" for contest in chosen) and plan.match in "two frontend processes":
        results.scaling = run_scaling(plan, progress)
    if idle:
        results.idle = run_idle(plan, IDLE_CONNECTIONS, progress)
    if slow:
        results.slow = run_slow(plan, progress)
    if shared:
        results.shared = run_shared(plan, progress)
    return results
