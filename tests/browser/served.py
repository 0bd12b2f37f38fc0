"""What `wispy serve` and `wispy-worker` serve here: the quickstart's class, whose own module starts an app."""

import asyncio
from typing import ClassVar


class Sample:
    a = 1

    tracked_channel_values = {"a": 1, "b": "test", "c": [2, 3], "d": {"e": 5}}  # noqa: RUF012 -- as in the quickstart

    def test_sum(self, a, b):
        return a + b


class Counter:
    """Counts how often each call ran. Calls overlap, and last: a killed frontend leaves some running."""

    tracked_channel_values: ClassVar = {"total": 0}

    def __init__(self) -> None:
        self.runs: dict[str, int] = {}

    async def count(self, number: int) -> int:
        self.runs[str(number)] = self.runs.get(str(number), 0) + 1
        self.tracked_channel_values["total"] += 1
        await asyncio.sleep(0.1)
        return number
