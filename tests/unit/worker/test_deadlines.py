"""When a call has run, or waited, for too long: the loop's timers are the test's, and nothing waits."""

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

import pytest

from wispy.worker.calls import Call
from wispy.worker.deadlines import SWEEP_S, Deadlines
from wispy.worker.modes import Kind, Mode
from wispy.worker.running import Running
from wispy.worker.turnstile import Job, Turnstile

MODE = Mode(kind=Kind.ASYNCHRONOUS, locking=True, idempotent=False, timeout_s=1.0)


@dataclass
class Timer:
    when: float
    callback: Callable[[], None]
    is_cancelled: bool = False

    def cancel(self) -> None:
        self.is_cancelled = True


@dataclass
class Loop:
    """Its timers fire when the test says so."""

    timers: list[Timer] = field(default_factory=list[Timer])

    def call_at(self, when: float, callback: Callable[[], None]) -> Timer:
        self.timers.append(Timer(when, callback))
        return self.timers[-1]

    @property
    def next(self) -> Timer | None:
        """The one timer that is set."""
        live = [timer for timer in self.timers if not timer.is_cancelled]
        assert len(live) <= 1
        return live[0] if live else None

    def fire(self) -> None:
        timer = self.next
        assert timer is not None
        self.timers.remove(timer)
        timer.callback()


class Bench:
    """The calls of one object, and what became of them."""

    def __init__(self) -> None:
        self.loop = Loop()
        loop = cast("asyncio.AbstractEventLoop", self.loop)
        self.running = Running("sample", loop, 60.0, 60.0)
        self.turnstile = Turnstile(1)
        self.cut_short: list[int] = []
        self.given_up: list[int] = []
        self.deadlines = Deadlines(loop, self.running, self.turnstile, cut_short=self._cut_short, give_up=self._give_up)

    def _cut_short(self, job: Job) -> None:
        job.cut_short = "deadline"
        self.cut_short.append(job.call.id)

    def _give_up(self, call: Call) -> None:
        self.given_up.append(call.id)
        self.turnstile.remove(call)

    def run(self, id: int, deadline: float, *, is_task: bool = True) -> Job:
        """A call that runs beside others, with a task or in a thread."""
        call = Call("me", id, "call", ("f",), deadline=deadline)
        job = Job(call, None, [], {}, MODE, task=object() if is_task else None)
        self.running.jobs["me", id] = job
        return job

    def wait(self, session: str, id: int, start_by: float) -> None:
        """A call that waits for the lock, or behind one of its session that does."""
        call = Call(session, id, "call", ("f",), start_by=start_by)
        if session in self.turnstile.lines:
            self.turnstile.wait_behind(call)
        else:
            assert not self.turnstile.admit(Job(call, None, [], {}, MODE))


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_what_runs_past_its_deadline_is_cut_short_once(bench: Bench) -> None:
    now = time.monotonic()
    bench.run(1, now - 1)
    bench.run(2, now + 100)
    bench.deadlines.by(now - 1)
    bench.loop.fire()
    assert bench.cut_short == [1]
    bench.loop.fire()  # it is not gone yet: it may take its time to end
    assert bench.cut_short == [1]


def test_what_a_thread_runs_is_not_cut_short_here(bench: Bench) -> None:
    bench.run(1, time.monotonic() - 1, is_task=False)
    bench.deadlines.by(0.0)
    bench.loop.fire()
    assert bench.cut_short == []
    assert bench.loop.next is None


def test_it_comes_back_for_the_next_deadline_and_only_for_that(bench: Bench) -> None:
    now = time.monotonic()
    bench.run(1, now + 100)
    bench.run(2, now + 50)
    bench.deadlines.by(now)
    bench.loop.fire()
    assert bench.loop.next is not None
    assert bench.loop.next.when == now + 50
    bench.running.jobs.clear()
    bench.loop.fire()
    assert bench.loop.next is None, "where nothing is left, nothing is looked for"


def test_deadlines_that_lie_close_together_cost_one_look(bench: Bench) -> None:
    bench.run(1, time.monotonic() + SWEEP_S / 10)
    bench.deadlines.by(0.0)
    before = time.monotonic()
    bench.loop.fire()
    assert bench.loop.next is not None
    assert bench.loop.next.when >= before + SWEEP_S or bench.cut_short == [1], "or this machine was that slow"


def test_what_has_waited_for_too_long_is_given_up(bench: Bench) -> None:
    now = time.monotonic()
    bench.turnstile.is_locked = True
    bench.wait("a", 1, now + 100)
    bench.wait("a", 2, now - 1)
    bench.wait("b", 3, now - 1)
    bench.deadlines.by(now)
    bench.loop.fire()
    assert bench.given_up == [2, 3]
    assert bench.loop.next is not None
    assert bench.loop.next.when == now + 100


def test_what_has_left_with_the_head_before_it_is_not_given_up_as_well(bench: Bench) -> None:
    """The runner looks at those behind a head that is gone: they may run at once, or be refused by it."""
    now = time.monotonic()
    bench.turnstile.is_locked = True
    bench.wait("a", 1, now - 1)
    bench.wait("a", 2, now - 1)
    bench.deadlines.by(now)
    bench.loop.fire()
    assert bench.given_up == [1]


def test_without_a_deadline_there_is_no_timer(bench: Bench) -> None:
    bench.deadlines.by(math.inf)
    assert bench.loop.next is None


def test_once_stopped_it_looks_no_more(bench: Bench) -> None:
    bench.deadlines.by(time.monotonic())
    bench.deadlines.stop()
    assert bench.loop.next is None
