"""Of the machine's code that no page may reach, none has run yet."""

import pytest

from tests.unit.worker.access.machine import fired


@pytest.fixture(autouse=True)
def nothing_fired() -> None:
    fired.clear()
