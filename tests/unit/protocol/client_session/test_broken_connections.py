"""What goes out again on the next connection, and what is given up with the last one."""

import json

from tests.unit.protocol.client_session.played import OTHER_RUN, RUN, Played
from wispy.protocol import errors
from wispy.protocol.client_calls import Call, CallState
from wispy.protocol.client_session import PATIENCE_S


def test_a_resumed_session_sends_again_what_is_unanswered_with_its_first_stamp(played: Played) -> None:
    played.welcome(ms=1000)
    calls = [played.call() for _ in range(3)]
    played.sent()
    played.answer(calls[1])
    played.break_off(1.0)
    played.call("sample.later", now=1.5)
    assert not played.welcome(2.0, resumed=True, run=OTHER_RUN, ms=9000)
    first, third, later = played.sent(2.0)
    assert (first["id"], first["wispy"]) == (1, {"ack": 0, "at": 1000, "run": RUN, "retry": True})
    assert (third["id"], third["wispy"]["retry"]) == (3, True)
    assert (later["id"], later["wispy"]) == (4, {"ack": 0, "at": 9000})


def test_without_resuming_what_was_sent_is_maybe_and_what_was_not_goes_out(played: Played) -> None:
    played.welcome(in_flight=2)
    sent, waiting = played.call(), played.call()
    assert [each["id"] for each in played.sent()] == [1]
    played.break_off(1.0)
    assert played.welcome(2.0, session="s2")
    assert sent.error is not None
    assert (sent.error.code, sent.error.executed) == (errors.OUTCOME_UNKNOWN.code, "maybe")
    assert [each["id"] for each in played.sent(2.0)] == [2]
    assert waiting.state is CallState.IN_FLIGHT


def test_another_session_than_ours_is_none(played: Played) -> None:
    played.welcome()
    call = played.call()
    played.sent()
    played.break_off(1.0)
    assert played.welcome(2.0, session="of somebody else", resumed=True)
    assert call.state is CallState.SETTLED


def test_hello_names_the_session_until_its_window_is_over(played: Played) -> None:
    assert json.loads(played.session.hello_params()) == {"client": "python"}
    played.welcome()
    call = played.call()
    played.sent()
    played.break_off(10.0)
    assert json.loads(played.session.hello_params()) == {"client": "python", "session": "s1", "token": "token"}
    played.break_off(11.0)
    assert played.session.wakeup_at() == 70.0
    assert not played.session.tick(69.9)
    assert played.session.tick(70.0)
    assert call.error is not None
    assert call.error.executed == "maybe"
    assert json.loads(played.session.hello_params()) == {"client": "python"}
    assert played.session.wakeup_at() is None


def test_a_session_that_hello_has_asked_for_is_not_given_up_before_the_answer(played: Played) -> None:
    played.welcome()
    call = played.call()
    played.sent()
    played.break_off(10.0)
    played.session.hello_params()
    assert played.session.wakeup_at() is None
    assert not played.session.tick(70.0)
    assert not played.welcome(71.0, resumed=True)
    assert [message["id"] for message in played.sent(71.0)] == [call.id]


def test_a_session_that_hello_asks_for_in_vain_is_given_up_when_its_window_has_passed(played: Played) -> None:
    played.welcome()
    played.break_off(10.0)
    played.session.hello_params()
    played.break_off(71.0)
    assert played.session.wakeup_at() == 70.0
    assert played.session.tick(71.0)


def test_a_waiting_call_is_not_meant_for_ever(played: Played) -> None:
    call = played.call(now=1.0)
    assert played.session.wakeup_at() == 1.0 + PATIENCE_S
    played.session.tick(1.0 + PATIENCE_S)
    assert call.error is not None
    assert (call.error.code, call.error.executed) == (errors.UNAVAILABLE.code, "no")


def test_a_local_request_ends_with_its_connection(played: Played) -> None:
    played.welcome()
    call = Call("rpc.subscribe", b"{}", "", 0.0, played.settled.append)
    played.session.local(call, 0.0)
    played.break_off(1.0)
    assert played.settled == [call]
    played.welcome(2.0, resumed=True)
    assert played.sent(2.0) == []
