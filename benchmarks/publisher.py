"""The updates of the fan-out benchmarks: their text, and the two paces at which both servers publish them.

wispy's object and the Tornado baseline share this code, so that both publish the same bytes in the same rhythm.
"""

import asyncio
import time
from collections.abc import Callable

# As JSON, with its two quotes, an update is 100 bytes.
UPDATE_LENGTH = 98
NUMBER_DIGITS = 12
TIME_DIGITS = 20


def update_text(number: int, length: int) -> str:
    """Write an update: its number, and when it was published on the clock that all processes of a machine share."""
    return f"{number:0{NUMBER_DIGITS}d} {time.monotonic_ns():0{TIME_DIGITS}d} ".ljust(length, ".")


def read_update(text: str, length: int) -> tuple[int, float]:
    """Return number and time of publication (monotonic seconds); ValueError for a text that is not an update, whole."""
    end = NUMBER_DIGITS + 1 + TIME_DIGITS
    if len(text) != length or text[end:].strip(".") != " ":
        raise ValueError(f"not an update: {text!r}")
    return int(text[:NUMBER_DIGITS]), int(text[NUMBER_DIGITS + 1 : end]) / 1e9


class Publisher:
    """Numbers updates, and gives their texts to `emit`."""

    def __init__(self, emit: Callable[[str], None]) -> None:
        self._emit = emit
        self.number = 0  # of the newest update
        self._pushing = asyncio.Lock()  # two batches in one turn would be one update: a value channel keeps the newest

    def publish(self, length: int = UPDATE_LENGTH) -> None:
        """Publish one update, of that many characters."""
        self.number += 1
        self._emit(update_text(self.number, length))

    async def push(self, count: int) -> int:
        """Publish `count` updates, each in its own turn of the loop; returns the number of the newest."""
        async with self._pushing:
            for _ in range(count):
                self.publish()
                await asyncio.sleep(0)
            return self.number

    async def stream(self, per_s: float, seconds: float, length: int = UPDATE_LENGTH) -> int:
        """Publish at a steady pace for a while; returns the number of the newest update."""
        start = time.monotonic()
        for turn in range(round(per_s * seconds)):
            await asyncio.sleep(start + turn / per_s - time.monotonic())
            self.publish(length)
        return self.number
