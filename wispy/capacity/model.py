"""How many frontends, workers and Redis servers a load takes, and which of them is full first. Pure calculation.

Rules, each on the safe side:
- Costs add up. That operations of different kinds share wake-ups is left out.
- Load is spread evenly: connections over frontends, calls and updates over objects, these over workers and servers.
- Every frontend gets every update of what its connections follow, and hands it to each of them.
- An object with an owner runs in one process, and its keys are on one Redis server: neither can be divided.
- A process may be busy for a part of the time, `utilisation`; the rest is for peaks, roll-outs, and the loss of one.
"""

import math
from collections.abc import Callable
from typing import Final

import msgspec

from wispy.capacity.measurements import Measurements

MAX_CONNECTIONS: Final = 20_000
"""Websockets of one frontend process, `limits.connections`."""

MAX_PROCESSES: Final = 10_000
"""Of one kind. Nobody has more; it ends the search for what no number is enough for."""


class Load(msgspec.Struct, frozen=True):
    """What is asked of a deployment, by all of its users together."""

    connections: int = 0
    """Open websockets."""
    updates: float = 0.0
    """Updates that all objects publish in a second."""
    followers: int | None = None
    """Connections that get each update; None: all."""
    calls: float = 0.0
    """Calls in a second."""
    call_ms: float = 0.0
    """Milliseconds for which a call holds the object's thread, beside wispy's own work."""
    objects: int = 1
    """Objects over which calls and updates are spread."""
    is_shared: bool = False
    """Several workers may serve an object (`--shared`)."""

    @property
    def deliveries(self) -> float:
        """Updates handed to connections in a second."""
        return self.updates * (self.connections if self.followers is None else min(self.followers, self.connections))


class Part(msgspec.Struct, frozen=True):
    """One kind of process."""

    name: str
    number: int
    share: float
    """Of a core, that each of them takes; of one that cannot be divided further, what it would take."""
    bytes: int | None = None
    """Memory of each, where it is known."""


class Capacity(msgspec.Struct, frozen=True):
    """What a load takes."""

    frontends: Part
    workers: Part
    redis: Part
    bottleneck: str
    """Which of them is full first when the load grows and their numbers stay."""
    problems: list[str]
    """What no number of processes is enough for; empty if the load can be served."""

    @property
    def parts(self) -> tuple[Part, Part, Part]:
        """All of them, in the order in which a call passes through."""
        return self.frontends, self.redis, self.workers


def frontend_share(load: Load, measured: Measurements, number: int) -> float:
    """The part of a core that each of so many frontends takes."""
    calls = measured.shared_calls if load.is_shared else measured.calls
    idle = load.connections / number * measured.idle_connection_us / 1e6
    return (
        calls.frontend.share_at(load.calls / number)
        + measured.updates.frontend.share_at(load.updates)
        + load.deliveries / number * measured.deliveries.us_at(load.deliveries / max(1, load.connections)) / 1e6
        + idle
    )


def redis_share(load: Load, measured: Measurements, frontends: int) -> float:
    """The part of a core that Redis takes, all of its servers together.

    Each frontend has entries and messages of its own, and so shares no cost with others.
    """
    calls = measured.shared_calls if load.is_shared else measured.calls
    return frontends * calls.redis.share_at(load.calls / frontends) + measured.updates.redis.share_at(
        load.updates * frontends
    )


def worker_share(load: Load, measured: Measurements, number: int) -> float:
    """The part of a core, or of its thread's time, that each of so many workers takes."""
    calls = measured.shared_calls if load.is_shared else measured.calls
    return (
        calls.worker.share_at(load.calls / number)
        + load.calls / number * load.call_ms / 1000
        + measured.updates.worker.share_at(load.updates / number)
    )


def plan(load: Load, measured: Measurements, utilisation: float = 0.6) -> Capacity:
    """What a load takes.

    Args:
        load: what is asked.
        measured: what an operation costs.
        utilisation: the part of the time for which a process may be busy.
    """
    problems: list[str] = []
    least = max(1, math.ceil(load.connections / MAX_CONNECTIONS))
    frontends = _enough(lambda number: frontend_share(load, measured, number), utilisation, least)
    if frontends is None:
        problems.append(
            f"{load.updates:g} updates/s are too many for any frontend, each of which gets all of them: have its "
            "connections follow fewer channels, or publish less often"
        )
        frontends = least
    most = MAX_PROCESSES if load.is_shared else load.objects
    workers = _enough(lambda number: worker_share(load, measured, number), utilisation, 1, most)
    if workers is None:
        problems.append(
            f"an object's calls and updates are too many for its worker, with {load.objects} objects: spread them over "
            "more objects, or share a stateless one (--shared)"
        )
        workers = most
    redis = redis_share(load, measured, frontends)
    servers = max(1, math.ceil(redis / utilisation))
    if servers > load.objects:
        problems.append(
            f"Redis would need {servers} servers, and {load.objects} objects can be on as many at most: the keys of an "
            "object are on one"
        )
        servers = load.objects
    parts = (
        Part(
            "frontend",
            frontends,
            frontend_share(load, measured, frontends),
            measured.frontend_bytes + math.ceil(load.connections / frontends) * measured.connection_bytes,
        ),
        Part("worker", workers, worker_share(load, measured, workers)),
        Part("Redis", servers, redis / servers),
    )
    fullest = max(parts, key=lambda part: part.share)
    return Capacity(*parts, bottleneck=fullest.name, problems=problems)


def _enough(share_of: Callable[[int], float], utilisation: float, least: int, most: int = MAX_PROCESSES) -> int | None:
    """The smallest number of processes of which none takes more than it may; None if `most` are too few."""
    if share_of(max(most, least)) > utilisation:
        return None
    few, enough = least - 1, max(most, least)
    while enough - few > 1:  # more processes never take more each
        middle = (few + enough) // 2
        if share_of(middle) <= utilisation:
            enough = middle
        else:
            few = middle
    return enough
