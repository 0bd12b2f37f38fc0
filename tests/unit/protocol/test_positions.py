"""Where a reader of a channel is: in order, none twice, and each gap seen."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wispy.protocol.positions import (
    MAX_POSITION_LENGTH,
    Reader,
    Verdict,
    format_position,
    generation_of,
    parse_position,
)


def test_position_goes_out_and_comes_back() -> None:
    assert parse_position(format_position("1789-ab12", 7)) == ("1789-ab12", 7)
    assert Reader("1789-ab12", 7).at == "1789-ab12:7"


@given(st.integers(1, 2**64 - 1), st.text("0123456789abcdef", min_size=16, max_size=16), st.integers(0, 2**64 - 1))
def test_every_position_that_is_given_out_is_understood(generation: int, nonce: str, offset: int) -> None:
    position = format_position(f"{generation}-{nonce}", offset)
    assert len(position) <= MAX_POSITION_LENGTH
    assert parse_position(position) == (f"{generation}-{nonce}", offset)


@pytest.mark.parametrize(
    "at",
    [
        None, 5, "", ":", "5-a", "5-a:", ":5", "-a:5", "x-a:5", "5-a:x", "5-a:-1", "5-a:1.5", "5-a:1 ", "5-a: 1",
        "5-a:1:2", "5-a:\u0661", "\u0661-a:1", "5-a:" + "1" * MAX_POSITION_LENGTH, ["5-a:1"], b"5-a:1",
    ],
)  # fmt: skip
def test_what_is_no_position_is_refused(at: object) -> None:
    with pytest.raises(ValueError, match="a position is"):
        parse_position(at)


@pytest.mark.parametrize(("epoch", "generation"), [("5-a", 5), ("5", 5), ("", 0), ("-a", 0), ("x-a", 0), ("²-a", 0)])
def test_generation_of_an_epoch(epoch: str, generation: int) -> None:
    assert generation_of(epoch) == generation


def test_next_is_delivered_former_is_skipped_later_is_a_gap() -> None:
    reader = Reader("5-a", 3)
    assert [reader.judge("5-a", offset) for offset in (1, 3, 4, 5, 9)] == [
        Verdict.SKIP, Verdict.SKIP, Verdict.DELIVER, Verdict.GAP, Verdict.GAP
    ]  # fmt: skip
    assert reader.head == 3


def test_former_owner_is_not_heard_any_more() -> None:
    reader = Reader("6-b", 3)
    assert reader.judge("5-a", 4) is Verdict.SKIP
    assert reader.at == "6-b:3"


def test_next_owner_goes_on_counting() -> None:
    reader = Reader("5-a", 3)
    assert reader.judge("6-b", 4) is Verdict.DELIVER
    assert reader.judge("5-a", 4) is Verdict.SKIP
    assert reader.judge("6-b", 6) is Verdict.GAP


def test_next_owner_that_counts_anew_is_followed() -> None:
    """Redis has lost its data: what comes is new, although its offset is not."""
    reader = Reader("5-a", 30)
    assert reader.judge("6-b", 2) is Verdict.DELIVER
    reader.head = 2
    assert reader.judge("6-b", 3) is Verdict.DELIVER


def test_reader_of_what_nobody_has_owned_for_days_follows_the_first_owner() -> None:
    assert Reader("", 0).judge("5-a", 1) is Verdict.DELIVER


def test_snapshot_of_a_later_owner_ends_the_former_one() -> None:
    reader = Reader("5-a", 3)
    reader.adopt("6-b", 7)
    assert reader.at == "6-b:3"
    assert reader.judge("5-a", 4) is Verdict.SKIP
    reader.adopt("5-a", 2)
    assert reader.at == "6-b:3"


def test_snapshot_that_is_behind_the_reader_begins_anew() -> None:
    reader = Reader("5-a", 30)
    reader.adopt("6-b", 2)
    assert reader.at == "6-b:2"
    assert reader.judge("6-b", 3) is Verdict.DELIVER


@given(
    owners=st.lists(st.integers(0, 6), min_size=1, max_size=4),
    data=st.data(),
)
def test_updates_arrive_in_order_none_twice_and_the_newest_is_last(owners: list[int], data: st.DataObject) -> None:
    """A model: owners publish some updates each; messages are lost, repeated, and late; history repairs gaps."""
    sent: list[tuple[str, int]] = []
    offset = 0
    for generation, number in enumerate(owners, 1):
        for _ in range(number):
            offset += 1
            sent.append((f"{generation}-n", offset))
    messages = [message for message in sent for _ in range(data.draw(st.integers(0, 2)))]
    # Late ones: some come once more, behind all others.
    messages += data.draw(st.lists(st.sampled_from(sent), max_size=5)) if sent else []
    reader = Reader("1-n", 0)
    delivered: list[int] = []

    def deliver(offset: int) -> None:
        delivered.append(offset)
        reader.head = offset

    newest = 0
    for epoch, number in messages:
        newest = max(newest, number)
        verdict = reader.judge(epoch, number)
        if verdict is Verdict.GAP:
            for missing in range(reader.head + 1, number):
                deliver(missing)
            assert reader.judge(epoch, number) is Verdict.DELIVER
            verdict = Verdict.DELIVER
        if verdict is Verdict.DELIVER:
            deliver(number)
    assert delivered == list(range(1, newest + 1))
