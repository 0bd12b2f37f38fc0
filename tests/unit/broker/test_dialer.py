from wispy.broker.dialer import Backoff


def test_pauses_grow_to_the_cap_and_are_never_short() -> None:
    backoff = Backoff(minimum_s=0.05, base_s=0.1, cap_s=2.0)
    for attempt in (0, 1, 2, 5, 10, 10_000):
        pauses = [backoff.pause_s(attempt) for _ in range(200)]
        assert min(pauses) >= 0.05
        assert max(pauses) <= 0.05 + min(2.0, 0.1 * 2 ** min(attempt, 20))
    assert max(backoff.pause_s(10) for _ in range(200)) > 1.0


def test_pauses_are_spread_over_the_whole_range() -> None:
    pauses = [Backoff().pause_s(10) for _ in range(500)]
    assert min(pauses) < 0.3
    assert len({round(pause, 3) for pause in pauses}) > 100
