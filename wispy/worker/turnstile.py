"""Which of an object's calls may start: the order within each session, the lock, the places in the pool.

Rules:
- The calls of a session start in the order in which they were sent. While one of them (the *head* of the session's
  line) waits for the lock or a place, the later ones wait behind it. Sessions do not wait for one another otherwise.
- The lock goes to the waiting in order of arrival; so do the places in the pool. A call that needs both takes the lock
  first, and keeps it while it waits for a place: whoever has a place never waits for the lock, so nothing is stuck.
- Nothing runs here and no time passes here: the runner asks, starts and ends.

Bounds: everything that waits is a call that the owner has taken in, and it takes in no more than it has room for.
"""

import contextvars
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from wispy.worker.calls import Call
from wispy.worker.modes import Kind, Mode

FREE = Mode(kind=Kind.SYNCHRONOUS, locking=False, idempotent=False, timeout_s=float("inf"))
"""The mode of what is not a call of a method: it waits for nothing but its session's earlier requests."""


@dataclass(slots=True, eq=False)
class Job:
    """A call that waits, or that runs beside others. One that runs at once and to its end needs none."""

    call: Call
    function: Callable[..., Any] | None  # None: not a call of a method
    args: list[Any]
    kwargs: dict[str, Any]
    mode: Mode
    has_lock: bool = False
    has_place: bool = False

    task: Any = None  # the asyncio.Task of asynchronous code
    has_begun: bool = False  # the task has made its first step; before that, cancelling it would lose the answer
    cut_short: Literal["", "deadline", "caller"] = ""  # who had the task cancelled
    context: contextvars.Context | None = None
    check: Callable[[Any], object] | None = None  # raises where what was awaited may not be sent
    awaitable: Awaitable[Any] | None = None  # what a thread brought instead of a result
    body: bytes = b""
    is_error: bool = False
    thread: int | None = None  # where it runs, for the report of a hang


@dataclass(slots=True, eq=False)
class Line:
    """The waiting calls of one session."""

    head: Job
    behind: deque[Call] = field(default_factory=deque[Call])


class Turnstile:
    """The waiting calls of one object.

    Args:
        places: how many threaded calls may run at a time.
    """

    def __init__(self, places: int) -> None:
        self.ready: deque[Job] = deque()
        """Heads that have now got what they waited for."""
        self.is_locked = False
        self.places = places
        """How many are free."""
        self.lines: dict[str, Line] = {}
        """Sessions of which a call waits, so that the next one has to wait behind it."""
        self._for_lock: deque[Job] = deque()
        self._for_place: deque[Job] = deque()
        self._for_turn: dict[str, Job] = {}

    def wait_behind(self, call: Call) -> None:
        """Queue a call of a session that has a line."""
        self.lines[call.session].behind.append(call)

    def admit(self, job: Job) -> bool:
        """Give the job what it needs and return True; or make it the head of its session's line."""
        if self._grant(job):
            return True
        self.lines[job.call.session] = Line(job)
        return False

    def postpone(self, job: Job) -> None:
        """Make the job the head of its session's line until `resume` is called for the session."""
        self.lines[job.call.session] = Line(job)
        self._for_turn[job.call.session] = job

    def resume(self, session: str) -> None:
        """What `postpone` waited for has happened."""
        job = self._for_turn.pop(session, None)
        if job is not None and self._grant(job):
            self.ready.append(job)

    def take_lock(self, job: Job) -> None:
        """A call that found the lock free, and has turned out to go on beside others, keeps it."""
        self.is_locked = job.has_lock = True

    def leave_line(self, job: Job) -> deque[Call]:
        """A head that is ready leaves; returned are those behind it, the oldest first."""
        return self.lines.pop(job.call.session).behind

    def release(self, job: Job) -> None:
        """The job has ended: what it held goes to the next ones, which may become ready."""
        if job.has_lock:
            self.is_locked = job.has_lock = False
            self._pass_on(self._for_lock)
        if job.has_place:
            job.has_place = False
            self.places += 1
            self._pass_on(self._for_place)

    def find(self, session: str, id: int) -> Call | None:
        """The waiting call of the session with this id."""
        line = self.lines.get(session)
        calls = (line.head.call, *line.behind) if line else ()
        return next((call for call in calls if call.id == id), None)

    def waiting(self) -> Iterator[Call]:
        """All that wait, each session's in order."""
        for line in self.lines.values():
            yield line.head.call
            yield from line.behind

    def remove(self, call: Call) -> deque[Call]:
        """Take a waiting call out. Returned are the calls that do not wait any more because it was their head."""
        line = self.lines[call.session]
        if call is not line.head.call:
            line.behind.remove(call)
            return deque()
        job = line.head
        for queue in (self._for_lock, self._for_place, self.ready):
            if job in queue:
                queue.remove(job)
        self._for_turn.pop(call.session, None)
        self.release(job)
        return self.leave_line(job)

    def _pass_on(self, queue: deque[Job]) -> None:
        if queue:
            job = queue.popleft()
            if self._grant(job):
                self.ready.append(job)

    def _grant(self, job: Job) -> bool:
        if job.mode.locking and not job.has_lock:
            if self.is_locked:
                self._for_lock.append(job)
                return False
            self.is_locked = job.has_lock = True
        if job.mode.kind is Kind.THREADED and not job.has_place:
            if not self.places:
                self._for_place.append(job)
                return False
            self.places -= 1
            job.has_place = True
        return True
