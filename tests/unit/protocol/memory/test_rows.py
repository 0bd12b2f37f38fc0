"""The rows of an owner's log: when they go, when they are moved, and what is no row."""

import pytest

from tests.unit.protocol.memory.owner import NOW, Owner, answer_together, block, request, result, take
from wispy.protocol import answer_log
from wispy.protocol.relay import Reply


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
