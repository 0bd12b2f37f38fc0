"""Runs the code of calls that may run, in one of three ways, and makes outcomes of whatever it does.

When a call may run is the business of `wispy.worker.runner`. Rules here:

- Each call that starts ends in exactly one outcome, whatever its code raises, SystemExit and the like included.
- A result is encoded where it was made and at once, so that an answer tells what was when the call ended.
- Any code may return an awaitable; it is awaited in a task, and the call ends with that.
- A task that is cancelled ends as its code decides. What swallows the cancellation goes on, and keeps its room.
"""

import asyncio
import contextvars
import functools
import logging
import sys
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final, Literal

from wispy.protocol import errors
from wispy.protocol.errors import RPCError
from wispy.worker import answers
from wispy.worker.access import Access, PendingValue
from wispy.worker.calls import Call, Outcome
from wispy.worker.counts import ObjectCounts
from wispy.worker.modes import Kind
from wispy.worker.resolver import RaisedByObjectError
from wispy.worker.running import Running, label
from wispy.worker.statics import is_awaitable
from wispy.worker.threads import ThreadPool
from wispy.worker.turnstile import FREE, Job, Turnstile

log = logging.getLogger("wispy.worker")

PLAIN: Final = frozenset({type(None), bool, int, float, str, bytes, list, tuple, dict, set})
"""Types of results that need no look at whether they are awaitable."""


class Executor:
    """The code of one object. Everything runs in the objects' thread, except where it says otherwise.

    Args:
        name: the object's name.
        access: what may be done to it.
        loop: the objects' loop.
        turnstile: where locks and places are given back.
        running: the calls that run, kept up here.
        object_errors: how exceptions are told.
        on_ended: called when something has ended beside the runner's own turn, or may start.
        watch_deadline: called with the deadline (monotonic seconds) of what is to be cut short when it has passed.
        counts: what is counted.
    """

    def __init__(
        self,
        name: str,
        access: Access,
        loop: asyncio.AbstractEventLoop,
        *,
        turnstile: Turnstile,
        running: Running,
        object_errors: answers.ObjectErrors,
        on_ended: Callable[[], None],
        watch_deadline: Callable[[float], None],
        counts: ObjectCounts,
    ) -> None:
        self.outcomes: list[Outcome] = []
        """What has ended and was not taken yet."""
        self.beginning: dict[str, int] = {}
        """Session to its tasks that have not made their first step: its next call must not overtake them."""
        self.apart = 0
        """Calls that ended and are no part of the time of a turn: they ran beside, or were refused."""
        self.last_apart: Call | None = None
        """The last of them."""
        self._name = name
        self._access = access
        self._loop = loop
        self._turnstile = turnstile
        self._running = running
        self._jobs = running.jobs
        self._errors = object_errors
        self._on_ended = on_ended
        self._watch_deadline = watch_deadline
        self._counts = counts
        self._done, self._failed, self._refused = counts.done, counts.failed, counts.refused
        self._pool = ThreadPool(f"wispy-{name}", turnstile.places)
        self._from_threads: deque[Job] = deque()  # ended in a thread. Written by other threads

    def take_outcomes(self) -> list[Outcome]:
        """What has ended since the last time."""
        outcomes, self.outcomes = self.outcomes, []
        return outcomes

    def close(self) -> None:
        """Cancel asynchronous code; threads end with what they are doing."""
        for job in self._jobs.values():
            self.cut_short(job, "caller")
        self._pool.stop()

    # --- a call runs ------------------------------------------------------------------------------------------------

    def run_here(
        self,
        call: Call,
        function: Callable[..., Any],
        args: list[Any],
        kwargs: dict[str, Any],
        context: contextvars.Context,
    ) -> Awaitable[Any] | None:
        """Run a synchronous call, on the loop and at once. What it returns, if anything, is still to be awaited."""
        try:
            result = context.run(function, *args, **kwargs)
        except BaseException as error:
            self.end(call, self._errors.answer(call, error), True)
            return None
        if type(result) not in PLAIN and is_awaitable(result):
            return result
        body, is_error = answers.result(result)
        self.end(call, body, is_error)
        return None

    def operate(self, call: Call, context: contextvars.Context) -> None:
        """Run what is not a call: it is short, or made of the object's own properties, which may have to be awaited."""
        try:
            result = context.run(self._operation, call)
        except BaseException as error:
            self.refuse(call, error)
            return
        if type(result) is PendingValue:
            self.start_task(Job(call, None, [], {}, FREE, context=context, check=result.check), result.awaitable)
        else:
            self.end(call, *answers.result(result))

    def launch(self, job: Job, context: contextvars.Context) -> None:
        """Run a job that has what it needs; it is released when it ends."""
        call, function = job.call, job.function
        job.context = context
        if function is None:
            self.operate(call, context)
        elif job.mode.kind is Kind.SYNCHRONOUS:
            awaitable = self.run_here(call, function, job.args, job.kwargs, context)
            if awaitable is None:
                self._turnstile.release(job)
            else:
                self.start_task(job, awaitable)
        elif job.mode.kind is Kind.THREADED:
            self._jobs[call.session, call.id] = job
            busy = self._pool.size - self._turnstile.places
            try:
                self._pool.submit(functools.partial(self._run_in_thread, job, function, context), busy)
            except RuntimeError as error:
                log.error("%s cannot run: %s", label(self._name, call), error)
                self._end_job(job, errors.OVERLOADED("the worker can start no thread").to_json(), True)
        else:
            try:
                coroutine = context.run(function, *job.args, **job.kwargs)
            except BaseException as error:
                self.end(call, self._errors.answer(call, error), True)
                self._turnstile.release(job)
            else:
                self.start_task(job, coroutine)

    def start_task(self, job: Job, awaitable: Awaitable[Any]) -> None:
        """Run asynchronous code, or await what other code returned, in a task of its own."""
        call = job.call
        self._jobs[call.session, call.id] = job
        coroutine = self._drive(job, awaitable)
        if sys.version_info >= (3, 12):
            job.task = asyncio.Task(coroutine, loop=self._loop, context=job.context, eager_start=True)
        else:  # its first step comes with the loop's next turn, and the session's next call after that
            self.beginning[call.session] = self.beginning.get(call.session, 0) + 1
            job.task = self._loop.create_task(coroutine, context=job.context)
        self._watch_deadline(call.deadline)

    def _operation(self, call: Call) -> Any:
        access, op, roles = self._access, call.op, call.identity.roles
        if op == "get":
            return access.get(call.path, roles)
        if op == "set":
            return access.set(call.path, answers.value_of(call), roles)
        if op == "delete":
            return access.delete(call.path, roles)
        return access.describe(call.path, roles) if op == "describe" else access.source(call.path, roles)

    async def _drive(self, job: Job, awaitable: Awaitable[Any]) -> None:
        """The body of a task: it raises nothing, and ends the job."""
        job.has_begun = True
        self._has_begun(job.call.session)
        if job.cut_short:  # before its first step, when a cancelled task would have been lost without an answer
            job.task.cancel()
        try:
            value = await awaitable
        except BaseException as error:
            self._end_job(job, self._stopped(job, error), True)
            return
        try:
            if job.check is not None:
                job.check(value)
        except RPCError as error:
            self._end_job(job, b"", True, refusal=error)
        except BaseException as error:
            self._end_job(job, self._errors.answer(job.call, error), True)
        else:
            self._end_job(job, *answers.result(value))

    def _has_begun(self, session: str) -> None:
        """A task has made its first step: the session's next call may start."""
        left = self.beginning.pop(session, 0) - 1
        if left > 0:
            self.beginning[session] = left
        elif left == 0:
            self._turnstile.resume(session)
            if self._turnstile.ready:
                self._on_ended()

    def _run_in_thread(self, job: Job, function: Callable[..., Any], context: contextvars.Context) -> None:
        """Run a threaded call. In a thread of the pool: it touches the job, and nothing else that the loop writes."""
        job.thread = threading.get_ident()
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
            log.debug("%s ended after the objects' loop was closed", label(self._name, job.call))

    def _collect(self) -> None:
        """Take in what threads have brought."""
        while self._from_threads:
            job = self._from_threads.popleft()
            if job.awaitable is not None:
                self.start_task(job, job.awaitable)
            else:
                self._end_job(job, job.body, job.is_error)

    # --- a call ends ------------------------------------------------------------------------------------------------

    def end(self, call: Call, body: bytes, is_error: bool, *, is_refused: bool = False) -> None:
        """The call has ended with this answer; refused: before the object's code ran."""
        if is_refused:
            self._refused[call.op] += 1
            self._note_apart(call)
        elif is_error or call.expired:
            self._failed[call.op] += 1
        else:
            self._done[call.op] += 1
        if call.reported:
            self._running.report_end(call)
        self.outcomes.append(Outcome(call, b"" if call.expired else body, is_error))

    def refuse(self, call: Call, error: BaseException) -> None:
        """The call has ended with this exception: one of the protocol, or the object's."""
        if isinstance(error, RPCError):
            if error.code == errors.RATE_LIMITED.code:
                self._counts.hit("rate")
            self.end(call, error.to_json(), True, is_refused=True)
            if error.denied is not None:
                self._counts.deny(error.denied)
                self.outcomes[-1].denied = error.denied
        else:
            raised = error.error if isinstance(error, RaisedByObjectError) else error
            self.end(call, self._errors.answer(call, raised), True)

    def cut_short(self, job: Job, by: Literal["deadline", "caller"]) -> None:
        """Cancel a job's task, if it has one and that was not done before."""
        if job.task is not None and not job.cut_short:
            job.cut_short = by
            if job.has_begun:
                job.task.cancel()

    def _end_job(self, job: Job, body: bytes, is_error: bool, *, refusal: RPCError | None = None) -> None:
        del self._jobs[job.call.session, job.call.id]
        now = time.monotonic()
        run_s = now - (now if job.call.started is None else job.call.started)
        self._counts.busy_s += run_s
        self._counts.run.observe(run_s)
        self._running.report_slow(job.call, now)
        if refusal is None:
            self._note_apart(job.call)
            self.end(job.call, body, is_error)
        else:
            self.refuse(job.call, refusal)
        self._turnstile.release(job)
        self._on_ended()

    def _note_apart(self, call: Call) -> None:
        self.apart += 1
        self.last_apart = call

    def _stopped(self, job: Job, error: BaseException) -> bytes:
        """The answer of a task that raised: object code's own exception, unless it was cut short."""
        if not job.cut_short or not isinstance(error, asyncio.CancelledError):
            return self._errors.answer(job.call, error)
        if job.cut_short == "caller":
            return errors.CANCELLED().to_json()
        return errors.TIMED_OUT().to_json()
