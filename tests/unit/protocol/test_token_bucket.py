"""Token buckets: against a bucket that is filled drop by drop, and in number."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wispy.protocol.token_bucket import Buckets


def took(buckets: Buckets, key: str, now: float, tokens: int = 1, room: int = 0) -> bool:
    """Take the tokens if they are there."""
    if buckets.wait_s(key, now, tokens, room):
        return False
    buckets.take(key, now, tokens)
    return True


class PlainBucket:
    """What is to be: a number of tokens that rises with time, up to the burst."""

    def __init__(self, per_second: float, burst: float) -> None:
        self.per_second = per_second
        self.burst = burst
        self.tokens = burst
        self.looked_at = 0.0

    def took(self, now: float, tokens: int, room: int) -> bool | None:
        """None where rounding decides."""
        self.tokens = min(self.burst, self.tokens + (now - self.looked_at) * self.per_second)
        self.looked_at = now
        missing = min(tokens, self.burst) - self.tokens - room
        if abs(missing) < 1e-3 * max(1.0, self.per_second):
            return None
        if missing > 0:
            return False
        self.tokens -= tokens
        return True


STEPS = st.lists(
    st.tuples(st.floats(0.0, 20.0), st.integers(1, 12), st.sampled_from([0, 0, 3])), min_size=1, max_size=60
)


@given(st.floats(0.1, 50.0), st.floats(1.0, 20.0), STEPS)
def test_it_is_a_bucket_of_tokens(per_second: float, burst: float, steps: list[tuple[float, int, int]]) -> None:
    buckets, plain = Buckets(per_second, burst, 10), PlainBucket(per_second, burst)
    now = 0.0
    for pause, tokens, room in steps:
        now += pause
        expected = plain.took(now, tokens, room)
        if expected is None:
            return
        assert took(buckets, "one", now, tokens, room) is expected


@given(st.floats(0.1, 1000.0), st.floats(1.0, 50.0), st.lists(st.floats(0.0, 3.0), max_size=200))
def test_no_second_has_more_than_burst_and_rate(per_second: float, burst: float, pauses: list[float]) -> None:
    buckets = Buckets(per_second, burst, 10)
    now, taken = 0.0, list[float]()
    for pause in pauses:
        now += pause
        if took(buckets, "one", now):
            taken.append(now)
    for begin, moment in enumerate(taken):
        for end in range(begin, len(taken)):
            assert end - begin + 1 <= burst + (taken[end] - moment) * per_second + 1e-3 * max(1.0, per_second)


@given(st.floats(0.1, 1000.0), st.integers(1, 50), st.integers(1, 80), st.floats(0.0, 100.0))
def test_who_waits_as_long_as_he_was_told_gets_it(per_second: float, burst: int, tokens: int, began: float) -> None:
    buckets = Buckets(per_second, burst, 10)
    while not buckets.wait_s("one", began, tokens):
        buckets.take("one", began, tokens)
    wait_s = buckets.wait_s("one", began, tokens)
    assert wait_s <= tokens / per_second * 1.001
    assert buckets.wait_s("one", began + wait_s * 0.99, tokens) > 0
    assert buckets.wait_s("one", began + wait_s, tokens) == 0


def test_each_key_has_its_own() -> None:
    buckets = Buckets(1.0, 1, 10)
    assert [took(buckets, key, 0.0) for key in "aba"] == [True, True, False]


def test_more_than_it_holds_takes_a_full_one_and_is_owed() -> None:
    buckets = Buckets(10.0, 5, 10)
    assert took(buckets, "a", 0.0, tokens=20)
    assert buckets.wait_s("a", 0.0) == pytest.approx(1.6)
    assert not took(buckets, "a", 1.9, tokens=20)
    assert took(buckets, "a", 2.0, tokens=20)


def test_the_number_of_buckets_is_bounded_and_the_busy_ones_stay() -> None:
    buckets = Buckets(1.0, 1, 3)
    assert all(took(buckets, key, 0.0) for key in "abc")
    assert not took(buckets, "a", 0.0)  # refused, and remembered for it
    assert took(buckets, "d", 0.0)
    assert len(buckets) == 3
    assert not took(buckets, "a", 0.0)
    assert took(buckets, "b", 0.0)  # forgotten


def test_full_buckets_are_forgotten() -> None:
    buckets = Buckets(1.0, 1, 1000)
    for number in range(100):
        buckets.take(f"early {number}", 0.0)
    for number in range(60):
        buckets.take(f"late {number}", 10.0)
    assert len(buckets) == 60
