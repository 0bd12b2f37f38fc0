"""What is kept in Redis of one object: its lease, requests, log and channels, behind typed calls.

Everything that an owner writes goes through a script that checks its epoch first: `False` (or None) means that the
epoch is over, and that nothing was written. Scripts validate before they write, since Redis rolls nothing back.
The scripts are in `scripts/*.lua`; the keys in `keys.py`.

XADD and XREADGROUP are the callers' own: `XADD requests NOMKSTREAM * e <entry>`, and
`XREADGROUP GROUP <group> <consumer> COUNT n BLOCK ms NOACK STREAMS requests >`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final, NamedTuple

from wispy.broker.connection import Argument
from wispy.broker.errors import BrokerError, LinkDown
from wispy.broker.keys import OBJECT_TTL_MS, ObjectKeys
from wispy.broker.route import Route
from wispy.broker.script import Script
from wispy.protocol.positions import Kept, Line

__all__ = ["Acquired", "GivenOut", "LeaseRecord", "ObjectStore", "Snapshot", "StoredState", "Update"]

OnOutcome = Callable[[bool | BrokerError], object]

# One reply of Redis holds at most this many entries or fields: some 100 ms of a server's time are never taken at once.
PAGE: Final = 1000
# ... at most this many of the log, which may have a megabyte each ...
LOG_PAGE: Final = 50
# ... and of a channel's history, of which 100 is the usual length, and images are possible.
HISTORY_PAGE: Final = 200


@dataclass(frozen=True)
class LeaseRecord:
    """The lease of an object as it stands in Redis."""

    epoch: str
    generation: int
    renewals: int
    run_id: str  # of the server on which it was acquired
    lease_ms: int  # how long the owner may go without a renewal
    released: bool
    holder: str  # who, for people
    shared: bool = False  # all workers of a shared object renew it together


@dataclass(frozen=True)
class Acquired:
    """What a new owner gets."""

    epoch: str
    server_ms: int  # the server's clock at the acquisition
    cursor: str  # what exists up to this entry id may have been received by a former owner
    since: str  # "<run id>:<ms>": since when the log is complete
    group: str  # the consumer group to read requests with


class GivenOut(NamedTuple):
    """What the last owner of an object knows of the offsets in use, when it acquires again."""

    generation: int  # of its epoch
    heads: Mapping[str, int]  # channel to the newest offset that it gave to an update, whether Redis has that or not


class Update(NamedTuple):
    """One update of a channel."""

    channel: str
    offset: int
    value: bytes  # JSON
    retain: bool  # whether it is the channel's current value
    history: int  # how many updates the channel's history keeps; 0: none


@dataclass(frozen=True)
class StoredState:
    """An object's own state, as its snapshot hook returned it."""

    writer: str  # names the instance that it is of
    is_bytes: bool  # `data` is what the hook returned; else that, as JSON
    data: bytes


@dataclass(frozen=True)
class Snapshot:
    """What a subscriber starts from, as of one moment."""

    declaration: bytes  # JSON
    line: Line  # how far it is; without an epoch if nobody has owned the object for days
    value: bytes | None  # JSON; None: the channel retains none
    value_offset: int  # the update that brought it: the head, unless what came since is lost


class ObjectStore:
    """The keys of one object."""

    def __init__(self, link: Route, keys: ObjectKeys) -> None:
        self.keys = keys
        self._link = link = link.route(keys.owner)
        self._acquire = Script(link, "acquire")
        self._renew = Script(link, "renew")
        self._reopen = Script(link, "reopen")
        self._finish = Script(link, "finish")
        self._publish = Script(link, "publish")
        self._declare = Script(link, "declare")
        self._write_interface = Script(link, "write_interface")
        self._write_state = Script(link, "write_state")
        self._snapshot = Script(link, "snapshot")
        self._withdraw = Script(link, "withdraw")
        self._missing = Script(link, "missing")

    # -- the lease

    async def read_record(self) -> LeaseRecord | None:
        """The lease record; None if nobody has held the lease for days."""
        names = ("epoch", "generation", "renewals", "run_id", "lease_ms", "released", "holder", "kind")
        reply: list[bytes | None] = await self._link.call("HMGET", self.keys.owner, *names)
        epoch, generation, renewals, run_id, lease_ms, released, holder, kind = (
            (value or b"").decode() for value in reply
        )
        if not epoch:
            return None
        is_free, is_shared = released == "1", kind == "shared"
        return LeaseRecord(epoch, int(generation), int(renewals), run_id, int(lease_ms), is_free, holder, is_shared)

    async def acquire(
        self,
        seen: LeaseRecord | None,
        *,
        nonce: str,
        lease_ms: int,
        holder: str,
        known: int = 0,
        given_out: GivenOut | None = None,
    ) -> Acquired | None:
        """Take the lease if its record still is what was `seen`; None if it is not.

        All former groups are destroyed, and the new epoch and all heads are published. Whether it is time to take it
        is for the caller to know.

        Args:
            seen: the record, as it was read.
            nonce: makes the epoch unique.
            lease_ms: how long the owner may go without a renewal.
            holder: who, for people.
            known: the newest generation that the caller has heard of: the next one is higher, whatever became of the
                record.
            given_out: what the caller had published as the last owner there was; None if it was not that.
        """
        server = self._link.server
        if server is None:
            raise LinkDown("not connected to Redis")
        keys = self.keys
        reply: list[bytes] | None = await self._acquire.run(
            (
                *(keys.owner, keys.requests, keys.log, keys.heads, keys.values, keys.channels, keys.interface),
                *(keys.state, keys.workers),
            ),
            *what_was(seen),
            nonce,
            lease_ms,
            holder,
            server.run_id,
            OBJECT_TTL_MS,
            keys.notices,
            known,
            given_out.generation if given_out else "",
            *chain.from_iterable(given_out.heads.items() if given_out else ()),
        )
        if reply is None:
            return None
        epoch, server_ms, cursor, since = (value.decode() for value in reply)
        return Acquired(epoch, int(server_ms), cursor, since, group=epoch)

    async def renew(self, epoch: str, changed: Sequence[str], extend: Sequence[str] = ()) -> bool:
        """Renew the lease and publish the heads of the `changed` channels; False: the epoch is over.

        `extend` are keys whose time to live starts anew: `ObjectKeys.lasting` now and then, about once a minute.
        """
        keys = (self.keys.owner, self.keys.heads, *extend)
        return await self._renew.run(keys, epoch, OBJECT_TTL_MS, self.keys.notices, *changed) == 1

    async def rejoin(self, epoch: str, cursor: str) -> str | None:
        """Go on reading behind the entry `cursor`, with a new group: its name. None: the epoch is over."""
        return await self._run_reopen(epoch, cursor, released=0)

    async def release(self, epoch: str, cursor: str) -> bool:
        """Give the lease up; the next owner begins behind the entry `cursor`. False: the epoch was over."""
        return await self._run_reopen(epoch, cursor, released=1) is not None

    async def _run_reopen(self, epoch: str, cursor: str, released: int) -> str | None:
        keys = (self.keys.owner, self.keys.requests)
        args = (epoch, cursor, released, OBJECT_TTL_MS, self.keys.notices)
        group: bytes | None = await self._reopen.run(keys, *args)
        return None if group is None else group.decode()

    # -- the owner's work

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
        """End a batch of requests, in one step: the hot path.

        Args:
            epoch: the owner's epoch.
            log: fields of the log and what to write there, beside the messages.
            forget: fields of the log that go.
            entries: ids of requests' entries that are final and go.
            messages: what is logged and published (replies), the latter last: a message's pub/sub channel, or "" to log
                it only, its field of the log, or "" to publish it only, and its text.
            on_reply: gets True, False (the epoch is over; nothing was written), or a `BrokerError` instance. After a
                `LinkLost` the same batch may be sent again.
        """
        args: list[Argument] = [epoch, 2 * len(log), len(forget), len(entries), 3 * len(messages)]
        args.extend(chain.from_iterable(log))
        args.extend(forget)
        args.extend(entries)
        args.extend(chain.from_iterable(messages))
        keys = (self.keys.owner, self.keys.requests, self.keys.log)
        self._finish.send(keys, args, lambda reply: on_reply(outcome_of(reply)), will_flush=True)
        self._link.flush()  # the end of the turn would be a turn more of a loop that has nothing else to do

    def publish(self, epoch: str, updates: Sequence[Update], on_reply: OnOutcome) -> None:
        """Publish updates in order, in one step.

        Offsets up to a channel's head are skipped, so that a batch may be sent again. `on_reply` gets True, False (the
        epoch is over), or a `BrokerError` instance; of code "OOM" when Redis' memory is full: then nothing was written.
        """
        keys = [self.keys.owner, self.keys.heads, self.keys.values]
        args: list[Argument] = [epoch, OBJECT_TTL_MS, self.keys.updates("")]
        for channel, offset, value, retain, history in updates:
            args += (channel, offset, value, int(retain), history)
            if history:
                keys.append(self.keys.history(channel))
        self._publish.send(keys, args, lambda reply: on_reply(outcome_of(reply)))

    async def declare(self, epoch: str, channels: Mapping[str, bytes], removed: Sequence[str] = ()) -> bool:
        """Declare channels (name to JSON); the `removed` go with head, value and history. False: the epoch is over."""
        keys = self.keys
        histories = (keys.history(channel) for channel in removed)
        return (
            await self._declare.run(
                (keys.owner, keys.channels, keys.heads, keys.values, *histories),
                epoch,
                OBJECT_TTL_MS,
                2 * len(channels),
                *chain.from_iterable(channels.items()),
                *removed,
            )
            == 1
        )

    async def write_interface(self, epoch: str, interface: bytes) -> bool:
        """Write what rpc.discover shows of the object (JSON). False: the epoch is over."""
        keys = (self.keys.owner, self.keys.interface)
        return await self._write_interface.run(keys, epoch, OBJECT_TTL_MS, interface) == 1

    async def write_state(self, epoch: str, state: StoredState) -> bool:
        """Store the object's own state. False: the epoch is over."""
        form = "bytes" if state.is_bytes else "json"
        keys = (self.keys.owner, self.keys.state)
        return await self._write_state.run(keys, epoch, OBJECT_TTL_MS, state.writer, form, state.data) == 1

    async def read_state(self) -> StoredState | None:
        """The object's own state, as the last owner stored it; None if there is none."""
        reply: list[bytes | None] = await self._link.call("HMGET", self.keys.state, "writer", "form", "data")
        writer, form, data = reply
        if writer is None or form is None or data is None:
            return None
        return StoredState(writer.decode(), form == b"bytes", data)

    async def delivered_unfinished(self, cursor: str, after: str | None = None) -> list[tuple[str, bytes]]:
        """Up to 1,000 entries (id, bytes) up to `cursor` that still exist; the next page begins behind `after`."""
        start = "-" if after is None else f"({after}"
        reply: list[Any] = await self._link.call("XRANGE", self.keys.requests, start, cursor, "COUNT", PAGE)
        return [(entry_id.decode(), fields[1]) for entry_id, fields in reply]

    async def read_log(self) -> dict[str, bytes]:
        """The whole log: field to value."""
        return await self._read_hash(self.keys.log, LOG_PAGE)

    # -- channels

    async def heads(self) -> dict[str, int]:
        """Channel to the offset of its newest update."""
        return {channel: int(offset) for channel, offset in (await self._read_hash(self.keys.heads)).items()}

    async def retained(self) -> dict[str, tuple[int, bytes]]:
        """Value channel to the offset and the JSON of its current value."""
        values = await self._read_hash(self.keys.values)
        return {channel: _split_value(value) for channel, value in values.items()}

    async def snapshot(self, channel: str) -> Snapshot | None:
        """What a subscriber of `channel` starts from; None if there is no such channel.

        Updates that the subscriber has heard from the same server (run id) up to `head` are covered by it.
        """
        keys = (self.keys.owner, self.keys.channels, self.keys.heads, self.keys.values)
        reply: list[bytes] | None = await self._snapshot.run(keys, channel)
        if reply is None:
            return None
        declaration, epoch, lineage, head, retained = reply
        value_offset, value = _split_value(retained) if retained else (0, None)
        return Snapshot(
            declaration=declaration,
            line=Line(epoch.decode(), frozenset(map(int, lineage.split())), int(head or 0)),
            value=value,
            value_offset=value_offset,
        )

    async def history(self, channel: str, after: int, up_to: int) -> list[Kept]:
        """The updates after one offset and up to another that the channel's history still has."""
        rows: list[Kept] = []
        start = f"{after + 1}-0"
        while True:
            page: list[Any] = await self._link.call(
                "XRANGE", self.keys.history(channel), start, up_to, "COUNT", HISTORY_PAGE
            )
            for entry_id, fields in page:
                offset, _, generation = entry_id.partition(b"-")
                rows.append(Kept(int(generation), int(offset), fields[1]))
            if len(page) < HISTORY_PAGE:
                return rows
            start = f"({page[-1][0].decode()}"

    # -- frontends

    async def is_shared(self) -> bool:
        """Whether the object's requests are given to several workers."""
        return await self._link.call("HGET", self.keys.owner, "kind") == b"shared"

    async def missing(self, entry_ids: Sequence[str]) -> set[str]:
        """Which of these entries are in the stream no more: whatever they asked for is final."""
        found: set[str] = set()
        for start in range(0, len(entry_ids), PAGE):
            gone: list[bytes] = await self._missing.run((self.keys.requests,), *entry_ids[start : start + PAGE])
            found.update(entry_id.decode() for entry_id in gone)
        return found

    async def withdraw(self, entry_id: str) -> bool:
        """Take back an entry that no owner has received; True: it was the only copy, and no owner will see it."""
        return await self._withdraw.run((self.keys.requests,), entry_id) == 1

    # -- inside

    async def _read_hash(self, key: str, page_size: int = PAGE) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        cursor = b"0"
        while True:
            cursor, page = await self._link.call("HSCAN", key, cursor, "COUNT", page_size)
            for index in range(0, len(page), 2):
                found[page[index].decode()] = page[index + 1]
            if cursor == b"0":
                return found


def what_was(seen: LeaseRecord | None) -> tuple[Argument, Argument, Argument]:
    """What a script compares with the record, to know that it still is what was seen."""
    return (seen.epoch, seen.renewals, int(seen.released)) if seen else ("", "", "")


def outcome_of(reply: Any) -> bool | BrokerError:
    """What a script that checks the epoch has done, for who sent it: True, False (the epoch is over), or why not."""
    return reply if isinstance(reply, BrokerError) else reply == 1


def _split_value(value: bytes) -> tuple[int, bytes]:
    offset, _, json = value.partition(b":")
    return int(offset), json
