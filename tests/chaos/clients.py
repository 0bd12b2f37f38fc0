"""The clients of a chaos run: they call without pause, note each answer, and note each update."""

import asyncio
import json
import random
from pathlib import Path

import wispy
from tests.chaos.accounts import Accounts
from wispy.client import Gap, Rpc, RPCError

CALLERS = 3
"""Calls that each client has in flight."""

TIMEOUT_S = 8.0
"""Of a call: longer than a failover, so that most calls live through it."""

GRACE_S = 20.0
"""Beyond its time-out, how long a call may take to end before it counts as one without an end."""

PAUSE_S = 0.04
"""Between two calls of a caller, at random up to twice that; it makes the load bearable for two cores."""


class PythonClient:
    """One session with its callers and two subscribers.

    Args:
        name: unique in the run; its keys begin with it.
        accounts: the books.
        chance: the run's random numbers.
    """

    def __init__(self, name: str, accounts: Accounts, chance: random.Random) -> None:
        self._name = name
        self._accounts = accounts
        self._chance = chance
        self._keys = 0
        self._is_over = False
        self._callers: list[asyncio.Task[None]] = []
        self._subscribers: list[asyncio.Task[None]] = []
        self.ticks = accounts.subscriber(f"{name}/tick", is_event=False)
        self.news = accounts.subscriber(f"{name}/news", is_event=True)
        self._rpc: Rpc | None = None

    async def start(self, url: str) -> None:
        self._rpc = await wispy.connect(url, connect_timeout_s=30).__aenter__()
        self._rpc.on_state(lambda state, reason: self._accounts.states.update([state]))
        self._callers = [asyncio.create_task(self._call(self._rpc)) for _ in range(CALLERS)]
        self._subscribers = [
            asyncio.create_task(self._watch(self._rpc, "ledger.tick")),
            asyncio.create_task(self._watch(self._rpc, "ledger.news")),
        ]

    async def _watch(self, rpc: Rpc, channel: str) -> None:
        seen = self.news if channel.endswith("news") else self.ticks

        def missed(gap: Gap) -> None:
            seen.gap(gap.first, gap.last)

        async for value, at in rpc.subscribe(channel, on_gap=missed):
            seen.update(value, at)

    async def _call(self, rpc: Rpc) -> None:
        while not self._is_over:
            self._keys += 1
            key = f"{self._name}-{self._keys}"
            method, *more = self._chance.choices(
                [("note",), ("note_later", round(self._chance.uniform(0, 0.3), 3)), ("note_in_thread",)], [8, 1, 1]
            )[0]
            self._accounts.requests.sent(key)
            try:
                async with asyncio.timeout(TIMEOUT_S + GRACE_S):
                    result = await rpc.call(["ledger", str(method)], key, *more, timeout_s=TIMEOUT_S)
            except RPCError as error:
                self._accounts.requests.answered(key, error.executed, errors_name(error))
            except TimeoutError:
                return  # its key has no answer: a violation
            else:
                self._accounts.requests.answered(key, "yes" if result == key else "wrong", "result")
            await asyncio.sleep(self._chance.uniform(0, 2 * PAUSE_S))

    async def finish_calls(self) -> None:
        self._is_over = True
        await asyncio.gather(*self._callers)

    async def get(self, path: str) -> object:
        assert self._rpc is not None
        return await self._rpc.get(path, timeout_s=TIMEOUT_S)

    async def set(self, path: str, value: object) -> None:
        assert self._rpc is not None
        await self._rpc.set(path, value, timeout_s=TIMEOUT_S)

    async def stop(self) -> None:
        for task in self._subscribers:
            task.cancel()
        await asyncio.gather(*self._subscribers, return_exceptions=True)
        if self._rpc is not None:
            await self._rpc.close()

    def failures(self) -> list[str]:
        """Tasks that ended by an exception of their own."""
        return [
            f"{self._name}: {task.exception()!r}"
            for task in [*self._callers, *self._subscribers]
            if task.done() and not task.cancelled() and task.exception() is not None
        ]


def errors_name(error: RPCError) -> str:
    """What the report calls an error."""
    return str(error.code)


def read_node_client(path: Path, accounts: Accounts) -> None:
    """Enter into the books what a client in Node wrote: one JSON array a line."""
    name = path.stem
    ticks = accounts.subscriber(f"{name}/tick", is_event=False)
    news = accounts.subscriber(f"{name}/news", is_event=True)
    for line in path.read_text().splitlines():
        match json.loads(line):
            case ["sent", key]:
                accounts.requests.sent(key)
            case ["answered", key, said, kind]:
                accounts.requests.answered(key, said, kind)
            case ["tick", value]:
                ticks.update(value)
            case ["news", value]:
                news.update(value)
            case ["gap", first, last]:
                news.gap(first, last)
            case ["state", state]:
                accounts.states.update([state])
            case other:
                accounts.others.append(f"{name} wrote {other}")


def node_command(url: str, name: str, seed: int, output: Path, node: str) -> list[str]:
    """Starts a client in Node; SIGTERM has it finish its calls, wait for what it is owed, and end."""
    websocket = url.replace("http://", "ws://") + "/ws"
    return [node, str(Path(__file__).with_name("node_client.mjs")), websocket, name, str(seed), str(output)]
