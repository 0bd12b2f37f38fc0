"""Types that annotations in several tests name."""

import dataclasses
import enum


class Motor:
    """Nothing that a page could send."""


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclasses.dataclass
class Tree:
    size: int
    branches: "list[Tree]" = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Garage:
    motors: list[Motor]
