"""Notices when a call has run, or waited, for too long. On the objects' loop.

A deadline that is kept costs a comparison and no timer: one timer serves all, and looks through what is left. Code that
holds the loop itself cannot be looked after here: the owner does it (`wispy.worker.call_watch`).
"""

import asyncio
import math
import time
from collections.abc import Callable
from typing import Final

from wispy.timing import EarliestTimer
from wispy.worker.calls import Call
from wispy.worker.running import Running
from wispy.worker.turnstile import Job, Turnstile

SWEEP_S: Final = 0.02
"""Seconds between two looks at deadlines: many that lie close together cost one look."""


class Deadlines:
    """The deadlines of one object's calls.

    Args:
        loop: the objects' loop.
        running: the calls that run.
        turnstile: the calls that wait.
        cut_short: ends a task whose deadline has passed.
        give_up: refuses a call that has waited for too long, and takes it out of its line.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        running: Running,
        turnstile: Turnstile,
        *,
        cut_short: Callable[[Job], None],
        give_up: Callable[[Call], None],
    ) -> None:
        self._running = running
        self._turnstile = turnstile
        self._cut_short = cut_short
        self._give_up = give_up
        self._timer = EarliestTimer(loop, self._sweep)

    def by(self, when: float) -> None:
        """Look through what there is at `when` (monotonic seconds) at the latest."""
        if when != math.inf:
            self._timer.at(when)

    def stop(self) -> None:
        """Look no more."""
        self._timer.cancel()

    def _sweep(self) -> None:
        """Look for what has passed its deadline, and come back for the next one."""
        now = time.monotonic()
        upcoming = math.inf
        for job in self._running.jobs.values():
            if job.task is None or job.cut_short:
                continue
            if job.call.deadline <= now:
                self._cut_short(job)
            else:
                upcoming = min(upcoming, job.call.deadline)
        for call in list(self._turnstile.waiting()):
            if call.start_by >= now:
                upcoming = min(upcoming, call.start_by)
            elif self._turnstile.find(call.session, call.id) is call:  # else it left with the head before it
                self._give_up(call)
        self.by(max(upcoming, now + SWEEP_S))
