"""Reads an object's entries from its stream, under one lease. Runs on the I/O thread.

Rules (DESIGN section 5):
- The consumer group is only a cursor, read `NOACK`. After a broken link it is set back to the last entry received:
  what was sent after it was lost with the link. Nothing is read before that, or it would be skipped.
- Entries are read only as there is room for them.
- Several reads are asked for in one write, and share the room: when the server has answered one it begins the next, for
  which it need not be woken.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, ClassVar, Final

from wispy.broker.connection import Argument
from wispy.broker.errors import BrokerError, LinkDown, LinkLost, ReplyError, Unfit
from wispy.broker.link import Link
from wispy.broker.store import ObjectStore
from wispy.protocol.ownership import HeldLease
from wispy.protocol.relay import MAX_ENTRY_REQUESTS

log = logging.getLogger("wispy.worker")

BLOCK_MS: Final = 500
"""How long one read waits for entries: long enough to idle quietly, and short enough that all of one write end soon."""

READS_AHEAD: Final = 4
"""Reads that are asked for in one write. Three of four writes are saved, a twentieth of a call's cost where few come.
And each read may still bring four full entries, a quarter of what there is room for."""

READ_RETRY_S: Final = 0.5
"""Pause after a read that Redis refused."""

MOVING: Final = "ASK"
"""The code of the error by which a node of a Cluster says that the stream has gone before its slot. Until the slot has,
too, the object's scripts are refused: there is nothing to be read the sooner for."""


class EntryReader:
    """The reading of one object's entries.

    Args:
        link: for blocking reads, and nothing else.
        store: the object's scripts.
        lease: what is read under.
        group: the consumer group to read with at first.
        cursor: the id of the entry behind which reading begins.
        is_open: whether entries are wanted at all.
        room: how many requests may be taken now.
        take: takes entries, id and bytes.
        supervise: runs a coroutine in the background, under a name.
        on_fenced: called when another owner has acquired, or Redis is another server.
    """

    _reads_ahead: ClassVar[int] = READS_AHEAD

    def __init__(
        self,
        link: Link,
        store: ObjectStore,
        lease: HeldLease,
        *,
        group: str,
        cursor: str,
        is_open: Callable[[], bool],
        room: Callable[[], int],
        take: Callable[[Sequence[tuple[str, bytes]]], None],
        supervise: Callable[[Coroutine[Any, Any, None], str], None],
        on_fenced: Callable[[], None],
    ) -> None:
        self.last_id = cursor
        """Of the newest entry received."""
        self._link = link
        self._store = store
        self._requests = store.keys.requests
        self._lease = lease
        self._group = group
        """Each rejoin makes another one."""
        self._is_open = is_open
        self._room = room
        self._take = take
        self._supervise = supervise
        self._on_fenced = on_fenced
        self._reads = 0
        """Those that are asked for and not answered."""
        self._is_rejoining = False
        self._is_begun = False
        self._refusal = ""
        """The code of the error that the last read has met; the log tells of it once."""

    def begin(self) -> None:
        """Read, from now on also after each reconnection."""
        self._is_begun = True
        self._link.on_connected(self._connected)
        self.read()

    @property
    def is_reading(self) -> bool:
        """Whether Redis may give it entries."""
        return self._reads > 0 or self._is_rejoining

    def stop(self) -> None:
        """Read no more; what is under way is not taken."""
        if self._is_begun:
            self._link.remove_connected(self._connected)

    def read(self) -> None:
        """Ask for entries, if there is room for some."""
        if self._reads or self._is_rejoining or not self._is_open():
            return
        room = self._room()
        if room <= 0:
            return
        self._reads = min(self._reads_ahead, max(1, room // MAX_ENTRY_REQUESTS))
        command = self._command(room // self._reads)
        for _ in range(self._reads):
            self._link.send(command, self._entries_read, will_flush=True)
        self._link.flush()

    def _command(self, room: int) -> tuple[Argument, ...]:
        """What reads the next entries, when `room` requests may be taken."""
        count = max(1, room // MAX_ENTRY_REQUESTS)
        return (
            b"XREADGROUP", b"GROUP", self._group, b"owner", b"COUNT", count, b"BLOCK", BLOCK_MS, b"NOACK",
            b"STREAMS", self._requests, b">",
        )  # fmt: skip

    def _entries_read(self, reply: Any) -> None:
        self._reads -= 1
        if self._lease.lost:
            return
        if isinstance(reply, BrokerError):
            self._read_failed(reply)
            return
        self._refusal = ""
        if reply:
            entries = [(row[0].decode(), row[1][1]) for row in reply[0][1]]
            self.last_id = entries[-1][0]
            self._take(entries)
        self.read()

    def _read_failed(self, error: BrokerError) -> None:
        """Log why; what is done about it waits until all reads are answered: a later one may have brought entries."""
        if isinstance(error, LinkDown | LinkLost | Unfit):
            return  # `_connected` goes on
        code = error.code if isinstance(error, ReplyError) else ""
        if code == "NOGROUP":
            # Another owner has acquired, or Redis has lost its data: the lease record says which.
            if not self._reads:
                self._rejoin_soon()
            return
        if code != self._refusal:
            self._refusal = code
            if code == MOVING:
                log.info("%s is moving to another node: nothing is read until it is there", self._requests)
            else:
                log.error("reading %s failed, trying again: %s", self._requests, error)
        if not self._reads:
            asyncio.get_running_loop().call_later(READ_RETRY_S, self.read)

    def _connected(self) -> None:
        server = self._link.server
        if server is not None and server.run_id != self._lease.run_id:
            self._on_fenced()
        else:
            self._rejoin_soon()

    def _rejoin_soon(self) -> None:
        if self._is_open() and not self._is_rejoining:
            self._is_rejoining = True
            self._supervise(self._rejoin(), f"rejoin of {self._requests}")

    async def _rejoin(self) -> None:
        is_told = False
        try:
            while self._is_open():
                try:
                    await self._go_on()
                    break
                except BrokerError as error:
                    if not is_told:
                        log.warning("cannot go on reading %s, trying again: %s", self._requests, error)
                    is_told = True
                await asyncio.sleep(READ_RETRY_S)
        finally:
            self._is_rejoining = False
        self.read()

    async def _go_on(self) -> None:
        """Set the cursor back to the last entry received, unless the lease is lost.

        Raises:
            BrokerError: Redis does not say which of these it is.
        """
        group = await self._store.rejoin(self._lease.epoch, self.last_id)
        if group is None:
            self._on_fenced()
        else:
            self._group = group
