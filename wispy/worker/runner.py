"""Runs the requests of one object, on the objects' loop; answers and channel updates come out in batches.

Rules:
- Everything here happens on the objects' loop and thread, except where a docstring says otherwise.
- What ends in one turn of the loop is handed over together, with the channel updates of that turn. A batch of
  synchronous calls costs one hand-over, and no future or task.
- A call starts when its session's earlier ones have started, its start is not overdue, and the lease allows it: both
  are asked at the last moment before its code runs. Where the lease is gone, calls are held, in order and unanswered.
- Each call that starts ends in exactly one outcome, whatever its code does. Until then it takes its room: synchronous
  code cannot be stopped. At its deadline the owner answers for it (`overdue`, `expire`); asynchronous code is
  cancelled.
- Contextvars that one call sets, another does not see.

Bounds: the runner holds what the owner hands in, and the owner hands in only what it has room for.
"""

import asyncio
import contextvars
import functools
import logging
import math
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, cast

from wispy.config.schema import Config
from wispy.protocol import errors
from wispy.protocol.errors import RPCError
from wispy.timing import EarliestTimer
from wispy.worker import answers
from wispy.worker.calls import Call, ChannelUpdate, Outcome
from wispy.worker.modes import Kind, Mode, Modes, longest_run_s
from wispy.worker.running import Occupation, Running, label
from wispy.worker.threads import ThreadPool
from wispy.worker.turnstile import FREE, Job, Turnstile

if TYPE_CHECKING:
    from wispy.worker.served import ServedObject

log = logging.getLogger("wispy.worker")

TURN_S: Final = 0.005
"""Seconds after which a turn starts no more calls: asynchronous code and updates are held up by no more than this and
one call, while a full batch of quick calls (64 in a fifth of a millisecond) still fits many times over."""

SWEEP_S: Final = 0.02
"""Seconds between two looks at deadlines: many that lie close together cost one look."""

PLAIN: Final = frozenset({type(None), bool, int, float, str, bytes, list, tuple, dict, set})
"""Types of results that need no look at whether they are awaitable."""


class Method(Protocol):
    """What a path to a method resolves to."""

    @property
    def function(self) -> Callable[..., Any]: ...
    def bind(self, args: list[Any], kwargs: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]: ...


OnOutcomes = Callable[[list[Outcome], list[ChannelUpdate]], None]


class Runner:
    """The requests of one object. Built in the objects' thread.

    Args:
        served: the object.
        config: all settings.
        may_start: the lease check: whether a call may start now. Quick; asked before each.
        on_outcomes: gets the channel updates and the outcomes of a turn; updates are to be published first.
    """

    def __init__(
        self, served: "ServedObject", config: Config, *, may_start: Callable[[], bool], on_outcomes: OnOutcomes
    ) -> None:
        self._served = served
        self._access = served.access
        self._channels = served.channels
        self._may_start = may_start
        self._on_outcomes = on_outcomes
        self._loop = served.loop
        self._thread = threading.get_ident()
        settings = config.of_object(served.name)
        self._modes = Modes(settings.func_caller)
        self._run_timeout_s: float = settings.func_caller.run_timeout_default  # of what is not a call, and of paths
        self._errors = answers.ObjectErrors(served.name, with_traceback=settings.interface.traceback_access)
        self._running = Running(served.name, self._loop, settings.func_caller.hang_warning)
        size = config.synchronous_task_lock.max_workers or min(32, (os.cpu_count() or 1) + 4)  # as in Python's pool
        self._pool = ThreadPool(f"wispy-{served.name}", size)
        self._turnstile = Turnstile(size)
        self._context = (
            contextvars.copy_context()
        )  # what modules have set (a decimal context, ...) each call starts with

        self._backlog: deque[Call] = deque()  # taken in, and not yet looked at
        self._jobs = self._running.jobs
        self._beginning: dict[str, int] = {}  # session to its tasks that have not made their first step
        self._from_threads: deque[Job] = deque()  # ended in a thread. Written by other threads
        self._outcomes: list[Outcome] = []  # of this turn
        self._in_turn = False
        self._is_due = False  # a turn is scheduled
        self._is_held = False  # the lease is gone: nothing starts before the owner says so
        self._is_draining = False
        self._is_closed = False
        self._drained: asyncio.Future[None] | None = None
        self._sweeper = EarliestTimer(self._loop, self._sweep)
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
        job = self._jobs.get((session, id))
        if job is not None:
            self._cut_short(job, "caller")
            return
        call = self._turnstile.find(session, id)
        if call is not None:
            self._backlog.extendleft(reversed(self._turnstile.remove(call)))
        else:
            call = next((call for call in self._backlog if call.id == id and call.session == session), None)
            if call is None:
                return  # it has ended, or the owner never had it
            self._backlog.remove(call)
        self._end(call, errors.CANCELLED("the request was cancelled before it started", executed="no").to_json(), True)
        self._wake()

    async def drain(self) -> list[Call]:
        """Start nothing more, and wait for the calls that run. Returned are those that were not started."""
        self._is_draining = True
        while self._jobs:
            self._drained = self._loop.create_future()
            await self._drained
        return [*self._turnstile.waiting(), *self._backlog]

    def close(self) -> None:
        """Stop at once: asynchronous code is cancelled, what threads still bring is dropped, nothing is handed over."""
        self._is_draining = self._is_closed = True
        self._channels.on_dirty = None
        self._sweeper.cancel()
        for job in self._jobs.values():
            self._cut_short(job, "caller")
        self._pool.stop()

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
            log.debug("%s expires after the objects' loop was closed", label(self._served.name, call))

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
            if not self._is_draining:
                self._start_waiting()
        finally:
            self._in_turn = False
            self._running.current = None
        if (self._backlog or self._turnstile.ready) and not self._is_draining and not self._is_held:
            self._wake()
        self._hand_over()

    def _start_waiting(self) -> None:
        """Start what may start, until the turn is over."""
        turnstile, backlog, ready = self._turnstile, self._backlog, self._turnstile.ready
        self._is_held = False
        now = time.monotonic()
        until = now + TURN_S
        while now < until and not self._is_held:
            if ready:
                self._resume(ready.popleft(), now)
            elif backlog:
                call = backlog.popleft()
                if turnstile.has_line(call.session):
                    turnstile.wait_behind(call)
                    self._sweep_by(call.start_by)
                else:
                    self._begin(call, now)
            else:
                break
            now = time.monotonic()

    def _hand_over(self) -> None:
        updates = self._channels.flush() if self._channels.is_dirty else []
        outcomes = self._outcomes
        if outcomes or updates:
            self._outcomes = []
            if not self._is_closed:
                self._on_outcomes(outcomes, updates)

    def _channels_changed(self) -> None:
        """A channel has changed. Called from any thread, once until the next flush."""
        if threading.get_ident() == self._thread:
            self._wake()
            return
        try:
            self._loop.call_soon_threadsafe(self._wake)
        except RuntimeError:  # the loop is closed: nobody is left who could be told
            log.debug("a change of %s comes after the objects' loop was closed", self._served.name)

    # --- a call starts ----------------------------------------------------------------------------------------------

    def _begin(self, call: Call, now: float) -> None:
        """Start a call whose session has none that waits, or have it wait."""
        if not self._may_begin(call, now):
            if self._is_held:
                self._backlog.appendleft(call)
            return
        self._running.current = call  # from here on the object's code may run: properties on the path, too
        if call.op == "call":
            self._begin_call(call, now)
        elif self._beginning and call.session in self._beginning:
            self._wait(Job(call, None, [], {}, FREE), is_turn=True)
        else:
            self._operate(call)
        self._running.current = None

    def _begin_call(self, call: Call, now: float) -> None:
        try:
            method: Method = self._access.resolve_call(call.path)
            args, kwargs = method.bind(*answers.arguments_of(call))
            function = method.function
            mode = self._modes.of(function)
        except BaseException as error:
            self._end(call, self._refusal(call, error), True)
            return
        is_turn = bool(self._beginning) and call.session in self._beginning and mode.kind is not Kind.ASYNCHRONOUS
        if mode.kind is Kind.SYNCHRONOUS and not is_turn and not (mode.locking and self._turnstile.is_locked):
            self._run_here(call, function, args, kwargs, mode, None)
            return
        job = Job(call, function, args, kwargs, mode)
        if is_turn or not self._turnstile.admit(job):
            self._wait(job, is_turn=is_turn)
        else:
            self._launch(job, now)

    def _may_begin(self, call: Call, now: float) -> bool:
        """The last checks before a call starts. If it may not: it was answered, or it is to be held."""
        call.started = now  # before the checks: see `withdraw`; the owner, too, closes the lease before it looks
        call.deadline = now + self._run_timeout_s
        if now > call.start_by or call.withdrawn:
            self._end(call, errors.NOT_STARTED().to_json(), True)
            return False
        if not self._may_start():
            call.started = None
            self._is_held = True
            return False
        return True

    def _wait(self, job: Job, *, is_turn: bool) -> None:
        if is_turn:
            self._turnstile.postpone(job)
        job.call.started = None
        self._sweep_by(job.call.start_by)

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
        self._running.current = job.call
        self._launch(job, now)
        self._running.current = None

    def _launch(self, job: Job, now: float) -> None:
        """Run a job that has what it needs."""
        call, function = job.call, job.function
        if function is None:
            self._operate(call)
            return
        if job.mode.kind is Kind.SYNCHRONOUS:
            self._run_here(call, function, job.args, job.kwargs, job.mode, job)
            return
        call.deadline = now + longest_run_s(job.mode, call.timeout_s)
        job.context = self._context.copy()
        if job.mode.kind is Kind.THREADED:
            self._jobs[call.session, call.id] = job
            self._pool.submit(functools.partial(self._run_in_thread, job), self._pool.size - self._turnstile.places)
            return
        try:
            coroutine = job.context.run(function, *job.args, **job.kwargs)
        except BaseException as error:
            self._end(call, self._errors.answer(call, error), True)
            self._turnstile.release(job)
        else:
            self._await(job, coroutine)

    # --- a call runs ------------------------------------------------------------------------------------------------

    def _run_here(
        self,
        call: Call,
        function: Callable[..., Any],
        args: list[Any],
        kwargs: dict[str, Any],
        mode: Mode,
        job: Job | None,
    ) -> None:
        """Run a synchronous call, on the loop and at once."""
        call.deadline = cast(float, call.started) + longest_run_s(mode, call.timeout_s)
        context = self._context.copy()
        try:
            result = context.run(function, *args, **kwargs)
        except BaseException as error:  # SystemExit and the like too: a page must not end the worker
            self._end(call, self._errors.answer(call, error), True)
        else:
            if type(result) not in PLAIN and is_awaitable(result):
                job = job or Job(call, function, args, kwargs, mode)
                job.context = context
                if mode.locking and not job.has_lock:
                    self._turnstile.take_lock(job)
                self._await(job, result)
                return
            self._end(call, *answers.result(result))
        if job is not None:
            self._turnstile.release(job)

    def _operate(self, call: Call) -> None:
        """Run what is not a call: it is short, or made of the object's own properties."""
        try:
            result = self._context.copy().run(self._operation, call)
        except BaseException as error:
            self._end(call, self._refusal(call, error), True)
        else:
            self._end(call, *answers.result(result))

    def _operation(self, call: Call) -> Any:
        access, op = self._access, call.op
        if op == "get":
            return access.get(call.path)
        if op == "set":
            return access.set(call.path, answers.value_of(call))
        if op == "delete":
            return access.delete(call.path)
        return access.describe(call.path) if op == "describe" else access.source(call.path)

    def _await(self, job: Job, awaitable: Awaitable[Any]) -> None:
        """Run asynchronous code, or await what other code returned, in a task of its own."""
        call = job.call
        self._jobs[call.session, call.id] = job
        coroutine = self._drive(job, awaitable)
        if sys.version_info >= (3, 12):
            job.task = asyncio.Task(coroutine, loop=self._loop, context=job.context, eager_start=True)
        else:  # its first step comes with the loop's next turn, and the session's next call after that
            self._beginning[call.session] = self._beginning.get(call.session, 0) + 1
            job.task = self._loop.create_task(coroutine, context=job.context)
        self._sweep_by(call.deadline)

    async def _drive(self, job: Job, awaitable: Awaitable[Any]) -> None:
        """The body of a task: it raises nothing, and ends the job."""
        job.has_begun = True
        self._has_begun(job.call.session)
        if job.cut_short:  # before its first step, when a cancelled task would have been lost without an answer
            job.task.cancel()
        try:
            body, is_error = answers.result(await awaitable)
        except BaseException as error:
            body, is_error = self._stopped(job, error), True
        self._end_job(job, body, is_error)

    def _has_begun(self, session: str) -> None:
        """A task has made its first step: the session's next call may start."""
        left = self._beginning.pop(session, 0) - 1
        if left > 0:
            self._beginning[session] = left
        elif left == 0:
            self._turnstile.resume(session)
            if self._turnstile.ready:
                self._wake()

    def _run_in_thread(self, job: Job) -> None:
        """Run a threaded call. In a thread of the pool: nothing of the runner may be touched that the loop writes."""
        job.thread = threading.get_ident()
        context, function = cast(contextvars.Context, job.context), cast(Callable[..., Any], job.function)
        try:
            result = context.run(function, *job.args, **job.kwargs)
        except BaseException as error:
            job.body, job.is_error = self._errors.answer(job.call, error), True
        else:
            if is_awaitable(result):
                job.awaitable = result
            else:
                job.body, job.is_error = answers.result(result)
        job.thread = None
        self._from_threads.append(job)
        try:
            self._loop.call_soon_threadsafe(self._collect)
        except RuntimeError:  # the loop is closed: the process ends, nobody waits for the answer
            log.debug("%s ended after the objects' loop was closed", label(self._served.name, job.call))

    def _collect(self) -> None:
        """Take in what threads have brought."""
        while self._from_threads:
            job = self._from_threads.popleft()
            if job.awaitable is not None:
                self._await(job, job.awaitable)
            else:
                self._end_job(job, job.body, job.is_error)

    # --- a call ends ------------------------------------------------------------------------------------------------

    def _end(self, call: Call, body: bytes, is_error: bool) -> None:
        if call.reported:
            self._running.report_end(call)
        self._outcomes.append(Outcome(call, b"" if call.expired else body, is_error))

    def _end_job(self, job: Job, body: bytes, is_error: bool) -> None:
        del self._jobs[job.call.session, job.call.id]
        self._end(job.call, body, is_error)
        self._turnstile.release(job)
        self._wake()
        if self._drained is not None and not self._jobs and not self._drained.done():
            self._drained.set_result(None)

    def _refusal(self, call: Call, error: BaseException) -> bytes:
        return error.to_json() if isinstance(error, RPCError) else self._errors.answer(call, error)

    def _stopped(self, job: Job, error: BaseException) -> bytes:
        """The answer of a task that raised: object code's own exception, unless it was cut short."""
        if not job.cut_short or not isinstance(error, asyncio.CancelledError):
            return self._errors.answer(job.call, error)
        if job.cut_short == "caller":
            return errors.CANCELLED().to_json()
        return errors.TIMED_OUT().to_json()

    # --- a call is cut short, or given up ---------------------------------------------------------------------------

    def _cut_short(self, job: Job, by: Literal["deadline", "caller"]) -> None:
        if job.task is not None and not job.cut_short:
            job.cut_short = by
            if job.has_begun:
                job.task.cancel()

    def _expire(self, call: Call) -> None:
        job = self._jobs.get((call.session, call.id))
        if job is not None:
            self._cut_short(job, "deadline")

    def _sweep_by(self, when: float) -> None:
        if when != math.inf:
            self._sweeper.at(when)

    def _sweep(self) -> None:
        """Cancel and refuse what has passed its deadline, and come back for the next one."""
        now = time.monotonic()
        upcoming = math.inf
        for job in self._jobs.values():
            if job.task is None or job.cut_short:
                continue
            if job.call.deadline <= now:
                self._cut_short(job, "deadline")
            else:
                upcoming = min(upcoming, job.call.deadline)
        if not self._is_draining:  # what is not started then is the next owner's to answer
            for call in list(self._turnstile.waiting()):
                if call.start_by < now:
                    self._backlog.extendleft(reversed(self._turnstile.remove(call)))
                    self._end(call, errors.NOT_STARTED().to_json(), True)
                    self._wake()
                else:
                    upcoming = min(upcoming, call.start_by)
        self._sweep_by(max(upcoming, now + SWEEP_S))


def is_awaitable(result: Any) -> bool:
    """Whether a result is to be awaited. The class is asked, for an instance may say yes to every name."""
    return hasattr(cast("type[object]", type(result)), "__await__")
