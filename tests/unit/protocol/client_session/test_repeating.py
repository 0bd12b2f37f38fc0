"""Which calls are sent again under a new id, when, and how often."""

import pytest

from tests.unit.protocol.client_session.played import Played
from wispy.protocol import errors
from wispy.protocol.client_calls import Backoff, CallState
from wispy.protocol.client_session import REPEAT_S
from wispy.protocol.errors import RPCError


def test_what_did_not_run_and_may_be_tried_again_is_under_a_new_id(played: Played) -> None:
    played.welcome()
    call = played.call()
    played.sent()
    played.answer(call, errors.OVERLOADED(), now=1.0)
    assert call.state is CallState.PAUSING
    due = played.session.wakeup_at()
    assert due is not None
    assert due > 1.0
    played.session.tick(due)
    (message,) = played.sent(due)
    assert (message["id"], message["wispy"]) == (2, {"ack": 1, "at": 1000 + int(due * 1000)})
    played.answer(call)
    assert (call.result, call.error) == (b"1", None)


@pytest.mark.parametrize(("deadline", "is_repeated"), [(9.0, True), (8.0, False)])
def test_who_asks_too_often_waits_as_long_as_he_is_told(played: Played, deadline: float, is_repeated: bool) -> None:
    played.welcome()
    call = played.call(deadline=deadline)
    played.sent()
    played.answer(call, errors.rate_limited("too often", 7.5), now=1.0)
    assert (call.state is CallState.PAUSING) == is_repeated
    assert not played.sent(8.4)
    played.session.tick(8.6)
    assert bool(played.sent(8.6)) == is_repeated


@pytest.mark.parametrize(
    ("method", "error", "is_idempotent", "is_repeated"),
    [
        ("sample.run", errors.OVERLOADED(), False, True),
        ("rpc.get", errors.NO_OWNER(), False, True),
        ("rpc.set", errors.OVERLOADED(), False, False),
        ("rpc.delete", errors.OVERLOADED(), True, False),
        ("sample.run", errors.NOT_FOUND(), False, False),
        ("sample.run", errors.OUTCOME_UNKNOWN(), False, False),
        ("sample.run", errors.OUTCOME_UNKNOWN(), True, True),
        ("sample.run", errors.CANCELLED(), True, False),
        ("sample.run", errors.TIMED_OUT(), True, False),
    ],
)
def test_which_failures_are_repeated(
    played: Played, method: str, error: RPCError, is_idempotent: bool, is_repeated: bool
) -> None:
    played.welcome()
    call = played.call(method, is_idempotent=is_idempotent)
    played.sent()
    played.answer(call, error)
    assert (call.state is CallState.PAUSING) == is_repeated
    assert (call in played.settled) != is_repeated


@pytest.mark.parametrize("is_before", [True, False])
@pytest.mark.parametrize(
    ("method", "target", "is_repeated"),
    [("sample.run", "sample", False), ("sample.run", "other", True), ("rpc.get", "sample", True)],
)
def test_nothing_overtakes_by_being_repeated(
    played: Played, is_before: bool, method: str, target: str, is_repeated: bool
) -> None:
    played.welcome()
    call = played.call(method)
    played.sent()
    if is_before:
        played.call(target=target)
        played.sent()
    played.answer(call, errors.OVERLOADED())
    if not is_before:
        played.call(target=target)
        played.sent()
    played.session.tick(1.0)
    assert bool(played.sent(1.0)) == is_repeated
    assert (call.error is None or call.state is CallState.IN_FLIGHT) == is_repeated


def test_nothing_is_repeated_beyond_its_deadline(played: Played) -> None:
    played.welcome()
    call = played.call(deadline=1.0)
    played.sent()
    played.answer(call, errors.OVERLOADED(), now=0.999)
    assert call.error is not None
    assert call.error.code == errors.OVERLOADED.code


def test_an_idempotent_call_goes_out_again_in_the_next_session(played: Played) -> None:
    played.welcome()
    call = played.call(is_idempotent=True)
    played.sent()
    played.break_off(1.0)
    played.welcome(2.0, session="s2")
    (message,) = played.sent(2.0)
    assert (message["id"], "retry" in message["wispy"]) == (2, False)
    assert call.state is CallState.IN_FLIGHT


def test_an_idempotent_call_that_may_have_run_is_never_said_not_to_have(played: Played) -> None:
    played.welcome()
    call = played.call(is_idempotent=True)
    played.sent()
    played.answer(call, errors.OUTCOME_UNKNOWN(), now=1.0)
    played.session.tick(2.0)
    played.sent(2.0)
    played.answer(call, errors.NOT_STARTED(), now=REPEAT_S * 2)  # the second copy did not run; too late for a third
    (settled,) = played.settled
    assert settled.error is not None
    assert settled.error.executed == "maybe"


def test_a_call_without_a_time_out_is_not_repeated_for_ever(played: Played) -> None:
    """Who reads from an object that nobody serves is told so while he still waits for it."""
    played.welcome()
    call = played.call("rpc.get")
    for now in (0.0, REPEAT_S / 2):
        played.session.tick(now)
        assert len(played.sent(now)) == 1
        played.answer(call, errors.NO_OWNER(), now=now + 0.1)
    assert call.state is CallState.PAUSING
    played.session.tick(REPEAT_S - 0.1)
    played.sent(REPEAT_S - 0.1)
    played.answer(call, errors.NO_OWNER(), now=REPEAT_S)
    (settled,) = played.settled
    assert settled.error is not None
    assert settled.error.code == errors.NO_OWNER.code


def test_a_repeated_call_leaves_before_those_that_wait(played: Played) -> None:
    played.welcome(in_flight=2)
    first = played.call("rpc.get")
    played.sent()
    waiting = played.call("sample.later")
    played.answer(first, errors.OVERLOADED(), now=1.0)
    played.session.hold()
    played.session.tick(5.0)
    played.welcome(in_flight=2)
    assert [message["method"] for message in played.sent(5.0)][:1] == ["rpc.get"]
    assert waiting.state is not CallState.SETTLED


def test_pauses_grow_within_their_cap() -> None:
    backoff = Backoff(lambda: 1.0, base_s=1.0, cap_s=5.0, minimum_s=0.1)
    assert [backoff.next_s() for _ in range(5)] == [1.1, 2.1, 4.1, 5.1, 5.1]
    backoff.reset()
    assert backoff.next_s() == 1.1
