"""What `wispy serve` and `wispy-worker` serve here: the quickstart's class, whose own module starts an app."""

import asyncio
from datetime import datetime, time
from typing import Annotated, ClassVar

from wispy import roles


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


class Guarded:
    """It has a channel that not everybody sees."""

    level: Annotated[int, roles("operator")] = 1

    tracked_channel_values: ClassVar = {"level": level}

    def lift(self) -> None:
        self.level += 1


class Panel:
    """What a page is bound to: values of each type, a list, a dict, an attribute that is no channel."""

    level: float = 0.5
    on: bool = False
    mode: str = "auto"
    label: str = "first"
    serial: int = 2**60 + 1
    constructor: str = "acme"
    start: datetime = datetime(2026, 3, 1, 12, 30, 5, 123456)
    noon: time = time(12, 30)

    tracked_channel_values: ClassVar = {"level": level, "on": on, "mode": mode}

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.level, self.on, self.mode, self.label = 0.5, False, "auto", "first"
        self.serial, self._power, self.constructor = 2**60 + 1, 1.0, "acme"
        self.start, self.noon = Panel.start, Panel.noon
        self.rows = [{"name": "a", "done": False}, {"name": "b", "done": True}]
        self.tracked_channel_values.update(log=["started"], limits={"low": 1, "high": 9}, rows=self.rows, link="../x")

    @property
    def power(self) -> float:
        return self._power

    @power.setter
    def power(self, power: float) -> None:
        if power > 5:
            raise ValueError("that is too much")
        self._power = power

    def add(self, a: float, b: float = 0) -> float:
        return a + b

    def divide(self, a: int, b: int) -> float:
        return a / b

    def note(self, text: str) -> None:
        self.tracked_channel_values["log"].append(text)

    def forget(self) -> None:
        self.tracked_channel_values["log"] = []

    def then(self) -> str:
        return "next"

    def rename(self, label: str) -> None:
        self.label = label

    def lead(self, link: str) -> None:
        self.tracked_channel_values["link"] = link

    def fill(self, count: int) -> None:
        self.tracked_channel_values["log"] = [str(number) for number in range(count)]
