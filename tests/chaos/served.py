"""The object of the chaos run. It notes each execution in a file, which outlives the process that wrote it."""

import asyncio
import os
import secrets
from typing import Any, ClassVar

import wispy

UPDATES_PER_S = 120

BOOK = os.environ.get("CHAOS_BOOK", os.devnull)
"""The file, by the environment: the object is made anew in each owner."""

NEWS = os.environ.get("CHAOS_NEWS", os.devnull)
"""The same for the events that it publishes."""


class Ledger:
    """Notes keys, and publishes numbers. Under each lease they begin at 1 and have its name, so that disorder shows."""

    tracked_channel_values: ClassVar[dict[str, Any]] = {"tick": ["", 0], "is_ticking": True}
    event_channels: ClassVar[dict[str, int]] = {"news": 7200}  # a minute of them: as long as a session may be away

    tick: Any = None
    is_ticking: bool = True

    def __init__(self) -> None:
        self._book = os.open(BOOK, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self._news = os.open(NEWS, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self._values: object = None
        self._lease = ""
        """The lease's name, for the readers; wispy's own is not the object's business."""
        self._number = 0
        self._ticker = asyncio.get_running_loop().create_task(self._tick())

    def _note(self, key: str) -> str:
        os.write(self._book, f"{key}\n".encode())  # one write, which the kernel appends whole
        return key

    def note(self, key: str) -> str:
        """A call that is over at once."""
        return self._note(key)

    async def note_later(self, key: str, seconds: float) -> str:
        """A call that takes its time, beside others."""
        self._note(key)
        await asyncio.sleep(seconds)
        return key

    @wispy.threaded
    def note_in_thread(self, key: str) -> str:
        """A call in a thread of the pool."""
        return self._note(key)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(1 / UPDATES_PER_S)
            publish = getattr(self, "publish", None)
            values = self.tracked_channel_values
            if publish is None or not self.is_ticking:
                continue  # nobody owns it here now, or the run is over
            if values is not self._values:  # another lease: wispy gives the object its channels anew
                self._values, self._lease, self._number = values, secrets.token_hex(4), 0
            self._number += 1
            self.tick = [self._lease, self._number]  # the channel follows
            publish("news", self.tick)
            os.write(self._news, b"%s %d\n" % (self._lease.encode(), self._number))
