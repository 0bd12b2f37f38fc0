"""The rows of the log: what is written and read, and what goes when."""

import msgspec
import pytest

from wispy.protocol import answer_log
from wispy.protocol.answer_log import AnswerLog, Row
from wispy.protocol.relay import RESULT, Reply, SessionReplies, decode_replies

SIZE = 100


def row_of(*sessions: str, live: int | None = None) -> Row:
    """A row with one answer to each of these."""
    row = Row(live=SIZE * len(sessions) if live is None else live)
    for session in sessions:
        row.answers[session].append(Reply(1, RESULT, msgspec.Raw(b"9")))
    return row


def test_row_is_written_as_a_message_and_read_again() -> None:
    log = AnswerLog()
    ((field, message),) = log.write(row_of("a", "b"))
    assert field == "1"
    following = AnswerLog()
    row, blocks = following.read(field, message)
    assert (
        blocks
        == decode_replies(message)
        == [SessionReplies(name, [Reply(1, RESULT, msgspec.Raw(b"9"))]) for name in "ab"]
    )
    row.live = 2 * SIZE
    following.restored(row, field)
    assert [name for name, _ in following.write(row_of("c"))] == ["2"], "it goes on behind what it found"


def test_row_of_which_nothing_is_remembered_is_sent_and_not_logged() -> None:
    assert [field for field, _ in AnswerLog().write(row_of("a", live=0))] == [""]


def test_row_without_answers_is_nothing() -> None:
    assert AnswerLog().write(Row()) == []


def test_dropped_rows_are_told_once() -> None:
    log = AnswerLog()
    log.write(row := row_of("a"))
    log.drop(row)
    assert log.take_dropped() == ["1"]
    assert log.take_dropped() == []


def test_row_that_was_not_written_is_dropped_in_silence() -> None:
    log = AnswerLog()
    log.drop(row_of("a"))
    assert log.take_dropped() == []


def test_rows_are_sparse_when_half_of_them_is_dead_and_all_together_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer_log, "SLACK_BYTES", SIZE)
    log = AnswerLog()
    rows = [row_of("a", "b", "c", "d") for _ in range(4)]
    for row in rows:
        log.write(row)
    for row, dead in zip(rows, (1, 3, 2, 3), strict=True):
        row.live -= dead * SIZE
    live = sum(row.live for row in rows)
    assert live == 7 * SIZE
    assert list(log.sparse_rows(live + SIZE)) == [], "there are 16, and 2 * 8 + 1 may be"
    assert list(log.sparse_rows(live)) == rows[1:]


def test_few_rows_are_looked_at_and_each_in_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer_log, "SLACK_BYTES", 0)
    monkeypatch.setattr(answer_log, "MAX_ROWS_LOOKED_AT", 2)
    log = AnswerLog()
    rows = [row_of("a", "b") for _ in range(5)]
    for row in rows:
        log.write(row)
    rows[3].live = SIZE
    assert list(log.sparse_rows(0)) == []
    assert list(log.sparse_rows(0)) == [rows[3]]


@pytest.mark.parametrize("value", [b"", b"x", b"[[1]]", b'[["s",[[1,0]]]]', b"[" * 5000])
def test_what_is_no_row_is_refused(value: bytes) -> None:
    with pytest.raises(ValueError, match="field that is no row of answers: '1'"):
        AnswerLog().read("1", value)


@pytest.mark.parametrize("field", ["", "x", "s:1"])
def test_what_has_no_number_is_no_row(field: str) -> None:
    with pytest.raises(ValueError, match="field that is no row"):
        AnswerLog().read(field, b"[]")
