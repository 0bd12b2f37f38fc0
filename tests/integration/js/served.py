"""What Node calls here: the quickstart's class, and a method that takes its time."""

import asyncio


class Sample:
    a = 1

    tracked_channel_values = {"a": 1, "b": "test", "c": [2, 3], "d": {"e": 5}}  # noqa: RUF012 -- as in the quickstart

    def test_sum(self, a, b):
        return a + b

    async def wait(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
