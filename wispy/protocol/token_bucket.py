"""Token buckets: how often something may happen, counted for each of many.

Rules:
- A bucket is one number, the moment until which what was taken would last if it had come evenly (the generic cell rate
  algorithm). A moment that has passed is a full bucket, and as good as none: it is forgotten.
- The buckets are bounded in number. Past that the one goes first that was asked for the longest time ago, and whoever
  had it begins with a full one: an attacker with so many names or addresses is not stopped by a rate for each.
- Time is passed in, as seconds on a clock that does not go back.
"""

from collections import OrderedDict
from typing import Final

_ROUNDING_S: Final = 1e-6
"""Seconds by which sums of intervals may be off."""

_SWEPT: Final = 2
"""Full buckets that are forgotten for each one that is begun: more than one, so that they become fewer."""


class Buckets:
    """Buckets that are filled alike, by key.

    Args:
        per_second: tokens that flow into each, a second.
        burst: tokens that one holds; at least 1.
        limit: buckets that are kept.
    """

    __slots__ = ("_burst", "_interval_s", "_limit", "_until")

    def __init__(self, per_second: float, burst: float, limit: int) -> None:
        self._interval_s = 1 / per_second
        self._burst = max(1.0, burst)
        self._limit = limit
        self._until: OrderedDict[str, float] = OrderedDict()
        """Key to the moment, the one that was asked for last at the end."""

    def __len__(self) -> int:
        return len(self._until)

    def wait_s(self, key: str, now: float, tokens: int = 1, room: int = 0) -> float:
        """Seconds until the tokens are there; 0 if they are.

        Args:
            key: whose bucket.
            now: seconds.
            tokens: how many. For more than the bucket holds it has to be full: what comes after them waits the longer.
            room: tokens that may be owed beyond the burst.
        """
        until = self._until.get(key)
        if until is None:
            return 0.0
        self._until.move_to_end(key)  # who is refused is not to be forgotten for it
        wait_s = until - now - (self._burst + room - min(tokens, self._burst)) * self._interval_s
        return wait_s if wait_s > _ROUNDING_S else 0.0

    def take(self, key: str, now: float, tokens: int = 1) -> None:
        """Take tokens, which `wait_s` has found."""
        until = self._until.get(key)
        if until is None:
            self._make_room(now)
        self._until[key] = max(until or now, now) + tokens * self._interval_s

    def _make_room(self, now: float) -> None:
        for _ in range(_SWEPT):
            oldest = next(iter(self._until), None)
            if oldest is None or self._until[oldest] > now:
                break
            del self._until[oldest]
        if len(self._until) >= self._limit:
            self._until.popitem(last=False)
