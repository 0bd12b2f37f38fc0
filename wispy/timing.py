"""Clocks and timers that several layers share."""

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Final

boottime: Final[Callable[[], float]] = (
    partial(time.clock_gettime, time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic
)
"""Seconds on a clock that only rises and counts the time a machine sleeps, where the system has one."""


async def wait_until(condition: Callable[[], bool], timeout_s: float, look_every_s: float = 0.01) -> bool:
    """Look at a condition until it holds or the time is over; whether it holds.

    For ends and beginnings only, where several things have to come together and nobody counts the cost of looking.
    """
    loop = asyncio.get_running_loop()
    give_up = loop.time() + timeout_s
    while not condition():
        if loop.time() >= give_up:
            return False
        await asyncio.sleep(look_every_s)
    return True


class EarliestTimer:
    """One timer for many deadlines: it fires at the earliest that was asked for since it last fired.

    What is done before its deadline is simply not there any more when the timer fires: whoever owns the deadlines
    looks through what is left and calls `at` again. So a deadline that is met costs a comparison and no timer.
    """

    __slots__ = ("_callback", "_handle", "_loop", "_when")

    def __init__(self, loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
        self._loop = loop
        self._callback = callback
        self._handle: asyncio.TimerHandle | None = None
        self._when = 0.0

    def at(self, when: float) -> None:
        """Fire at `when` (seconds of the loop's clock) at the latest."""
        if self._handle is not None:
            if when >= self._when:
                return
            self._handle.cancel()
        self._when = when
        self._handle = self._loop.call_at(when, self._fire)

    def _fire(self) -> None:
        self._handle = None
        self._callback()

    def cancel(self) -> None:
        """Forget the deadlines."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
