"""An owner's memory that knows nothing yet, and limits that a test can reach."""

import pytest

from tests.unit.protocol.memory.owner import Owner
from wispy.protocol import memory


@pytest.fixture
def owner() -> Owner:
    return Owner()


@pytest.fixture
def each_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every single acknowledgement counts at once."""
    monkeypatch.setattr(memory, "ACK_STEP", 1)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "MAX_UNACKNOWLEDGED", 8)
    monkeypatch.setattr(memory, "SESSION_QUOTA_BYTES", 8 * memory.ANSWER_BYTES + 4000)
    monkeypatch.setattr(memory, "OBJECT_QUOTA_BYTES", 16 * memory.ANSWER_BYTES + 8000)
