"""What processes say of themselves when a frontend asks: the parts of what `rpc.status` answers.

Rules:
- A session has its public name here, and nothing that opens it.
- Moments are milliseconds on the Redis server's clock.
"""

from typing import Final

import msgspec

from wispy.protocol.denials import Event

MAX_SESSIONS: Final = 200
"""Sessions that are shown: more than a person reads, in some 30 KB of each frontend."""


class ObjectReport(msgspec.Struct):
    """One object, as its owner counts since it acquired it."""

    name: str
    epoch: str
    counts: dict[str, int]
    busy_ms: int
    """Time in which the object's code ran."""
    running: int
    """Requests that have started and not ended."""
    waiting: int
    """Requests that the owner has read and not started."""
    oldest_ms: int | None
    """When the oldest of those was sent."""


def added(one: ObjectReport, other: ObjectReport) -> ObjectReport:
    """What two workers that share an object say of it, together."""
    oldest = [each.oldest_ms for each in (one, other) if each.oldest_ms is not None]
    return ObjectReport(
        name=one.name,
        epoch=one.epoch,
        counts={key: one.counts.get(key, 0) + other.counts.get(key, 0) for key in one.counts | other.counts},
        busy_ms=one.busy_ms + other.busy_ms,
        running=one.running + other.running,
        waiting=one.waiting + other.waiting,
        oldest_ms=min(oldest, default=None),
    )


class FrontendRow(msgspec.Struct):
    """One frontend process."""

    id: str
    host: str
    pid: int
    since_ms: int
    connections: int
    """Open websockets."""
    sessions: int
    """Those of them that said `rpc.hello`."""
    counts: dict[str, int]


class SessionRow(msgspec.Struct):
    """One open websocket."""

    id: str
    frontend: str
    since_ms: int
    address: str
    user: str | None
    in_flight: int
    subscriptions: int


class Report(msgspec.Struct, omit_defaults=True):
    """What one process tells."""

    process: str
    """Names it."""
    frontend: FrontendRow | None = None
    """Of a frontend."""
    sessions: list[SessionRow] = []
    """Of a frontend: the newest first, at most `MAX_SESSIONS`."""
    objects: list[ObjectReport] = []
    """Of a worker: those that it owns."""
    denials: list[Event] = []
    """Of a frontend: the newest that its audit log has."""
