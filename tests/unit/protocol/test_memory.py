"""What an owner remembers: rule by rule, and any interleaving of copies, acknowledgements, prunings and crashes."""

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from wispy.config.schema import LimitsConfig
from wispy.protocol import answer_log, errors, memory
from wispy.protocol.answer_log import Row
from wispy.protocol.client_session import MAX_OPEN
from wispy.protocol.memory import CLOCK_ERROR_MS, Known, Memory, SessionMemory
from wispy.protocol.relay import (
    ERROR,
    RESULT,
    STORED_RESULT,
    RelayedRequest,
    Reply,
    SessionReplies,
    SessionRequests,
    encode,
)
from wispy.protocol.verdicts import MAX_BARE_ERROR_BYTES, Verdict, refusal

RUN = "run-1"
SINCE = 1_000_000
NOW = SINCE + 10_000
DELAY = 5_000
WINDOW = 60_000


class Owner(Memory):
    """A memory, and the log that it keeps."""

    def __init__(self, since_ms: int = SINCE, run_id: str = RUN) -> None:
        super().__init__(run_id, since_ms, DELAY)
        self.rows: list[Row] = []
        """Rows that are not in the log yet."""
        self.log: dict[str, bytes] = {}

    def answer(self, session: SessionMemory, reply: Reply) -> Reply:
        """Answer a request in a row of its own; what is kept of it."""
        known = session.known.setdefault(reply.id, Known(None, None, None))
        self.rows.append(Row())
        if not self.answered(session, known, reply, self.rows[-1]):
            self.answered_bare(session, known, reply, self.rows[-1])
        assert known.reply is not None
        return known.reply

    def flush(self) -> tuple[list[tuple[str, bytes]], list[str]]:
        """Bring all to the log; what it was told beside the rows."""
        moved = self.moved_answers()
        rows, self.rows = [*self.rows, *([moved] if moved else [])], []
        written = [(field, message) for row in rows for field, message in self.write(row) if field]
        fields, forgotten = self.take_log_changes()
        self.log.update([*written, *fields])
        for name in forgotten:
            self.log.pop(name, None)
        return fields, forgotten


@pytest.fixture
def owner() -> Owner:
    return Owner()


def request(id: int, at: int = NOW, params: bytes = b"[1]") -> RelayedRequest:
    return RelayedRequest(id, at, False, "sample.f", msgspec.Raw(params))


def block(*requests: RelayedRequest, ack: int = 0, still_open: Sequence[int] = (), name: str = "s1") -> SessionRequests:
    return SessionRequests(name, RUN, ack, list(still_open), list(requests))


def take(owner: Owner, *requests: RelayedRequest, now: int = NOW, run: str = RUN, **members: Any) -> list[Any]:
    """What each of these gets: its verdict, or its answer if it is answered at once."""
    session = owner.open_block(block(*requests, **members), now)
    return [admit(owner, session, each, run, now) for each in requests]


def admit(owner: Owner, session: SessionMemory, request: RelayedRequest, run: str, now: int) -> Verdict | Reply:
    known = Known(None, None, None)
    verdict = owner.admit(session, request, known, run, now)
    if verdict is Verdict.ANSWERED:
        former = session.known[request.id].reply
        assert former is not None
        return former
    if verdict in (Verdict.LATE, Verdict.UNKNOWN):
        return owner.answer(session, refusal(request.id, verdict))
    return verdict


def result(id: int, body: bytes = b"9") -> Reply:
    return Reply(id, RESULT, msgspec.Raw(body))


def session_of(owner: Memory, name: str = "s1") -> SessionMemory:
    return owner.open_block(block(name=name), NOW)


def executed(reply: Reply) -> str:
    return "yes" if reply.kind != ERROR else msgspec.json.decode(reply.body)["data"]["executed"]


def code(reply: Any) -> int:
    assert isinstance(reply, Reply)
    assert reply.kind == ERROR
    return msgspec.json.decode(reply.body)["code"]


def row(*replies: Reply, name: str = "s1") -> bytes:
    """A row of the log."""
    return encode([SessionReplies(name, list(replies))])


def answers_of(owner: Memory, name: str = "s1") -> list[int]:
    """The ids of which the answers are remembered."""
    return [id for id, known in session_of(owner, name).known.items() if known.reply is not None]


# --- copies ---------------------------------------------------------------------------------------------------------


def test_new_request_runs_and_its_copies_attach(owner: Owner) -> None:
    assert take(owner, request(1)) == [Verdict.RUN]
    assert take(owner, request(1)) == [Verdict.ATTACHED]


def test_copy_in_the_same_block_attaches(owner: Owner) -> None:
    assert take(owner, request(1), request(1)) == [Verdict.RUN, Verdict.ATTACHED]


def test_answered_request_gets_its_answer_again(owner: Owner) -> None:
    take(owner, request(1))
    answer = owner.answer(session_of(owner), result(1))
    assert take(owner, request(1)) == [answer]


@pytest.fixture
def each_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every single acknowledgement counts at once."""
    monkeypatch.setattr(memory, "ACK_STEP", 1)


def test_acknowledged_request_is_dropped(owner: Owner, each_counts: None) -> None:
    take(owner, request(1))
    owner.answer(session_of(owner), result(1))
    assert take(owner, request(1), ack=1) == [Verdict.DROPPED]
    assert take(owner, request(1)) == [Verdict.DROPPED]  # this copy was sent before the acknowledgement


@pytest.mark.parametrize("is_answered", [False, True])
def test_other_content_is_refused_and_the_first_answer_stands(owner: Owner, is_answered: bool) -> None:
    take(owner, request(1))
    if is_answered:
        owner.answer(session_of(owner), result(1))
    other = RelayedRequest(1, NOW, True, "sample.g", msgspec.Raw(b"[1]"))
    assert take(owner, request(1, params=b"[2]"), other) == [Verdict.REUSED, Verdict.REUSED]
    assert take(owner, request(1)) == ([result(1)] if is_answered else [Verdict.ATTACHED])


def test_refusal_of_other_content_says_that_it_did_not_run() -> None:
    answer = refusal(7, Verdict.REUSED)
    assert code(answer) == errors.INVALID_REQUEST.code
    assert executed(answer) == "no"
    assert answer.id == 7


def test_content_of_a_former_owner_is_not_known(owner: Owner) -> None:
    owner.restore({"s:s1": b"0:1005000:1", "1": row(result(1))})
    assert take(owner, request(1, params=b"[2]")) == [result(1)]


# --- stamps ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("age", "runs"), [(0, True), (DELAY, True), (DELAY + 1, False), (-CLOCK_ERROR_MS, True), (NOW - SINCE, False)]
)
def test_what_waited_too_long_is_not_started(owner: Owner, age: int, runs: bool) -> None:
    (verdict,) = take(owner, request(1, at=NOW - age))
    assert (verdict is Verdict.RUN) == runs
    if not runs:
        assert code(verdict) == errors.NOT_STARTED.code
        assert executed(verdict) == "no"


def test_before_the_horizon_nothing_is_known(owner: Owner) -> None:
    (verdict,) = take(owner, request(1, at=SINCE - 1), now=SINCE)
    assert code(verdict) == errors.OUTCOME_UNKNOWN.code
    assert executed(verdict) == "maybe"


def test_on_the_clock_of_another_server_nothing_is_known(owner: Owner) -> None:
    (verdict,) = take(owner, request(1), run="run-0")
    assert code(verdict) == errors.OUTCOME_UNKNOWN.code


def test_refusals_are_final(owner: Owner) -> None:
    (late,) = take(owner, request(1, at=NOW - DELAY - 1))
    assert take(owner, request(1, at=NOW - DELAY - 1)) == [late]
    (unknown,) = take(owner, request(2, at=SINCE - 1))
    assert take(owner, request(2)) == [unknown]


# --- acknowledgements -----------------------------------------------------------------------------------------------


def answer_all(owner: Owner, *ids: int) -> list[Reply]:
    take(owner, *map(request, ids))
    return [owner.answer(session_of(owner), result(id)) for id in ids]


def test_few_acknowledged_answers_are_kept_and_given_again(owner: Owner) -> None:
    step = memory.ACK_STEP
    answers = answer_all(owner, *range(1, step + 1))
    owner.flush()
    owner.open_block(block(ack=step - 1), NOW)
    assert owner.flush() == ([], [])
    assert take(owner, request(1)) == [answers[0]]
    owner.open_block(block(ack=step), NOW)
    fields, forgotten = owner.flush()
    assert fields == [("s:s1", b"%d:%d:1" % (step, NOW))]
    assert forgotten == [str(number) for number in range(1, step + 1)]
    assert take(owner, request(1)) == [Verdict.DROPPED]


def test_acknowledged_answers_leave_memory_and_log(owner: Owner, each_counts: None) -> None:
    answer_all(owner, 1, 2, 3)
    owner.flush()
    rows = {"1": row(result(1)), "2": row(result(2)), "3": row(result(3))}
    assert owner.log == {**rows, "s:s1": b"0:%d:1" % NOW}
    owner.open_block(block(ack=2), NOW)
    fields, forgotten = owner.flush()
    assert fields == [("s:s1", b"2:%d:1" % NOW)]
    assert forgotten == ["1", "2"]
    assert answers_of(owner) == [3]
    assert session_of(owner).size == len(b"9") + memory.ANSWER_BYTES


def test_stragglers_stay_open(owner: Owner) -> None:
    answers = answer_all(owner, 1, 2, 3)
    owner.open_block(block(ack=3, still_open=(2,)), NOW)
    assert take(owner, *map(request, (1, 2, 3))) == [Verdict.DROPPED, answers[1], Verdict.DROPPED]
    owner.open_block(block(ack=3), NOW)
    assert take(owner, request(2)) == [Verdict.DROPPED]


def test_open_id_that_was_not_seen_yet_runs(owner: Owner) -> None:
    """A frontend acknowledges around what it is just sending."""
    assert take(owner, request(5), ack=5, still_open=(5,)) == [Verdict.RUN]
    owner.answer(session_of(owner), result(5))
    assert take(owner, request(5), ack=5, still_open=(5,)) == [result(5)]


@pytest.mark.parametrize("late", [(0, ()), (2, ()), (3, (2, 3)), (3, (1, 2, 3)), (5, (1, 2, 3, 4))])
def test_late_block_takes_no_acknowledgement_back(owner: Owner, late: tuple[int, tuple[int, ...]]) -> None:
    """A block that overtook others, or was sent twice: what it would open again could run twice."""
    answer_all(owner, 1, 2, 3)
    owner.open_block(block(ack=3, still_open=(3,)), NOW)
    owner.open_block(block(ack=late[0], still_open=late[1]), NOW)
    assert take(owner, request(1), request(2)) == [Verdict.DROPPED, Verdict.DROPPED]


def test_lower_acknowledgement_still_closes_what_is_open(owner: Owner) -> None:
    answer_all(owner, 1, 2, 3)
    owner.open_block(block(ack=3, still_open=(1, 3)), NOW)
    owner.open_block(block(ack=2), NOW)
    assert session_of(owner).open == {3}
    assert answers_of(owner) == [3]


def test_answer_to_what_was_given_up_is_not_kept(owner: Owner, each_counts: None) -> None:
    """The caller acknowledges a running request when he gives it up: the row of its answer must not stay in the log."""
    take(owner, request(1))
    owner.open_block(block(ack=1), NOW)
    owner.answer(session_of(owner), result(1))
    owner.flush()
    assert owner.log == {"s:s1": b"1:%d:1" % NOW}
    assert not session_of(owner).known
    assert take(owner, request(1)) == [Verdict.DROPPED]


def test_absurd_acknowledgement_is_cheap(owner: Owner) -> None:
    answer_all(owner, 1, 2, 3)
    owner.open_block(block(ack=10**15), NOW)
    assert not answers_of(owner)


# --- bounds ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "MAX_UNACKNOWLEDGED", 8)
    monkeypatch.setattr(memory, "SESSION_QUOTA_BYTES", 8 * memory.ANSWER_BYTES + 4000)
    monkeypatch.setattr(memory, "OBJECT_QUOTA_BYTES", 16 * memory.ANSWER_BYTES + 8000)


@pytest.mark.usefixtures("small")
def test_session_that_never_acknowledges_keeps_the_newer_half(owner: Owner) -> None:
    answer_all(owner, *range(1, 9))
    assert len(answers_of(owner)) == 8
    take(owner, request(9))
    owner.answer(session_of(owner), result(9))
    assert answers_of(owner) == [6, 7, 8, 9]
    owner.flush()
    assert owner.log["s:s1"] == b"5:%d:1" % NOW, "the next owner must know what was forgotten"
    assert sorted(owner.log) == ["1", "2", "3", "4", "s:s1"]
    assert take(owner, request(5), request(6)) == [Verdict.DROPPED, result(6)]


def test_the_answers_to_all_that_a_connection_may_have_in_flight_are_kept() -> None:
    kept = memory.MAX_UNACKNOWLEDGED // 2
    assert msgspec.convert({"in_flight_per_connection": kept}, LimitsConfig)
    with pytest.raises(msgspec.ValidationError, match="in_flight_per_connection"):
        msgspec.convert({"in_flight_per_connection": kept + 1}, LimitsConfig)


@pytest.mark.usefixtures("small")
def test_what_is_forgotten_to_make_room_is_logged_as_acknowledged(owner: Owner) -> None:
    """Without that the next owner would take it for new."""
    take(owner, *map(request, range(1, 10)))
    session = session_of(owner)
    owner.flush()
    for id in range(1, 10):
        owner.answer(session, result(id))
    assert owner.flush()[0] == [("s:s1", b"5:%d:1" % NOW)]
    assert [owner.log[field] for field in "1234"] == [row(result(id)) for id in (6, 7, 8, 9)]


@pytest.mark.usefixtures("small")
def test_what_runs_stays_open_when_room_is_made(owner: Owner) -> None:
    take(owner, *map(request, range(1, 21)))
    for id in range(3, 13):
        owner.answer(session_of(owner), result(id))
    assert session_of(owner).acked >= 6
    assert take(owner, request(1), request(2)) == [Verdict.ATTACHED, Verdict.ATTACHED]
    owner.answer(session_of(owner), result(1))
    assert take(owner, request(1)) == [result(1)]


@pytest.mark.usefixtures("small")
def test_what_may_still_come_stays_open_when_room_is_made(owner: Owner) -> None:
    every = range(1, 21)
    take(owner, *map(request, range(1, 10)), ack=20, still_open=every)
    for id in range(1, 10):
        owner.answer(session_of(owner), result(id))
    assert answers_of(owner) == [6, 7, 8, 9]
    assert take(owner, request(5), request(6), request(20)) == [Verdict.DROPPED, result(6), Verdict.RUN]


@pytest.mark.usefixtures("small")
def test_over_its_quota_a_session_keeps_ids_and_loses_bodies(owner: Owner) -> None:
    take(owner, *map(request, (1, 2, 3)))
    session = session_of(owner)
    assert owner.answer(session, result(1, b"1" * 3900)).kind == RESULT
    kept = owner.answer(session, result(2, b"1" * 3900))
    assert code(kept) == errors.RESULT_GONE.code
    assert executed(kept) == "yes"
    assert take(owner, request(2)) == [kept]
    assert session.size == 3900 + len(kept.body) + 2 * memory.ANSWER_BYTES


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("error", [errors.TIMED_OUT, errors.NOT_STARTED, errors.OBJECT_ERROR, errors.OUTCOME_UNKNOWN])
def test_error_over_the_quota_still_says_whether_it_ran(owner: Owner, error: errors.ErrorType) -> None:
    take(owner, *map(request, (1, 2, 3)))
    session = session_of(owner)
    owner.answer(session, result(1, b"1" * 3900))
    short = Reply(2, ERROR, msgspec.Raw(error().to_json()))
    assert owner.answer(session, short) == short
    long = error("x" * 3000, data={"args": ["y" * 3000]})
    kept = owner.answer(session, Reply(3, ERROR, msgspec.Raw(long.to_json())))
    assert len(kept.body) <= MAX_BARE_ERROR_BYTES
    assert (code(kept), executed(kept)) == (error.code, error.executed)


@pytest.mark.usefixtures("small")
def test_name_of_a_stored_result_is_kept_over_the_quota(owner: Owner) -> None:
    take(owner, *map(request, (1, 2)))
    owner.answer(session_of(owner), result(1, b"1" * 3900))
    stored = Reply(2, STORED_RESULT, msgspec.Raw(b'"' + b"k" * 200 + b'"'))
    assert owner.answer(session_of(owner), stored) == stored


@pytest.mark.usefixtures("small")
def test_quota_of_the_object_counts_all_sessions(owner: Owner) -> None:
    kinds: list[int] = []
    for number in range(4):
        name = f"s{number}"
        take(owner, request(1), name=name)
        kinds.append(owner.answer(session_of(owner, name), result(1, b"1" * 3900)).kind)
    assert kinds == [RESULT, RESULT, ERROR, ERROR]


# --- pruning --------------------------------------------------------------------------------------------------------


def test_session_not_seen_for_long_is_forgotten_and_moves_the_horizon(owner: Owner) -> None:
    answer_all(owner, 1)
    assert owner.prune(NOW) == 0
    assert owner.prune(NOW + CLOCK_ERROR_MS + 1) == 1
    owner.flush()
    assert owner.log == {"since": b"run-1:%d" % owner.since_ms}
    late = NOW + CLOCK_ERROR_MS
    (verdict,) = take(owner, request(1, at=late), now=late)
    assert executed(verdict) == "maybe", "the stamp's clock may have been ahead of the owner's"


def test_horizon_never_moves_back(owner: Owner) -> None:
    take(owner, request(1), now=NOW, name="young")
    owner.answer(session_of(owner, "young"), result(1))
    owner.restore({"s:old": b"3:%d:1" % (SINCE - 5000)})
    assert owner.prune(SINCE) == 1
    assert owner.since_ms == SINCE
    assert not any(field == memory.SINCE_FIELD for field, _ in owner.flush()[0])


def test_session_of_which_something_runs_is_not_pruned(owner: Owner) -> None:
    take(owner, request(1))
    later = NOW + 100_000
    assert owner.prune(later - WINDOW, later) == 0
    session = owner.open_block(block(), NOW)
    session.last_seen_ms = later  # what `prune` has noted, before the test looked
    owner.answer(session, result(1))
    assert owner.prune(later + 1000 - WINDOW, later + 1000) == 0, "its window begins with the answer"
    assert owner.prune(later + 2 * WINDOW - WINDOW, later + 2 * WINDOW) == 1


def test_running_session_counts_as_seen(owner: Owner) -> None:
    take(owner, request(1))
    owner.prune(NOW, NOW + 7)
    owner.flush()
    assert owner.log == {"s:s1": b"0:%d:1" % (NOW + 7)}


@pytest.mark.usefixtures("small")
def test_beyond_the_quota_the_sessions_not_seen_for_longest_go(owner: Owner) -> None:
    for number in range(60):
        now = NOW + number
        take(owner, request(1, at=now), now=now, name=f"s{number}")
        session = owner.open_block(block(name=f"s{number}"), now)
        owner.answer(session, result(1))
    dropped = owner.prune(SINCE)
    assert 0 < dropped < 60
    assert owner.since_ms == NOW + dropped - 1 + CLOCK_ERROR_MS + 1
    assert owner.prune(SINCE) == 0


def test_number_of_sessions_is_bounded(owner: Owner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "MAX_SESSIONS", 3)
    for number in range(5):
        owner.open_block(block(name=f"s{number}"), NOW + number)
    assert owner.prune(SINCE) == 2
    assert set(owner.flush()[1]) == {"s:s0", "s:s1"}


# --- take-over ------------------------------------------------------------------------------------------------------


def test_next_owner_knows_answers_acknowledgements_and_stragglers(owner: Owner) -> None:
    answers = answer_all(owner, 1, 2, 3)
    take(owner, request(4), ack=5, still_open=(2, 4, 5))
    owner.flush()
    assert owner.log["s:s1"].count(b",") == 2
    following = Owner()
    following.restore(owner.log)
    assert take(following, *map(request, (1, 2, 3, 5))) == [
        Verdict.DROPPED, answers[1], Verdict.DROPPED, Verdict.RUN
    ]  # fmt: skip
    unknown = Row()
    assert list(following.settle_delivered([block(request(4))], NOW, unknown)) == []
    ((name, (reply,)),) = unknown.answers.items()
    assert (name, executed(reply)) == ("s1", "maybe")
    assert take(following, request(4)) == [reply]


def test_next_owner_writes_rows_beside_those_that_it_found(owner: Owner) -> None:
    answer_all(owner, 1, 2)
    owner.flush()
    following = Owner()
    following.restore(owner.log)
    answer_all(following, 3)
    following.flush()
    assert following.log["3"] == row(result(3))


def test_settling_answers_what_is_logged_and_skips_what_is_acknowledged(owner: Owner) -> None:
    owner.restore({"s:s1": b"1:1005000:1", "1": row(result(2))})
    blocks = [block(*map(request, (1, 2, 3)))]
    unknown = Row()
    assert list(owner.settle_delivered(blocks, NOW, unknown)) == [("s1", result(2))]
    assert [(reply.id, executed(reply)) for reply in unknown.answers["s1"]] == [(3, "maybe")]
    again = Row()
    assert list(owner.settle_delivered(blocks, NOW, again)) == [("s1", result(2)), ("s1", unknown.answers["s1"][0])]
    assert not again.answers


@pytest.mark.parametrize("session", [{"s:s1": b"2:1005000:1"}, {}], ids=["acknowledged", "forgotten"])
def test_row_of_which_nothing_counts_is_removed_by_the_next_owner(owner: Owner, session: dict[str, bytes]) -> None:
    owner.restore({**session, "7": row(result(1), result(2))})
    assert owner.flush() == ([], ["7"])
    assert not answers_of(owner)


def test_dead_answers_of_a_row_stay_dead_with_the_next_owner(owner: Owner) -> None:
    """A pruned session's answer lies beside a living one's: it must not come back and be answered."""
    both = encode([SessionReplies("gone", [result(1)]), SessionReplies("s1", [result(1), result(2)])])
    owner.restore({"s:s1": b"1:1005000:1", "7": both})
    assert answers_of(owner) == [2]
    assert session_of(owner).size == len(b"9") + memory.ANSWER_BYTES
    owner.open_block(block(ack=20), NOW)
    assert owner.flush()[1] == ["7"]


def test_what_is_left_of_a_forgotten_session_stays_dead_when_it_comes_again(owner: Owner) -> None:
    """Its request may be answered otherwise now: `maybe`, since its stamp lies before the horizon."""
    answer_together(owner, b"9", "s1", "other")
    owner.flush()
    owner.open_block(block(name="other"), NOW + WINDOW)
    assert owner.prune(NOW + WINDOW // 2) == 1
    owner.flush()
    (unknown,) = take(owner, request(1), now=NOW + WINDOW)
    owner.flush()
    assert sorted(owner.log) == ["1", "2", "s:other", "s:s1", "since"]
    following = Owner(owner.since_ms)
    following.restore(owner.log)
    assert session_of(following).answers == 1, "the dead one is not counted"
    assert take(following, request(1), now=NOW + WINDOW) == [unknown]
    assert executed(unknown) == "maybe"


def test_rows_are_not_numbered_anew_when_none_is_left(owner: Owner) -> None:
    """A session would take them for rows from before it was remembered."""
    owner.log["s:s1"] = b"0:1005000:7"
    owner.restore(owner.log)
    answer_all(owner, 1)
    owner.flush()
    following = Owner()
    following.restore(owner.log)
    assert answers_of(following) == [1]


# --- rows -----------------------------------------------------------------------------------------------------------


def answer_together(owner: Owner, body: bytes, *names: str) -> Row:
    """One row with an answer to the next request of each of these sessions."""
    owner.rows.append(together := Row())
    for name in names:
        session = session_of(owner, name)
        id = session.acked + len(session.known) + 1
        take(owner, request(id), name=name)
        assert owner.answered(session, session.known[id], result(id, body), together)
    return together


@pytest.mark.usefixtures("each_counts")
def test_row_goes_with_the_last_of_its_answers(owner: Owner) -> None:
    answer_together(owner, b"9", "a", "b")
    owner.flush()
    owner.open_block(block(ack=1, name="a"), NOW)
    assert owner.flush()[1] == []
    owner.open_block(block(ack=1, name="b"), NOW)
    assert owner.flush()[1] == ["1"]


@pytest.mark.usefixtures("each_counts")
def test_rows_that_are_nearly_dead_are_given_up_for_one_with_what_lives(
    owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answer_log, "SLACK_BYTES", 10_000)
    busy = [f"busy{number}" for number in range(9)]
    kept: dict[str, Reply] = {}
    for number in range(40):
        idle = f"idle{number}"
        answer_together(owner, b"1" * 100, idle, *busy)
        kept[idle] = result(1, b"1" * 100)
        owner.flush()
        for name in busy:
            owner.open_block(block(ack=number + 1, name=name), NOW)
        owner.flush()
        assert sum(map(len, owner.log.values())) < 3 * 40 * 400 + 10_000 + 20 * 40
    rows = [name for name in owner.log if name.isdigit()]
    assert len(rows) < 35, "each row would have one living answer"
    following = Owner()
    following.restore(owner.log)
    for name, answer in kept.items():
        assert take(following, request(1), name=name) == [answer]


def test_rows_that_live_by_half_stay(owner: Owner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer_log, "SLACK_BYTES", 0)
    for _ in range(answer_log.MAX_ROWS_LOOKED_AT + 1):
        answer_together(owner, b"1", "a", "b", "c")
    owner.flush()
    before = dict(owner.log)
    owner.open_block(block(ack=8, name="a"), NOW)
    owner.flush()
    assert {name: owner.log[name] for name in before if name.isdigit()} == {
        name: text for name, text in before.items() if name.isdigit()
    }


def test_row_larger_than_a_message_has_several_fields(owner: Owner) -> None:
    names = [f"s{number}" for number in range(3)]
    answer_together(owner, b"1" * 400_000, *names)
    owner.flush()
    assert {"1", "2"} <= owner.log.keys()
    following = Owner()
    following.restore(owner.log)
    for name in names:
        assert take(following, request(1), name=name) == [result(1, b"1" * 400_000)]
        owner.open_block(block(ack=10, name=name), NOW)
    assert owner.flush()[1] == ["1", "2"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("s:s1", b""),
        ("s:s1", b"1"),
        ("s:s1", b"1:2"),
        ("s:s1", b"1:2:x"),
        ("s:s1", b"1:2:3:x"),
        ("1", b""),
        ("1", b"[[1]]"),
        ("x", b"[]"),
        ("s1:1", b"09"),
    ],
)
def test_foreign_field_in_the_log_is_an_error(owner: Owner, field: str, value: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        owner.restore({field: value})


# --- any interleaving -----------------------------------------------------------------------------------------------


@dataclass
class Client:
    """A session as its client sees it."""

    name: str
    last_id: int = 0
    sent: dict[int, RelayedRequest] = field(default_factory=dict[int, RelayedRequest])
    waits: set[int] = field(default_factory=set[int])

    def block(self, requests: list[RelayedRequest], names_stragglers: bool) -> SessionRequests:
        if names_stragglers:
            # As many as a block may name: what waits behind them is not spoken of.
            still_open = sorted(self.waits)[: MAX_OPEN + 1]
            ack = still_open.pop() - 1 if len(still_open) > MAX_OPEN else self.last_id
        else:
            ack, still_open = min(self.waits, default=self.last_id + 1) - 1, list[int]()
        return SessionRequests(self.name, RUN, ack, still_open, requests)


@dataclass
class Batch:
    fields: list[tuple[str, bytes]]
    forget: list[str]
    replies: list[tuple[str, Reply]]
    entries: list[int]


@dataclass
class StreamEntry:
    number: int
    block: SessionRequests
    left: int = 0


SMALL_SLACK = 2000
SMALL = {"MAX_UNACKNOWLEDGED": 6, "SESSION_QUOTA_BYTES": 4000, "OBJECT_QUOTA_BYTES": 7000, "MAX_SESSIONS": 1}
NAMES = ("a", "b")


class WatchedMemory(Owner):
    """Notes the sessions that did not acknowledge for too long."""

    def __init__(self, run_id: str, since_ms: int, crowded: set[str]) -> None:
        super().__init__(since_ms, run_id)
        self._crowded = crowded

    def _acknowledge_older_half(self, session: SessionMemory) -> None:
        self._crowded.add(session.name)
        super()._acknowledge_older_half(session)


class Ownership(RuleBasedStateMachine):
    """Clients, a stream, owners one after the other, and their log, which takes whole batches in order."""

    def __init__(self) -> None:
        super().__init__()
        self.limits = {name: getattr(memory, name) for name in SMALL}
        for name, value in SMALL.items():
            setattr(memory, name, value)
        self.slack, answer_log.SLACK_BYTES = answer_log.SLACK_BYTES, SMALL_SLACK
        self.now = NOW
        self.clients = {name: Client(name) for name in NAMES}
        self.in_transit: list[SessionRequests] = []
        self.were_sent: list[SessionRequests] = []
        self.stream: deque[StreamEntry] = deque()
        self.delivered: dict[int, StreamEntry] = {}
        self.number = 0
        self.running: dict[tuple[str, int], StreamEntry] = {}
        self.batches: deque[Batch] = deque()
        self.log: dict[str, bytes] = {"since": b"%b:%d" % (RUN.encode(), SINCE)}
        self.runs: Counter[tuple[str, int]] = Counter()
        self.said: dict[tuple[str, int], str] = {}
        self.is_prompt = False
        self.crowded: set[str] = set()
        self.owner = WatchedMemory(RUN, SINCE, self.crowded)

    @initialize(is_prompt=st.booleans())
    def choose_pace(self, is_prompt: bool) -> None:
        """Prompt: each entry is read as it arrives, each batch is logged as it is made."""
        self.is_prompt = is_prompt

    def teardown(self) -> None:
        for name, value in self.limits.items():
            setattr(memory, name, value)
        answer_log.SLACK_BYTES = self.slack

    # --- clients

    @rule(
        name=st.sampled_from(NAMES),
        number=st.integers(1, 5),
        age=st.sampled_from([0, 0, 0, DELAY, DELAY + 1]),
        open_=st.booleans(),
        is_late=st.booleans(),
    )
    def send(self, name: str, number: int, age: int, open_: bool, is_late: bool) -> None:
        client = self.clients[name]
        requests: list[RelayedRequest] = []
        for _ in range(number):
            client.last_id += 1
            made = request(client.last_id, at=self.now - age, params=b"[%d]" % client.last_id)
            client.sent[made.id] = made
            client.waits.add(made.id)
            requests.append(made)
        self._transmit(client.block(requests, open_), is_late)

    @rule(name=st.sampled_from(NAMES), open_=st.booleans(), is_late=st.booleans())
    def send_again(self, name: str, open_: bool, is_late: bool) -> None:
        client = self.clients[name]
        retries = [
            RelayedRequest(id, client.sent[id].at, True, client.sent[id].method, client.sent[id].params)
            for id in sorted(client.waits)
        ]
        if retries:
            self._transmit(client.block(retries, open_), is_late)

    @rule(name=st.sampled_from(NAMES), data=st.data())
    def give_up(self, name: str, data: st.DataObject) -> None:
        waits = self.clients[name].waits
        if waits:
            waits.discard(data.draw(st.sampled_from(sorted(waits))))

    def _transmit(self, sent: SessionRequests, is_late: bool) -> None:
        self.were_sent.append(sent)
        if is_late:
            self.in_transit.append(sent)
        else:
            self._arrive(sent)

    @precondition(lambda self: self.were_sent)
    @rule(data=st.data())
    def duplicate(self, data: st.DataObject) -> None:
        self._arrive(data.draw(st.sampled_from(self.were_sent)))

    @precondition(lambda self: self.in_transit)
    @rule(data=st.data())
    def arrive(self, data: st.DataObject) -> None:
        """In any order, whatever was sent first."""
        self._arrive(self.in_transit.pop(data.draw(st.integers(0, len(self.in_transit) - 1))))

    def _arrive(self, sent: SessionRequests) -> None:
        self.number += 1
        self.stream.append(StreamEntry(self.number, sent))
        if self.is_prompt:
            self.read()

    # --- the owner

    @precondition(lambda self: self.stream)
    @rule()
    def read(self) -> None:
        while self.stream:
            self._read()

    def _read(self) -> None:
        entry = self.stream.popleft()
        self.delivered[entry.number] = entry
        replies: list[tuple[str, Reply]] = []
        name = entry.block.session
        session = self.owner.open_block(entry.block, self.now)
        horizon = self.owner.since_ms
        for each in entry.block.requests:
            verdict = admit(self.owner, session, each, entry.block.run, self.now)
            if verdict is Verdict.RUN:
                assert each.at >= horizon
                self.runs[name, each.id] += 1
                assert self.runs[name, each.id] == 1, f"{name}:{each.id} runs twice"
                assert self.said.get((name, each.id)) in (None, "maybe"), "it was said not to run"
                self.running[name, each.id] = entry
                entry.left += 1
            elif isinstance(verdict, Reply):
                replies.append((name, verdict))
            else:
                assert verdict in (Verdict.DROPPED, Verdict.ATTACHED)
                assert verdict is not Verdict.ATTACHED or (name, each.id) in self.running
                # Who still waits is not ignored, unless he acknowledged nothing for too long.
                is_ignored = verdict is Verdict.DROPPED and each.id in self.clients[name].waits
                assert not is_ignored or name in self.crowded
        self._finish(replies, [] if entry.left else [entry.number])

    @precondition(lambda self: self.running)
    @rule(data=st.data(), size=st.sampled_from([1, 1000, 3000]), fails=st.booleans())
    def end_one(self, data: st.DataObject, size: int, fails: bool) -> None:
        self._end(*data.draw(st.sampled_from(sorted(self.running))), size, fails)

    @precondition(lambda self: self.running)
    @rule(keeps=st.integers(0, 2))
    def end_most(self, keeps: int) -> None:
        for name, id in sorted(self.running)[keeps:]:
            self._end(name, id, 1, False)

    def _end(self, name: str, id: int, size: int, fails: bool) -> None:
        entry = self.running.pop((name, id))
        session = self.owner._sessions[name]
        body = errors.TIMED_OUT("t" * size).to_json() if fails else b"1" * size
        reply = Reply(id, ERROR if fails else RESULT, msgspec.Raw(body))
        kept = self.owner.answer(session, reply)
        assert executed(kept) == executed(reply)
        entry.left -= 1
        self._finish([(name, reply)], [] if entry.left else [entry.number])

    @rule(later=st.sampled_from([1, 1, 10, 1000, DELAY, 2 * WINDOW]))
    def time_passes(self, later: int) -> None:
        self.now += later

    @rule()
    def prune(self) -> None:
        if self.owner.prune(self.now - WINDOW, self.now):
            self._finish([], [])

    def _finish(self, replies: list[tuple[str, Reply]], entries: list[int]) -> None:
        before = dict(self.owner.log)
        _, forget = self.owner.flush()
        fields = [(name, value) for name, value in self.owner.log.items() if before.get(name) != value]
        self.batches.append(Batch(fields, forget, replies, entries))
        if self.is_prompt:
            self._log_takes(keeps=0, are_heard=True)

    @precondition(lambda self: self.batches)
    @rule(keeps=st.sampled_from([0, 0, 1, 3]), are_heard=st.booleans())
    def log_takes(self, keeps: int, are_heard: bool) -> None:
        self._log_takes(keeps, are_heard)

    def _log_takes(self, keeps: int, are_heard: bool) -> None:
        """Not heard: the subscription of the frontend was broken."""
        while len(self.batches) > keeps:
            batch = self.batches.popleft()
            self.log.update(batch.fields)
            for name in batch.forget:
                self.log.pop(name, None)
            for entry in batch.entries:
                self.delivered.pop(entry, None)
            for name, reply in batch.replies:
                self._check(name, reply)
                if are_heard:
                    self.clients[name].waits.discard(reply.id)

    def _check(self, name: str, reply: Reply) -> None:
        key = (name, reply.id)
        said = executed(reply)
        former = self.said.setdefault(key, said)
        # What was forgotten is unknown; nothing else changes.
        assert said in (former, "maybe") or former == "maybe"
        assert said != "no" or not self.runs[key]
        assert said != "yes" or self.runs[key] == 1

    @rule()
    def crash(self) -> None:
        """The next owner has the log, and the entries of which something is not final."""
        self.batches.clear()
        self.running.clear()
        run_id, _, since = self.log["since"].decode().rpartition(":")
        self.owner = WatchedMemory(run_id, int(since), self.crowded)
        self.owner.restore(self.log)
        self.owner.log.update(self.log)
        self.owner.rows.append(unknown := Row())
        replies: list[tuple[str, Reply]] = []
        for entry in self.delivered.values():
            replies += self.owner.settle_delivered([entry.block], self.now, unknown)
        replies += [(name, reply) for name, answers in unknown.answers.items() for reply in answers]
        self._finish(replies, list(self.delivered))

    # --- always

    @invariant()
    def memory_is_bounded_and_counted(self) -> None:
        total = 0
        for session in self.owner._sessions.values():
            answers = {id: known.reply for id, known in session.known.items() if known.reply is not None}
            assert session.answers == len(answers) <= memory.MAX_UNACKNOWLEDGED
            size = sum(len(reply.body) + memory.ANSWER_BYTES for reply in answers.values())
            assert session.size == size
            bare = len(answers) * (memory.ANSWER_BYTES + MAX_BARE_ERROR_BYTES)
            assert size <= memory.SESSION_QUOTA_BYTES + bare
            total += size
            assert session.known.keys() - answers.keys() == {id for name, id in self.running if name == session.name}
            assert all(id > session.acked or id in session.open for id in answers)
        assert self.owner._bytes == total

    @invariant()
    def log_is_what_the_owner_remembers(self) -> None:
        """A next owner would know the same. What moves at one time is bounded, and so is what is not moved yet."""
        if self.batches:
            return
        following = Owner(self.owner.since_ms)
        following.restore(self.log)
        sessions = self.owner._sessions
        assert all(_answers(following, name) == _answers(self.owner, name) for name in sessions)
        assert {name[2:] for name in self.log if name[:2] == "s:"} <= sessions.keys()
        dead = sum(row.size for row in self.owner._log._rows) - self.owner._bytes
        assert dead <= self.owner._bytes + answer_log.SLACK_BYTES + MAX_ROW


def _answers(owner: Memory, name: str) -> dict[int, Reply]:
    session = owner._sessions.get(name)
    return {id: known.reply for id, known in session.known.items() if known.reply} if session else {}


MAX_ROW = 64 * (3000 + memory.ANSWER_BYTES)
"""The bytes of one row of the machine: what was acknowledged since the last batch."""

TestOwnership = Ownership.TestCase
TestOwnership.settings = settings(max_examples=120, stateful_step_count=50)
