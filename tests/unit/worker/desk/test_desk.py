"""The owner's desk: what becomes of requests, of their copies and cancellations, and of outcomes."""

import pytest

from tests.unit.worker.desk.owner import KEYS, LARGE, NOW, RUN, Owner, request
from wispy.protocol import answer_log, errors, relay
from wispy.protocol import memory as memory_module
from wispy.protocol.relay import Entry, SessionRequests
from wispy.worker.calls import Outcome
from wispy.worker.desk import MAX_CANCELLED

# --- copies -----------------------------------------------------------------------------------------------------------


def test_an_entry_is_deleted_with_its_last_answer_and_not_before(owner: Owner) -> None:
    owner.take("1-1", 1, 2)
    owner.take("1-2", 3)
    assert [call.id for call in owner.handed_over] == [1, 2, 3]
    assert owner.store.sent == []
    owner.settle(2)
    assert owner.entries == []
    owner.settle(3)
    assert owner.entries == ["1-2"]
    owner.settle(1)
    assert owner.entries == ["1-2", "1-1"]
    assert owner.desk.in_flight == 0


def test_a_copy_of_what_runs_moves_the_answer_to_its_frontend(owner: Owner) -> None:
    owner.take("1-1", 1)
    owner.take("1-2", 1, frontend="f2")
    assert len(owner.handed_over) == 1
    assert owner.entries == ["1-2"], "the copy holds nothing up; the first entry has the request"
    owner.settle(1)
    assert owner.last.answers == [("f2", "me", 1, relay.RESULT, "done")]
    assert owner.entries == ["1-2", "1-1"]


def test_a_copy_of_what_is_answered_gets_the_same_answer(owner: Owner) -> None:
    owner.take("1-1", 1)
    owner.settle(1)
    owner.take("1-2", 1, frontend="f2")
    assert len(owner.handed_over) == 1
    assert owner.last.answers == [("f2", "me", 1, relay.RESULT, "done")]
    assert owner.last.entries == ["1-2"]


def test_a_copy_of_what_is_acknowledged_gets_no_answer(owner: Owner) -> None:
    owner.take("1-1", 1)
    owner.settle(1)
    owner.take("1-2", 1, ack=100)
    assert len(owner.handed_over) == 1
    assert owner.last.answers == []
    assert owner.last.entries == ["1-2"]
    assert owner.last.forget == ["1"]


def test_another_request_under_a_used_id_is_refused_and_the_first_one_stands(owner: Owner) -> None:
    owner.take("1-1", 1)
    owner.take("1-2", 1, params=b"[7]", frontend="f2")
    ((frontend, _, _, kind, error),) = owner.last.answers
    assert (frontend, kind, error["code"]) == ("f2", relay.ERROR, errors.INVALID_REQUEST.code)
    assert owner.last.logged == [], "a refusal is no answer of the session's request"
    owner.settle(1)
    assert owner.last.answers == [("f1", "me", 1, relay.RESULT, "done")]


def test_what_is_too_old_to_start_is_answered_and_its_entry_stays_for_the_others(owner: Owner) -> None:
    block = SessionRequests("me", RUN, 0, [], [request(1, at=NOW - 5001), request(2)])
    owner.desk.take([("1-1", relay.encode(Entry("f1", [block])))], NOW)
    ((_, _, id, _, error),) = owner.last.answers
    assert (id, error["code"]) == (1, errors.NOT_STARTED.code)
    assert owner.entries == []
    owner.settle(2)
    assert owner.entries == ["1-1"]


def test_what_cannot_be_read_is_deleted_and_logged(owner: Owner, caplog: pytest.LogCaptureFixture) -> None:
    owner.desk.take([("1-1", b"no entry")], NOW)
    assert owner.entries == ["1-1"]
    assert "entry 1-1" in caplog.text


def test_what_a_former_owner_was_given_is_answered_as_unknown(owner: Owner) -> None:
    entry = relay.encode(Entry("f1", [SessionRequests("me", RUN, 0, [], [request(1)])]))
    owner.desk.settle_delivered([("1-1", entry), ("1-2", b"no entry")], NOW)
    assert owner.entries == ["1-1", "1-2"]
    ((_, _, id, _, error),) = owner.last.answers
    assert (id, error["code"]) == (1, errors.OUTCOME_UNKNOWN.code)
    assert [answer[:3] for answer in owner.last.logged] == [("", "me", 1)]
    assert not owner.desk.is_settled
    owner.last.on_reply(True)
    assert owner.desk.is_settled


def test_an_answer_is_sent_and_logged_as_one_message(owner: Owner) -> None:
    owner.take("1-1", 1, 2)
    owner.take("1-2", 1, session="you", frontend="f2")
    calls = owner.handed_over
    owner.desk.settle([Outcome(call, b"9", False) for call in calls])
    assert [(channel, field) for channel, field, _ in owner.last.messages] == [
        (KEYS.replies("f1"), "1"),
        (KEYS.replies("f2"), "2"),
    ]


def test_beyond_a_quota_the_caller_gets_the_body_and_the_log_does_not(
    owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory_module, "SESSION_QUOTA_BYTES", 0)
    owner.take("1-1", 1)
    owner.settle(1)
    assert owner.last.answers == [("f1", "me", 1, relay.RESULT, "done")]
    ((_, _, id, kind, error),) = owner.last.logged
    assert (id, kind, error["code"]) == (1, relay.ERROR, errors.RESULT_GONE.code)
    owner.take("1-2", 1)
    assert owner.last.answers[0][4]["code"] == errors.RESULT_GONE.code


def test_what_lives_of_nearly_dead_rows_is_logged_anew_and_not_sent(
    owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answer_log, "SLACK_BYTES", 0)
    owner.take("1-1", *range(1, 9))
    owner.take("1-2", 1, session="idle")
    owner.desk.settle([Outcome(call, b"9", False) for call in owner.handed_over])
    owner.take("1-3", 9, ack=8)
    owner.settle(9)
    assert owner.last.answers == [("f1", "me", 9, relay.RESULT, "done")]
    assert [answer[:3] for answer in owner.last.logged] == [("", "idle", 1), ("", "me", 9)]
    assert owner.last.forget == ["1"]


# --- deadlines and cancellations --------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [b'"late"', LARGE], ids=["small", "large"])
def test_what_is_answered_early_takes_room_until_it_ends_and_its_late_outcome_is_dropped(
    owner: Owner, body: bytes
) -> None:
    owner.take("1-1", 1)
    (call,) = owner.handed_over
    owner.desk.answer_early([call], errors.TIMED_OUT())
    ((_, _, _, _, error),) = owner.last.answers
    assert error["code"] == errors.TIMED_OUT.code
    assert owner.last.entries == ["1-1"]
    assert owner.desk.in_flight == 1
    owner.desk.answer_early([call], errors.TIMED_OUT())
    owner.settle(1, body=body)
    assert owner.desk.in_flight == 0
    assert len(owner.store.sent) == 1
    assert owner.entries == ["1-1"]
    assert owner.link.commands == []


def test_a_copy_of_what_was_answered_early_gets_that_answer(owner: Owner) -> None:
    owner.take("1-1", 1)
    owner.desk.answer_early(owner.handed_over, errors.TIMED_OUT())
    owner.take("1-2", 1, frontend="f2")
    ((frontend, _, _, _, error),) = owner.last.answers
    assert (frontend, error["code"]) == ("f2", errors.TIMED_OUT.code)


def test_a_cancellation_that_overtakes_its_request_keeps_it_from_running(owner: Owner) -> None:
    assert owner.desk.cancel("me", 1) is False
    owner.take("1-1", 1, 2)
    assert [call.id for call in owner.handed_over] == [2]
    ((_, _, id, _, error),) = owner.last.answers
    assert (id, error["code"], error["data"]["executed"]) == (1, errors.CANCELLED.code, "no")
    assert owner.desk.cancel("me", 2) is True, "the runner has it"
    assert owner.entries == []


def test_the_oldest_cancellations_are_forgotten(owner: Owner) -> None:
    for id in range(MAX_CANCELLED + 1):
        owner.desk.cancel("me", id + 1)
    owner.take("1-1", 1, 2)
    assert [call.id for call in owner.handed_over] == [1]


def test_frontends_are_told_once_which_calls_may_run_for_longer(owner: Owner) -> None:
    owner.take("1-1", 1, 2, 3)
    for call, run_s in zip(owner.handed_over, (30.0, 90.0), strict=False):
        call.started, call.deadline = 10.0, 10.0 + run_s
    owner.desk.extend_beyond(30.0)
    assert owner.last.answers == [("f1", "me", 2, relay.EXTENDED, 91)]
    assert owner.last.logged == []
    assert owner.entries == []
    owner.desk.extend_beyond(30.0)
    assert len(owner.store.sent) == 1
    owner.take("1-2", 2, frontend="f2")
    owner.desk.extend_beyond(30.0)
    assert owner.last.answers == [("f2", "me", 2, relay.EXTENDED, 91)]


def test_pruned_sessions_leave_the_log(owner: Owner) -> None:
    owner.take("1-1", 1)
    owner.settle(1)
    owner.desk.prune(NOW + 5000, 60_000)
    assert len(owner.store.sent) == 1
    owner.desk.prune(NOW + 70_000, 60_000)
    assert sorted(owner.last.forget) == ["1", "s:me"]


def test_what_is_answered_with_an_error_and_does_not_reach_the_runner_is_counted() -> None:
    owner = Owner()
    owner.take("1-0", 1)
    assert owner.counts.turned_away == 0
    owner.take("2-0", 1, params=b"[99]")  # the id was used for another request
    owner.take("3-0", 2, at=NOW - 60_000)  # too old to start
    owner.take("4-0", 3, method="rpc.call", params=b"{}")  # no path
    assert owner.counts.turned_away == 3
    owner.take("5-0", 1)  # a copy of what runs
    owner.take("6-0", 2, at=NOW - 60_000)  # answered again
    assert owner.counts.turned_away == 3
    assert len(owner.handed_over) == 1
