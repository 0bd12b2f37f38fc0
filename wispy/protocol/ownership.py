"""The rules of the lease: when a standby may acquire, and until when an owner may act. Pure; time is an argument.

Rules (DESIGN section 5):
- A standby acquires what was released, what was never held, and what it has seen, over one unbroken connection,
  without a renewal for a whole lease *on its own clock*. It never compares clocks with the owner.
- An owner's lease ends one lease after it *sent* the last renewal that Redis confirmed: the standby's wait began later.
- An owner that was fenced, or whose Redis server is another one (run id), stops and acquires anew.
"""

from typing import Protocol


class Record(Protocol):
    """What the rules read of the lease record in Redis."""

    @property
    def epoch(self) -> str: ...
    @property
    def renewals(self) -> int: ...
    @property
    def lease_ms(self) -> int: ...
    @property
    def released(self) -> bool: ...


class LeaseWatch:
    """Tells, from what a standby has seen, when the lease is free."""

    __slots__ = ("_seen", "_since", "lives")

    def __init__(self) -> None:
        self._seen: tuple[str, int, int] | None = None
        """Epoch, renewal count and connection that were seen last."""
        self._since = 0.0
        """When this was seen first: seconds on the standby's monotonic clock."""
        self.lives = False
        """Whether the lease was renewed, or acquired, since it was seen first."""

    def is_free(self, record: Record | None, connection: int, now: float) -> bool:
        """Whether the lease may be acquired.

        Args:
            record: the lease record as just read, None where there is none.
            connection: counts the connections to Redis; another one begins a new wait.
            now: when the answer arrived, seconds on a monotonic clock.
        """
        if record is None or record.released:
            return True
        seen = (record.epoch, record.renewals, connection)
        if seen != self._seen:
            self.lives = self.lives or (self._seen is not None and self._seen[:2] != seen[:2])
            self._seen = seen
            self._since = now
            return False
        return now - self._since > record.lease_ms / 1000


class HeldLease:
    """The owner's view of its own lease."""

    __slots__ = ("_ends", "duration_s", "epoch", "lost", "run_id")

    def __init__(self, epoch: str, run_id: str, duration_s: float, sent_at: float) -> None:
        self.epoch = epoch
        self.run_id = run_id
        self.duration_s = duration_s
        self.lost = False
        """Another owner has acquired, or Redis is another server: nothing may start any more."""
        self._ends = sent_at + duration_s

    def renewed(self, sent_at: float) -> None:
        """Redis confirmed the renewal that was sent at `sent_at`, seconds on a monotonic clock that counts sleep."""
        self._ends = max(self._ends, sent_at + self.duration_s)

    def is_valid(self, now: float) -> bool:
        """Whether a request may be started at `now`, on the same clock."""
        return not self.lost and now < self._ends
