"""Objects that several workers may share, and some that they may not. Imported by workers, not by the tests."""

import asyncio
import os
import time
from pathlib import Path
from typing import Any, ClassVar

from wispy import caller, on_acquire, on_release, roles, snapshot


class Ledger:
    """Notes each execution in a file that outlives its process."""

    unit = "euro"

    @on_acquire
    def came(self) -> None:
        self._worker = os.getpid()

    def note(self, path: str, key: str) -> int:
        """Note a key; the process that did."""
        with Path(path).open("a") as file:
            file.write(f"{key}\n")
        return self._worker

    def note_slowly(self, path: str, key: str, seconds: float) -> int:
        """Holds the objects' thread meanwhile."""
        worker = self.note(path, key)
        time.sleep(seconds)
        return worker

    async def note_and_wait(self, path: str, key: str, gate: str) -> int:
        """Note a key, and the process beside the gate; wait until that is there."""
        worker = self.note(path, key)
        Path(f"{gate}.{key}").write_text(str(worker))  # noqa: ASYNC240 -- it is one quick call
        while not Path(gate).exists():  # noqa: ASYNC110, ASYNC240 -- another process makes it
            await asyncio.sleep(0.005)
        return worker

    def who(self, seconds: float) -> tuple[str | None, list[str], int]:
        """Who asks, what he is, and the process that was asked; holds the objects' thread meanwhile."""
        time.sleep(seconds)
        return caller().user, sorted(caller().roles), self._worker

    @roles("bookkeeper")
    def note_as_bookkeeper(self, path: str, key: str, seconds: float) -> int:
        return self.note_slowly(path, key, seconds)

    def large(self, size: int) -> str:
        return "x" * size

    def declare(self, name: str) -> None:
        self.tracked_channel_values[name] = 1  # type: ignore[attr-defined]


class Lingering(Ledger):
    """Takes its time to go."""

    @on_release
    def goes(self) -> None:
        time.sleep(0.5)


class Telling:
    tracked_channel_values: ClassVar[dict[str, Any]] = {"newest": ""}


class Keeping:
    @snapshot
    def state(self) -> int:
        return 1
