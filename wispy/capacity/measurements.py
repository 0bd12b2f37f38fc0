"""What the model rests on: the CPU time of each kind of process for one operation.

`python -m benchmarks capacity` measures it. `measured.json`, beside this module, names its machine; the same command
makes another machine's figures.
"""

import math
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Annotated

import msgspec

from wispy.errors import ConfigError


class Curve(msgspec.Struct, frozen=True):
    """CPU time of one operation, by how many there are in a second: under load, operations share their cost."""

    points: Annotated[list[tuple[float, float]], msgspec.Meta(min_length=1)]
    """Operations a second, and CPU microseconds of each, by rising rate."""

    def us_at(self, per_s: float) -> float:
        """CPU microseconds of one operation, where there are so many in a second.

        Between two measured rates it falls evenly on logarithmic scales. Below the least one it is what was measured
        there, and beyond the greatest one, too: nobody knows better.
        """
        for (low, low_us), (high, high_us) in pairwise(self.points):
            if low <= per_s <= high:
                part = math.log(per_s / low) / math.log(high / low)
                return low_us * (high_us / low_us) ** part
        return self.points[0][1] if per_s < self.points[0][0] else self.points[-1][1]

    def share_at(self, per_s: float) -> float:
        """The part of one core that so many operations a second take."""
        return per_s * self.us_at(per_s) / 1e6


class Costs(msgspec.Struct, frozen=True):
    """One kind of operation, by the kind of process."""

    frontend: Curve
    redis: Curve
    worker: Curve


class Measurements(msgspec.Struct, frozen=True):
    """All that was measured on one machine, with one process of each kind."""

    machine: dict[str, str]
    calls: Costs
    """A call of a method that does nothing, of an object with an owner."""
    shared_calls: Costs
    """The same of a shared object."""
    updates: Costs
    """An update of a value channel of 100 bytes, that one connection follows: what it costs however many there are."""
    deliveries: Curve
    """A frontend's handing one update to one of many connections, by how many that connection gets in a second: what
    comes to it together costs one write."""
    frontend_bytes: int
    """Memory of a frontend without connections."""
    connection_bytes: int
    """Memory of a frontend for each connection."""
    idle_connection_us: float
    """CPU microseconds of a frontend for each idle connection and second: pings."""


def read(file: Path | None = None) -> Measurements:
    """The measurements in a file; those that come with wispy where none is named.

    Raises:
        ConfigError: the file cannot be read, or holds something else.
    """
    try:
        data = files("wispy.capacity").joinpath("measured.json").read_bytes() if file is None else file.read_bytes()
        return msgspec.json.decode(data, type=Measurements)
    except (OSError, msgspec.DecodeError) as error:
        raise ConfigError(f"{file}: these are no measurements of `python -m benchmarks capacity`: {error}") from error
