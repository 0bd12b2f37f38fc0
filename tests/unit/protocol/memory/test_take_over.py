"""What the next owner knows from the log, and what became of the requests that the former one was given."""

import pytest

from tests.unit.protocol.memory.owner import (
    NOW,
    WINDOW,
    Owner,
    answer_all,
    answer_together,
    answers_of,
    block,
    executed,
    request,
    result,
    row,
    session_of,
    take,
)
from wispy.protocol import memory
from wispy.protocol.answer_log import Row
from wispy.protocol.relay import SessionReplies, encode
from wispy.protocol.verdicts import Verdict


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
