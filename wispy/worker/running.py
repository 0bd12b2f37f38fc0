"""What an object's code is doing at this moment: for deadlines, and to name in the log what hangs.

Read by the I/O thread while the objects' thread writes, so that a `def` which holds up the loop is seen while it does.
There is no lock: each read is of one attribute, or a copy of the dict of jobs that is made in one step.
"""

import asyncio
import logging
import sys
import threading
import time
import traceback
from dataclasses import dataclass

from wispy.protocol.labels import request_name
from wispy.worker.calls import Call
from wispy.worker.turnstile import Job

log = logging.getLogger("wispy.worker")

SHOWN_FRAMES = 6
"""Innermost frames in the log: enough to lead from the served method into the library where it waits."""


SLOW_PAUSE_S = 1.0
"""Seconds between two lines about slow calls of an object: a method that is always slow must not fill the disk."""


@dataclass(frozen=True, slots=True)
class Occupation:
    """Who has the objects' loop."""

    call: Call
    since: float  # monotonic seconds: when the call started


class Running:
    """The calls of one object that run. Built in the objects' thread.

    Args:
        name: the object's name.
        loop: the objects' loop.
        hang_warning_s: seconds of running from which on a call is named in the log.
        slow_call_s: seconds of running from which on a call is named when it ends.
    """

    def __init__(self, name: str, loop: asyncio.AbstractEventLoop, hang_warning_s: float, slow_call_s: float) -> None:
        self.current: Call | None = None
        """The call that runs on the loop itself, if it is no task."""
        self.jobs: dict[tuple[str, int], Job] = {}
        """Those that run beside others, tasks and threads, by session and id."""
        self._name = name
        self._loop = loop
        self._thread = threading.get_ident()
        self._hang_warning_s = hang_warning_s
        self.slow_call_s = slow_call_s
        self._slow_logged = -SLOW_PAUSE_S
        self._slow_unlogged = 0

    def occupation(self) -> Occupation | None:
        """Which call holds the objects' loop, if any. From any thread."""
        call = self.current
        if call is None and (task := asyncio.current_task(self._loop)) is not None:
            call = next((job.call for job in list(self.jobs.values()) if job.task is task), None)
        started = call.started if call is not None else None
        return None if call is None or started is None else Occupation(call, started)

    def overdue(self, now: float) -> list[Call]:
        """The calls that run past their deadline, and whose owner has not answered for them yet. From any thread."""
        calls = [job.call for job in list(self.jobs.values())]
        current = self.current
        if current is not None:
            calls.append(current)
        return [call for call in calls if call.deadline < now and not call.expired]

    def report_hangs(self, now: float) -> None:
        """Log each call that has been running for too long, once. From any thread."""
        occupation = self.occupation()
        if occupation is not None:
            effect = "; nothing else of this process's objects runs meanwhile"
            self._report(occupation.call, now, effect, self._thread)
        for job in list(self.jobs.values()):
            self._report(job.call, now, "", job.thread)

    def report_end(self, call: Call) -> None:
        """Log that a call which was named as hanging has ended."""
        duration_s = time.monotonic() - (call.started or 0.0)
        log.warning("%s has ended after %.1f s", label(self._name, call), duration_s)

    def report_slow(self, call: Call, now: float) -> None:
        """Log a call that has just ended if it was slow, and was not named as hanging."""
        duration_s = now - (now if call.started is None else call.started)
        if duration_s < self.slow_call_s or call.reported:
            return
        if now - self._slow_logged < SLOW_PAUSE_S:
            self._slow_unlogged += 1
            return
        skipped = f" ({self._slow_unlogged} other slow calls before it were not logged)" if self._slow_unlogged else ""
        self._slow_logged, self._slow_unlogged = now, 0
        log.warning("slow: %s took %.3f s%s", label(self._name, call), duration_s, skipped)

    def _report(self, call: Call, now: float, effect: str, thread: int | None) -> None:
        started = call.started
        if call.reported or started is None or now - started < self._hang_warning_s:
            return
        call.reported = True
        log.warning(
            "%s has been running for %.1f s%s%s", label(self._name, call), now - started, effect, _place(thread)
        )


def label(name: str, call: Call) -> str:
    """The call as a log names it: object and path, and which request it is."""
    return f"{'.'.join((name, *call.path))} ({call.op}, request {request_name(call.session, call.id)})"


def _place(thread: int | None) -> str:
    """Where a thread stands."""
    if thread is None:
        return ""
    frame = sys._current_frames().get(thread)  # pyright: ignore[reportPrivateUsage] # documented, in spite of its name
    if frame is None:
        return ""
    return "; it is at:\n" + "".join(traceback.format_stack(frame)[-SHOWN_FRAMES:]).rstrip()
