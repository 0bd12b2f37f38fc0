"""What a session sends: in which order, with which stamps and acknowledgements, within which bounds."""

import pytest

from tests.unit.protocol.client_session.played import OTHER_RUN, Played
from wispy.protocol import errors
from wispy.protocol.client_session import MAX_OPEN, MAX_WAITING, OPEN_WINDOW
from wispy.protocol.errors import RPCError


def test_calls_wait_for_the_hello_and_leave_in_order(played: Played) -> None:
    for name in "abc":
        played.call(f"sample.{name}")
    assert played.sent() == []
    played.welcome()
    assert [(each["id"], each["method"]) for each in played.sent()] == [
        (1, "sample.a"),
        (2, "sample.b"),
        (3, "sample.c"),
    ]


def test_one_place_in_flight_stays_free_for_a_cancel(played: Played) -> None:
    played.welcome(in_flight=5)
    calls = [played.call() for _ in range(6)]
    assert len(played.sent()) == 4
    played.answer(calls[0])
    assert [each["id"] for each in played.sent()] == [5]


def test_the_stamp_is_the_servers_clock(played: Played) -> None:
    played.welcome(ms=1000, now=10.0)
    played.call()
    (message,) = played.sent(10.5)
    assert message["wispy"] == {"ack": 0, "at": 1500}


def test_a_stamp_on_another_servers_clock_names_it(played: Played) -> None:
    played.welcome(ms=1000)
    played.session.set_clock(OTHER_RUN, 5000, 1.0)
    played.call()
    (message,) = played.sent(1.0)
    assert message["wispy"] == {"ack": 0, "at": 5000, "run": OTHER_RUN}


def test_the_oldest_unanswered_id_bounds_the_acknowledgement(played: Played) -> None:
    played.welcome()
    first, second, third = (played.call() for _ in range(3))
    played.sent()
    played.answer(second)
    played.answer(third)
    played.call()
    assert played.sent()[0]["wispy"]["ack"] == 0
    played.answer(first)
    played.call()
    assert played.sent()[0]["wispy"]["ack"] == 3


@pytest.mark.parametrize("stragglers", [1, MAX_OPEN, MAX_OPEN + 1])
def test_far_behind_the_stragglers_are_named(played: Played, stragglers: int) -> None:
    played.welcome(in_flight=1000)
    calls = [played.call() for _ in range(stragglers + OPEN_WINDOW + 1)]
    played.sent()
    for call in calls[stragglers:]:
        played.answer(call)
    played.call()
    members = played.sent()[0]["wispy"]
    assert members["open"] == list(range(1, min(stragglers, MAX_OPEN) + 1))
    assert members["ack"] == (MAX_OPEN if stragglers > MAX_OPEN else len(calls))


def test_what_the_server_would_not_take_is_refused_here(played: Played) -> None:
    played.welcome(size=2000)
    call = played.call("sample." + "x" * 2000)
    assert played.sent() == []
    assert call.error is not None
    assert (call.error.code, call.error.executed) == (errors.TOO_LARGE.code, "no")


def test_the_queue_is_bounded(played: Played) -> None:
    for _ in range(MAX_WAITING):
        played.call()
    with pytest.raises(RPCError) as caught:
        played.call()
    assert (caught.value.code, caught.value.executed) == (errors.OVERLOADED.code, "no")
