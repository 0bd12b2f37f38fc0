"""How much of a session and of all sessions is kept, and what stays beyond that."""

import msgspec
import pytest

from tests.unit.protocol.memory.owner import (
    NOW,
    Owner,
    answer_all,
    answers_of,
    code,
    executed,
    request,
    result,
    row,
    session_of,
    take,
)
from wispy.config.schema import LimitsConfig
from wispy.protocol import errors, memory
from wispy.protocol.relay import ERROR, RESULT, STORED_RESULT, Reply
from wispy.protocol.verdicts import MAX_BARE_ERROR_BYTES, Verdict


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
