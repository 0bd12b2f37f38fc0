"""The objects that wispy serves in the benchmarks."""

import time
from collections.abc import Callable
from typing import Any, ClassVar, Final

from benchmarks.publisher import Publisher
from wispy import roles

ROLE = "bench"

WAIT_S: Final = 0.005
COMPUTE_S: Final = 0.001


class Bench:
    """Something to call, something to read, one value channel and one event channel."""

    tracked_channel_values: ClassVar[dict[str, object]] = {"tick": ""}
    event_channels: ClassVar[list[str]] = ["event"]
    publish: Callable[[str, object], None]  # given by wispy

    def __init__(self) -> None:
        self.value = 42
        self.tick = ""
        self._ticks = Publisher(self._emit_tick)
        self._events = Publisher(self._emit_event)

    def _emit_tick(self, text: str) -> None:
        self.tick = text

    def _emit_event(self, text: str) -> None:
        self.publish("event", text)

    def add(self, a: int, b: int) -> int:
        """A synchronous call."""
        return a + b

    async def add_async(self, a: int, b: int) -> int:
        """The same as a coroutine that never waits."""
        return a + b

    def add_unchecked(self, a: Any, b: Any) -> Any:
        """The same, where arguments are taken as they come."""
        return a + b

    @roles(ROLE)
    def add_for_role(self, a: int, b: int) -> int:
        """The same, for those who have a role."""
        return a + b

    async def push(self, count: int) -> int:
        """Assign `count` values to `tick`, each in its own turn of the loop."""
        return await self._ticks.push(count)

    async def stream(self, per_s: float, seconds: float, length: int) -> int:
        """Assign values to `tick` at a steady pace."""
        return await self._ticks.stream(per_s, seconds, length)

    def push_events(self, count: int) -> int:
        """Publish `count` events in one turn of the loop."""
        for _ in range(count):
            self._events.publish()
        return self._events.number


class Stateless:
    """What several workers may share: it adds, after a while."""

    def add(self, a: int, b: int) -> int:
        """At once."""
        return a + b

    def wait(self, a: int, b: int) -> int:
        """After waiting, as for another server: the worker's thread is taken, and no core is."""
        time.sleep(WAIT_S)
        return a + b

    def compute(self, a: int, b: int) -> int:
        """After a computation of so much CPU time."""
        until = time.thread_time() + COMPUTE_S
        while time.thread_time() < until:
            pass
        return a + b
