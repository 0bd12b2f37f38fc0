"""What owners and frontends say of themselves, for people who look: the parts of what `rpc.status` answers.

Rules:
- A session has its public name here, and nothing that opens it.
- Moments are milliseconds on the Redis server's clock.
"""

from typing import Final

import msgspec

MAX_SESSIONS: Final = 200
"""Sessions that are shown: more than a person reads, in some 30 KB of each frontend."""


class ObjectReport(msgspec.Struct):
    """What an owner says of itself, in Redis, since it acquired the object."""

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


class FrontendReport(msgspec.Struct):
    """What a frontend tells another one that asks."""

    frontend: FrontendRow
    sessions: list[SessionRow]
    """The newest first, at most `MAX_SESSIONS`."""
