"""Calls that nobody waits for any longer, and the end of a session."""

import json

import pytest

from tests.unit.protocol.client_session.played import Played
from wispy.protocol import errors
from wispy.protocol.errors import RPCError


def test_a_call_given_up_keeps_its_place_until_it_is_answered(played: Played) -> None:
    played.welcome()
    call = played.call()
    played.sent()
    cancel = played.session.give_up(call)
    assert json.loads(cancel or b"") == {"jsonrpc": "2.0", "method": "rpc.cancel", "params": {"id": 1}}
    assert call.error is not None
    assert (call.error.code, call.error.executed) == (errors.TIMED_OUT.code, "maybe")
    played.call()
    assert played.sent()[0]["wispy"]["ack"] == 0
    played.answer(call)
    played.call()
    assert played.sent()[0]["wispy"]["ack"] == 1
    assert played.settled == [call]


@pytest.mark.parametrize("is_before", [True, False])
def test_a_call_given_up_is_not_sent_again(played: Played, is_before: bool) -> None:
    played.welcome()
    call = played.call()
    played.sent()
    if is_before:
        played.session.give_up(call)
    played.break_off(1.0)
    if not is_before:
        assert played.session.give_up(call) is None
    played.welcome(2.0, resumed=True)
    played.call()
    (message,) = played.sent(2.0)
    assert (message["id"], message["wispy"]["ack"]) == (2, 1)


def test_a_call_that_never_left_did_not_run(played: Played) -> None:
    call = played.call()
    assert played.session.give_up(call) is None
    assert call.error is not None
    assert (call.error.code, call.error.executed) == (errors.NOT_STARTED.code, "no")
    played.welcome()
    assert played.sent() == []


def test_the_end_settles_everything(played: Played) -> None:
    played.welcome(in_flight=2)
    sent, waiting = played.call(), played.call()
    played.sent()
    played.session.close("the end")
    assert sent.error is not None
    assert waiting.error is not None
    assert (sent.error.executed, waiting.error.executed) == ("maybe", "no")
    with pytest.raises(RPCError):
        played.call()
