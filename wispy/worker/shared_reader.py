"""Reads a shared object's entries, as one of its workers. Runs on the I/O thread.

Rules:
- An entry that was read is this worker's until it is finished: the consumer group keeps it under the worker's name.
- After a broken link the worker reads what is its own and it never received, for nobody else has begun that; and once
  more when a read that the server still holds for the former connection must be over.
- What it had received when it asked is not taken again, whatever has been finished meanwhile.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Final

from wispy.broker.connection import Argument
from wispy.broker.errors import LinkDown, LinkLost, ReplyError, Unfit
from wispy.worker.desk import MAX_IN_FLIGHT
from wispy.worker.entry_reader import BLOCK_MS, EntryReader, log

MAX_OWN: Final = MAX_IN_FLIGHT
"""Entries of its own that a worker asks for after a broken link: it has read no more, as each has a request."""

LONGEST_READ_S: Final = BLOCK_MS / 1000 + 0.1
"""How long the server may give entries to a read, also to one whose connection is broken, and a little more."""


class SharedReader(EntryReader):
    """The reading of one shared object's entries.

    Args:
        worker: by whose name it reads.
        open_entries: what was received and may still be in the stream.
        take: takes entries, id and bytes.
        args: as for `EntryReader`.
    """

    _reads_ahead: ClassVar[int] = 1  # a worker that goes waits until its last read is over

    def __init__(
        self,
        worker: str,
        open_entries: Callable[[], set[str]],
        *args: Any,
        take: Callable[[Sequence[tuple[str, bytes]]], None],
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, take=self._note_and_take, **kwargs)
        self._worker = worker
        self._open_entries = open_entries
        self._take_noted = take
        self._noted: set[str] | None = None
        """While it is asked what is this worker's own: what was received before the answer."""

    def _note_and_take(self, entries: Sequence[tuple[str, bytes]]) -> None:
        if self._noted is not None:
            self._noted.update(entry_id for entry_id, _ in entries)
        self._take_noted(entries)

    def _command(self, room: int) -> tuple[Argument, ...]:
        # A frontend sends each request to a shared object in an entry of its own.
        return (
            b"XREADGROUP", b"GROUP", self._group, self._worker, b"COUNT", room, b"BLOCK", BLOCK_MS,
            b"STREAMS", self._requests, b">",
        )  # fmt: skip

    async def _go_on(self) -> None:
        """Take what Redis gave to this worker and it did not receive, unless the sharing is over."""
        try:
            await self._take_own()
        except ReplyError as error:
            if error.code != "NOGROUP":
                raise
            self._on_fenced()
        else:
            self._supervise(self._look_again(), f"second look at {self._requests}")

    async def _look_again(self) -> None:
        await asyncio.sleep(LONGEST_READ_S)
        if self._is_open() and not self._is_rejoining:
            try:
                await self._take_own()
            except (LinkDown, LinkLost, Unfit) as error:
                log.debug("%s is looked at when the link is back: %s", self._requests, error)
            except ReplyError as error:  # of a node that does not have it for the moment, say
                log.debug("%s is looked at until that succeeds: %s", self._requests, error)
                self._rejoin_soon()

    async def _take_own(self) -> None:
        self._noted = self._open_entries()
        command = ("XREADGROUP", "GROUP", self._group, self._worker, "COUNT", MAX_OWN, "STREAMS", self._requests, "0")
        try:
            reply = await self._link.call(*command)
        finally:
            received, self._noted = self._noted, None
        rows = [(row[0].decode(), row[1]) for row in reply[0][1]] if reply else []
        lost = [(entry_id, fields[1]) for entry_id, fields in rows if fields and entry_id not in received]
        if lost and not self._lease.lost:
            self._take_noted(lost)
