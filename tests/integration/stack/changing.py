"""An object whose code is another one when it is served again: the environment names its channel's role."""

import os
from typing import Annotated, ClassVar

from wispy import roles

ROLE = os.environ.get("ROLE_OF_LEVEL")


class Changing:
    tracked_channel_values: ClassVar = {"level": 1}
    if ROLE:
        level: Annotated[int, roles(ROLE)]
    else:
        level: int

    def up(self) -> None:
        self.tracked_channel_values["level"] += 1
