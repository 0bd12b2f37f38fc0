"""A runner with an object, for the tests of what it does on a real loop with real threads."""

from collections.abc import AsyncIterator

import pytest

from tests.unit.worker.runner.bench import Stage, end, settings
from wispy.worker import runner as runner_module


@pytest.fixture(autouse=True)
def long_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine a turn may be over at any moment: only the test of just that wants it."""
    monkeypatch.setattr(runner_module, "TURN_S", 60)


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    made = Stage(settings())
    yield made
    await end(made)
