"""The owner's desk: requests come from entries, outcomes from a runner that the tests play, batches go to a record."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

from wispy.broker.connection import Argument, OnReply
from wispy.broker.errors import BrokerError, LinkLost, ReplyError
from wispy.broker.keys import Keys
from wispy.broker.link import Link
from wispy.broker.store import ObjectStore, OnOutcome
from wispy.protocol import answer_log, errors, relay
from wispy.protocol import memory as memory_module
from wispy.protocol.memory import Memory
from wispy.protocol.relay import Entry, RelayedRequest, SessionRequests
from wispy.worker import large_results
from wispy.worker.calls import Call, Outcome
from wispy.worker.counts import ObjectCounts
from wispy.worker.desk import MAX_CANCELLED, MAX_IN_FLIGHT, MAX_INLINE_BODY, Desk

RUN = "run-1"
NOW = 1_000_000
KEYS = Keys().of("sample")

Answer = tuple[str, str, int, int, Any]
"""Frontend, session, id, kind, body."""


@dataclass
class Sent:
    """One finish script."""

    log: list[tuple[str, bytes]]
    forget: list[str]
    entries: list[str]
    messages: list[tuple[str, str, bytes]]
    on_reply: OnOutcome

    @property
    def answers(self) -> list[Answer]:
        return [
            (channel.rpartition(":")[2], block.session, reply.id, reply.kind, msgspec.json.decode(reply.body))
            for channel, _, message in self.messages
            if channel
            for block in relay.decode_replies(message)
            for reply in block.replies
        ]

    @property
    def logged(self) -> list[Answer]:
        """What goes into the log, without what it says of sessions: as `answers`, "" for the frontend."""
        return [
            ("", block.session, reply.id, reply.kind, msgspec.json.decode(reply.body))
            for _, field, message in self.messages
            if field
            for block in relay.decode_replies(message)
            for reply in block.replies
        ]


class RecordingStore(ObjectStore):
    """Keeps the finish scripts; the tests answer them."""

    def __init__(self) -> None:
        self.sent: list[Sent] = []

    def finish(
        self,
        epoch: str,
        *,
        log: Sequence[tuple[str, bytes]],
        forget: Sequence[str],
        entries: Sequence[str],
        messages: Sequence[tuple[str, str, bytes]],
        on_reply: OnOutcome,
    ) -> None:
        assert epoch == "7-a"
        self.sent.append(Sent(list(log), list(forget), list(entries), list(messages), on_reply))


class RecordingLink(Link):
    """Keeps the commands; the tests answer them."""

    def __init__(self) -> None:
        self.commands: list[tuple[tuple[Argument, ...], OnReply]] = []

    def send(self, args: tuple[Argument, ...], on_reply: OnReply, *, will_flush: bool = False) -> None:
        del will_flush
        self.commands.append((args, on_reply))


@dataclass
class Owner:
    """A desk, and all around it."""

    max_reply_bytes: int = 100 << 20
    store: RecordingStore = field(default_factory=RecordingStore)
    link: RecordingLink = field(default_factory=RecordingLink)
    handed_over: list[Call] = field(default_factory=list[Call])
    fenced: list[bool] = field(default_factory=list[bool])
    forged: list[str] = field(default_factory=list[str])
    counts: ObjectCounts = field(default_factory=ObjectCounts)

    def __post_init__(self) -> None:
        self.desk = Desk(
            self.link,
            self.store,
            KEYS,
            "7-a",
            Memory(RUN, 0, 5000),
            max_start_delay_s=5.0,
            max_reply_bytes=self.max_reply_bytes,
            counts=self.counts,
            on_forged=self.forged.append,
            hand_over=self.handed_over.extend,
            on_fenced=lambda: self.fenced.append(True),
        )

    def take(
        self, entry_id: str, *ids: int, frontend: str = "f1", session: str = "me", ack: int = 0, **other: Any
    ) -> None:
        """An entry with these requests of one session."""
        block = SessionRequests(session, RUN, ack, [], [request(id, **other) for id in ids])
        self.desk.take([(entry_id, relay.encode(Entry(frontend, [block])))], NOW)

    def settle(self, *ids: int, body: bytes = b'"done"') -> None:
        """The runner has these calls' results."""
        calls = {call.id: call for call in self.handed_over}
        self.desk.settle([Outcome(calls[id], body, False) for id in ids])

    @property
    def last(self) -> Sent:
        return self.store.sent[-1]

    @property
    def answers(self) -> list[Answer]:
        """All answers so far."""
        return [answer for sent in self.store.sent for answer in sent.answers]

    @property
    def entries(self) -> list[str]:
        """The entries that were deleted so far."""
        return [entry for sent in self.store.sent for entry in sent.entries]


def request(id: int, *, method: str = "sample.f", params: bytes = b"[]", at: int = NOW) -> RelayedRequest:
    return RelayedRequest(id, at, False, method, msgspec.Raw(params))


@pytest.fixture
def owner() -> Owner:
    return Owner()


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


# --- Redis does not confirm -------------------------------------------------------------------------------------------


def test_failed_batches_are_sent_again_in_their_order_and_later_ones_wait_for_them(owner: Owner) -> None:
    for id in (1, 2, 3):
        owner.take(f"1-{id}", id)
    owner.settle(1)
    owner.settle(2)
    first, second = owner.store.sent
    second.on_reply(LinkLost("gone"))
    first.on_reply(LinkLost("gone"))
    owner.settle(3)
    assert len(owner.store.sent) == 2, "it would overtake"
    owner.desk.resend()
    again = owner.store.sent[2:]
    assert [sent.entries for sent in again] == [["1-1"], ["1-2"], ["1-3"]]
    assert again[0].answers == first.answers
    assert (again[0].log, again[0].messages) == (first.log, first.messages)
    for sent in again:
        assert not owner.desk.is_settled
        sent.on_reply(True)
    assert owner.desk.is_settled
    owner.desk.resend()
    assert len(owner.store.sent) == 5, "what is confirmed is not sent again"


def test_nothing_is_taken_while_too_many_batches_are_unconfirmed(owner: Owner) -> None:
    assert owner.desk.room == MAX_IN_FLIGHT
    owner.take("1-1", 1)
    assert owner.desk.room == MAX_IN_FLIGHT - 1
    for _ in range(MAX_IN_FLIGHT):
        owner.desk.take([("2-1", b"no entry")], NOW)
    assert owner.desk.room == 0
    owner.last.on_reply(True)
    assert owner.desk.room == MAX_IN_FLIGHT - 1


def test_another_owner_is_reported_and_nothing_is_sent_again(owner: Owner) -> None:
    owner.take("1-1", 1)
    owner.settle(1)
    owner.last.on_reply(False)
    assert owner.fenced == [True]
    owner.desk.resend()
    assert len(owner.store.sent) == 1


# --- large bodies -----------------------------------------------------------------------------------------------------

LARGE = b'"' + b"x" * MAX_INLINE_BODY + b'"'


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
