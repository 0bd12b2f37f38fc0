"""What one owner counts of its object, from the acquisition to the end.

Rules:
- Plain numbers: counting costs an addition, and whoever wants to know adds up (`rpc.status`, a collector of metrics).
- Each number has one writer, the objects' thread or the I/O thread; any thread may read. Nothing is ever taken back.
"""

import time
from collections.abc import Sequence
from typing import Final, get_args

from wispy.limits import ObjectLimit
from wispy.metrics import COUNTED_AT, Histogram, Snapshot
from wispy.protocol.denials import OF_OWNER, Reason
from wispy.protocol.status import ObjectReport
from wispy.worker.calls import Call, Operation, Outcome

_OPERATIONS: Final[tuple[Operation, ...]] = get_args(Operation)


def _by_operation() -> dict[Operation, int]:
    return dict.fromkeys(_OPERATIONS, 0)


class ObjectCounts:
    """The counts of one object under one lease."""

    __slots__ = (
        "busy_s",
        "claimed",
        "denied",
        "denied_unread",
        "done",
        "dropped",
        "failed",
        "limits",
        "publish",
        "queue",
        "refused",
        "run",
        "total",
        "turned_away",
        "updates",
    )

    def __init__(self) -> None:
        # The objects' thread writes these. Each request that reached the runner is in one of the first three.
        self.done = _by_operation()
        """Requests that ended with a result."""
        self.failed = _by_operation()
        """Requests that ran and ended with an error, their time-out included."""
        self.refused = _by_operation()
        """Requests that ended with an error of wispy's, before the object's code ran."""
        self.denied: dict[Reason, int] = {}
        """Those of them that were denied, by why."""
        self.busy_s = 0.0
        """Seconds in which the object's code ran: on the loop, and from start to end in threads and tasks."""
        self.run = Histogram()
        """From a request's start to its end, of those that ran."""
        # The I/O thread writes these.
        self.queue = Histogram()
        """From when a request was sent to its start, of those that started."""
        self.total = Histogram()
        """From when a request was sent to its answer, of the same."""
        self.publish = Histogram()
        """From an update to Redis' confirmation, by batch."""
        self.dropped = 0
        """Updates that were given up."""
        self.turned_away = 0
        """Requests that were answered with an error and did not reach the runner."""
        self.denied_unread: dict[Reason, int] = {}
        """Those of them that were denied; and entries without a good seal, whose requests nobody counts."""
        self.updates = 0
        """Updates of channels."""
        self.claimed = 0
        """Entries of lost workers that were answered, of a shared object."""
        self.limits: dict[ObjectLimit, int] = {}
        """How often each limit was reached. Each has one thread that counts it."""

    def hit(self, limit: ObjectLimit) -> None:
        """A limit was reached."""
        self.limits[limit] = self.limits.get(limit, 0) + 1

    def deny(self, reason: Reason) -> None:
        """A request that reached the runner was denied."""
        self.denied[reason] = self.denied.get(reason, 0) + 1

    def deny_unread(self, reason: Reason) -> None:
        """One was denied that did not."""
        self.denied_unread[reason] = self.denied_unread.get(reason, 0) + 1

    def denials(self) -> dict[Reason, int]:
        """Why to how many were denied."""
        return {reason: self.denied.get(reason, 0) + self.denied_unread.get(reason, 0) for reason in OF_OWNER}

    def add(self, other: "ObjectCounts") -> None:
        """Count what another one has counted."""
        for mine, its in ((self.done, other.done), (self.failed, other.failed), (self.refused, other.refused)):
            for operation in _OPERATIONS:
                mine[operation] += its[operation]
        for mine, its in ((self.denied, other.denied), (self.denied_unread, other.denied_unread)):
            for reason, number in its.items():
                mine[reason] = mine.get(reason, 0) + number
        self.busy_s += other.busy_s
        self.turned_away += other.turned_away
        self.updates += other.updates
        self.dropped += other.dropped
        self.claimed += other.claimed
        self.run.add(*other.run.read())
        self.queue.add(*other.queue.read())
        self.total.add(*other.total.read())
        self.publish.add(*other.publish.read())
        for limit, times in list(other.limits.items()):  # the other threads may be counting
            self.limits[limit] = self.limits.get(limit, 0) + times

    def observe_turn(self, calls: int, took_s: float, last_s: float | None) -> None:
        """Requests have run on the objects' loop, in one turn.

        Args:
            calls: how many have ended.
            took_s: how long the turn was, in seconds.
            last_s: how long the last one of them took, if the turn ended with it: only that one can have been long.
        """
        run = self.run.uncounted
        if last_s is not None:
            run.append(last_s)
            calls -= 1
            took_s -= last_s
        if calls:
            run += [took_s / calls] * calls
        if len(run) >= COUNTED_AT:
            self.run.count()

    def observe_ended(self, outcomes: Sequence[Outcome], max_start_delay_s: float) -> None:
        """Requests have ended, and are about to be answered.

        Args:
            outcomes: how.
            max_start_delay_s: seconds from when each was sent to its `start_by`.
        """
        ended = time.monotonic() + max_start_delay_s
        queue, total = self.queue.uncounted, self.total.uncounted
        for outcome in outcomes:
            call = outcome.call
            started = call.started
            if started is not None:
                start_by = call.start_by
                queue.append(started + max_start_delay_s - start_by)
                total.append(ended - start_by)
        if len(queue) >= COUNTED_AT:  # as many as in the other one
            self.queue.count()
            self.total.count()


def totals(counts: ObjectCounts) -> dict[str, int]:
    """The counts as `rpc.status` has them."""

    def all_of(operation: Operation) -> int:
        return counts.done[operation] + counts.failed[operation] + counts.refused[operation]

    return {
        "calls": all_of("call"),
        "gets": all_of("get"),
        "sets": all_of("set"),
        "deletes": all_of("delete"),
        "errors": sum(counts.failed.values()),
        "refused": sum(counts.refused.values()) + counts.turned_away,
        "denied": sum(counts.denials().values()),
        "updates": counts.updates,
    }


def tell_metrics(counts: ObjectCounts, snapshot: Snapshot, label: str) -> None:
    """Add the counts to a snapshot, under the object's label."""
    for outcome, numbers in (("ok", counts.done), ("failed", counts.failed), ("refused", counts.refused)):
        for operation, number in numbers.items():
            snapshot.put("wispy_object_requests", number, label, operation, outcome)
    for reason, number in counts.denials().items():  # of 0 as well: Prometheus sees no rise where a series begins
        snapshot.put("wispy_object_denied", number, label, reason)
    snapshot.put("wispy_object_requests_turned_away", counts.turned_away, label)
    for limit in get_args(ObjectLimit):  # those too that were not met, as a frontend tells its own
        snapshot.put("wispy_object_limit_hits", counts.limits.get(limit, 0), label, limit)
    snapshot.put("wispy_object_busy_seconds", counts.busy_s, label)
    snapshot.put("wispy_object_entries_claimed", counts.claimed, label)
    snapshot.put("wispy_object_updates", counts.updates, label)
    snapshot.put("wispy_object_updates_dropped", counts.dropped, label)
    snapshot.put_histogram("wispy_object_queue_seconds", counts.queue, label)
    snapshot.put_histogram("wispy_object_run_seconds", counts.run, label)
    snapshot.put_histogram("wispy_object_total_seconds", counts.total, label)
    snapshot.put_histogram("wispy_object_publish_seconds", counts.publish, label)


def report(
    name: str, epoch: str, counts: ObjectCounts, calls: Sequence[Call], max_start_delay_s: float, now_ms: int
) -> ObjectReport:
    """What an owner says of its object.

    Args:
        name: the object's.
        epoch: the owner's.
        counts: what it has counted.
        calls: what its runner has.
        max_start_delay_s: seconds within which a request must start, after it was sent.
        now_ms: the present time on the Redis server's clock.
    """
    waiting = [call.start_by for call in calls if call.started is None]
    oldest_s = max_start_delay_s - (min(waiting) - time.monotonic()) if waiting else 0.0
    return ObjectReport(
        name=name,
        epoch=epoch,
        counts=totals(counts),
        busy_ms=int(counts.busy_s * 1000),
        running=len(calls) - len(waiting),
        waiting=len(waiting),
        oldest_ms=now_ms - int(oldest_s * 1000) if waiting else None,
    )
