"""Looks after the calls on an owner's desk: answers what has passed its deadline, and names what hangs.

Runs on the I/O thread, because the objects' thread may be what hangs. It costs nothing while there are no calls.
"""

import asyncio
import time
from typing import Final

from wispy.protocol import errors
from wispy.worker.desk import Desk
from wispy.worker.stage import Stage

WATCH_S: Final = 0.25
"""How often deadlines and hanging calls are looked at while there are calls: the grain of blocking code's time-outs."""


class CallWatch:
    """The watch over the calls of one object under one lease.

    Args:
        desk: what is answered there.
        stage: where the calls run.
        default_s: seconds that frontends wait for a call unless they are told that it may take longer.
    """

    def __init__(self, desk: Desk, stage: Stage, default_s: float) -> None:
        self._desk = desk
        self._stage = stage
        self._default_s = default_s
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """There are calls: look after them, for as long as there are some."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(WATCH_S, self._look)

    def stop(self) -> None:
        """Nobody is to be answered any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        desk, stage = self._desk, self._stage
        now = time.monotonic()
        overdue = stage.overdue(now)
        if overdue:
            desk.answer_early(overdue, errors.TIMED_OUT())
            for call in overdue:
                stage.expire(call)
        # Something holds the objects' thread, else the runner would have answered them itself.
        late = [call for call in desk.calls() if call.started is None and now > call.start_by + WATCH_S]
        desk.answer_early([call for call in late if stage.withdraw(call)], errors.NOT_STARTED())
        desk.extend_beyond(self._default_s)
        stage.report_hangs(now)
        if desk.in_flight:
            self.begin()
