"""Decides when each request of one object runs, on the objects' loop; answers and updates come out in batches.

How code runs is the business of `wispy.worker.executor`; who waits for what, that of `wispy.worker.turnstile`; when
something has taken too long, that of `wispy.worker.deadlines`.
Rules here:

- Everything happens on the objects' loop and thread, except where a docstring says otherwise.
- What ends in one turn of the loop is handed over together, with the channel updates of that turn. A batch of
  synchronous calls costs one hand-over, and no future or task.
- A call starts when its session's earlier ones have started, its start is not overdue, and the lease allows it: both
  are asked at the last moment before its code runs. Where the lease is gone, calls are held, in order and unanswered.
- Until a call ends it takes its room: synchronous code cannot be stopped. At its deadline the owner answers for it
  (`overdue`, `expire`); asynchronous code is cancelled.
- Contextvars that one call sets, another does not see.

Bounds: the runner holds what the owner hands in, and the owner hands in only what it has room for.
"""

import contextvars
import functools
import logging
import math
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from wispy.access_log import AccessLog
from wispy.config.schema import Config
from wispy.protocol import errors
from wispy.protocol.identity import ANONYMOUS, Identity
from wispy.worker import answers
from wispy.worker.caller import introduce
from wispy.worker.calls import Call, ChannelUpdate, Outcome
from wispy.worker.counts import ObjectCounts
from wispy.worker.deadlines import Deadlines
from wispy.worker.executor import Executor
from wispy.worker.logging_executor import LoggingExecutor
from wispy.worker.modes import Kind, Modes, longest_run_s
from wispy.worker.running import Occupation, Running, label
from wispy.worker.served import ServedObject
from wispy.worker.turnstile import FREE, Job, Turnstile

log = logging.getLogger("wispy.worker")

TURN_S: Final = 0.005
"""Seconds after which a turn starts no more calls: asynchronous code and updates are held up by no more than this and
one call, while a full batch of quick calls (64 in a fifth of a millisecond) still fits many times over."""

# Python 3.11 takes its time to find a member of an Enum.
_ASYNCHRONOUS: Final = Kind.ASYNCHRONOUS
_SYNCHRONOUS: Final = Kind.SYNCHRONOUS

OnOutcomes = Callable[[list[Outcome], list[ChannelUpdate]], None]


class Runner:
    """The requests of one object. Built in the objects' thread.

    Args:
        served: the object.
        config: all settings.
        may_start: the lease check: whether a call may start now. Quick; asked before each.
        on_outcomes: gets the channel updates and the outcomes of a turn; updates are to be published first.
        counts: what is counted.
    """

    def __init__(
        self,
        served: ServedObject,
        config: Config,
        *,
        may_start: Callable[[], bool],
        on_outcomes: OnOutcomes,
        counts: ObjectCounts,
    ) -> None:
        self._name = served.name
        self._access = served.access
        self._channels = served.channels
        self._loop = served.loop
        self._may_start = may_start
        self._on_outcomes = on_outcomes
        self._thread = threading.get_ident()
        settings = config.of_object(served.name)
        self._modes = Modes(settings.func_caller)
        self._run_timeout_s: float = settings.func_caller.run_timeout_default  # of all that is not a method
        # As many threads as Python's own pool would have.
        places = config.synchronous_task_lock.max_workers or min(32, (os.cpu_count() or 1) + 4)
        self._turnstile = Turnstile(places)
        logged = config.logging_config
        slow_call_s = math.inf if logged.slow_call is None else logged.slow_call
        self._running = Running(served.name, self._loop, settings.func_caller.hang_warning, slow_call_s)
        self._deadlines = Deadlines(
            self._loop, self._running, self._turnstile, cut_short=self._cut_short, give_up=self._give_up
        )
        self._last: Call | None = None
        """The call that was begun last."""
        self._counts = counts
        access_log = AccessLog.of(logged, "worker")
        make_executor = Executor if access_log is None else functools.partial(LoggingExecutor, access_log)
        self._executor = make_executor(
            served.name,
            served.access,
            self._loop,
            turnstile=self._turnstile,
            running=self._running,
            object_errors=answers.ObjectErrors(served.name, with_traceback=settings.interface.traceback_access),
            on_ended=self._wake,
            watch_deadline=self._deadlines.by,
            counts=counts,
        )
        self._beginning = self._executor.beginning
        # What modules have set, a decimal context and the like, each call starts with.
        self._context = contextvars.copy_context()
        """What each call gets a copy of."""
        self._introduced = ANONYMOUS
        """Who asks for what runs in it."""

        self._backlog: deque[Call] = deque()  # taken in, and not yet looked at
        self._in_turn = False
        self._is_due = False  # a turn is scheduled
        self._is_held = False  # the lease is gone: nothing starts before the owner says so
        self._is_closed = False
        self._channels.on_dirty = self._channels_changed

    def begin(self) -> None:
        """Hand over the first values of the channels. Until the first flush, changes gather and nobody is told."""
        self._hand_over()

    # --- requests come in -------------------------------------------------------------------------------------------

    def run(self, calls: list[Call]) -> None:
        """Take calls in, and start them in their order; what is synchronous ends here.

        Without calls: the lease is good again, start what was held.
        """
        self._backlog.extend(calls)
        if not self._is_due and not self._in_turn:
            self._turn()

    def cancel(self, session: str, id: int) -> None:
        """Cancel a call if it can still be. It answers in any case: what has not started CANCELLED, executed no."""
        job = self._running.jobs.get((session, id))
        if job is not None:
            self._executor.cut_short(job, "caller")
            return
        call = self._turnstile.find(session, id)
        if call is not None:
            self._leave(call)
        else:
            call = next((call for call in self._backlog if call.id == id and call.session == session), None)
            if call is None:
                return  # it has ended, or the owner never had it
            self._backlog.remove(call)
        self._executor.refuse(call, errors.CANCELLED("the request was cancelled before it started", executed="no"))
        self._wake()

    def close(self) -> None:
        """Stop at once: asynchronous code is cancelled, what threads still bring is dropped, nothing is handed over."""
        self._is_closed = True
        self._channels.on_dirty = None
        self._deadlines.stop()
        self._executor.close()

    # --- for the owner's I/O thread ---------------------------------------------------------------------------------

    def running(self) -> Occupation | None:
        """Which call holds the objects' loop, if any. From any thread."""
        return self._running.occupation()

    def overdue(self, now: float) -> list[Call]:
        """The calls that run past their deadline and were not expired yet. From any thread.

        Args:
            now: monotonic seconds.
        """
        return self._running.overdue(now)

    def report_hangs(self, now: float) -> None:
        """Log the calls that have been running for longer than `func_caller.hang_warning`. From any thread.

        Each is named once, and once more when it ends. To be called about once a second.

        Args:
            now: monotonic seconds.
        """
        self._running.report_hangs(now)

    def expire(self, call: Call) -> None:
        """The owner has answered for this call: what it still brings is dropped, its room is taken until it ends.

        Asynchronous code is cancelled. From any thread.
        """
        call.expired = True
        try:
            self._loop.call_soon_threadsafe(self._expire, call)
        except RuntimeError:  # the loop is closed: the process ends, and every task with it
            log.debug("%s expires after the objects' loop was closed", label(self._name, call))

    def withdraw(self, call: Call) -> bool:
        """Have a call not start. True: it has not, and will not, so the owner may answer executed no. From any thread.

        Its outcome still comes, and is the same: NOT_STARTED. False: it has started, and ends as it ends.
        """
        # The runner writes `started` before it reads `withdrawn`; here it is the other way round. So at least one of
        # the two sees the other.
        call.withdrawn = True
        return call.started is None

    # --- turns ------------------------------------------------------------------------------------------------------

    def _wake(self) -> None:
        """Have a turn soon, unless one is running."""
        if not self._is_due and not self._in_turn and not self._is_closed:
            self._is_due = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        self._is_due = False
        self._in_turn = True
        try:
            if not self._is_closed:
                self._start_waiting()
        finally:
            self._in_turn = False
            self._running.current = None
        if (self._backlog or self._turnstile.ready) and not self._is_held:
            self._wake()
        self._hand_over()

    def _start_waiting(self) -> None:
        """Start what may start, until the turn is over."""
        turnstile, backlog = self._turnstile, self._backlog
        ready, lines = turnstile.ready, turnstile.lines
        monotonic = time.monotonic
        self._is_held = False
        ended = len(self._executor.outcomes) - self._executor.apart
        now = before = began = monotonic()
        until = now + min(TURN_S, self._running.slow_call_s)  # a slow call is the last of its turn
        while now < until and not self._is_held:
            if ready:
                self._resume(ready.popleft(), now)
            elif backlog:
                call = backlog.popleft()
                if call.session in lines:
                    turnstile.wait_behind(call)
                    self._deadlines.by(call.start_by)
                else:
                    self._begin(call, now)
            else:
                break
            before, now = now, monotonic()
        self._counts.busy_s += now - began
        ended = len(self._executor.outcomes) - self._executor.apart - ended
        if ended:
            self._counts.observe_turn(ended, now - began, now - before if self._has_last_ended() else None)
        if now - began >= self._running.slow_call_s:
            self._report_slow(now)

    def _has_last_ended(self) -> bool:
        """Whether the call that was begun last was also the last to end, in this turn and here."""
        executor = self._executor
        return executor.outcomes[-1].call is self._last and executor.last_apart is not self._last

    def _report_slow(self, now: float) -> None:
        """A turn was long. What ended at once in it was quick, but for the last; a task is looked at when it ends."""
        call = self._last
        if call is not None and (call.session, call.id) not in self._running.jobs:
            self._running.report_slow(call, now)

    def _hand_over(self) -> None:
        updates = self._channels.flush() if self._channels.is_dirty else []
        outcomes = self._executor.take_outcomes() if self._executor.outcomes else []
        if (outcomes or updates) and not self._is_closed:
            self._on_outcomes(outcomes, updates)

    def _channels_changed(self) -> None:
        """A channel has changed. Called from any thread, once until the next flush."""
        if threading.get_ident() == self._thread:
            self._wake()
            return
        try:
            self._loop.call_soon_threadsafe(self._wake)
        except RuntimeError:  # the loop is closed: nobody is left who could be told
            log.debug("a change of %s comes after the objects' loop was closed", self._name)

    # --- a call starts ----------------------------------------------------------------------------------------------

    def _begin(self, call: Call, now: float) -> None:
        """Start a call whose session has none that waits, or have it wait."""
        if not self._may_begin(call, now):
            if self._is_held:
                self._backlog.appendleft(call)
            return
        self._last = self._running.current = call  # from here on the object's code may run: properties on the path, too
        if call.op == "call":
            self._begin_call(call, now)
        elif call.session in self._beginning:
            self._postpone(Job(call, None, [], {}, FREE))
        else:
            self._executor.operate(call, self._context_of(call))
        self._running.current = None

    def _begin_call(self, call: Call, now: float) -> None:
        try:
            method = self._access.resolve_call(call.path, call.identity.roles)
            if method.limiter is not None:
                method.limiter.check(call.session, now)
            args, kwargs = method.bind(*answers.arguments_of(call))
            function = method.function
            mode = method.mode
            if mode is None:
                mode = method.mode = self._modes.of(function)
        except BaseException as error:
            self._executor.refuse(call, error)
            return
        if call.session in self._beginning and mode.kind is not _ASYNCHRONOUS:
            self._postpone(Job(call, function, args, kwargs, mode))
        elif mode.kind is _SYNCHRONOUS and not (mode.locking and self._turnstile.is_locked):
            call.deadline = now + (mode.timeout_s if call.timeout_s is None else longest_run_s(mode, call.timeout_s))
            context = self._context_of(call)
            awaitable = self._executor.run_here(call, function, args, kwargs, context)
            if awaitable is not None:
                job = Job(call, function, args, kwargs, mode, context=context)
                if mode.locking:
                    self._turnstile.take_lock(job)
                self._executor.start_task(job, awaitable)
        else:
            job = Job(call, function, args, kwargs, mode)
            if self._turnstile.admit(job):
                self._launch(job, now)
            else:
                self._waits(call)

    def _context_of(self, call: Call) -> contextvars.Context:
        """What a call runs in."""
        if call.identity is not self._introduced:
            self._introduce(call.identity)
        return self._context.copy()

    def _introduce(self, identity: Identity) -> None:
        """Have the next calls be this caller's: those of a block of requests come one after the other."""
        self._introduced = identity
        introduce(self._context, identity)

    def _may_begin(self, call: Call, now: float) -> bool:
        """The last checks before a call starts. If it may not: it was answered, or it is to be held."""
        call.started = now  # before the checks: see `withdraw`; the owner, too, closes the lease before it looks
        call.deadline = now + self._run_timeout_s
        if now > call.start_by or call.withdrawn:
            self._executor.refuse(call, errors.NOT_STARTED())
            return False
        if not self._may_start():
            call.started = None
            self._is_held = True
            return False
        return True

    def _postpone(self, job: Job) -> None:
        """Have a job wait until its session's tasks have begun."""
        self._turnstile.postpone(job)
        self._waits(job.call)

    def _waits(self, call: Call) -> None:
        call.started = None
        self._deadlines.by(call.start_by)

    def _resume(self, job: Job, now: float) -> None:
        """Start the head of a line that has got what it waited for; those behind it come next."""
        may_begin = self._may_begin(job.call, now)
        if self._is_held:
            self._turnstile.ready.appendleft(job)
            return
        self._backlog.extendleft(reversed(self._turnstile.leave_line(job)))
        if not may_begin:
            self._turnstile.release(job)
            return
        self._last = self._running.current = job.call
        self._launch(job, now)
        self._running.current = None

    def _launch(self, job: Job, now: float) -> None:
        """Run a job that has what it needs."""
        if job.function is not None:
            job.call.deadline = now + longest_run_s(job.mode, job.call.timeout_s)
        self._executor.launch(job, self._context_of(job.call))

    # --- deadlines --------------------------------------------------------------------------------------------------

    def _expire(self, call: Call) -> None:
        job = self._running.jobs.get((call.session, call.id))
        if job is not None:
            self._cut_short(job)

    def _cut_short(self, job: Job) -> None:
        self._executor.cut_short(job, "deadline")

    def _give_up(self, call: Call) -> None:
        """A call that waits has waited for too long."""
        self._leave(call)
        self._executor.refuse(call, errors.NOT_STARTED())
        self._wake()

    def _leave(self, call: Call) -> None:
        """Take a waiting call out of its line; what stood behind it, if it was the head, is looked at anew."""
        self._backlog.extendleft(reversed(self._turnstile.remove(call)))
