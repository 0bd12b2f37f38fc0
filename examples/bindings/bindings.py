"""A small greenhouse whose page has no JavaScript of its own: attributes bind its elements to this object.

Start it with `python examples/bindings/bindings.py`, and open the address that it prints, in two windows.
"""

from pathlib import Path
from typing import Any, ClassVar

from wispy import RPCWebApp

LONGEST_DIARY = 20


class Greenhouse:
    """Settings that pages read and set, a list that they add to, and a calculation."""

    target: float = 21.0
    """Degrees Celsius."""
    heating: bool = True
    mode: str = "day"
    plants: list[dict[str, Any]]

    # A channel and the attribute of its name follow each other.
    tracked_channel_values: ClassVar[dict[str, Any]] = {
        "target": target,
        "heating": heating,
        "mode": mode,
        "plants": [{"name": "Basil", "watered": True}, {"name": "Tomato", "watered": False}],
        "diary": ["The greenhouse is open."],
    }

    def __init__(self) -> None:
        self.plants = self.tracked_channel_values["plants"]

    def note(self, text: str) -> None:
        """Write into the diary."""
        if not text.strip():
            raise ValueError("there is nothing to note")
        diary = self.tracked_channel_values["diary"]
        self.tracked_channel_values["diary"] = [*diary, text][-LONGEST_DIARY:]

    def fahrenheit(self, celsius: float) -> float:
        return celsius * 9 / 5 + 32


if __name__ == "__main__":
    static = Path(__file__).resolve().parent / "static"
    RPCWebApp({"static": {"folders": {"static": str(static)}}}, greenhouse=Greenhouse()).run()
