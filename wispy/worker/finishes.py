"""What an owner's batches bring to Redis, on its way there: one finish script each, until Redis has confirmed it.

Runs on the I/O thread. Rules:
- One script ends a batch: log, deletion of finished entries, replies last.
- What Redis has not confirmed is kept and sent again, in order, after the link is back: rows of the log are final, so
  writing one twice changes nothing. What comes meanwhile waits for it: a batch must not overtake another.
"""

import logging
from collections import defaultdict
from collections.abc import Callable

import msgspec

from wispy.broker.keys import ObjectKeys
from wispy.broker.store import ObjectStore
from wispy.errors import BrokerError
from wispy.protocol.answer_log import Row
from wispy.protocol.memory import Memory
from wispy.protocol.relay import Reply, reply_messages
from wispy.protocol.shared_memory import SharedMemory

log = logging.getLogger("wispy.worker")


def _rows() -> defaultdict[str, Row]:
    return defaultdict(Row)


def _replies_of_frontend() -> defaultdict[str, list[Reply]]:
    return defaultdict(list)


def _no_replies() -> defaultdict[str, defaultdict[str, list[Reply]]]:
    return defaultdict(_replies_of_frontend)


class Batch(msgspec.Struct, eq=False):
    """What one finish script is to bring to Redis, beside what the memory has to write and to forget."""

    rows: defaultdict[str, Row] = msgspec.field(default_factory=_rows)
    """Frontend to the answers that are logged and sent; "" to those that are only logged."""
    unlogged: defaultdict[str, defaultdict[str, list[Reply]]] = msgspec.field(default_factory=_no_replies)
    """Frontend to session to what is only sent."""
    entries: list[str] = []
    """Ids of finished entries."""

    @property
    def is_empty(self) -> bool:
        return not (self.rows or self.unlogged or self.entries)


class _Finish(msgspec.Struct, eq=False):
    """The arguments of one finish script."""

    log: list[tuple[str, bytes]]
    forget: list[str]
    entries: list[str]
    messages: list[tuple[str, str, bytes]]


class Finishes:
    """The batches of one object under one lease.

    Args:
        store: the object's scripts.
        keys: the object's keys.
        epoch: the lease's epoch.
        memory: what is known of former requests; its changes go along with the batches.
        on_fenced: called when another owner has acquired.
    """

    def __init__(
        self,
        store: ObjectStore,
        keys: ObjectKeys,
        epoch: str,
        memory: Memory | SharedMemory,
        on_fenced: Callable[[], None],
    ) -> None:
        self._store = store
        self._keys = keys
        self._epoch = epoch
        self._memory = memory
        self._on_fenced = on_fenced
        self._unconfirmed: dict[int, _Finish] = {}
        """What Redis has not confirmed, in the order in which it was sent."""
        self._failed: set[int] = set()
        """What of it has to be sent again."""
        self._batches = 0

    def __len__(self) -> int:
        """Batches that Redis has not confirmed."""
        return len(self._unconfirmed)

    def unconfirmed_entries(self) -> set[str]:
        """The finished entries that Redis may still have."""
        return {entry for finish in self._unconfirmed.values() for entry in finish.entries}

    def send(self, batch: Batch) -> None:
        """Bring a batch to Redis, and what the memory has changed since the last one."""
        memory = self._memory
        moved = memory.moved_answers()
        messages = [("", field, message) for field, message in memory.write(moved)] if moved else []
        for frontend, row in batch.rows.items():
            channel = self._keys.replies(frontend) if frontend else ""
            messages += [(channel, field, message) for field, message in memory.write(row)]
        for frontend, replies in batch.unlogged.items():
            channel = self._keys.replies(frontend)
            messages += [(channel, "", message) for message in reply_messages(replies)]
        log_fields, forget = memory.take_log_changes()
        finish = _Finish(log_fields, forget, batch.entries, messages)
        self._batches += 1
        self._unconfirmed[self._batches] = finish
        if self._failed:
            # It must not overtake: what it forgets would come back, and the acknowledged id in the log would go back.
            self._failed.add(self._batches)
        else:
            self._send(self._batches, finish)

    def _send(self, number: int, finish: _Finish) -> None:
        self._store.finish(
            self._epoch,
            log=finish.log,
            forget=finish.forget,
            entries=finish.entries,
            messages=finish.messages,
            on_reply=lambda reply: self._finished(number, reply),
        )

    def _finished(self, number: int, reply: bool | BrokerError) -> None:
        if reply is True:
            del self._unconfirmed[number]
        elif reply is False:
            self._on_fenced()
        else:
            if not self._failed:
                log.warning("answers of %s wait for Redis: %s", self._keys.requests, reply)
            self._failed.add(number)

    def resend(self) -> None:
        """Send again, in order, what did not reach Redis, or may not have."""
        failed, self._failed = sorted(self._failed), set()
        for number in failed:
            self._send(number, self._unconfirmed[number])
