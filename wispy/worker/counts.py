"""What one owner counts of its object, from the acquisition to the end.

Rules:
- Plain numbers: counting costs an addition, and whoever wants to know adds up (`rpc.status`, a collector of metrics).
- Each number has one writer, the objects' thread or the I/O thread; any thread may read. Nothing is ever taken back.
"""

import time
from collections.abc import Sequence
from typing import Final, get_args

from wispy.protocol.status import ObjectReport
from wispy.worker.calls import Call, Operation

_OPERATIONS: Final[tuple[Operation, ...]] = get_args(Operation)


def _by_operation() -> dict[Operation, int]:
    return dict.fromkeys(_OPERATIONS, 0)


class ObjectCounts:
    """The counts of one object under one lease."""

    __slots__ = ("busy_s", "done", "failed", "refused", "turned_away", "updates")

    def __init__(self) -> None:
        # The objects' thread writes these. Each request that reached the runner is in one of the first three.
        self.done = _by_operation()
        """Requests that ended with a result."""
        self.failed = _by_operation()
        """Requests that ran and ended with an error, their time-out included."""
        self.refused = _by_operation()
        """Requests that ended with an error of wispy's, before the object's code ran."""
        self.busy_s = 0.0
        """Seconds in which the object's code ran: on the loop, and from start to end in threads and tasks."""
        # The I/O thread writes these.
        self.turned_away = 0
        """Requests that were answered with an error and did not reach the runner."""
        self.updates = 0
        """Updates of channels."""


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
        "updates": counts.updates,
    }


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
