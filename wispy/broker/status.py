"""What Redis tells of an object to a person who looks: its owner, and what waits for it."""

from dataclasses import dataclass
from typing import Any

from wispy.broker.keys import Keys
from wispy.broker.route import Route
from wispy.broker.script import Script


@dataclass(frozen=True)
class ObjectStatus:
    """One object, as of one moment."""

    epoch: str | None  # of the owner; None: it has none
    generation: int  # of the last owner
    holder: str  # who the last owner is, for people
    unread: int  # entries that no owner has read
    oldest_unread_ms: int | None  # when the oldest of them was written, on the server's clock
    server_ms: int  # the server's clock
    workers: int  # that share it; 0 for an object that has one owner


class ObjectStatuses:
    """The status of the objects of one deployment."""

    def __init__(self, link: Route, keys: Keys) -> None:
        self._keys = keys
        self._link = link

    async def of(self, name: str) -> ObjectStatus:
        """The status of the object `name`; raises `BrokerError`."""
        keys = self._keys.of(name)
        script = Script(self._link.route(keys.owner), "status")
        reply: list[Any] = await script.run((keys.owner, keys.requests, keys.workers))
        epoch, generation, renewed_ms, lease_ms, released, holder, unread, oldest, server_ms, workers = reply
        now_ms = int(server_ms)
        # A renewal comes after each third of a lease: an owner that misses a whole one has lost it, or is about to.
        is_owned = released == b"0" and now_ms - int(renewed_ms or 0) <= int(lease_ms)
        return ObjectStatus(
            epoch=epoch.decode() if is_owned else None,
            generation=int(generation or 0),
            holder=holder.decode(),
            unread=int(unread),
            oldest_unread_ms=int(oldest.partition(b"-")[0]) if oldest else None,
            server_ms=now_ms,
            workers=int(workers),
        )
