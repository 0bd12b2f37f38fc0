"""What the tests of the runner share: an object with methods of every kind, and a runner that keeps what it gives."""

import asyncio
import contextvars
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from types import SimpleNamespace
from typing import Any

import msgspec

from tests.support.waiting import wait_until
from wispy.config.schema import Config, FuncCallerConfig, LoggingConfig, SynchronousTaskLockConfig
from wispy.config.units import Seconds
from wispy.protocol import errors
from wispy.worker.access import Access
from wispy.worker.calls import Call, ChannelUpdate, Outcome
from wispy.worker.channels import Channels
from wispy.worker.counts import ObjectCounts
from wispy.worker.marks import locking, threaded, timeout
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


async def end(stage: Stage) -> None:
    stage.bench.open.set()
    stage.bench.gate.set()
    await ended(stage)
    stage.runner.close()


async def ended(stage: Stage) -> None:
    await wait_until(lambda: not stage.runner._running.jobs, "what runs has ended")


def code(outcome: Any) -> tuple[int, str]:
    return outcome["code"], outcome["data"]["executed"]


async def calls_ended(stage: Stage, *calls: Call) -> None:
    await wait_until(
        lambda: {call.id for call in calls} <= {outcome.call.id for outcome in stage.outcomes}, "they have ended"
    )
