"""The books of a load: each call that was sent, each execution that the object noted, and each answer.

The object (`Books` in the stack tests' `served.py`) appends the key of each execution to a file, which outlives the
process that wrote it. `check_runs` compares: a result or `yes` is exactly one execution, `no` is none, `maybe` at most
one. `check` sees besides that what one client has sent ran in the order in which it was sent.
"""

import asyncio
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tests.support.deployment import FAILOVER_S
from tests.support.files import lines
from tests.support.rpc_client import Client
from tests.support.waiting import wait_until

PAUSE_AFTER_ERROR_S = 0.02
"""A caller that is refused at once asks again a little later: fast enough to be a load, and no hot loop."""


class Books:
    """Calls from several clients until the block ends; `check` when it has.

    Args:
        path: the file that the object writes to.
        clients: who calls.
        parallel: calls that each client has in flight.
        method: what is called, with the file and a key that no other call has.
        params: more arguments.
    """

    def __init__(
        self, path: Path, *clients: Client, parallel: int = 4, method: str = "books.note", params: tuple[Any, ...] = ()
    ) -> None:
        self._path = path
        self._clients = clients
        self._parallel = parallel
        self._method = method
        self._params = params
        self._is_over = False
        self._last_key = 0
        self._senders: dict[str, Client] = {}
        self.sent: list[str] = []
        self.answers: dict[str, dict[str, Any]] = {}
        self.delays: list[float] = []
        """Seconds from each call to its answer."""
        self.last_result_at = 0.0
        """When the newest result came, in monotonic seconds."""

    async def __aenter__(self) -> "Books":
        self._tasks = [
            asyncio.create_task(self._call(client)) for client in self._clients for _ in range(self._parallel)
        ]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._is_over = True
        await asyncio.wait_for(asyncio.gather(*self._tasks), 60)

    async def _call(self, client: Client) -> None:
        while not self._is_over:
            self._last_key += 1
            key = f"call-{self._last_key}"
            self.sent.append(key)
            self._senders[key] = client
            began = time.monotonic()
            answer = await (await client.start(self._method, [str(self._path), key, *self._params]))
            self.answers[key] = answer
            self.delays.append(time.monotonic() - began)
            if "result" in answer:
                self.last_result_at = time.monotonic()
            else:
                await asyncio.sleep(PAUSE_AFTER_ERROR_S)

    async def wait_for_more(self, results: int = 30) -> None:
        """Wait until calls run: for so many more results than there are now. Redis may be failing over meanwhile."""
        goal = self.results + results
        await wait_until(
            lambda: self.results > goal, lambda: f"calls run: {list(self.answers.items())[-3:]}", FAILOVER_S
        )

    @property
    def results(self) -> int:
        return sum("result" in answer for answer in self.answers.values())

    def executed(self, word: str) -> list[str]:
        """The keys of the errors that say `executed: <word>`."""
        errors = {key: answer["error"] for key, answer in self.answers.items() if "error" in answer}
        return [key for key, error in errors.items() if error["data"]["executed"] == word]

    def check(self, paused: int = 0) -> None:
        """As `check_runs`; and of each client what it sent first ran first.

        `paused` processes were stopped for a while: each may have been about to start a call, which then comes late,
        and whose caller was told `maybe`.
        """
        self.check_runs()
        place = {key: number for number, key in enumerate(self.sent)}
        for client in self._clients:
            newest, late = -1, list[str]()
            for key in lines(self._path):
                if self._senders.get(key) is client:
                    late += [key] if place[key] < newest else []
                    newest = max(newest, place[key])
            assert set(late) <= set(self.executed("maybe")), f"not in the order in which they were sent: {late}"
            assert len(late) <= paused, f"not in the order in which they were sent: {late}"

    def check_runs(self) -> None:
        """Everything has ended, and what was said of each call is true."""
        runs = Counter(lines(self._path))
        assert set(self.sent) == set(self.answers), "each request has an answer"
        assert not set(runs) - set(self.sent), "nothing ran that was not sent"
        assert not [key for key, count in runs.items() if count > 1], "nothing ran twice"
        for key, answer in self.answers.items():
            said = "yes" if "result" in answer else answer["error"]["data"]["executed"]
            possible = {"yes": (1,), "no": (0,), "maybe": (0, 1)}[said]
            assert runs[key] in possible, f"{key} ran {runs[key]} times, and its answer was {answer}"
