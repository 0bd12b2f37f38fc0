from wispy.broker.cluster_link import MAX_ASK_AGAIN_S, ask_again_s


def test_a_failover_is_noticed_soon_and_what_lasts_is_asked_about_less_often() -> None:
    for _ in range(20):
        pauses = [ask_again_s(attempt) for attempt in range(1000)]
        assert max(pauses[:8]) < 0.75
        assert 30 < sum(pauses[:56]) < 90
        assert min(pauses[100:]) >= MAX_ASK_AGAIN_S / 2
        assert max(pauses) <= MAX_ASK_AGAIN_S * 1.5
