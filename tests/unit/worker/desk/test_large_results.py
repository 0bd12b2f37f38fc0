"""Bodies that are stored before their answer is sent."""

import pytest

from tests.unit.worker.desk.owner import KEYS, LARGE, Owner
from wispy.broker.errors import BrokerError, LinkLost, ReplyError
from wispy.protocol import errors, relay
from wispy.worker import large_results


def test_a_large_body_is_stored_first_and_a_copy_meanwhile_moves_its_answer(owner: Owner) -> None:
    owner.take("1-1", 1)
    owner.settle(1, body=LARGE)
    assert owner.answers == []
    assert owner.desk.in_flight == 1
    ((command, on_reply),) = owner.link.commands
    key = KEYS.body("me", 1)
    assert command == (b"SET", key, LARGE, b"PX", 60_000)
    owner.take("1-2", 1, frontend="f2")
    on_reply(b"OK")
    assert owner.last.answers == [("f2", "me", 1, relay.STORED_RESULT, key)]
    assert owner.entries == ["1-2", "1-1"]
    assert owner.desk.in_flight == 0


def test_a_large_body_whose_deadline_comes_while_it_is_stored_is_answered_once(owner: Owner) -> None:
    owner.take("1-1", 1, 2)
    owner.settle(1, body=LARGE)
    owner.desk.answer_early(owner.handed_over[:1], errors.TIMED_OUT())
    owner.link.commands[0][1](b"OK")
    assert [(answer[2], answer[3]) for answer in owner.answers] == [(1, relay.ERROR)]
    assert owner.entries == [], "the other request is not finished"
    assert owner.desk.in_flight == 1


@pytest.mark.parametrize("failure", [LinkLost("gone"), ReplyError("OOM command not allowed")])
def test_a_large_body_that_redis_does_not_take_is_gone(owner: Owner, failure: BrokerError) -> None:
    owner.take("1-1", 1)
    owner.settle(1, body=LARGE)
    owner.link.commands[0][1](failure)
    ((_, _, _, kind, error),) = owner.last.answers
    assert (kind, error["code"]) == (relay.ERROR, errors.RESULT_GONE.code)
    assert error["data"]["executed"] == "yes"
    assert owner.entries == ["1-1"]


def test_a_body_beyond_the_limit_is_an_error_and_is_not_stored() -> None:
    owner = Owner(max_reply_bytes=100)
    owner.take("1-1", 1, 2)
    owner.settle(1, body=b'"' + b"x" * 98 + b'"')
    assert owner.last.answers[0][3] == relay.RESULT
    owner.settle(2, body=b'"' + b"x" * 99 + b'"')
    error = owner.answers[1][4]
    assert error["code"] == errors.TOO_LARGE.code
    assert error["data"]["executed"] == "yes"
    assert owner.link.commands == []


def test_stored_bodies_beyond_the_quota_are_gone(owner: Owner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large_results, "STORED_QUOTA_BYTES", len(LARGE) + 1)
    owner.take("1-1", 1, 2)
    owner.settle(1, 2, body=LARGE)
    _, (asked, on_reply) = owner.link.commands
    assert asked == (b"EXISTS", KEYS.body("me", 1))
    assert owner.answers == []
    on_reply(1)
    ((_, _, id, _, error),) = owner.answers
    assert (id, error["code"]) == (2, errors.RESULT_GONE.code)
    assert len(owner.link.commands) == 2


def test_stored_bodies_that_were_fetched_make_room(owner: Owner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large_results, "STORED_QUOTA_BYTES", 2 * len(LARGE) + 1)
    owner.take("1-1", 1, 2, 3, 4)
    owner.settle(1, 2, 3, 4, body=LARGE)
    stored, asked = owner.link.commands[:2], owner.link.commands[2:]
    assert [command for command, _ in asked] == [(b"EXISTS", KEYS.body("me", id)) for id in (1, 2)], "once for both"
    for (_, on_reply), number in zip(asked, (0, 1), strict=True):
        on_reply(number)
    ((command, on_reply),) = owner.link.commands[4:]
    assert command[:2] == (b"SET", KEYS.body("me", 3))
    for _, confirm in (*stored, (command, on_reply)):
        confirm(b"OK")
    kinds = {answer[2]: answer[3] for answer in owner.answers}
    assert kinds == {1: relay.STORED_RESULT, 2: relay.STORED_RESULT, 3: relay.STORED_RESULT, 4: relay.ERROR}


def test_a_body_larger_than_the_quota_is_stored_where_no_other_waits(
    owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(large_results, "STORED_QUOTA_BYTES", 10)
    owner.take("1-1", 1, 2)
    owner.settle(1, body=LARGE)
    assert owner.link.commands[0][0][0] == b"SET"
    owner.link.commands[0][1](LinkLost("gone"))
    owner.settle(2, body=LARGE)
    assert owner.link.commands[1][0][:2] == (b"SET", KEYS.body("me", 2)), "what was not stored does not count"
