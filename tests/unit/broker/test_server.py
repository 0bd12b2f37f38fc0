import pytest
from hypothesis import given
from hypothesis import strategies as st

from wispy.broker.server import Server


def sample(server: Server, *, server_s: float, sent_s: float, arrived_s: float) -> float:
    whole, fraction = divmod(round(server_s * 1_000_000), 1_000_000)
    return server.add_sample([str(whole).encode(), str(fraction).encode()], sent_s, arrived_s)


def test_adds_the_monotonic_time_since_the_reply_arrived() -> None:
    server = Server("run")
    sample(server, server_s=1000.5, sent_s=7.0, arrived_s=7.2)
    assert server.now_ms(7.2) == 1_000_500
    assert server.now_ms(9.2) == 1_002_500


def test_a_slow_reply_does_not_replace_a_quick_one() -> None:
    server = Server("run")
    sample(server, server_s=1000.0, sent_s=7.0, arrived_s=7.0)
    sample(server, server_s=1001.0, sent_s=8.0, arrived_s=8.5)
    assert server.now_ms(8.5) == 1_001_500


def test_a_quicker_reply_replaces_a_slow_one() -> None:
    server = Server("run")
    sample(server, server_s=1000.0, sent_s=7.0, arrived_s=7.5)
    sample(server, server_s=1001.0, sent_s=8.0, arrived_s=8.0)
    assert server.now_ms(8.0) == 1_001_000


def test_follows_a_clock_that_was_set_forward_although_the_reply_is_slow() -> None:
    server = Server("run")
    sample(server, server_s=1000.0, sent_s=7.0, arrived_s=7.1)
    assert sample(server, server_s=1001.0, sent_s=8.0, arrived_s=8.5) == 0.0
    assert sample(server, server_s=1102.0, sent_s=9.0, arrived_s=9.5) == pytest.approx(99.6)
    assert server.now_ms(9.5) == 1_102_000


def test_follows_a_clock_that_was_set_back_although_the_reply_is_slow() -> None:
    server = Server("run")
    sample(server, server_s=1000.0, sent_s=7.0, arrived_s=7.0)
    assert sample(server, server_s=900.0, sent_s=8.0, arrived_s=8.5) == pytest.approx(-101.5)
    assert server.now_ms(8.5) == 900_000


delays = st.floats(0, 2)


@given(st.lists(st.tuples(delays, delays, st.floats(0, 100)), min_size=1), delays)
def test_is_never_later_than_the_server_while_the_clocks_agree(
    exchanges: list[tuple[float, float, float]], later_s: float
) -> None:
    ahead_s = 5000.0  # of the server's clock, of the monotonic one
    server = Server("run")
    now_s = 0.0
    for way_there_s, way_back_s, pause_s in exchanges:
        sent_s = now_s
        arrived_s = sent_s + way_there_s + way_back_s
        sample(server, server_s=ahead_s + sent_s + way_there_s, sent_s=sent_s, arrived_s=arrived_s)
        now_s = arrived_s + pause_s
    true_ms = (ahead_s + now_s + later_s) * 1000
    assert server.now_ms(now_s + later_s) <= true_ms + 0.01  # TIME counts microseconds
