"""Measures what the model of `wispy.capacity` rests on, and how well the model foretells two mixed loads.

The servers share one core and the load generator has the others, as everywhere here; a role's cost at a rate is its own
CPU time. Each point is the median of the rounds.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from statistics import median
from typing import Final, NamedTuple

import msgspec

from benchmarks.harness import Plan, Progress, cpu_share, measure, measure_idle, running
from benchmarks.jobs import CallLoad, FanoutLoad, Group, Measure
from benchmarks.processes import resident_of
from benchmarks.scenarios import SMALL_BATCH
from benchmarks.systems import BenchmarkError, Wispy
from wispy.capacity.measurements import Costs, Curve, Measurements
from wispy.capacity.model import Load, frontend_share, redis_share, worker_share

CALL_RATES: Final = (100, 500, 2000, 8000)
SHARED_CALL_RATES: Final = (100, 500, 2000)
UPDATE_RATES: Final = (5, 20, 100, 500)
FANOUT_RATES: Final = (5, 20, 50, 100)
SUBSCRIBERS: Final = 1000
IDLE_CONNECTIONS: Final = 5000

CHECKED_CONNECTIONS: Final = (1000, 10_000)
MIB: Final = 1 << 20

CALLERS: Final = 64
WINDOW_MARGIN_S: Final = 4.0
"""How much longer the calls of a mixed load last than the fan-out beside them, which takes time to subscribe."""


KEPT_UP: Final = 0.9
"""The part of an asked rate that must be reached."""

KEPT_UP_MS: Final = 200
"""What most operations may take: a generator that is late still gets what was sent long ago."""


class Mixed(NamedTuple):
    """A load of everything at once, to compare the model with."""

    title: str
    load: Load


CHECKED: Final = (
    Mixed("small", Load(connections=200 + CALLERS, updates=10, followers=200, calls=300)),
    Mixed("large", Load(connections=600 + CALLERS, updates=20, followers=600, calls=1500)),
)


class Check(msgspec.Struct):
    """What the model says of one load, and what was measured, by role."""

    title: str
    predicted: dict[str, float]
    measured: dict[str, float]


def run_capacity(plan: Plan, machine: dict[str, str], progress: Progress) -> Measurements:
    """Measure each kind of operation at rising rates."""
    owned = Wispy()
    with running(plan.server_cpus, owned):
        base = resident_of(owned.watch)["frontend"]
        calls = _calls(plan, owned, CALL_RATES, progress)
        updates = [_point(plan, owned, FanoutLoad(1, rate), rate, progress) for rate in UPDATE_RATES]
        fanout = [
            _point(plan, owned, FanoutLoad(SUBSCRIBERS, rate), rate * SUBSCRIBERS, progress) for rate in FANOUT_RATES
        ]
        fastest = FANOUT_RATES[-1] * SUBSCRIBERS
        fanout.append(_point(plan, owned, FanoutLoad(SUBSCRIBERS, batch=SMALL_BATCH), fastest, progress))
    shared = Wispy(sharing=1)
    with running(plan.server_cpus, shared):
        shared_calls = _calls(plan, shared, SHARED_CALL_RATES, progress)
    progress(f"{IDLE_CONNECTIONS} idle connections")
    quiet = Wispy()
    with running(plan.server_cpus, quiet):
        unconnected = cpu_share(quiet)
        idle = measure_idle(plan, IDLE_CONNECTIONS, quiet)
    return Measurements(
        machine={name: machine[name] for name in ("cores", "system", "Python", "date", "load average")},
        calls=_costs(calls),
        shared_calls=_costs(shared_calls),
        updates=_costs(updates),
        deliveries=_curve(fanout, "frontend", per=SUBSCRIBERS),
        frontend_bytes=base,
        connection_bytes=round(idle.bytes_per_connection["frontend"]),
        idle_connection_us=round(max(0.0, (idle.cpu_share - unconnected) * 1e6 / IDLE_CONNECTIONS), 3),
    )


def _calls(plan: Plan, system: Wispy, rates: Sequence[int], progress: Progress) -> list[list[Measure]]:
    loads = [(CallLoad("hello", [Group(CALLERS, rate=rate)]), rate) for rate in rates]
    loads.append((CallLoad("hello", [Group(CALLERS, 8)]), rates[-1]))
    return [_point(plan, system, load, rate, progress) for load, rate in loads]


def _point(plan: Plan, system: Wispy, load: CallLoad | FanoutLoad, asked: float, progress: Progress) -> list[Measure]:
    """The measures of one load, of which `asked` operations a second were wanted, or more than so many.

    Rounds in which the load generator was late are left out: they say more about it.
    """
    progress(f"{load}")
    return [each for each in (measure(plan, load, system) for _ in range(plan.rounds)) if _is_kept_up(each, asked)]


def _is_kept_up(measured: Measure, asked: float) -> bool:
    return measured.per_second >= asked * KEPT_UP and measured.groups[0].p50_ms < KEPT_UP_MS


def _costs(points: Sequence[list[Measure]]) -> Costs:
    return Costs(_curve(points, "frontend"), _curve(points, "valkey"), _curve(points, "worker"))


def _curve(points: Sequence[list[Measure]], role: str, per: int = 1) -> Curve:
    rows = [
        (median(each.per_second for each in rounds) / per, median(each.us_per_operation(role) for each in rounds))
        for rounds in points
        if rounds
    ]
    if not rows:
        raise BenchmarkError("the load generator was always late: measure on a machine that is less busy")
    # What is done at saturation may be less than a rate that was kept up in between: the earlier counts.
    rising = [row for place, row in enumerate(rows) if place == 0 or row[0] > rows[place - 1][0] * 1.01]
    return Curve([(round(rate, 1), round(us, 3)) for rate, us in rising])


# --- the check ------------------------------------------------------------------------------------------------------


def run_checks(plan: Plan, measured: Measurements, progress: Progress) -> list[Check]:
    """Run mixed loads, and put beside them what the model says of them."""
    checks: list[Check] = []
    for title, load in CHECKED:
        progress(f"a {title} load of calls and updates")
        wispy = Wispy()
        with running(plan.server_cpus, wispy):
            tried = [_run_mixed(plan, load, wispy) for _ in range(plan.rounds)]
        measures = [
            fanout for fanout, calls in tried if _is_kept_up(fanout, load.deliveries) and _is_kept_up(calls, load.calls)
        ]
        if not measures:
            raise BenchmarkError(f"the load generator was late with the {title} load: the machine is too busy")
        shares = {
            role: median(sum(each.cpu_s[role]) / each.seconds for each in measures)
            for role in ("frontend", "valkey", "worker")
        }
        predicted = {
            "frontend": frontend_share(load, measured, 1),
            "valkey": redis_share(load, measured, 1),
            "worker": worker_share(load, measured, 1),
        }
        checks.append(Check(_title(title, load), predicted, shares))
    return checks


def _title(title: str, load: Load) -> str:
    return (
        f"{title}: {load.connections:,} connections, {load.updates:g} updates/s to {load.followers:,}, "
        f"{load.calls:,.0f} calls/s: parts of a core"
    )


def run_memory_checks(plan: Plan, measured: Measurements, progress: Progress) -> list[Check]:
    """Open idle connections, and put beside what the frontend takes what the model says of it."""
    checks: list[Check] = []
    for connections in CHECKED_CONNECTIONS:
        progress(f"{connections} idle connections")
        wispy = Wispy()
        with running(plan.server_cpus, wispy):
            base = resident_of(wispy.watch)["frontend"]
            grown = measure_idle(plan, connections, wispy).bytes_per_connection["frontend"] * connections
        predicted = measured.frontend_bytes + connections * measured.connection_bytes
        title = f"{connections:,} idle connections: MiB"
        checks.append(Check(title, {"frontend": predicted / MIB}, {"frontend": (base + grown) / MIB}))
    return checks


def _run_mixed(plan: Plan, load: Load, wispy: Wispy) -> tuple[Measure, Measure]:
    """Fan-out and calls at once; the window of the fan-out lies within that of the calls."""
    assert load.followers is not None
    calls = CallLoad("hello", [Group(CALLERS, rate=load.calls)])
    fanout = FanoutLoad(load.followers, load.updates)
    with ThreadPoolExecutor() as pool:
        beside = pool.submit(measure, plan, calls, wispy, seconds=plan.seconds + 2 * WINDOW_MARGIN_S)
        found = pool.submit(measure, plan, fanout, wispy, warmup_s=plan.warmup_s + WINDOW_MARGIN_S / 2).result()
        others = beside.result()
    wrong = found.errors | others.errors
    if wrong:
        raise BenchmarkError(f"wrong or missing answers: {wrong}")
    return found, others


def table(checks: Sequence[Check]) -> str:
    """Predicted beside measured, for people."""
    lines = ["| load | part | predicted | measured | predicted / measured |", "| --- | --- | ---: | ---: | ---: |"]
    for check in checks:
        what = check.title
        for role, predicted in check.predicted.items():
            measured = check.measured[role]
            lines.append(f"| {what} | {role} | {predicted:.3g} | {measured:.3g} | {predicted / measured:.2f} |")
            what = ""
    return "\n".join(lines)
