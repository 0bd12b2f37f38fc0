"""The rows of an object's log: which answers lie together in Redis, and which rows may go. Pure.

Rules:
- A row is the text of a reply message: what one batch answers to one frontend is encoded once, published and logged.
- A row is never changed. It goes when the last of its answers is forgotten; until then the others lie in it dead.
- Dead answers may take as much room as live ones, and `SLACK_BYTES`. Beyond that the oldest rows that are dead by half
  are given up, and what lives of them moves into a new one.
"""

from collections import defaultdict
from collections.abc import Iterator
from itertools import islice
from typing import Final

import msgspec

from wispy.protocol.relay import Reply, SessionReplies, decode_replies, reply_messages

SLACK_BYTES: Final = 4 * 1024 * 1024
"""Bytes of dead answers that are never looked at: what a busy object logs in about a tenth of a second."""

MAX_MOVED_BYTES: Final = 512 * 1024
"""Bytes of answers that one batch moves, of some rows more by one: it is still one short script."""

MAX_ROWS_LOOKED_AT: Final = 32
"""Rows that one batch looks at to find what is dead: more than one that it adds, so that it catches up."""


def _no_answers() -> defaultdict[str, list[Reply]]:
    return defaultdict(list)


class Row(msgspec.Struct, eq=False, gc=False):
    """Answers that are logged together."""

    answers: defaultdict[str, list[Reply]] = msgspec.field(default_factory=_no_answers)
    """Session to answers, the dead ones too."""
    live: int = 0
    """Bytes of the answers that are remembered, as the quotas count them."""
    size: int = 0
    """Bytes of all of them, once it is written."""
    fields: tuple[str, ...] = ()
    """Where it is in the log, once it is written: a field for each message."""


class AnswerLog:
    """The rows that are in the log."""

    def __init__(self) -> None:
        self._rows: dict[Row, None] = {}
        self._size = 0
        self._dropped: list[str] = []
        self.next_row = 1
        """The number of the row that is written next."""

    def write(self, row: Row) -> list[tuple[str, bytes]]:
        """The messages of a row, each with its field of the log, or with "" if nothing of it is remembered."""
        messages = reply_messages(row.answers) if row.answers else []
        if not row.live:
            return [("", message) for message in messages]
        first = self.next_row
        self.next_row += len(messages)
        self._add(row, tuple(map(str, range(first, self.next_row))))
        return list(zip(row.fields, messages, strict=True))

    def _add(self, row: Row, fields: tuple[str, ...]) -> None:
        row.fields = fields
        row.size = row.live
        self._size += row.size
        self._rows[row] = None

    def drop(self, row: Row) -> None:
        """Nothing of a row is remembered any more."""
        if row.fields:  # else it is not written, and need not be
            del self._rows[row]
            self._size -= row.size
            self._dropped += row.fields

    def take_dropped(self) -> list[str]:
        """The fields to delete since the last call."""
        dropped, self._dropped = self._dropped, []
        return dropped

    def sparse_rows(self, live: int) -> Iterator[Row]:
        """Rows whose answers should move together, if dead ones take too much room: drop each before the next.

        Args:
            live: bytes of all answers that are remembered.
        """
        if self._size <= 2 * live + SLACK_BYTES:
            return
        for row in list(islice(self._rows, MAX_ROWS_LOOKED_AT)):
            if row.live * 2 <= row.size:
                yield row
            else:  # it is looked at again when all others were
                del self._rows[row]
                self._rows[row] = None

    def read(self, field: str, value: bytes) -> tuple[Row, list[SessionReplies]]:
        """A row of a former owner, without answers, and those that it has; `restored` is to follow.

        Raises:
            ValueError: it is not what an owner writes.
        """
        try:
            number, blocks = int(field), decode_replies(value)
        except (ValueError, msgspec.MsgspecError, RecursionError) as error:
            raise ValueError(f"the log holds a field that is no row of answers: {field!r}") from error
        self.next_row = max(self.next_row, number + 1)
        return Row(), blocks

    def restored(self, row: Row, field: str) -> None:
        """A row that `read` returned has got the answers that still count."""
        self._add(row, (field,))
        if not row.live:
            self.drop(row)
