"""What the workers of a shared object write to Redis, behind typed calls; everything else of it is in `ObjectStore`.

Each script checks the epoch of the sharing, and that its worker is among those that count as alive: `False` (or None)
means that it is not, and that nothing was written. The scripts are in `scripts/*.lua`; the keys in `keys.py`.

XREADGROUP is the caller's own, with acknowledgement: an entry belongs to the worker that was given it, until `finish`.
"""

from collections.abc import Sequence
from itertools import chain
from typing import Final, NamedTuple

from wispy.broker.connection import Argument
from wispy.broker.errors import LinkDown
from wispy.broker.keys import OBJECT_TTL_MS, ObjectKeys
from wispy.broker.route import Route
from wispy.broker.script import Script
from wispy.broker.store import LeaseRecord, ObjectStore, OnOutcome, outcome_of, what_was

MAX_CLAIMED: Final = 64
"""Entries of lost workers that one beat takes over: they come with it, in one reply of some megabytes at most."""


class Joined(NamedTuple):
    """What a worker gets that has joined."""

    epoch: str
    server_ms: int  # the server's clock
    settled: str  # entries up to this id were there before the sharing began: others may have begun them


class Beat(NamedTuple):
    """What a worker learns when it says that it lives."""

    workers: int
    claimed: list[tuple[str, bytes]]  # entries (id, bytes) that lost workers have left; they are this worker's now


class SharedStore(ObjectStore):
    """The keys of one shared object on one link, as one of its workers uses them.

    Args:
        link: for commands.
        keys: the object's keys.
        worker: names the worker; also the consumer by whose name it reads.
    """

    def __init__(self, link: Route, keys: ObjectKeys, worker: str) -> None:
        super().__init__(link, keys)
        self.worker = worker
        self._members = (keys.owner, keys.requests, keys.workers)
        self._join = Script(self._link, "join")
        self._beat = Script(self._link, "beat")
        self._settle = Script(self._link, "settle")
        self._leave = Script(self._link, "leave")

    async def join(
        self, seen: LeaseRecord | None, *, nonce: str, lease_ms: int, holder: str, known: int = 0
    ) -> Joined | None:
        """Join the others, or begin the sharing; None if the record has changed since it was `seen`.

        Whether there may be a beginning is for the caller to know: it ends whatever an owner has.

        Args:
            seen: the record, as it was read.
            nonce: makes the epoch unique.
            lease_ms: how long a worker may go without a beat.
            holder: who, for people.
            known: the newest generation that the caller has heard of.
        """
        server = self._link.server
        if server is None:
            raise LinkDown("not connected to Redis")
        reply: list[bytes] | None = await self._join.run(
            (*self._members, self.keys.log, self.keys.channels),
            self.worker,
            *what_was(seen),
            nonce,
            lease_ms,
            holder,
            server.run_id,
            OBJECT_TTL_MS,
            known,
        )
        if reply is None:
            return None
        epoch, server_ms, settled = (value.decode() for value in reply)
        return Joined(epoch, int(server_ms), settled)

    async def beat(self, epoch: str, lease_ms: int) -> Beat | None:
        """Say that this worker lives, and take over entries of those that do not. None: it does not count as alive."""
        keys = (*self._members, self.keys.interface)
        reply = await self._beat.run(keys, epoch, self.worker, lease_ms, OBJECT_TTL_MS, MAX_CLAIMED)
        if reply is None:
            return None
        workers, *rest = reply
        entries = [(entry_id.decode(), data) for entry_id, data in zip(rest[::2], rest[1::2], strict=True)]
        return Beat(workers, entries)

    async def leave(self, epoch: str, unstarted: Sequence[str]) -> bool:
        """Work no more; the entries `unstarted`, of which nothing has begun, go back to the others. False: it was over
        before.
        """
        return await self._leave.run(self._members, epoch, self.worker, *unstarted) == 1

    def finish(
        self,
        epoch: str,
        *,
        log: Sequence[tuple[str, bytes]],
        forget: Sequence[str],
        entries: Sequence[str],
        messages: Sequence[tuple[str, str, bytes]],
        on_reply: OnOutcome,
    ) -> None:
        """End a batch of requests, as `ObjectStore.finish`; nothing is ever logged of a shared object."""
        assert not log
        assert not forget
        args: list[Argument] = [epoch, self.worker, len(entries), *entries]
        args.extend(chain.from_iterable((channel, text) for channel, _, text in messages))
        self._settle.send(self._members, args, lambda reply: on_reply(outcome_of(reply)))
