"""The lease: a standby that waits long enough, an owner that stops early enough; never both at once."""

from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wispy.protocol.ownership import HeldLease, LeaseWatch

LEASE_S = 1.5


@dataclass(frozen=True)
class Record:
    epoch: str = "5-a"
    renewals: int = 0
    lease_ms: int = 1500
    released: bool = False


HELD = Record()


def test_free_at_once_where_nobody_holds_it() -> None:
    assert LeaseWatch().is_free(None, 1, 0.0)
    assert LeaseWatch().is_free(replace(HELD, released=True), 1, 0.0)


def test_free_after_a_whole_lease_without_renewal() -> None:
    watch = LeaseWatch()
    assert not watch.is_free(HELD, 1, 100.0)
    assert not watch.is_free(HELD, 1, 101.0)
    assert not watch.is_free(HELD, 1, 101.5)
    assert watch.is_free(HELD, 1, 101.6)


@pytest.mark.parametrize(
    ("record", "connection"),
    [(replace(HELD, renewals=1), 1), (replace(HELD, epoch="6-b"), 1), (HELD, 2)],
    ids=["a renewal", "another owner", "another connection: what happened between is not known"],
)
def test_waits_anew(record: Record, connection: int) -> None:
    watch = LeaseWatch()
    watch.is_free(HELD, 1, 0.0)
    assert not watch.is_free(record, connection, 10.0)
    assert not watch.is_free(record, connection, 10.0 + LEASE_S)
    assert watch.is_free(record, connection, 10.1 + LEASE_S)


def test_an_owner_lives_if_it_was_seen_to_do_something() -> None:
    watch = LeaseWatch()
    for connection in (1, 2):  # what happened between the connections may be long ago
        watch.is_free(HELD, connection, 0.0)
        assert not watch.lives
    watch.is_free(replace(HELD, renewals=1), 2, 0.5)
    assert watch.lives


def test_the_record_says_how_long_its_owner_may_be_silent() -> None:
    watch = LeaseWatch()
    slow = replace(HELD, lease_ms=60_000)
    watch.is_free(slow, 1, 0.0)
    assert not watch.is_free(slow, 1, 59.0)


def test_a_released_lease_that_was_taken_is_not_free() -> None:
    watch = LeaseWatch()
    assert watch.is_free(replace(HELD, released=True), 1, 0.0)
    assert not watch.is_free(replace(HELD, epoch="6-b"), 1, 10.0)


def test_owner_acts_until_a_lease_after_it_sent_the_last_renewal() -> None:
    lease = HeldLease("5-a", "run", LEASE_S, sent_at=10.0)
    assert lease.is_valid(11.4)
    assert not lease.is_valid(11.5)
    lease.renewed(12.0)
    assert lease.is_valid(13.4)
    assert not lease.is_valid(13.5)


def test_answers_to_renewals_may_come_in_any_order() -> None:
    lease = HeldLease("5-a", "run", LEASE_S, sent_at=10.0)
    lease.renewed(12.0)
    lease.renewed(11.0)
    assert lease.is_valid(13.4)


def test_a_lost_lease_stays_lost() -> None:
    lease = HeldLease("5-a", "run", LEASE_S, sent_at=10.0)
    lease.lost = True
    lease.renewed(11.0)
    assert not lease.is_valid(11.0)


delays = st.floats(0, 2, allow_nan=False)


@given(
    renewals=st.lists(st.tuples(st.floats(0.01, 3), delays, delays), max_size=8),
    looks=st.lists(st.tuples(st.floats(0.01, 1), delays, delays), min_size=1, max_size=20),
)
def test_never_two_at_once(renewals: list[tuple[float, float, float]], looks: list[tuple[float, float, float]]) -> None:
    """Whatever the network delays: when the standby finds the lease free, the owner has stopped.

    A renewal and a look each are (seconds since the one before, way to Redis, way back).
    """
    lease = HeldLease("5-a", "run", LEASE_S, sent_at=0.0)
    written = [0.0]  # when Redis took note of each renewal; the acquisition itself took no time
    now = 0.0
    confirmed: list[tuple[float, float]] = []
    for pause, there, back in renewals:
        now += pause
        written.append(max(written[-1], now + there))
        confirmed.append((written[-1] + back, now))
    watch = LeaseWatch()
    now = 0.0
    for pause, there, back in looks:
        seen_at = now + pause + there
        now = seen_at + back
        record = replace(HELD, renewals=sum(at <= seen_at for at in written) - 1)
        is_free = watch.is_free(record, 1, now)
        if is_free and record.renewals == sum(at <= now for at in written) - 1:  # the compare-and-set
            for answered_at, sent_at in confirmed:
                if answered_at <= now:
                    lease.renewed(sent_at)
            assert not lease.is_valid(now)
            return
