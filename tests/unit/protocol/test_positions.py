"""Where a reader of a channel is: in order, none twice, and each gap seen."""

from dataclasses import dataclass, field
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wispy.protocol.positions import (
    MAX_POSITION_LENGTH,
    Brought,
    Kept,
    Line,
    Missing,
    Reader,
    Verdict,
    format_position,
    generation_of,
    parse_position,
    resume,
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


def test_first_update_of_another_owner_is_looked_into() -> None:
    """Whether it continues what the reader has is for Redis to say."""
    reader = Reader("5-a", 3)
    assert [reader.judge("6-b", offset) for offset in (1, 4, 6)] == [Verdict.GAP] * 3
    reader.follow("6-b", frozenset({5, 6}))
    assert reader.judge("5-a", 4) is Verdict.SKIP
    assert reader.judge("6-b", 4) is Verdict.DELIVER


def test_reader_of_what_nobody_has_owned_for_days_looks_into_the_first_owner() -> None:
    assert Reader("", 0).judge("5-a", 1) is Verdict.GAP


# --- going on from a position -----------------------------------------------------------------------------------------


def rows(generation: int, *offsets: int) -> list[Kept]:
    return [Kept(generation, offset, b"") for offset in offsets]


def told(epoch: str, offset: int, line: Line, kept: list[Kept]) -> list[int | tuple[str, str]]:
    """Offsets that are delivered, gaps by their ends."""
    pieces = resume(epoch, offset, line, kept)
    return [piece.offset if isinstance(piece, Brought) else (piece.first, piece.last) for piece in pieces]


def test_what_history_does_not_have_is_missing_exactly() -> None:
    line = Line("5-a", frozenset({5}), 9)
    assert told("5-a", 2, line, rows(5, 3, 6, 7)) == [3, ("5-a:4", "5-a:5"), 6, 7, ("5-a:8", "5-a:9")]
    assert told("5-a", 9, line, []) == []


def test_an_owner_of_the_lineage_is_continued() -> None:
    line = Line("7-c", frozenset({5, 6, 7}), 9)
    assert told("5-a", 2, line, [*rows(5, 3), *rows(6, 4, 5, 6), *rows(7, 8, 9)]) == [
        3, 4, 5, 6, ("7-c:7", "7-c:7"), 8, 9
    ]  # fmt: skip


def test_after_a_loss_what_a_reader_has_is_not_said_to_be_missing() -> None:
    line = Line("7-c", frozenset({7}), 992)
    kept = [*rows(5, 988, 989, 990), *rows(7, 991, 992)]
    assert told("5-a", 1000, line, kept) == [("5-a:1001", "7-c:990"), 991, 992]


def test_after_a_loss_a_reader_gets_what_redis_still_has_and_learns_that_some_may_be_missing() -> None:
    line = Line("7-c", frozenset({7}), 991)
    kept = [*rows(5, 988, 989, 990), *rows(7, 991)]
    assert told("5-a", 988, line, kept) == [989, 990, ("5-a:991", "7-c:990"), 991]
    assert told("5-a", 990, line, kept) == [("5-a:991", "7-c:990"), 991]
    assert told("5-a", 980, line, kept) == [
        ("5-a:981", "5-a:987"), 988, 989, 990, ("5-a:991", "7-c:990"), 991
    ]  # fmt: skip


def test_after_a_loss_an_owner_that_has_published_nothing_yet_is_followed() -> None:
    assert told("5-a", 1000, Line("7-c", frozenset({7}), 990), rows(5, 990)) == [("5-a:1001", "7-c:990")]
    assert told("5-a", 1000, Line("7-c", frozenset({7}), 0), []) == [("5-a:1001", "7-c:0")]


def test_each_loss_is_named_by_itself() -> None:
    """Of an owner in between only the generation is known."""
    line = Line("9-d", frozenset({9}), 12)
    kept = [*rows(5, 9, 10), *rows(7, 11), *rows(9, 12)]
    assert told("5-a", 30, line, kept) == [("5-a:31", "7:10"), 11, ("7:12", "9-d:11"), 12]
    assert parse_position("7:10") == ("7", 10)
    assert resume("5-a", 9, line, kept)[0] == Brought("5-a", 10, b""), "it is still where its own owner was"


def test_a_line_is_behind_who_has_heard_more_or_a_later_owner() -> None:
    line = Line("7-c", frozenset({7}), 10)
    assert line.is_behind("7-c", 11)
    assert line.is_behind("8-d", 1)
    assert not line.is_behind("7-c", 10)
    assert not line.is_behind("5-a", 1000)


class _Data(NamedTuple):
    """What Redis has."""

    lineage: tuple[int, ...] = (1,)
    head: int = 0
    history: tuple[Kept, ...] = ()


@dataclass
class _Channel:
    """An event channel in Redis, with owners, and a history that may be too short; and all that was ever in it."""

    kept: int
    data: list[_Data] = field(default_factory=lambda: [_Data()])
    """Each state that it ever had, until a failover goes back to one of them."""
    owner: int = 1
    """The generation of the last owner that there was, whether Redis knows of it or not."""
    given_out: int = 0
    """By this owner."""
    lineages: dict[int, tuple[int, ...]] = field(default_factory=lambda: {1: (1,)})
    published: list[Kept] = field(default_factory=list[Kept])
    is_lost: bool = False
    """There was a failover, and no owner has acquired since."""

    def publish(self) -> None:
        if not self.is_lost:
            self.given_out += 1
            lineage, _, history = self.data[-1]
            self.published.append(Kept(self.owner, self.given_out, b""))
            self.data.append(_Data(lineage, self.given_out, (*history, self.published[-1])[-self.kept :]))

    def lose(self, number: int) -> None:
        """A failover, to a server that had not got the last changes."""
        self.is_lost = True
        del self.data[max(1, len(self.data) - number) :]

    def acquire(self, *, by_the_same: bool) -> None:
        lineage, head, history = self.data[-1]
        if by_the_same:
            head = self.given_out
            if lineage[-1] != self.owner:
                lineage = (self.owner,)
        elif self.is_lost:
            lineage = ()
        self.owner += 1
        self.data.append(_Data((*lineage, self.owner), head, history))
        self.lineages[self.owner] = self.data[-1].lineage
        self.given_out = head
        self.is_lost = False

    @property
    def history(self) -> tuple[Kept, ...]:
        return self.data[-1].history

    def place(self, row: Kept, generation: int) -> tuple[int, int]:
        """Where it is to somebody who is at this generation."""
        return generation if row.generation in self.lineages[generation] else row.generation, row.offset

    @property
    def line(self) -> Line:
        lineage, head, _ = self.data[-1]
        return Line(f"{lineage[-1]}-n", frozenset(lineage), head)


@dataclass
class _Follower:
    """A reader that looks now and then, and may be cut off while it is told."""

    position: tuple[str, int] = ("1-n", 0)
    got: list[Kept] = field(default_factory=list[Kept])
    gaps: list[Missing] = field(default_factory=list[Missing])

    def look(self, channel: _Channel, patience: int = 1000) -> None:
        line = channel.line
        if line.is_behind(*self.position):
            return
        kept = channel.history
        if line.continues(self.position[0]):
            kept = tuple(row for row in kept if row.offset > self.position[1])
        pieces = resume(*self.position, line, kept)
        for piece in pieces[:patience]:
            if isinstance(piece, Brought):
                self.got += [row for row in channel.history if row.offset == piece.offset]
                self.position = (piece.epoch, piece.offset)
            else:
                self.gaps.append(piece)
                self.position = parse_position(piece.last)
        if len(pieces) <= patience:
            self.position = (line.epoch, line.head)

    def is_named(self, row: Kept, channel: _Channel) -> bool:
        """Whether this reader was told that the update is missing."""
        for gap in self.gaps:
            (first, first_offset), (last, last_offset) = parse_position(gap.first), parse_position(gap.last)
            own, present = generation_of(first), generation_of(last)
            if own == present and row.generation not in channel.lineages[own]:
                continue
            if channel.place(row, own) >= (own, first_offset) and channel.place(row, present) <= (present, last_offset):
                return True
        return False


@given(
    kept=st.sampled_from([2, 5, 100]),
    steps=st.lists(
        st.one_of(
            st.just(("publish", 0)),
            st.just(("publish", 0)),
            st.tuples(st.just("look"), st.integers(0, 8)),
            st.tuples(st.just("lose"), st.integers(0, 3)),
            st.tuples(st.just("acquire"), st.integers(0, 1)),
        ),
        max_size=60,
    ),
)
def test_each_event_is_delivered_or_named_and_none_is_both(kept: int, steps: list[tuple[str, int]]) -> None:
    """Owners come and go, Redis loses what it had last, and readers look when they can."""
    channel = _Channel(kept)
    followers = [_Follower() for _ in range(3)]
    for step, number in steps:
        match step:
            case "publish":
                channel.publish()
            case "look":
                followers[number % 3].look(channel, patience=(1, 3, 1000)[number // 3])
            case "lose":
                channel.lose(number)
            case _:
                channel.acquire(by_the_same=bool(number))
    if channel.is_lost:
        channel.acquire(by_the_same=False)
    for follower in followers:
        follower.look(channel)
        places = [channel.published.index(row) for row in follower.got]
        assert places == sorted(set(places)), "in order, none twice"
        assert not [row for row in follower.got if follower.is_named(row, channel)]
        assert not [row for row in channel.published if row not in follower.got and not follower.is_named(row, channel)]
