"""Which requests run: copies, other content under the same id, and stamps."""

import msgspec
import pytest

from tests.unit.protocol.memory.owner import (
    DELAY,
    NOW,
    SINCE,
    Owner,
    code,
    executed,
    request,
    result,
    row,
    session_of,
    take,
)
from wispy.protocol import errors
from wispy.protocol.memory import CLOCK_ERROR_MS
from wispy.protocol.relay import RelayedRequest
from wispy.protocol.verdicts import Verdict, refusal

# --- copies -----------------------------------------------------------------------------------------------------------


def test_new_request_runs_and_its_copies_attach(owner: Owner) -> None:
    assert take(owner, request(1)) == [Verdict.RUN]
    assert take(owner, request(1)) == [Verdict.ATTACHED]


def test_copy_in_the_same_block_attaches(owner: Owner) -> None:
    assert take(owner, request(1), request(1)) == [Verdict.RUN, Verdict.ATTACHED]


def test_answered_request_gets_its_answer_again(owner: Owner) -> None:
    take(owner, request(1))
    answer = owner.answer(session_of(owner), result(1))
    assert take(owner, request(1)) == [answer]


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


# --- stamps -----------------------------------------------------------------------------------------------------------


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
