"""Clients that call and subscribe without pause until SIGTERM; then the books, as JSON, on standard output.

Its first line is `BEGUN`, when all of them hear and call.

python -m tests.kubernetes.load http://wispy-frontend
"""

import asyncio
import itertools
import json
import random
import signal
import sys
from collections import Counter
from typing import Any

import wispy
from wispy.client import Gap, Rpc, RPCError

CLIENTS = 6
CALLERS = 2
TIMEOUT_S = 20.0
"""Of a call: longer than a take-over and a restart of a container."""

LONGEST_S = 0.3
"""Of a call's run, so that some run whenever something is killed."""

BEGUN = "all clients hear and call"
PROBE = "probe"
"""What the keys of calls begin with that are made until every subscriber hears one; they are in no book."""

SETTLE_S = 15.0
"""How long the last updates may take."""


class Books:
    """What was sent and answered, and the updates that each client saw."""

    def __init__(self) -> None:
        self.answers: dict[str, str] = {}
        """By key: `ok`, or what the error says of the execution."""
        self.seen: dict[str, Counter[str]] = {}
        self.gaps: list[str] = []
        self.hearing: set[str] = set()
        self.all_hear = asyncio.Event()
        self.stopping = asyncio.Event()

    def report(self) -> dict[str, Any]:
        answered = {key for key, answer in self.answers.items() if answer == "ok"}
        return {
            "answers": Counter(self.answers.values()),
            "lost updates": sum(len(answered - seen.keys()) for seen in self.seen.values()),
            "doubled updates": sum(count - 1 for seen in self.seen.values() for count in seen.values()),
            "gaps": len(self.gaps),
            # Refused, it did not run; so nobody may have seen it run.
            "refused but run": len(
                {k for k, answer in self.answers.items() if answer == "no"} & set().union(*self.seen.values())
            ),
        }

    def is_settled(self) -> bool:
        return self.report()["lost updates"] == 0


async def client(url: str, name: str, books: Books) -> None:
    """One session: callers and a subscriber."""
    seen = books.seen[name] = Counter()
    async with wispy.connect(url, connect_timeout_s=30) as rpc:
        watching = asyncio.create_task(watch(rpc, name, seen, books))
        # A subscriber begins with what comes next: the first call that is booked waits for all of them.
        for number in itertools.count():
            if books.all_hear.is_set():
                break
            await rpc.call("scope.note", f"{PROBE}-{name}-{number}", 0.1)
        await asyncio.gather(*[call(rpc, f"{name}-{each}", books) for each in range(CALLERS)])
        for _ in range(int(SETTLE_S / 0.2)):
            if books.is_settled():
                break
            await asyncio.sleep(0.2)
        watching.cancel()


async def watch(rpc: Rpc, name: str, seen: Counter[str], books: Books) -> None:
    def missed(gap: Gap) -> None:
        books.gaps.append(f"{gap.first} to {gap.last}")

    async for key, _at in rpc.subscribe("scope.executed", on_gap=missed):
        if not key.startswith(PROBE):
            seen[key] += 1
        elif not books.all_hear.is_set():
            books.hearing.add(name)
            if len(books.hearing) == CLIENTS:
                books.all_hear.set()
                print(BEGUN, flush=True)


async def call(rpc: Rpc, name: str, books: Books) -> None:
    number = 0
    while not books.stopping.is_set():
        number += 1
        key = f"{name}-{number}"
        try:
            await rpc.call("scope.note", key, random.uniform(0, LONGEST_S), timeout_s=TIMEOUT_S)
        except RPCError as error:
            books.answers[key] = error.executed
        else:
            books.answers[key] = "ok"


async def main(url: str) -> None:
    books = Books()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, books.stopping.set)
    await asyncio.gather(*[client(url, f"c{number}", books) for number in range(CLIENTS)])
    print(json.dumps(books.report()))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
