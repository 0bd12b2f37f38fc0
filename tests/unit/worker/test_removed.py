import pytest

from wispy.worker import removed
from wispy.worker.removed import RemovedChannels


def test_the_longest_gone_is_forgotten_for_a_new_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(removed, "MAX_REMOVED", 2)
    channels = RemovedChannels()
    assert not channels
    assert [channels.add(name) for name in ("a", "b")] == [None, None]
    assert channels
    channels.discard("a")  # is there again
    assert channels.add("a") is None
    assert [channels.add(name) for name in ("c", "d")] == ["b", "a"]
