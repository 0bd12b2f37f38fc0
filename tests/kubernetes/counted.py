"""The object of the run: each execution is an event, so that what ran can be compared with what was answered."""

import asyncio
from typing import Any, ClassVar

import wispy


class Counted:
    """Tells of each call that it executes. Nothing is idempotent."""

    event_channels: ClassVar[dict[str, int]] = {"executed": 5000}  # more than the run has calls in a minute
    publish: Any

    async def note(self, key: str, seconds: float) -> str:
        self.publish("executed", key)
        await asyncio.sleep(seconds)
        return key

    @wispy.threaded
    def hog(self) -> int:
        """Take more memory than the container may have: the kernel kills the worker."""
        return sum(len(bytearray(1 << 26)) for _ in [bytearray(b"x" * (1 << 26)) for _ in range(64)])
