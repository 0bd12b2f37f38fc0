"""The runner: order, modes, answers, deadlines and hand-overs, on a real loop with real threads."""

import asyncio
import contextvars
import json
import logging
import re
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from tests.support.waiting import wait_until, wait_until_blocking
from wispy.config.schema import (
    Config,
    FuncCallerConfig,
    InterfaceConfig,
    LoggingConfig,
    SynchronousTaskLockConfig,
)
from wispy.config.units import Seconds
from wispy.protocol import errors
from wispy.protocol.identity import Identity
from wispy.protocol.labels import request_name
from wispy.worker import answers
from wispy.worker import runner as runner_module
from wispy.worker import running as running_module
from wispy.worker.access import Access
from wispy.worker.calls import Call, ChannelUpdate, Operation, Outcome
from wispy.worker.channels import Channels
from wispy.worker.counts import ObjectCounts
from wispy.worker.marks import locking, rate, roles, threaded, timeout
from wispy.worker.runner import Runner

request: contextvars.ContextVar[str] = contextvars.ContextVar("request", default="none")


class Quitter(dict[str, int]):
    """Ends the program when it is looked at."""

    def items(self) -> Any:
        raise SystemExit(3)


class Bench:
    """The object of these tests: methods of every kind, and a log of what began and ended."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.value = 1
        self.open = threading.Event()
        self.gate = asyncio.Event()

    def add(self, a: int, b: int = 0) -> int:
        """Add."""
        self.log.append(f"add {a}")
        return a + b

    def block(self) -> str:
        self.log.append("block")
        self.open.wait(10)
        return "opened"

    async def wait(self, name: str = "") -> str:
        self.log.append(f"wait {name}")
        await self.gate.wait()
        self.log.append(f"waited {name}")
        return name

    async def at_once(self, name: str) -> str:
        self.log.append(f"at_once {name}")
        return name

    @threaded
    def in_thread(self, name: str = "") -> str:
        self.log.append(f"in_thread {name}")
        self.open.wait(10)
        return threading.current_thread().name

    @locking
    async def locked_wait(self, name: str) -> str:
        self.log.append(f"locked {name}")
        await self.gate.wait()
        self.log.append(f"unlocked {name}")
        return name

    @locking
    def locked(self, name: str) -> str:
        self.log.append(f"locked {name}")
        return name

    @locking
    @threaded
    def locked_thread(self, name: str) -> str:
        self.log.append(f"locked {name}")
        self.open.wait(10)
        self.log.append(f"unlocked {name}")
        return name

    @locking
    def locked_coroutine(self, name: str) -> Any:
        return self.wait(name)

    @timeout(0.05)
    async def short(self) -> None:
        await self.gate.wait()

    @timeout(0.05)
    async def stubborn(self) -> str:
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.log.append("swallowed")
            await self.gate.wait()
        return "late"

    @timeout(0.05)
    def short_block(self) -> str:
        self.open.wait(10)
        return "late"

    @property
    def slow(self) -> int:
        self.open.wait(10)
        return 1

    @property
    async def later(self) -> int:
        await self.gate.wait()
        return self.value

    @property
    async def hidden_later(self) -> Any:
        return type(self)

    @property
    def failing(self) -> int:
        raise errors.UNAVAILABLE("of another object")

    @failing.setter
    def failing(self, value: int) -> None:
        raise errors.NOT_FOUND("of another object", denied="role")

    @failing.deleter
    def failing(self) -> None:
        raise errors.RATE_LIMITED("of another object")

    @property
    async def failing_later(self) -> int:
        raise errors.NOT_FOUND("of another object", denied="role")

    @timeout(0.05)
    @threaded
    def short_thread(self) -> str:
        self.open.wait(10)
        return "late"

    def coroutine(self, name: str) -> Any:
        return self.wait(name)

    @threaded
    def coroutine_in_thread(self, name: str) -> Any:
        return self.at_once(name)

    def fail(self, kind: str) -> None:
        raise {
            "ValueError": ValueError("broken", 5),
            "SystemExit": SystemExit(3),
            "KeyboardInterrupt": KeyboardInterrupt(),
            "CancelledError": asyncio.CancelledError(),
            "GeneratorExit": GeneratorExit(),
            "StopIteration": StopIteration(1),
            "RPCError": errors.NOT_STARTED("not mine"),
        }[kind]

    async def fail_async(self, kind: str) -> None:
        self.fail(kind)

    @threaded
    def fail_in_thread(self, kind: str) -> None:
        self.fail(kind)

    def recurse(self) -> None:
        self.recurse()

    def give_quitter(self) -> dict[str, int]:
        return Quitter()

    async def give_quitter_async(self) -> dict[str, int]:
        return Quitter()

    @threaded
    def give_quitter_in_thread(self) -> dict[str, int]:
        return Quitter()

    def generate(self) -> Iterator[int]:
        yield 1

    async def generate_async(self) -> AsyncIterator[int]:
        yield 1

    def shared(self) -> list[int]:
        self.items = getattr(self, "items", [])
        self.items.append(len(self.items))
        return self.items

    def ask_request(self, name: str) -> str:
        before = request.get()
        request.set(name)
        return before

    async def ask_request_async(self, name: str) -> str:
        before = request.get()
        request.set(name)
        return before


class Stage:
    """A runner with an object, and what it handed over."""

    def __init__(
        self, config: Config, may_start: Callable[[], bool] = lambda: True, flushed: bool = True, target: object = None
    ) -> None:
        self.bench = Bench()
        self.channels = Channels("bench", {"alarm": None}, history=10, limit=10)
        self.channels.values["a"] = 0
        if flushed:
            self.channels.flush()
        self.hand_overs: list[tuple[list[Outcome], list[ChannelUpdate]]] = []
        served: Any = SimpleNamespace(
            name="bench",
            loop=asyncio.get_running_loop(),
            access=Access(target or self.bench, config.interface),
            channels=self.channels,
        )
        self.counts = ObjectCounts()
        self.runner = Runner(
            served,
            config,
            may_start=may_start,
            on_outcomes=lambda *given: self.hand_overs.append(given),
            counts=self.counts,
        )
        self._ids = 0

    @property
    def outcomes(self) -> list[Outcome]:
        return [outcome for outcomes, _ in self.hand_overs for outcome in outcomes]

    def answers(self) -> dict[int, Any]:
        return {
            outcome.call.id: json.loads(outcome.body)["code"] if outcome.is_error else json.loads(outcome.body)
            for outcome in self.outcomes
        }

    def call(self, method: str, *args: Any, session: str = "s", **fields: Any) -> Call:
        self._ids += 1
        return Call(session, self._ids, "call", (method,), msgspec.json.encode(args), **fields)

    def do(self, op: Any, name: str, params: bytes = b"", session: str = "s") -> Call:
        self._ids += 1
        return Call(session, self._ids, op, tuple(name.split(".")), params)

    async def answer(self, call: Call) -> Any:
        """Run it, wait, and return its outcome's JSON."""
        self.runner.run([call])
        return await self.answered(call)

    async def answered(self, call: Call) -> Any:
        await wait_until(lambda: any(outcome.call is call for outcome in self.outcomes), f"{call.path} ends")
        (outcome,) = [outcome for outcome in self.outcomes if outcome.call is call]
        return json.loads(outcome.body)


def settings(**func_caller: Any) -> Config:
    return Config(
        synchronous_task_lock=SynchronousTaskLockConfig(max_workers=2),
        func_caller=FuncCallerConfig(**{"hang_warning": Seconds(10), **func_caller}),
        logging_config=LoggingConfig(slow_call=None),  # one ends a turn
    )


@pytest.fixture(autouse=True)
def long_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine a turn may be over at any moment: only the test of just that wants it."""
    monkeypatch.setattr(runner_module, "TURN_S", 60)


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    made = Stage(settings())
    yield made
    await end(made)


async def end(stage: Stage) -> None:
    stage.bench.open.set()
    stage.bench.gate.set()
    await ended(stage)
    stage.runner.close()


async def ended(stage: Stage) -> None:
    await wait_until(lambda: not stage.runner._running.jobs, "what runs has ended")


def code(outcome: Any) -> tuple[int, str]:
    return outcome["code"], outcome["data"]["executed"]


# --- synchronous calls ----------------------------------------------------------------------------------------------


async def test_a_batch_of_synchronous_calls_ends_within_run_and_is_handed_over_once(stage: Stage) -> None:
    calls = [stage.call("add", number, 1) for number in range(64)]
    stage.runner.run(calls)
    assert len(stage.hand_overs) == 1
    assert [outcome.call for outcome in stage.outcomes] == calls
    assert stage.answers() == {call.id: number + 1 for number, call in enumerate(calls)}


async def test_arguments_by_position_by_name_and_both(stage: Stage) -> None:
    by_name = Call("s", 101, "call", ("add",), b'{"a": 1, "b": 2}')
    both = Call("s", 102, "call", ("add",), b"[1]", b'{"b": 5}')
    none = Call("s", 103, "call", ("generate",), b"")
    wrong = [
        Call("s", 104, "call", ("add",), b"5"),
        Call("s", 105, "call", ("add",), b"[1"),
        Call("s", 106, "call", ("add",), b"[1]", b"[2]"),
        Call("s", 107, "call", ("add",), b"[1]", b"{"),
        Call("s", 108, "set", ("value",), b"{"),
    ]
    stage.runner.run([by_name, both, none, *wrong])
    found = stage.answers()
    assert (found[101], found[102]) == (3, 6)
    assert [found[call.id] for call in wrong] == [errors.INVALID_PARAMS.code] * 5


async def test_attributes(stage: Stage) -> None:
    assert await stage.answer(stage.do("get", "value")) == 1
    assert await stage.answer(stage.do("set", "value", b"[2]")) is None
    assert await stage.answer(stage.do("get", "value")) == [2]
    assert await stage.answer(stage.do("delete", "value")) is None
    assert code(await stage.answer(stage.do("get", "value"))) == (errors.NOT_FOUND.code, "no")
    assert code(await stage.answer(stage.do("delete", "value"))) == (errors.NOT_FOUND.code, "no")
    assert (await stage.answer(stage.do("describe", "add")))["doc"] == "Add."
    assert "self.log.append" in await stage.answer(stage.do("source", "add"))


async def test_what_a_property_gives_is_awaited_beside_others(stage: Stage) -> None:
    later, meanwhile = stage.do("get", "later"), stage.do("get", "value")
    stage.runner.run([later, meanwhile])
    assert await stage.answered(meanwhile) == 1
    assert [outcome.call for outcome in stage.outcomes] == [meanwhile]
    stage.bench.gate.set()
    assert await stage.answered(later) == 1
    assert (stage.counts.done["get"], stage.counts.failed["get"], stage.counts.refused["get"]) == (2, 0, 0)


async def test_what_a_property_gives_later_is_looked_at_as_what_one_gives_at_once(stage: Stage) -> None:
    hidden = stage.do("get", "hidden_later")
    assert await stage.answer(hidden) == await stage.answer(stage.do("get", "absent"))
    assert [outcome.denied for outcome in stage.outcomes] == ["absent", "absent"]
    assert (stage.counts.failed["get"], stage.counts.refused["get"]) == (0, 2)


@pytest.mark.parametrize(
    ("operation", "name", "params"),
    [
        ("get", "failing", b""),
        ("set", "failing", b"1"),
        ("delete", "failing", b""),
        ("get", "failing_later", b""),
        ("get", "failing.part", b""),
        ("set", "failing.part", b"1"),
        ("call", "failing.part", b""),
    ],
)
async def test_what_a_property_raises_is_the_object_s_own(
    stage: Stage, operation: Operation, name: str, params: bytes
) -> None:
    """A property may use another object, by a client of its own: what was refused there was not refused here."""
    raised = await stage.answer(stage.do(operation, name, params))
    assert (raised["code"], raised["data"]["executed"]) == (errors.OBJECT_ERROR.code, "yes")
    assert raised["data"]["type"] == "RPCError"
    assert [outcome.denied for outcome in stage.outcomes] == [None]
    assert (stage.counts.failed[operation], stage.counts.refused[operation]) == (1, 0)


async def test_a_property_that_is_awaited_can_be_cancelled_and_has_a_deadline(stage: Stage) -> None:
    cancelled = stage.do("get", "later")
    stage.runner.run([cancelled])
    stage.runner.cancel("s", cancelled.id)
    assert (await stage.answered(cancelled))["code"] == errors.CANCELLED.code
    impatient = Stage(settings(run_timeout_default=Seconds(0.05)))
    assert (await impatient.answer(impatient.do("get", "later")))["code"] == errors.TIMED_OUT.code
    await end(impatient)


async def test_results_are_copied_before_the_next_call_runs(stage: Stage) -> None:
    stage.runner.run([stage.call("shared") for _ in range(3)])
    assert list(stage.answers().values()) == [[0], [0, 1], [0, 1, 2]]


async def test_a_long_batch_is_handed_over_in_parts_and_lets_others_run(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner_module, "TURN_S", 0.0001)
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0)

    ticking = asyncio.create_task(tick())
    calls = [stage.call("add", number) for number in range(500)]
    stage.runner.run(calls)
    more = [stage.call("add", number) for number in range(500)]
    stage.runner.run(more)
    await wait_until(lambda: len(stage.outcomes) == 1000, "all have ended")
    ticking.cancel()
    assert [outcome.call for outcome in stage.outcomes] == calls + more
    assert len(stage.hand_overs) > 2
    assert ticks > 2


# --- exceptions and results -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["give_quitter", "give_quitter_async", "give_quitter_in_thread"])
async def test_a_result_that_raises_as_it_is_looked_at_ends_its_call_and_nothing_else(
    stage: Stage, method: str
) -> None:
    assert code(await stage.answer(stage.call(method)))[0] == errors.UNSENDABLE.code
    assert await stage.answer(stage.call("add", 1, 2)) == 3


@pytest.mark.parametrize("method", ["fail", "fail_async", "fail_in_thread"])
@pytest.mark.parametrize("kind", ["ValueError", "SystemExit", "KeyboardInterrupt", "CancelledError", "GeneratorExit"])
async def test_whatever_code_raises_is_an_answer_and_the_worker_goes_on(stage: Stage, method: str, kind: str) -> None:
    answer = await stage.answer(stage.call(method, kind))
    assert code(answer) == (errors.OBJECT_ERROR.code, "yes")
    assert answer["data"]["type"] == kind
    assert await stage.answer(stage.call("add", 1, 2)) == 3


async def test_the_arguments_of_an_exception_travel(stage: Stage) -> None:
    answer = await stage.answer(stage.call("fail", "ValueError"))
    assert answer["data"]["args"] == ["broken", 5]
    assert answer["message"].startswith("ValueError: ('broken', 5)")
    assert "traceback" not in answer["data"]


async def test_an_error_of_the_protocol_that_object_code_raises_says_executed_yes(stage: Stage) -> None:
    """It may come from another object that this one called: what it says of that one is not true of this call."""
    assert code(await stage.answer(stage.call("fail", "RPCError"))) == (errors.OBJECT_ERROR.code, "yes")


async def test_stop_iteration_and_endless_recursion(stage: Stage) -> None:
    assert (await stage.answer(stage.call("fail", "StopIteration")))["data"]["type"] == "StopIteration"
    assert (await stage.answer(stage.call("fail_async", "StopIteration")))["data"]["type"] == "RuntimeError"
    assert (await stage.answer(stage.call("recurse")))["data"]["type"] == "RecursionError"


@pytest.mark.parametrize("method", ["generate", "generate_async"])
async def test_generators_are_refused_with_a_way_out(stage: Stage, method: str) -> None:
    answer = await stage.answer(stage.call(method))
    assert code(answer) == (errors.UNSENDABLE.code, "yes")
    assert "return a list" in answer["message"]


async def test_tracebacks_only_where_they_are_switched_on() -> None:
    config = Config(interface=InterfaceConfig(traceback_access=True))
    stage = Stage(config)
    answer = await stage.answer(stage.call("fail", "ValueError"))
    assert "ValueError: ('broken', 5)" in answer["data"]["traceback"]
    await end(stage)


async def test_exceptions_are_logged_with_a_pause(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "LOG_PAUSE_S", 60.0)
    stage = Stage(settings())
    with caplog.at_level(logging.WARNING):
        stage.runner.run([stage.call("fail", "ValueError") for _ in range(50)])
    (record,) = caplog.records
    assert "bench.fail" in record.getMessage()
    assert record.exc_info is not None
    await end(stage)


async def test_unknown_methods(stage: Stage) -> None:
    assert code(await stage.answer(stage.call("nothing"))) == (errors.NOT_FOUND.code, "no")


# --- asynchronous and threaded --------------------------------------------------------------------------------------


async def test_asynchronous_calls_run_beside_others(stage: Stage) -> None:
    waiting, quick = stage.call("wait", "x"), stage.call("add", 1, session="t")
    stage.runner.run([waiting, quick])
    assert await stage.answered(quick) == 1
    stage.bench.gate.set()
    assert await stage.answered(waiting) == "x"


async def test_a_plain_def_may_return_a_coroutine(stage: Stage) -> None:
    call = stage.call("coroutine", "x")
    stage.runner.run([call])
    stage.bench.gate.set()
    assert await stage.answered(call) == "x"
    assert await stage.answer(stage.call("coroutine_in_thread", "y")) == "y"


async def test_threaded_calls_run_in_threads_and_no_more_than_there_are_places(stage: Stage) -> None:
    calls = [stage.call("in_thread", str(number), session=f"s{number}") for number in range(4)]
    stage.runner.run(calls)
    await wait_until(lambda: len(stage.bench.log) == 2, "two have begun")
    assert await stage.answer(stage.call("add", 1)) == 1
    assert {*stage.bench.log[:2]} == {"in_thread 0", "in_thread 1"}
    assert stage.bench.log[2:] == ["add 1"]
    stage.bench.open.set()
    names = [await stage.answered(call) for call in calls]
    assert all(name.startswith("wispy-bench-") for name in names)
    assert len(set(names)) <= 2


async def test_what_ends_in_one_turn_is_handed_over_once(stage: Stage) -> None:
    stage.runner.run([stage.call("wait", str(number), session=f"s{number}") for number in range(20)])
    await wait_until(lambda: len(stage.bench.log) == 20, "all have begun")
    stage.hand_overs.clear()
    stage.bench.gate.set()
    await wait_until(lambda: len(stage.outcomes) == 20, "all have ended")
    assert len(stage.hand_overs) == 1


async def test_contextvars_of_one_call_are_not_seen_by_another(stage: Stage) -> None:
    methods = ["ask_request", "ask_request_async"] * 3
    calls = [stage.call(method, f"r{number}") for number, method in enumerate(methods)]
    stage.runner.run(calls)
    assert [await stage.answered(call) for call in calls] == ["none"] * 6
    assert request.get() == "none"


# --- order ----------------------------------------------------------------------------------------------------------


async def test_requests_of_a_session_start_in_order_whatever_their_modes(stage: Stage) -> None:
    calls = [
        stage.call("at_once", "0"),
        stage.call("add", 1),
        stage.call("at_once", "2"),
        stage.call("at_once", "3"),
        stage.call("in_thread", "4"),
        stage.call("add", 5),
        stage.call("at_once", "6"),
        stage.call("add", 7),
    ]
    stage.bench.open.set()
    stage.runner.run(calls)
    await wait_until(lambda: len(stage.outcomes) == len(calls), "all have ended")
    begun = [line for line in stage.bench.log if not line.startswith("in_thread")]
    assert begun == ["at_once 0", "add 1", "at_once 2", "at_once 3", "add 5", "at_once 6", "add 7"]


async def test_a_set_does_not_overtake_an_asynchronous_call(stage: Stage) -> None:
    async def read() -> int:
        return stage.bench.value

    stage.bench.read = read  # type: ignore[attr-defined]
    call = stage.call("read")
    stage.runner.run([call, stage.do("set", "value", b"9")])
    assert await stage.answered(call) == 1
    await wait_until(lambda: stage.bench.value == 9, "the set has run")


async def test_later_requests_wait_behind_one_that_waits_and_other_sessions_do_not(stage: Stage) -> None:
    first = stage.call("locked_wait", "first", session="a")
    second = stage.call("locked", "second", session="b")
    behind = [stage.call("add", 1, session="b"), stage.do("get", "value", session="b")]
    other = stage.call("add", 2, session="c")
    stage.runner.run([first, second, *behind, other])
    assert await stage.answered(other) == 2
    assert [outcome.call for outcome in stage.outcomes] == [other]
    later = stage.call("add", 3, session="b")
    stage.runner.run([later])
    stage.bench.gate.set()
    assert await stage.answered(later) == 3
    ended = [outcome.call for outcome in stage.outcomes]
    assert ended[2:] == [second, *behind, later]
    stage.bench.log.remove("add 2")
    assert stage.bench.log == ["locked first", "unlocked first", "locked second", "add 1", "add 3"]


async def test_one_locking_method_at_a_time_in_order_of_arrival(stage: Stage) -> None:
    methods = ["locked_wait", "locked_thread", "locked", "locked_wait", "locked_coroutine", "locked"]
    calls = [stage.call(method, str(number), session=f"s{number}") for number, method in enumerate(methods)]
    stage.runner.run(calls)
    await wait_until(lambda: stage.bench.log == ["locked 0"], "the first has begun")
    stage.bench.gate.set()
    await wait_until(lambda: "locked 1" in stage.bench.log, "the second has begun")
    assert len(stage.outcomes) == 1
    stage.bench.open.set()
    await wait_until(lambda: len(stage.outcomes) == 6, "all have ended")
    expected = "locked 0,unlocked 0,locked 1,unlocked 1,locked 2,locked 3,unlocked 3,wait 4,waited 4,locked 5"
    assert stage.bench.log == expected.split(",")


async def test_a_coroutine_that_a_locking_def_returned_keeps_the_lock(stage: Stage) -> None:
    first, second = stage.call("locked_coroutine", "x", session="a"), stage.call("locked", "y", session="b")
    stage.runner.run([first, second])
    await wait_until(lambda: stage.bench.log == ["wait x"], "the first has begun")
    assert not stage.outcomes
    stage.bench.gate.set()
    assert await stage.answered(second) == "y"
    assert stage.bench.log == ["wait x", "waited x", "locked y"]


async def test_a_locking_threaded_call_waits_for_lock_and_place(stage: Stage) -> None:
    occupying = [stage.call("in_thread", str(number), session=f"o{number}") for number in range(2)]
    waiting = stage.call("locked_thread", "x", session="a")
    after = stage.call("locked", "y", session="b")
    stage.runner.run([*occupying, waiting, after])
    await wait_until(lambda: len(stage.bench.log) == 2, "the pool is full")
    stage.bench.open.set()
    assert await stage.answered(after) == "y"
    assert stage.bench.log[2:] == ["locked x", "unlocked x", "locked y"]


# --- start, lease, time limits --------------------------------------------------------------------------------------


async def test_what_is_too_late_is_not_started(stage: Stage) -> None:
    late, good = stage.call("add", 1, start_by=time.monotonic() - 1), stage.call("add", 2)
    stage.runner.run([late, good])
    assert code(await stage.answered(late)) == (errors.NOT_STARTED.code, "no")
    assert stage.bench.log == ["add 2"]


async def test_a_call_that_waits_too_long_is_answered_while_it_waits(stage: Stage) -> None:
    soon = time.monotonic() + 0.05
    holding = stage.call("locked_wait", "x", session="a")
    head = stage.call("locked", "y", session="b", start_by=soon)
    behind = stage.call("add", 1, session="b")
    late_behind = [stage.call("locked", "z", session="c"), stage.call("add", 2, session="c", start_by=soon)]
    also_late = stage.call("add", 9, session="b", start_by=soon)
    stage.runner.run([holding, head, also_late, behind, *late_behind])
    assert code(await stage.answered(head)) == (errors.NOT_STARTED.code, "no")
    assert code(await stage.answered(also_late)) == (errors.NOT_STARTED.code, "no")
    assert await stage.answered(behind) == 1
    assert code(await stage.answered(late_behind[1])) == (errors.NOT_STARTED.code, "no")
    stage.bench.gate.set()
    assert await stage.answered(late_behind[0]) == "z"


async def test_without_the_lease_calls_are_held_in_order() -> None:
    lease = [True]
    stage = Stage(settings(), may_start=lambda: lease[0])
    holding = stage.call("locked_wait", "x", session="a")
    waiting = stage.call("locked", "y", session="b")
    stage.runner.run([holding, waiting])
    lease[0] = False
    calls = [stage.call("add", number, session=session) for number in range(3) for session in "abc"]
    stage.runner.run(calls[:5])
    stage.runner.run(calls[5:])
    stage.bench.gate.set()
    assert await stage.answered(holding) == "x"
    assert len(stage.outcomes) == 1
    assert [call.started for call in (waiting, *calls)] == [None] * 10
    lease[0] = True
    stage.runner.run([])
    await wait_until(lambda: len(stage.outcomes) == 11, "all have ended")
    for session in "abc":
        ended = [outcome.call.id for outcome in stage.outcomes if outcome.call.session == session]
        assert ended == sorted(ended)
    await end(stage)


async def test_a_call_that_was_withdrawn_never_runs(stage: Stage) -> None:
    holding, waiting = stage.call("locked_wait", "x", session="a"), stage.call("locked", "y", session="b")
    stage.runner.run([holding, waiting])
    await wait_until(lambda: stage.bench.log == ["locked x"], "the first has begun")
    assert not stage.runner.withdraw(holding)
    assert stage.runner.withdraw(waiting)
    stage.bench.gate.set()
    assert code(await stage.answered(waiting)) == (errors.NOT_STARTED.code, "no")
    assert await stage.answered(holding) == "x"
    assert "locked y" not in stage.bench.log


async def test_asynchronous_code_is_cancelled_at_its_deadline(stage: Stage) -> None:
    assert code(await stage.answer(stage.call("short"))) == (errors.TIMED_OUT.code, "maybe")
    call = stage.call("wait", timeout_s=0.03)
    assert code(await stage.answer(call)) == (errors.TIMED_OUT.code, "maybe")
    assert not stage.runner.overdue(time.monotonic())


async def test_the_default_time_limit_and_a_longer_wish() -> None:
    stage = Stage(settings(run_timeout_default=Seconds(0.05)))
    assert code(await stage.answer(stage.call("wait", timeout_s=60.0))) == (errors.TIMED_OUT.code, "maybe")
    await end(stage)


async def test_a_task_that_swallows_cancellation_is_the_owners_to_answer(stage: Stage) -> None:
    call = stage.call("stubborn")
    stage.runner.run([call])
    await wait_until(lambda: stage.bench.log == ["swallowed"], "the cancellation was swallowed")
    assert stage.runner.overdue(time.monotonic()) == [call]
    stage.runner.expire(call)
    assert not stage.runner.overdue(time.monotonic())
    assert not stage.outcomes
    stage.bench.gate.set()
    await wait_until(lambda: bool(stage.outcomes), "it has ended")
    assert stage.outcomes[0].body == b""


async def test_where_the_system_gives_no_threads_calls_are_refused_and_later_ones_run(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = threading.Thread.start

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert code(await stage.answer(stage.call("in_thread"))) == (errors.OVERLOADED.code, "no")
    monkeypatch.setattr(threading.Thread, "start", start)
    stage.bench.open.set()
    assert await stage.answer(stage.call("in_thread")) == "wispy-bench-1"
    stage.bench.open.clear()
    monkeypatch.setattr(threading.Thread, "start", refuse)
    calls = [stage.call("in_thread", session=session) for session in "ab"]
    stage.runner.run(calls)
    stage.bench.open.set()
    assert [await stage.answered(call) for call in calls] == ["wispy-bench-1"] * 2, "the one there is runs both"


async def test_a_thread_past_its_deadline_keeps_its_place_until_it_ends(stage: Stage) -> None:
    calls = [stage.call("short_thread", session=session) for session in "ab"]
    stage.runner.run([*calls, waiting := stage.call("in_thread", "x", session="c")])
    await wait_until(lambda: len(stage.runner.overdue(time.monotonic())) == 2, "both are overdue")
    for call in calls:
        stage.runner.expire(call)
    await asyncio.sleep(0)
    assert not stage.outcomes
    assert waiting.started is None
    stage.bench.open.set()
    assert str(await stage.answered(waiting)).startswith("wispy-bench")
    assert {outcome.body for outcome in stage.outcomes if outcome.call in calls} == {b""}


async def test_a_def_that_holds_the_loop_is_seen_from_another_thread(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    call = stage.call("short_block")
    seen: list[Any] = []

    def watch() -> None:
        wait_until_blocking(lambda: stage.runner.overdue(time.monotonic()), "it is overdue")
        occupation = stage.runner.running()
        seen.append(occupation and occupation.call)
        now = time.monotonic() + 10
        stage.runner.report_hangs(now)
        stage.runner.report_hangs(now)
        for overdue in stage.runner.overdue(time.monotonic()):
            stage.runner.expire(overdue)
        stage.bench.open.set()

    thread = threading.Thread(target=watch)
    with caplog.at_level(logging.WARNING):
        thread.start()
        stage.runner.run([call])
        thread.join()
    assert seen == [call]
    assert [outcome.body for outcome in stage.outcomes] == [b""]
    assert stage.runner.running() is None
    hanging, ended = (record.getMessage() for record in caplog.records)
    label = re.escape(f"bench.short_block (call, request {request_name('s', 1)})")
    assert re.match(rf"{label} has been running for 1\d\.\d s", hanging)
    assert "nothing else" in hanging
    assert "self.open.wait(10)" in hanging
    assert re.fullmatch(rf"{label} has ended after \d\.\d s", ended)


async def test_a_property_that_hangs_has_a_deadline_too() -> None:
    stage = Stage(settings(run_timeout_default=Seconds(0.05)))
    call = stage.do("get", "slow")
    seen: list[Call] = []

    def watch() -> None:
        wait_until_blocking(lambda: stage.runner.overdue(time.monotonic()), "it is overdue")
        seen.extend(stage.runner.overdue(time.monotonic()))
        stage.bench.open.set()

    thread = threading.Thread(target=watch)
    thread.start()
    stage.runner.run([call])
    thread.join()
    assert seen == [call]
    await end(stage)


async def test_hanging_tasks_and_threads_are_named_once(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    calls = [stage.call("wait", session="a"), stage.call("in_thread", session="b")]
    with caplog.at_level(logging.WARNING):
        stage.runner.run(calls)
        await wait_until(lambda: len(stage.bench.log) == 2, "both have begun")
        started = [call.started for call in calls if call.started is not None]
        stage.runner.report_hangs(min(started) + 9.9)
        assert not caplog.records
        stage.runner.report_hangs(max(started) + 10)
        stage.runner.report_hangs(max(started) + 11)
    assert sorted(record.getMessage()[:15] for record in caplog.records) == ["bench.in_thread", "bench.wait (cal"]
    assert any("self.open.wait(10)" in record.getMessage() for record in caplog.records)


async def test_a_task_that_holds_the_loop_is_seen_too(stage: Stage) -> None:
    seen: list[Any] = []

    async def hold() -> None:
        occupied = threading.Thread(target=lambda: seen.append(stage.runner.running()))
        occupied.start()
        occupied.join()

    stage.bench.hold = hold  # type: ignore[attr-defined]
    call = stage.call("hold")
    assert await stage.answer(call) is None
    assert seen[0].call is call


# --- cancelling, draining, closing ----------------------------------------------------------------------------------


async def test_cancelling(stage: Stage) -> None:
    running = stage.call("locked_wait", "x", session="a")
    head = stage.call("locked", "y", session="b")
    behind = [stage.call("add", 1, session="b"), stage.call("add", 2, session="b")]
    in_thread = stage.call("in_thread", session="c")
    stage.runner.run([running, head, *behind, in_thread])
    await wait_until(lambda: len(stage.bench.log) == 2, "two have begun")
    stage.runner.cancel("b", behind[0].id)
    assert code(await stage.answered(behind[0])) == (errors.CANCELLED.code, "no")
    stage.runner.cancel("b", head.id)
    assert code(await stage.answered(head)) == (errors.CANCELLED.code, "no")
    assert await stage.answered(behind[1]) == 2
    stage.runner.cancel("a", running.id)
    assert code(await stage.answered(running)) == (errors.CANCELLED.code, "maybe")
    stage.runner.cancel("c", in_thread.id)
    stage.runner.cancel("c", 99)
    stage.bench.open.set()
    assert str(await stage.answered(in_thread)).startswith("wispy-bench")
    assert "locked y" not in stage.bench.log


async def test_cancelling_at_once_after_the_start(stage: Stage) -> None:
    call = stage.call("wait", "x")
    stage.runner.run([call])
    stage.runner.cancel("s", call.id)
    assert code(await stage.answered(call)) == (errors.CANCELLED.code, "maybe")
    assert await stage.answer(stage.call("add", 1)) == 1


async def test_cancelling_what_is_still_in_the_backlog() -> None:
    stage = Stage(settings(), may_start=lambda: False)
    call = stage.call("add", 1)
    stage.runner.run([call])
    stage.runner.cancel("s", call.id)
    assert code(await stage.answered(call)) == (errors.CANCELLED.code, "no")
    await end(stage)


async def test_a_cancelled_head_passes_its_lock_on(stage: Stage) -> None:
    occupying = [stage.call("in_thread", session=f"o{number}") for number in range(2)]
    holding = stage.call("locked_thread", "x", session="a")  # has the lock, and waits for a place
    after = stage.call("locked", "y", session="b")
    stage.runner.run([*occupying, holding, after])
    stage.runner.cancel("a", holding.id)
    assert await stage.answered(after) == "y"


async def test_closing_cancels_and_hands_nothing_over(stage: Stage) -> None:
    stage.runner.run([stage.call("wait", session="a"), stage.call("in_thread", session="b")])
    await wait_until(lambda: len(stage.bench.log) == 2, "two have begun")
    stage.runner.close()
    stage.bench.open.set()
    await ended(stage)
    assert not stage.outcomes


# --- channels -------------------------------------------------------------------------------------------------------


async def test_updates_of_a_batch_come_with_its_outcomes(stage: Stage) -> None:
    def change(to: int) -> int:
        stage.channels.values["a"] = to
        stage.channels.publish("alarm", to)
        return to

    stage.bench.change = change  # type: ignore[attr-defined]
    stage.runner.run([stage.call("change", number) for number in range(3)])
    ((outcomes, updates),) = stage.hand_overs
    assert len(outcomes) == 3
    assert [(update.channel, update.value) for update in updates] == [
        ("a", b"2"),
        ("alarm", b"0"),
        ("alarm", b"1"),
        ("alarm", b"2"),
    ]


async def test_changes_between_requests_are_one_update_a_turn(stage: Stage) -> None:
    for number in range(5):
        stage.channels.values["a"] = number
    await wait_until(lambda: bool(stage.hand_overs), "the change was handed over")
    ((outcomes, updates),) = stage.hand_overs
    assert outcomes == []
    assert [update.value for update in updates] == [b"4"]


async def test_changes_by_another_thread_are_handed_over_on_the_loop(stage: Stage) -> None:
    def change() -> None:
        stage.channels.values["a"] = [1]
        stage.channels.values["a"].append(2)

    await asyncio.to_thread(change)
    await wait_until(lambda: [u.value for _, updates in stage.hand_overs for u in updates][-1:] == [b"[1,2]"], "news")


async def test_the_first_values_are_handed_over_when_the_owner_says_so(stage: Stage) -> None:
    first = Stage(settings(), flushed=False)
    first.channels.values["a"] = 5
    assert not first.hand_overs
    first.runner.begin()
    ((_, updates),) = first.hand_overs
    assert [(update.value, update.number) for update in updates] == [(b"5", 1)]
    first.channels.values["a"] = 6
    await wait_until(lambda: len(first.hand_overs) == 2, "the change was handed over")
    await end(first)


# --- how exceptions are told ----------------------------------------------------------------------------------------


def test_strange_exceptions_are_told_all_the_same() -> None:
    class StrangeError(Exception):
        def __str__(self) -> str:
            raise RuntimeError

        @property
        def args(self) -> Any:  # type: ignore[override]
            raise RuntimeError

    told = json.loads(answers.object_error(StrangeError(), with_traceback=False))
    assert told["message"] == "StrangeError"
    assert told["data"]["args"] == []


def test_arguments_of_exceptions_are_bounded() -> None:
    error = ValueError("x" * 5000, list(range(5000)), object(), "\ud800", float("nan"), *range(20))
    body = answers.object_error(error, with_traceback=False)
    arguments = json.loads(body)["data"]["args"]
    assert arguments[0] == "x" * 1000
    assert arguments[1].startswith("<list, ")
    assert arguments[2:5] == ["<object>", "<str>", {"$float": "NaN"}]
    assert len(arguments) == answers.MAX_ARGUMENTS
    assert len(body) < 5000


# --- counting, slow calls, the access log ---------------------------------------------------------------------------


async def test_each_request_is_counted_once_by_what_came_of_it(stage: Stage) -> None:
    calls = [
        stage.call("add", 1),
        stage.call("fail", "ValueError"),
        stage.call("nothing"),
        stage.call("add", 1, start_by=0.0),
        stage.do("get", "value"),
        stage.do("set", "log", b"[]"),
        stage.call("at_once", "x"),
        stage.call("in_thread"),
    ]
    stage.bench.open.set()
    stage.runner.run(calls)
    await wait_until(lambda: len(stage.outcomes) == len(calls), "all have ended")
    counts = stage.counts
    ended = {outcome.call.id: outcome.is_error for outcome in stage.outcomes}
    assert counts.done["call"] == 3
    assert counts.failed["call"] == 1
    assert counts.refused["call"] == 2
    assert sum(counts.done.values()) == list(ended.values()).count(False)
    everything = (counts.done, counts.failed, counts.refused)
    assert sum(each["get"] for each in everything) == sum(each["set"] for each in everything) == 1


async def test_a_call_that_was_answered_at_its_deadline_has_failed(stage: Stage) -> None:
    call = stage.call("in_thread")
    stage.runner.run([call])
    stage.runner.expire(call)
    stage.bench.open.set()
    await stage_ended(stage, call)
    assert (stage.counts.done["call"], stage.counts.failed["call"]) == (0, 1)


async def stage_ended(stage: Stage, *calls: Call) -> None:
    await wait_until(
        lambda: {call.id for call in calls} <= {outcome.call.id for outcome in stage.outcomes}, "they have ended"
    )


SLOW = Config(logging_config=LoggingConfig(slow_call=Seconds(0.25)))


@pytest.mark.parametrize("method", ["short_block", "in_thread", "wait", "slow"])
async def test_a_slow_call_is_named_when_it_ends_and_a_quick_one_is_not(
    caplog: pytest.LogCaptureFixture, method: str
) -> None:
    stage = Stage(SLOW)
    call = stage.do("get", method) if method == "slow" else stage.call(method, *["x"] * (method == "wait"))
    loop = asyncio.get_running_loop()

    def open_when_slow() -> None:
        wait_until_blocking(lambda: call.started and time.monotonic() >= call.started + 0.25, "it is slow")
        stage.bench.open.set()
        loop.call_soon_threadsafe(stage.bench.gate.set)

    opening = threading.Thread(target=open_when_slow)
    opening.start()
    quick = stage.call("add", 1)
    stage.runner.run([quick, call, stage.call("add", 1)])
    await stage_ended(stage, call)
    opening.join()
    assert stage.counts.busy_s >= 0.25
    slow = [record.getMessage() for record in caplog.records if record.getMessage().startswith("slow: ")]
    assert len(slow) == 1
    assert slow[0].startswith(f"slow: bench.{method} ({call.op}, request {request_name('s', call.id)}) took ")
    await end(stage)


async def test_many_slow_calls_are_named_together(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running_module, "SLOW_PAUSE_S", 60.0)
    stage = Stage(Config(logging_config=LoggingConfig(slow_call=Seconds(1e-9))))
    stage.bench.open.set()
    calls = [stage.call("in_thread") for _ in range(20)]
    stage.runner.run(calls)
    await stage_ended(stage, *calls)
    assert sum(record.getMessage().startswith("slow: ") for record in caplog.records) == 1
    await end(stage)


async def test_nothing_is_slow_where_no_limit_is_set(caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage(Config(logging_config=LoggingConfig(slow_call=None)))
    stage.bench.open.set()
    await stage.answer(stage.call("in_thread"))
    assert not caplog.records
    await end(stage)


async def test_the_worker_s_line_of_a_request(caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage(Config(logging_config=LoggingConfig(access="json")))
    with caplog.at_level(logging.INFO, logger="wispy.access"):
        await stage.answer(stage.call("add", 1))
        await stage.answer(stage.call("fail", "ValueError"))
        await stage.answer(stage.call("nothing"))
        expired = stage.call("in_thread")
        stage.runner.run([expired])
        stage.runner.expire(expired)
        stage.bench.open.set()
        await stage_ended(stage, expired)
        await end(stage)
    lines = [json.loads(record.getMessage()) for record in caplog.records if record.name == "wispy.access.worker"]
    assert [(line["request"], line["path"], line["outcome"]) for line in lines] == [
        (request_name("s", 1), "add", "ok"),
        (request_name("s", 2), "fail", "OBJECT_ERROR"),
        (request_name("s", 3), "nothing", "NOT_FOUND"),
        (request_name("s", 4), "in_thread", "TIMED_OUT"),
    ]
    assert {(line["side"], line["object"], line["operation"]) for line in lines} == {("worker", "bench", "call")}


# --- who asks ---------------------------------------------------------------------------------------------------------


class Guarded:
    level = 1

    def __init__(self) -> None:
        self.ran = 0

    @roles("operator")
    def stop(self) -> int:
        self.ran += 1
        return self.ran

    @rate(0.001, burst=2)
    def often(self) -> int:
        self.ran += 1
        return self.ran


async def test_a_call_runs_for_those_with_its_role_and_is_absent_for_others() -> None:
    stage = Stage(settings(), target=Guarded())
    operator = Identity("ada", frozenset({"operator"}))
    absent = await stage.answer(stage.call("absent"))
    assert await stage.answer(stage.call("stop")) == absent
    assert await stage.answer(stage.call("stop", identity=Identity("eve", frozenset({"guest"})))) == absent
    assert await stage.answer(stage.call("stop", identity=operator)) == 1
    for op in ("get", "describe", "source", "delete"):
        assert await stage.answer(stage.do(op, "stop")) == absent
    assert code(absent) == (errors.NOT_FOUND.code, "no")
    await end(stage)


async def test_a_call_above_the_rate_of_its_session_does_not_run() -> None:
    stage = Stage(settings(), target=Guarded())
    calls = [stage.call("often", session=session) for session in "aaab"]
    stage.runner.run(calls)
    await stage.answered(calls[-1])
    assert stage.answers() == {1: 1, 2: 2, 3: errors.RATE_LIMITED.code, 4: 3}
    await end(stage)
