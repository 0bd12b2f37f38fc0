"""The objects that the processes of these tests serve. Imported by workers, not by the tests."""

import asyncio
import os
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

from wispy import caller, locking, on_acquire, on_release, restore, roles, snapshot, threaded, timeout, write_roles


@dataclass
class Point:
    x: float
    y: float


class Filter:
    def __init__(self) -> None:
        self.gain = 2.0
        self.table = {"dotted.key": [10, 20, 30], "point": {"x": 1}}

    def apply(self, x: float) -> float:
        return self.gain * x


class Sample:
    a = 1
    limit: int = 10
    tracked_channel_values: ClassVar = {"a": 1, "b": 2, "settings": {"range": [0, 1]}, "list": []}
    event_channels: ClassVar = {"alarm": 5, "log": 100}
    publish: Callable[[str, Any], None]  # wispy adds it

    def __init__(self) -> None:
        self.note = "start"
        self.filter = Filter()
        self.ran: list[str] = []
        self._secret = "hidden"

    def test_sum(self, x: int, y: int) -> int:
        """Add two numbers."""
        return x + y

    def who(self) -> list[Any]:
        return [caller().user, sorted(caller().roles)]

    @threaded
    def who_in_thread(self) -> list[Any]:
        return self.who()

    async def who_later(self) -> list[Any]:
        await asyncio.sleep(0)
        return self.who()

    def echo(self, value: Any) -> Any:
        return value

    def collect(self, *args: Any, **kwargs: Any) -> list[Any]:
        return [args, kwargs]

    def value(self, name: str) -> Any:
        """What clients cannot send, but objects may return."""
        endless: list[Any] = []
        endless.append(endless)
        return {
            "nan": [float("nan"), float("inf"), float("-inf")],
            "big": 2**80,
            "tag": {"$float": "no number"},
            "point": Point(1.5, 2.5),
            "bytes": b"\x00\xff",
            "object": object(),
            "endless": endless,
        }[name]

    @property
    async def reading(self) -> float:
        """What an instrument answers after a while."""
        await asyncio.sleep(0)
        return 2.5

    @property
    async def reading_of_code(self) -> Any:
        return type(self)

    def large(self, size: int) -> str:
        return "x" * size

    def fail(self, text: str) -> None:
        raise ValueError(text, 7)

    def leave(self) -> None:
        raise SystemExit(3)

    def note_run(self, name: str) -> int:
        self.ran.append(name)
        return len(self.ran)

    # --- calls that last until a file is there ------------------------------------------------------------------------

    def hold(self, path: str) -> str:
        _announce(path)
        while not Path(path).exists():
            time.sleep(0.005)
        return "held"

    @threaded
    def hold_threaded(self, path: str) -> str:
        return self.hold(path)

    async def wait(self, path: str) -> str:
        _announce(path)
        file = Path(path)
        try:
            while not file.exists():  # noqa: ASYNC110, ASYNC240 -- another process makes it
                await asyncio.sleep(0.005)
        except asyncio.CancelledError:
            self.ran.append("cancelled")
            raise
        return "waited"

    @locking
    async def wait_locked(self, path: str) -> str:
        return await self.wait(path)

    def annotated(self) -> Annotated[str, threaded]:
        import threading

        return threading.current_thread().name

    @timeout(0.3)
    async def impatient(self) -> None:
        await asyncio.Event().wait()

    @timeout(30)
    async def patient(self, path: str, seconds: float) -> str:
        _announce(path)
        await asyncio.sleep(seconds)
        return "done"

    # --- channels -----------------------------------------------------------------------------------------------------

    def count_to(self, number: int, size: int = 0) -> int:
        """Many updates of `b`, each in a turn of its own."""

        async def count() -> None:
            for value in range(1, number + 1):
                self.tracked_channel_values["b"] = [value, "x" * size] if size else value
                await asyncio.sleep(0)

        self._counting = asyncio.get_running_loop().create_task(count())
        return number

    async def log_after(self, path: str, number: int) -> None:
        """Many events, a hundred in each turn, once a file is there."""
        _announce(path)
        while not Path(path).exists():  # noqa: ASYNC110, ASYNC240 -- another process makes it
            await asyncio.sleep(0.005)
        for value in range(1, number + 1):
            self.publish("log", value)
            if value % 100 == 0:
                await asyncio.sleep(0)

    def append(self, value: Any) -> None:
        self.tracked_channel_values["list"].append(value)

    def change_range(self, low: float) -> None:
        self.tracked_channel_values["settings"]["range"][0] = low

    def set_a(self, value: Any) -> Any:
        self.a = value
        return self.tracked_channel_values["a"]

    def alarm(self, text: str) -> None:
        self.publish("alarm", {"text": text})

    def log_many(self, number: int, size: int) -> None:
        async def log() -> None:
            for value in range(1, number + 1):
                self.publish("log", [value, "x" * size])
                await asyncio.sleep(0)

        self._logging = asyncio.get_running_loop().create_task(log())


class Quiet:
    def ping(self) -> str:
        return "pong"


class Fragile:
    def __init__(self) -> None:
        raise OSError("there is no instrument")


quiet = Quiet()
not_an_object = __import__("json")


def _announce(path: str) -> None:
    """Say that the call runs."""
    Path(path + ".started").touch()


class Clock:
    """Publishes a number a hundred times a second, whether it is heard or not: the same object under each lease."""

    event_channels: ClassVar = {"tick": 5}
    publish: Any

    def __init__(self) -> None:
        self._number = 0
        self._task = asyncio.get_running_loop().create_task(self._tick())

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(0.01)
            if hasattr(self, "publish"):
                self._number += 1
                self.publish("tick", self._number)


class Books:
    """Notes each execution in a file that outlives its process."""

    tracked_channel_values: ClassVar = {"newest": ""}

    def note(self, path: str, key: str) -> str:
        with Path(path).open("a") as file:
            file.write(f"{key}\n")
        self.newest = key
        return key

    def note_slowly(self, path: str, key: str, seconds: float) -> str:
        """Holds the objects' thread meanwhile."""
        time.sleep(seconds)
        return self.note(path, key)

    async def note_and_linger(self, path: str, key: str) -> str:
        self.note(path, key)
        await asyncio.sleep(0.1 + 0.2 * random.random())
        return key

    async def note_and_wait(self, path: str, key: str, gate: str) -> str:
        self.note(path, key)
        _announce(gate)
        while not Path(gate).exists():  # noqa: ASYNC110, ASYNC240 -- another process makes it
            await asyncio.sleep(0.005)
        return key


class Kept:
    """Keeps its count across owners, and notes in the file `hooks` of its folder when it comes and goes."""

    tracked_channel_values: ClassVar = {"place": "nowhere"}

    def __init__(self) -> None:
        self.count = 0
        self.raw = b"\x00\xff"
        self.folder = Path(os.environ.get("KEPT_FOLDER", "."))
        self._note("made")

    def _note(self, text: str) -> None:
        with (self.folder / "hooks").open("a") as file:
            file.write(f"{os.getpid()} {text}\n")

    def add(self) -> int:
        self.count += 1
        return self.count

    @on_acquire
    async def came(self) -> None:
        if (self.folder / "slow").exists():
            await asyncio.sleep(1.2)
        self.place = "here"
        self._note("acquired")
        if (self.folder / "broken").exists():
            raise OSError("there is no instrument")

    @on_release
    def went(self) -> None:
        self.place = "gone"
        self._note("released")

    @snapshot(every=0.1)
    def state(self) -> Any:
        if (self.folder / "broken-snapshot").exists():
            raise OSError("no snapshot today")
        return {"count": self.count}

    @restore
    def take(self, state: Any) -> None:
        self._note(f"restored {state['count']}")
        self.count = state["count"]


class Endless:
    """Its hooks take longer than anybody waits."""

    def ping(self) -> str:
        return "pong"

    @snapshot
    async def state(self) -> None:
        await asyncio.Event().wait()

    @on_release
    async def went(self) -> None:
        await asyncio.Event().wait()


class Holding:
    """Its last hook holds the thread."""

    def ping(self) -> str:
        return "pong"

    @on_release
    def went(self) -> None:
        time.sleep(7)


@roles("operator")
class Engine:
    def __init__(self) -> None:
        self.power = 5


class Guarded:
    """What an operator may touch, and what everybody may."""

    tracked_channel_values: ClassVar = {"level": 1, "current": 2}
    event_channels: ClassVar = ["alarm"]
    level: int
    current: Annotated[float, roles("operator")]
    alarm: Annotated[str, roles("operator")]
    gain: Annotated[float, write_roles("operator")] = 1.0

    def __init__(self) -> None:
        self._calls = 0
        self.engine = Engine()

    def calls(self) -> int:
        return self._calls

    def quick(self, number: int) -> int:
        return number

    @roles("operator")
    def stop(self) -> None:
        self._calls += 1
