"""The metrics of all processes: their names, labels and meanings, and what a process reports.

Rules:
- The table here is the only list of metrics; docs/reference/metrics.md is made from it.
- Labels are bounded: a process' name, an object that a worker serves, and words of wispy's own. What clients choose is
  never one.
- Whoever counts keeps plain numbers of his own, in one thread. They are collected when somebody asks.
- Each process' numbers have its name as a label, and are added up by who asks: a process that is started again begins
  at 0, which Prometheus takes for what it is only where the series is that process' own.
"""

import time
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

import msgspec

MAX_OBJECTS: Final = 100
"""Objects of one worker that have series of their own, some 150 each; the others are `OTHER` together."""

OTHER: Final = "other"

PROCESS: Final = "process"
"""The label that all metrics have: `frontend-0`, `worker`."""

BOUNDS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Upper bounds of all histograms' buckets. Stamps are milliseconds, and a call's default time-out is a minute."""


COUNTED_AT: Final = 256
"""Observations that are counted together: sorted, they take a fraction of the time of as many searches. More of them
would take no less; these are 8 KiB in each histogram."""


class Histogram:
    """How long things took. One thread observes, any may read.

    To observe is to append: what was observed is sorted and counted now and then, or when somebody reads. A reader who
    comes from another thread changes nothing, and gets the counts with what is yet to be counted, as of one moment.
    """

    __slots__ = ("_read", "uncounted")

    def __init__(self) -> None:
        self.uncounted: list[float] = []
        """Seconds. Whoever observes many appends to it, and calls `count` where there are `COUNTED_AT` then."""
        self._read = ([0] * (len(BOUNDS_S) + 1), 0.0, self.uncounted)

    def observe(self, duration_s: float) -> None:
        """Count something that took this long; a clock that was set may have it negative, which is 0."""
        self.uncounted.append(duration_s)
        if len(self.uncounted) >= COUNTED_AT:
            self.count()

    def count(self) -> None:
        """Count what was observed."""
        counts, sum_s = self.read()
        self._replace(counts, sum_s, [])

    def read(self) -> tuple[list[int], float]:
        """The counts by bucket, each without those below it, the last one without a bound; and the sum, in seconds."""
        counts, sum_s, uncounted = self._read
        counts, durations = counts.copy(), sorted(uncounted)
        if durations and durations[0] < 0:
            negative = bisect_left(durations, 0.0)
            durations[:negative] = [0.0] * negative
        at = bucket = 0
        while at < len(durations):
            bucket = bisect_left(BOUNDS_S, durations[at], bucket)
            end = bisect_right(durations, BOUNDS_S[bucket], at) if bucket < len(BOUNDS_S) else len(durations)
            counts[bucket] += end - at
            at = end
        return counts, sum_s + sum(durations)

    def add(self, counts: Sequence[int], sum_s: float) -> None:
        """Count what another one has counted, and says when it is read."""
        mine, my_sum_s, uncounted = self._read
        self._replace([ours + its for ours, its in zip(mine, counts, strict=True)], my_sum_s + sum_s, uncounted)

    def _replace(self, counts: list[int], sum_s: float, uncounted: list[float]) -> None:
        """In one step, so that no reader sees an observation twice, or not at all."""
        self.uncounted = uncounted
        self._read = (counts, sum_s, uncounted)


class Metric(NamedTuple):
    """One row of the table."""

    name: str
    """Without `_total`, which a counter's series end with."""
    kind: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...]
    """Beside `PROCESS`."""
    meaning: str
    is_most: bool = False
    """Of several objects that share a label, the most counts; else their sum."""


_OBJECT: Final = ("object",)

METRICS: Final = (
    # Every process.
    Metric("wispy_start_time_seconds", "gauge", (), "When the process began, in Unix time."),
    Metric("wispy_process_cpu_seconds", "counter", (), "Processor time that the process has used."),
    Metric("wispy_link_up", "gauge", ("link",), "1 while the link to Redis is up: `commands` or `subscription`."),
    Metric("wispy_link_reconnects", "counter", ("link",), "Connections to Redis after the first one."),
    Metric("wispy_subscription_deaf", "gauge", (), "1 while it is in doubt that published messages are heard."),
    Metric("wispy_ready", "gauge", (), "1 while the process is ready, as `/readyz` says."),
    # A frontend.
    Metric("wispy_frontend_connections", "gauge", (), "Open websockets."),
    Metric("wispy_frontend_connections_opened", "counter", (), "Websockets that were opened."),
    Metric("wispy_frontend_sessions", "gauge", (), "Open websockets that said `rpc.hello`."),
    Metric("wispy_frontend_requests", "counter", (), "Requests that came, by websocket or `POST /rpc`."),
    Metric("wispy_frontend_requests_in_flight", "gauge", (), "Requests to objects that are not answered."),
    Metric(
        "wispy_frontend_limit_hits",
        "counter",
        ("limit",),
        "What a [limit](limits.md) has turned away; `in_flight_per_connection`: held back.",
    ),
    Metric(
        "wispy_frontend_denied",
        "counter",
        ("reason",),
        "What this process has denied, by the [reason](audit.md#reasons); what owners deny is `wispy_object_denied`.",
    ),
    Metric("wispy_frontend_channels", "gauge", (), "Channels that are followed for subscribers."),
    Metric("wispy_frontend_deliveries", "counter", (), "Updates that were handed to subscribers, once for each."),
    Metric("wispy_frontend_updates_conflated", "counter", (), "Updates of values that a slow reader skipped."),
    Metric(
        "wispy_frontend_updates_dropped", "counter", (), "Messages of events that a slow reader missed, and is told."
    ),
    Metric("wispy_frontend_slow_readers", "counter", (), "Times that a reader fell behind its channels."),
    Metric("wispy_frontend_slow_readers_closed", "counter", (), "Connections closed since replies were not read."),
    Metric("wispy_frontend_gaps", "counter", (), "Times that a channel had, or may have had, missed updates."),
    Metric("wispy_frontend_gaps_recovered", "counter", (), "Times that it was brought up to date again."),
    Metric("wispy_frontend_gaps_told", "counter", (), "Gaps of event channels that history could not fill."),
    Metric(
        "wispy_frontend_delivery_lag_seconds",
        "histogram",
        (),
        "From Redis' publishing to this process: measured on owners' renewals, which travel as updates do.",
    ),
    Metric(
        "wispy_frontend_websocket_bytes",
        "counter",
        ("direction",),
        "Bytes of websockets, `in` and `out`, before TLS and compression.",
    ),
    Metric(
        "wispy_frontend_partial_message_bytes",
        "gauge",
        (),
        "What has come of messages that are not whole yet, and counts for `limits.partial_messages`.",
    ),
    # A worker.
    Metric(
        "wispy_object_requests",
        "counter",
        ("object", "operation", "outcome"),
        "Requests that ended: `ok`, `failed` (the object's code raised, or took too long), or `refused` (by wispy, "
        "before it ran).",
    ),
    Metric(
        "wispy_object_requests_turned_away",
        "counter",
        _OBJECT,
        "Requests answered with an error before they came to the object: too old, malformed, cancelled.",
    ),
    Metric(
        "wispy_object_limit_hits",
        "counter",
        ("object", "limit"),
        "What a [limit](limits.md) of an owner has turned away.",
    ),
    Metric(
        "wispy_object_denied",
        "counter",
        ("object", "reason"),
        "Requests that the owner has denied, by the [reason](audit.md#reasons): a part of the refused and turned away.",
    ),
    Metric("wispy_object_queue_seconds", "histogram", _OBJECT, "From when a request was sent to its start."),
    Metric("wispy_object_run_seconds", "histogram", _OBJECT, "From a request's start to its end."),
    Metric("wispy_object_total_seconds", "histogram", _OBJECT, "From when a request was sent to its answer."),
    Metric("wispy_object_busy_seconds", "counter", _OBJECT, "Time in which the object's code ran."),
    Metric("wispy_object_queue_length", "gauge", _OBJECT, "Requests that the owner has read and not started."),
    Metric(
        "wispy_object_queue_age_seconds", "gauge", _OBJECT, "How long ago the oldest of those was sent.", is_most=True
    ),
    Metric("wispy_object_running", "gauge", _OBJECT, "Requests that have started and not ended."),
    Metric("wispy_object_owned", "gauge", _OBJECT, "1 where the process owns the object, 0 where it stands by."),
    Metric("wispy_object_takeovers", "counter", _OBJECT, "Times that the process became the owner."),
    Metric("wispy_object_lease_losses", "counter", _OBJECT, "Times that it lost the object, without giving it back."),
    Metric(
        "wispy_object_workers",
        "gauge",
        _OBJECT,
        "Workers that share the object, as far as this one has heard; 0 where it has an owner.",
        is_most=True,
    ),
    Metric(
        "wispy_object_entries_claimed",
        "counter",
        _OBJECT,
        "Entries that lost workers of a shared object left, and that this one has answered.",
    ),
    Metric("wispy_object_updates", "counter", _OBJECT, "Updates of channels that the object published."),
    Metric("wispy_object_updates_dropped", "counter", _OBJECT, "Updates given up since Redis took none."),
    Metric("wispy_object_publish_seconds", "histogram", _OBJECT, "From an update to Redis' confirmation, by batch."),
)

BY_NAME: Final = {metric.name: metric for metric in METRICS}


class Value(msgspec.Struct, array_like=True):
    """The value of one series."""

    name: str
    labels: tuple[str, ...]
    value: float


class Distribution(msgspec.Struct, array_like=True):
    """The histogram of one series."""

    name: str
    labels: tuple[str, ...]
    counts: list[int]
    sum_s: float


class Snapshot(msgspec.Struct):
    """The numbers of one process, as of one moment.

    Args:
        process: its name.
    """

    process: str
    values: list[Value] = []
    distributions: list[Distribution] = []

    def put(self, name: str, value: float, *labels: str) -> None:
        """Add a counter or a gauge.

        Args:
            name: in the table.
            value: the number.
            labels: the values of its labels.
        """
        assert len(labels) == len(BY_NAME[name].labels), name
        self.values.append(Value(name, labels, float(value)))

    def put_process(self, began: float) -> None:
        """Add what every process has.

        Args:
            began: when, in Unix time.
        """
        self.put("wispy_start_time_seconds", began)
        self.put("wispy_process_cpu_seconds", time.process_time())

    def put_histogram(self, name: str, histogram: Histogram, *labels: str) -> None:
        """Add a histogram; as `put`."""
        assert BY_NAME[name].kind == "histogram", name
        self.distributions.append(Distribution(name, labels, *histogram.read()))


def label_of(name: str, place: int) -> str:
    """The label of the object `name`, which is the one at this place of its worker's, from 0."""
    return name if place < MAX_OBJECTS else OTHER


def reference() -> str:
    """The text of `docs/reference/metrics.md`."""
    rows = (
        f"| `{metric.name}{'_total' if metric.kind == 'counter' else ''}` | {metric.kind} "
        f"| {', '.join(f'`{label}`' for label in metric.labels)} | {metric.meaning} |"
        for metric in METRICS
    )
    return _REFERENCE_HEAD + "\n".join(rows) + "\n"


_REFERENCE_HEAD: Final = f"""\
# Metrics

Made from the table in `wispy/metrics.py` by `make docs`; a test holds the two together. How to use them:
[See what it does](../how-to/monitor.md#prometheus).

- A frontend serves `/metrics` on its [`metrics_port`](configuration.md), or where `metrics` is on; a worker on its
  `health_port`. An all-in-one program's frontend tells of its worker, too.
- Every series has the label `process`: `frontend-0`, `frontend-1` and so on, or `worker`. Whichever process of
  `--processes N` gets a scrape, it asks the others, over sockets that their parent has given them, and answers for all;
  one that does not answer within half a second is missing. They are not added up: a process that is started again
  begins at 0, which must not look as if all the others had. `sum without (process)` adds.
- `object` has the objects that a worker serves, at most {MAX_OBJECTS}; what comes after them is `{OTHER}`. Frontends,
  which know only the names that clients use, have no such label.
- Histograms have the buckets {", ".join(f"{bound:g}" for bound in BOUNDS_S)} s. Stamps are milliseconds, on a clock
  that clients reckon. Of the runs that ended in one turn of an object's loop, up to 5 ms, the last has its own place,
  and the others that of their mean: a longer run ends its turn.
- A worker's numbers go on over its leases; each owner counts what it has done itself.

| name | kind | labels | meaning |
| --- | --- | --- | --- |
"""
