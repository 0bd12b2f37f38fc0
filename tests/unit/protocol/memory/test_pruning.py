"""Which sessions are forgotten, and how that moves the horizon."""

import pytest

from tests.unit.protocol.memory.owner import (
    NOW,
    SINCE,
    WINDOW,
    Owner,
    answer_all,
    block,
    executed,
    request,
    result,
    session_of,
    take,
)
from wispy.protocol import memory
from wispy.protocol.memory import CLOCK_ERROR_MS


def test_session_not_seen_for_long_is_forgotten_and_moves_the_horizon(owner: Owner) -> None:
    answer_all(owner, 1)
    assert owner.prune(NOW) == 0
    assert owner.prune(NOW + CLOCK_ERROR_MS + 1) == 1
    owner.flush()
    assert owner.log == {"since": b"run-1:%d" % owner.since_ms}
    late = NOW + CLOCK_ERROR_MS
    (verdict,) = take(owner, request(1, at=late), now=late)
    assert executed(verdict) == "maybe", "the stamp's clock may have been ahead of the owner's"


def test_horizon_never_moves_back(owner: Owner) -> None:
    take(owner, request(1), now=NOW, name="young")
    owner.answer(session_of(owner, "young"), result(1))
    owner.restore({"s:old": b"3:%d:1" % (SINCE - 5000)})
    assert owner.prune(SINCE) == 1
    assert owner.since_ms == SINCE
    assert not any(field == memory.SINCE_FIELD for field, _ in owner.flush()[0])


def test_session_of_which_something_runs_is_not_pruned(owner: Owner) -> None:
    take(owner, request(1))
    later = NOW + 100_000
    assert owner.prune(later - WINDOW, later) == 0
    session = owner.open_block(block(), NOW)
    session.last_seen_ms = later  # what `prune` has noted, before the test looked
    owner.answer(session, result(1))
    assert owner.prune(later + 1000 - WINDOW, later + 1000) == 0, "its window begins with the answer"
    assert owner.prune(later + 2 * WINDOW - WINDOW, later + 2 * WINDOW) == 1


def test_running_session_counts_as_seen(owner: Owner) -> None:
    take(owner, request(1))
    owner.prune(NOW, NOW + 7)
    owner.flush()
    assert owner.log == {"s:s1": b"0:%d:1" % (NOW + 7)}


@pytest.mark.usefixtures("small")
def test_beyond_the_quota_the_sessions_not_seen_for_longest_go(owner: Owner) -> None:
    for number in range(60):
        now = NOW + number
        take(owner, request(1, at=now), now=now, name=f"s{number}")
        session = owner.open_block(block(name=f"s{number}"), now)
        owner.answer(session, result(1))
    dropped = owner.prune(SINCE)
    assert 0 < dropped < 60
    assert owner.since_ms == NOW + dropped - 1 + CLOCK_ERROR_MS + 1
    assert owner.prune(SINCE) == 0


def test_number_of_sessions_is_bounded(owner: Owner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "MAX_SESSIONS", 3)
    for number in range(5):
        owner.open_block(block(name=f"s{number}"), NOW + number)
    assert owner.prune(SINCE) == 2
    assert set(owner.flush()[1]) == {"s:s0", "s:s1"}
