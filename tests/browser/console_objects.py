"""What the console's tests show: a wide object, and one whose values try to become markup."""

import threading
import time
from datetime import datetime
from typing import Any, ClassVar

WIDTH = 200
UPDATES_PER_S = 100


class Wide:
    """It has many attributes, and one of them changes all the time."""

    tracked_channel_values: ClassVar[dict[str, Any]] = {f"value_{index:03}": float(index) for index in range(WIDTH)}

    def __init__(self) -> None:
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            time.sleep(1 / UPDATES_PER_S)
            self.tracked_channel_values["value_000"] += 1.0


class Hostile:
    """<img src=x onerror="window.attacked = 1"> `<b>bold</b>`"""

    tracked_channel_values: ClassVar[dict[str, Any]] = {"text": "<script>window.attacked = 1</script><b>bold</b>"}
    seen: datetime = datetime(2026, 3, 1, 12, 30, 5, 123456)

    def repeat(self, text: str) -> str:
        """<b>bold</b>"""
        return text

    def fail(self, text: str) -> None:
        """It raises what it is given."""
        raise ValueError(text)
