"""A simulated instrument that a page plots: 20 readings a second, and settings that act at once.

Start it with `python examples/live_plot/live_plot.py`, and open the address that it prints, in two windows.
"""

import math
import random
import threading
import time
from pathlib import Path
from typing import Any, ClassVar

from wispy import RPCWebApp

READINGS_PER_S = 20


class Oscilloscope:
    """A sine wave with noise. Its public attributes are settings that a page reads and sets."""

    amplitude: float = 1.0
    """Volts."""
    frequency: float = 0.5
    """Hertz."""
    noise: float = 0.1
    """Volts, standard deviation."""
    paused: bool = False

    tracked_channel_values: ClassVar[dict[str, Any]] = {
        "reading": [0.0, 0.0],  # seconds since the start, volts
        # A channel and the attribute of its name follow each other, so every page sees what any of them sets.
        "amplitude": amplitude,
        "frequency": frequency,
        "noise": noise,
        "paused": paused,
    }

    def __init__(self) -> None:
        self._turns = 0.0
        """Of the wave so far: a changed frequency bends the wave, and does not break it."""
        threading.Thread(target=self._run, name="instrument", daemon=True).start()

    def reset(self) -> None:
        """Back to the settings of the start."""
        self.amplitude, self.frequency, self.noise, self.paused = 1.0, 0.5, 0.1, False

    def _run(self) -> None:
        """Take readings for ever, as the driver of a real instrument would: on a thread of its own."""
        started = time.monotonic()
        while True:
            time.sleep(1 / READINGS_PER_S)
            if not self.paused:
                reading = [round(time.monotonic() - started, 3), round(self._measure(), 4)]
                self.tracked_channel_values["reading"] = reading  # publishes it

    def _measure(self) -> float:
        self._turns = (self._turns + self.frequency / READINGS_PER_S) % 1
        return self.amplitude * math.sin(2 * math.pi * self._turns) + random.gauss(0, self.noise)


if __name__ == "__main__":
    static = Path(__file__).resolve().parent / "static"
    RPCWebApp({"static": {"folders": {"static": str(static)}}}, scope=Oscilloscope()).run()
