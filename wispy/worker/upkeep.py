"""What an owner looks after now and then: sessions that are dead, and a clock of Redis' that was set back."""

import logging
from collections.abc import Callable
from typing import Final

from wispy.protocol.memory import CLOCK_ERROR_MS
from wispy.timing import boottime
from wispy.worker.desk import Desk

log = logging.getLogger("wispy.worker")

PERIOD_S: Final = 10.0
"""Between two looks: a small part of the minute that a session without a connection lives."""


class Upkeep:
    """The looks of one owner.

    Args:
        name: the object's.
        now_ms: the time on the Redis server's clock.
        window_s: after so many seconds without a sign of it a session is dead.
    """

    def __init__(self, name: str, now_ms: Callable[[], int], *, window_s: float) -> None:
        self._name = name
        self._now_ms = now_ms
        self._window_ms = int(window_s * 1000)
        self._looked_at = boottime()
        self._is_clock_behind = False
        """The log has said that Redis' clock was set back."""

    def look(self, desk: Desk) -> None:
        """See to it, if it is time."""
        now = boottime()
        if now - self._looked_at > PERIOD_S:
            self._looked_at = now
            desk.prune(self._now_ms(), self._window_ms)
            self._look_at_clock(desk)

    def _look_at_clock(self, desk: Desk) -> None:
        """Say, once, if what is known of requests begins in the future."""
        ahead_ms = desk.knows_since_ms - self._now_ms()
        was_behind, self._is_clock_behind = self._is_clock_behind, ahead_ms > CLOCK_ERROR_MS
        if self._is_clock_behind and not was_behind:
            log.error(
                "Redis' clock was set back: what is asked of %s is `maybe`, and does not run, until it is where it was "
                "(in %d s), or Redis is started anew",
                self._name,
                ahead_ms // 1000,
            )
