"""What is forgotten because it was acknowledged, and that no late block takes that back."""

import pytest

from tests.unit.protocol.memory.owner import (
    NOW,
    Owner,
    answer_all,
    answers_of,
    block,
    request,
    result,
    row,
    session_of,
    take,
)
from wispy.protocol import memory
from wispy.protocol.verdicts import Verdict


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
