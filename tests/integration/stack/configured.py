"""What `test_configuration` serves: a class whose instances differ by their settings alone."""

import threading
import time
from typing import Annotated, Any

from wispy import threaded


class Part:
    def __init__(self, depth: int = 1) -> None:
        self.depth = depth
        if depth < 5:
            self.part = Part(depth + 1)


class Device:
    """Its methods say how they were run."""

    _internal = "internal"
    note = "a note"

    def __init__(self) -> None:
        self.part = Part()
        self.most = 0
        self._running = 0
        self._lock = threading.Lock()

    def where(self) -> str:
        """The kind of thread that this runs in."""
        return "main" if threading.current_thread() is threading.main_thread() else "pool"

    def annotated(self) -> Annotated[str, threaded]:
        return self.where()

    @threaded
    def count_together(self) -> int:
        """Of the calls that run at the same time, the most so far."""
        with self._lock:
            self._running += 1
            self.most = max(self.most, self._running)
        time.sleep(0.05)  # long enough for the others to be there
        with self._lock:
            self._running -= 1
        return self.most

    def __len__(self) -> int:
        return 7

    def for_staff_only(self) -> str:
        return "staff"

    for_staff_only.for_staff = True  # pyright: ignore[reportFunctionMemberAccess]

    def added(self) -> dict[str, Any]:
        """wispy's own attributes of this object."""
        names = ("wispy_name", "tracked_channel_values", "publish")
        return {name: str(getattr(self, name)) for name in names if hasattr(self, name)}
