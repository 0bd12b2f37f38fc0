"""A simulated cryostat without a page of its own: the console shows what it is and does.

Start it with `python examples/cryostat/cryostat.py`, and open `/console/` at the address that it prints.
"""

import asyncio
import datetime as dt
import enum
import math
import random
import threading
import time
from typing import Annotated, Any, ClassVar, Literal

from msgspec import Meta

from wispy import RPCWebApp, locking

STEPS_PER_S = 10
ROOM_K = 293.0


class Valve(enum.Enum):
    """How far the helium valve is open."""

    CLOSED = "closed"
    THROTTLED = "throttled"
    OPEN = "open"


class Pump:
    """The vacuum pump of the sample space."""

    speed_rpm: int = 1200
    is_running: bool = True

    def start(self, speed_rpm: Annotated[int, Meta(ge=0, le=6000)] = 1200) -> None:
        """Start, or change the speed."""
        self.speed_rpm, self.is_running = speed_rpm, True

    def stop(self) -> None:
        """Let it run down."""
        self.is_running = False


class Cryostat:
    """A helium cryostat: it cools a sample, and warms it again along ramps.

    The temperature follows the target as a real one would, with noise, and overshoots a little.
    """

    target: Annotated[float, Meta(ge=1.5, le=320)] = 77.0
    """Kelvin."""
    heater_limit: Annotated[int, Meta(ge=0, le=100)] = 60
    """Percent of full power."""
    valve: Valve = Valve.THROTTLED
    is_locked: bool = False
    sample: str = "Nb3Sn film, batch 7"
    calibration: dict[str, float]

    tracked_channel_values: ClassVar[dict[str, Any]] = {
        "temperature": 77.0,
        "pressure": 1.2,
        "heater": 20.0,
        "target": target,
        "spectrum": [0.0] * 64,
        "ramping": False,
        "status": "holding",
    }
    event_channels: ClassVar[dict[str, int]] = {"alarm": 50}

    def __init__(self) -> None:
        self.calibration = {"offset": 0.013, "gain": 1.0021}
        self.pump = Pump()
        self._drift = 0.0
        threading.Thread(target=self._run, name="cryostat", daemon=True).start()

    @property
    def helium_level(self) -> float:
        """Percent, measured at each reading."""
        return round(62 + random.gauss(0, 0.3), 2)

    @locking
    async def ramp(
        self,
        to: Annotated[float, Meta(ge=1.5, le=320)],
        rate: Annotated[float, Meta(gt=0, le=50)] = 5.0,
        shape: Literal["linear", "smooth"] = "linear",
        hold: bool = True,
    ) -> str:
        """Move the target to a temperature, step by step, and say when it is there.

        `to` is in kelvin, `rate` in kelvin a second. One ramp runs at a time; a second one waits.
        """
        values = self.tracked_channel_values
        values["ramping"], values["status"] = True, f"ramping to {to:g} K"
        start, seconds = self.target, abs(to - self.target) / rate
        steps = max(1, round(seconds * STEPS_PER_S))
        try:
            for step in range(1, steps + 1):
                part = step / steps
                if shape == "smooth":
                    part = (1 - math.cos(math.pi * part)) / 2
                self.target = round(start + (to - start) * part, 3)
                await asyncio.sleep(1 / STEPS_PER_S)
        finally:
            values["ramping"], values["status"] = False, "holding" if hold else "drifting"
        return f"at {self.target:g} K after {seconds:.1f} s"

    def calibrate(self, offset: float, gain: float | None = None) -> dict[str, float]:
        """Correct the thermometer; a gain that is not given stays."""
        if gain is not None and not 0.9 < gain < 1.1:
            raise ValueError(f"a gain of {gain:g} is no calibration but a defect: it must lie between 0.9 and 1.1")
        self.calibration = {"offset": offset, "gain": gain if gain is not None else self.calibration["gain"]}
        return self.calibration

    def set_valve(self, valve: Valve) -> Valve:
        """Turn the helium valve."""
        self.valve = Valve(valve)
        return self.valve

    def plan(self, at: dt.datetime, to: float, note: str = "") -> str:
        """Note down a change for later (it is only noted)."""
        return f"{at:%d %B, %H:%M}: {to:g} K {note}".strip()

    def annotate(self, *lines: str, **fields: Any) -> dict[str, Any]:
        """Keep remarks with the measurement, as many as you like."""
        return {"lines": list(lines), **fields}

    def warn(self, text: str, level: Literal["info", "warning", "critical"] = "warning") -> None:
        """Send an alarm to everyone who watches."""
        self.publish("alarm", {"level": level, "text": text})  # pyright: ignore -- wispy gives it

    def _run(self) -> None:
        temperature, started = 77.0, time.monotonic()
        while True:
            time.sleep(1 / STEPS_PER_S)
            values = self.tracked_channel_values  # each assignment publishes
            seconds = time.monotonic() - started
            temperature += (self.target - temperature) * 0.12
            wave = 0.25 * math.sin(seconds / 1.7) + 0.1 * math.sin(seconds * 1.9)
            values["temperature"] = round(temperature + wave + random.gauss(0, 0.02), 3)
            values["heater"] = round(min(self.heater_limit, max(0.0, self.target / 4 + 6 * math.cos(seconds / 3))), 1)
            if int(seconds * STEPS_PER_S) % 5 == 0:
                self._drift = 0.9 * self._drift + random.gauss(0, 0.05)
                values["pressure"] = round(1.2 + self._drift, 3)
                values["spectrum"] = self._measure_spectrum(seconds)

    def _measure_spectrum(self, seconds: float) -> list[float]:
        """Two lines over noise, of which one wanders."""
        centre = 22 + 4 * math.sin(seconds / 5)
        lines = ((math.exp(-((at - centre) ** 2) / 30), 0.6 * math.exp(-((at - 46) ** 2) / 12)) for at in range(64))
        return [round(one + other + random.random() / 12, 3) for one, other in lines]


if __name__ == "__main__":
    RPCWebApp(cryostat=Cryostat()).run()
