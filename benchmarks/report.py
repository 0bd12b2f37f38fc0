"""The tables: aligned text for the terminal, or Markdown for the docs, from the same cells."""

from collections.abc import Callable, Sequence
from statistics import median

import msgspec

from benchmarks.harness import (
    HERE_AND_THERE,
    WITH_AND_WITHOUT_CHECKS,
    Comparison,
    Idle,
    Results,
    Row,
    Scaling,
    Shared,
    Slow,
)
from benchmarks.jobs import Measure
from benchmarks.scenarios import BESIDE_STALLED
from benchmarks.targets import Verdict, judge


class Table(msgspec.Struct):
    """A caption, the names of the columns, rows of cells, and what must be known to read it."""

    caption: str
    head: list[str]
    body: list[list[str]]
    note: str = ""


def tables(results: Results) -> list[Table]:
    """Everything that was measured, as tables."""
    made: list[Table] = []
    calls = [row for row in results.rows if row.scenario in ("calls", "rate")]
    fanout = [row for row in results.rows if row.scenario == "fanout"]
    fairness = [row for row in results.rows if row.scenario == "fairness"]
    if calls:
        made.append(_contest_table("A call", calls))
    if fanout:
        made.append(_contest_table("A delivery of a 100-byte update", fanout))
    if fairness:
        made.append(_fairness_table(fairness))
    if results.scaling is not None:
        made.append(_scaling_table(results.scaling))
    if results.slow is not None:
        made.append(_slow_table(results.slow))
    if results.idle is not None:
        made.append(_idle_table(results.idle))
    if results.shared:
        made.append(_shared_table(results.shared))
    if results.comparisons:
        made.append(_comparison_table("A call here and in the other tree", *HERE_AND_THERE, results.comparisons))
    if results.checks:
        made.append(_comparison_table("A call with and without checks", *WITH_AND_WITHOUT_CHECKS, results.checks))
    closing = [_verdict_table(judge(results)), _problem_table(results)]
    return made + [table for table in closing if table.body]


ROLES = ("valkey", "frontend", "worker")

CONTEST_HEAD = [
    "load", "wispy us", "valkey", "frontend", "worker", "tornado us", "ratio", "spread",
    "wispy /s", "tornado /s", "wispy p50", "p99 ms", "tornado p50", "p99 ms", "generator",
]  # fmt: skip
CONTEST_NOTE = (
    "us: CPU microseconds of the servers for one operation. ratio: wispy's over Tornado's, within a round; spread: the "
    "least and the greatest of the rounds. generator: the part of a core that the load generator used for wispy. "
    "Medians of the rounds."
)


def _contest_table(caption: str, rows: Sequence[Row]) -> Table:
    body: list[list[str]] = []
    contest = ""
    for row in rows:
        if row.contest != contest:
            contest = row.contest
            body.append([contest, *[""] * (len(CONTEST_HEAD) - 1)])
        body.append(_contest_cells(row))
    return Table(caption, CONTEST_HEAD, body, CONTEST_NOTE)


def _contest_cells(row: Row) -> list[str]:
    ours, baseline = row.ours, row.baseline
    return [
        f"- {row.entry}",
        _figure(ours, Measure.us_per_operation),
        *_by_role(ours),
        _figure(baseline, Measure.us_per_operation),
        f"{median(row.ratios):.2f}",
        f"{min(row.ratios):.2f}-{max(row.ratios):.2f}",
        _rate(ours),
        _rate(baseline),
        _latency(ours, "p50_ms"),
        _latency(ours, "p99_ms"),
        _latency(baseline, "p50_ms"),
        _latency(baseline, "p99_ms"),
        f"{median(measure.generator_cpu_s / measure.seconds for measure in ours):.0%}",
    ]


def _by_role(measures: Sequence[Measure]) -> list[str]:
    return [_short(median(measure.us_per_operation(role) for measure in measures)) for role in ROLES]


def _figure(measures: Sequence[Measure], of: Callable[[Measure], float]) -> str:
    return _short(median(map(of, measures)))


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _rate(measures: Sequence[Measure]) -> str:
    return f"{median(measure.per_second for measure in measures):,.0f}"


def _latency(measures: Sequence[Measure], quantile: str, group: int = -1) -> str:
    return _short(median(getattr(measure.groups[group], quantile) for measure in measures))


def _fairness_table(rows: Sequence[Row]) -> Table:
    head = ["load", "server", "least / mean", "p50 ms", "p99 ms", "calls /s"]
    note = (
        "least / mean: calls of the connection that got the fewest, over the mean. "
        "Beside a flood, all but calls /s are of the other connections."
    )
    body: list[list[str]] = []
    for row in rows:
        for name, measures in (("wispy", row.ours), ("tornado", row.baseline)):
            share = f"{median(measure.groups[-1].fairness for measure in measures):.2f}"
            latencies = [_latency(measures, "p50_ms"), _latency(measures, "p99_ms")]
            body.append([row.contest, name, share, *latencies, _rate(measures)])
    return Table("Fairness", head, body, note)


def _scaling_table(scaling: Scaling) -> Table:
    head = [
        "fan-out at saturation",
        "deliveries /s",
        *(f"{role} us" for role in ROLES),
        "frontends busy",
        "cores used",
        "own cores /s",
    ]
    limit = f"Each frontend process has at most {scaling.share:.0%} of a core. " if scaling.share is not None else ""
    note = (
        limit
        + "All processes, the load generator too, share all cores: cores used says how much of the machine they took "
        "together. busy: each frontend process, part of a core (of two, the first is the parent that listens). "
        "own cores: deliveries for each CPU second of the busiest frontend process, as if it had a core to itself."
    )
    body: list[list[str]] = []
    for name, measures in (("one frontend process", scaling.one), ("two", scaling.two)):
        busy = " + ".join(f"{share:.0%}" for share in _frontend_shares(measures))
        spent = f"{median(measure.cores_used for measure in measures):.2f}"
        alone = f"{median(measure.operations / max(measure.cpu_s['frontend']) for measure in measures):,.0f}"
        body.append([name, _rate(measures), *_by_role(measures), busy, spent, alone])
    return Table("A second frontend process", head, body, note)


def _frontend_shares(measures: Sequence[Measure]) -> list[float]:
    by_process = zip(*(measure.cpu_s["frontend"] for measure in measures), strict=True)
    seconds = median(measure.seconds for measure in measures)
    return [median(used) / seconds for used in by_process]


def _comparison_table(caption: str, ours: str, theirs: str, comparisons: Sequence[Comparison]) -> Table:
    head = ["load", f"{ours} us", *ROLES, f"{theirs} us", *ROLES, "ratio", "spread"]
    body = [
        [
            each.title,
            _figure(each.ours, Measure.us_per_operation),
            *_by_role(each.ours),
            _figure(each.theirs, Measure.us_per_operation),
            *_by_role(each.theirs),
            f"{median(each.ratios):.2f}",
            f"{min(each.ratios):.2f}-{max(each.ratios):.2f}",
        ]
        for each in comparisons
    ]
    note = (
        f"us: CPU microseconds of the servers for one call. ratio: {ours} over {theirs}, within a round; spread: the "
        "least and the greatest of the rounds. Medians of the rounds."
    )
    return Table(caption, head, body, note)


def _slow_table(slow: Slow) -> Table:
    load = BESIDE_STALLED
    body = [
        [
            name,
            _latency(measures, "p50_ms"),
            _latency(measures, "p99_ms"),
            _rate(measures),
            *_by_role(measures)[1:2],
            f"{median(measure.bytes_grown['frontend'] for measure in measures) / (1 << 20):.1f}",
        ]
        for name, measures in (("all read", slow.without), (f"{load.stalled} more read nothing", slow.beside))
    ]
    got = [count for measure in slow.beside for count in measure.stalled_got]
    note = (
        f"{load.subscribers} subscribers of {load.rate:g} updates/s of {load.length:,} bytes. MiB: growth of the "
        f"frontend's memory from before the first update to the end of the window. Those that read nothing then read "
        f"on, up to the newest update: they got {min(got, default=0):,} to {max(got, default=0):,} updates."
    )
    head = ["", "p50 ms", "p99 ms", "deliveries /s", "frontend us", "frontend MiB"]
    return Table("Subscribers that read nothing", head, body, note)


def _shared_table(runs: Sequence[Shared]) -> Table:
    head = ["calls", "workers", "calls /s", "x one worker", "spread", "p50 ms", "p99 ms", *(f"{r} us" for r in ROLES)]
    body = [
        [
            run.title,
            str(workers),
            _rate(measures),
            f"{median(run.gains(workers)):.2f}",
            f"{min(run.gains(workers)):.2f}-{max(run.gains(workers)):.2f}",
            _latency(measures, "p50_ms"),
            _latency(measures, "p99_ms"),
            *_by_role(measures),
        ]
        for run in runs
        for workers, measures in run.measures.items()
    ]
    share = runs[0].share
    limit = f"Each worker has at most {share:.0%} of a core" if share is not None else "No worker's core was limited"
    note = (
        f"{limit}: two cores cannot show four workers that compute. All processes share all cores. us: CPU "
        "microseconds of these servers for one call, what the call itself computes included."
    )
    return Table("A shared object", head, body, note)


def _idle_table(idle: Idle) -> Table:
    ours, baseline = idle.ours, idle.baseline
    memory = [measure.bytes_per_connection[role] for measure, role in ((ours, "frontend"), (baseline, "tornado"))]
    body = [
        [
            f"frontend's memory for each of {ours.connections:,} connections",
            *(f"{size / 1024:.1f} KiB" for size in memory),
        ],
        ["CPU with nobody connected", f"{idle.unconnected_cpu_share:.2%}", ""],
        [f"CPU with {ours.connections:,} idle connections", f"{ours.cpu_share:.2%}", f"{baseline.cpu_share:.2%}"],
    ]
    note = (
        "Memory: growth of what the process has to itself, in user space. "
        "CPU: all server processes, part of a core, over ten seconds."
    )
    return Table("Idle", ["", "wispy", "tornado"], body, note)


def _verdict_table(verdicts: Sequence[Verdict]) -> Table:
    body = [
        [
            verdict.what,
            f"{verdict.measured:.2f}",
            f"{verdict.sense} {verdict.target:g} {verdict.unit}",
            "met" if verdict.is_met else "MISSED",
        ]
        for verdict in verdicts
    ]
    return Table("Targets", ["what", "measured", "target", ""], body)


def _problem_table(results: Results) -> Table:
    body: list[list[str]] = []
    for load, measures in results.measures():
        for measure in measures:
            body += [[load, what, str(count)] for what, count in measure.errors.items()]
            if measure.skipped:
                body.append([load, "updates skipped for slow subscribers", str(measure.skipped)])
    return Table("Not as it should be", ["load", "what", "how often"], body)


def text(results: Results) -> str:
    """The tables for a terminal."""
    parts = [_about(results)]
    for table in tables(results):
        widths = [max(len(row[column]) for row in [table.head, *table.body]) for column in range(len(table.head))]
        lines = [_aligned(table.head, widths), *(_aligned(row, widths) for row in table.body)]
        parts.append("\n".join([table.caption, "", *lines, *([table.note] if table.note else [])]))
    return "\n\n".join(parts)


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = [
        cell.ljust(width) if index == 0 else cell.rjust(width)
        for index, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return "  ".join([first, *others]).rstrip()


def markdown(results: Results) -> str:
    """The tables for the docs."""
    parts = [_about(results)]
    for table in tables(results):
        rule = ["---", *["---:"] * (len(table.head) - 1)]
        lines = ["| " + " | ".join(row) + " |" for row in [table.head, rule, *table.body]]
        parts.append("\n".join([f"## {table.caption}", "", *lines, *(["", table.note] if table.note else [])]))
    return "\n\n".join(parts) + "\n"


def _about(results: Results) -> str:
    plan = results.plan
    where = (
        "all servers on one core, the load generator on the others"
        if plan.server_cpus
        else "no process bound to a core"
    )
    loop = "uvloop" if plan.tornado_on_uvloop else "asyncio's own loop"
    facts = "; ".join(f"{name}: {value}" for name, value in results.machine.items())
    other = "the other tree" if results.comparisons else f"the baseline, bare Tornado on {loop}"
    turns = f"{plan.rounds} rounds of {plan.seconds:g} s, in turns with {other}"
    return f"{facts}. {turns}; {where}."
