"""Clients that call without a pause, and the books of it."""

import asyncio
import itertools
from typing import Any, Protocol

from tests.support.waiting import wait_until


class Caller(Protocol):
    """A client that goes on whatever becomes of its connection."""

    async def call(self, path: str, /, *arguments: Any) -> Any: ...


class Load:
    """Clients that call without a pause; what the object is to have run, each once.

    Args:
        clients: how many.
        at_once: calls that each of them has in flight.
    """

    def __init__(self, clients: int, at_once: int) -> None:
        self.names: list[str] = []
        self.ended = [0] * clients
        self._at_once = at_once
        self._go_on = True

    async def run(self, number: int, caller: Caller) -> None:
        async def call_on(lane: int) -> None:
            for turn in itertools.count():
                if not self._go_on:
                    return
                name = f"{number}-{lane}-{turn}"
                self.names.append(name)
                await caller.call("sample.note_run", name)
                self.ended[number] += 1

        async with asyncio.TaskGroup() as group:
            for lane in range(self._at_once):
                group.create_task(call_on(lane))

    def stop(self) -> None:
        self._go_on = False

    async def wait_for_more(self, calls: int) -> None:
        goal = [ended + calls for ended in self.ended]
        await wait_until(
            lambda: all(ended >= wanted for ended, wanted in zip(self.ended, goal, strict=True)),
            lambda: f"each client goes on: {self.ended}, wanted {goal}",
            30,
        )
