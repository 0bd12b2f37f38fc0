"""Positions on a channel, and the rules by which a reader accepts updates, and is told of those that are missing.

Rules:
- An owner numbers the updates of a channel from 1. Offsets continue from one owner to the next; the epoch changes.
- An epoch is `<generation>-<nonce>`. Generations only rise, so that of two epochs the later one is known.
- A position is an epoch and an offset: it has all that this owner, and those before it, published up to the offset.
- A reader drops what is of an earlier epoch, or not beyond its head. An offset beyond the next one, and the first
  update of a later epoch, are looked into (`resume`) before anything newer is delivered: history has what was missed.
- Redis names, as the *lineage* of an epoch, the owners since whom it cannot have lost updates unnoticed. To a reader of
  one of them, offsets that history does not have are missing, exactly these: the gap's positions are of one epoch.
- To any other reader the owners part somewhere: its own went on, on a server that is gone, for nobody knows how long,
  and the later ones use offsets that it has seen for other updates. What it gets is all that is of a later epoch; what
  is missing begins behind its own position, in its own epoch, and ends before the next update, in the present epoch. A
  gap between two epochs thus says: here some may be missing; how many is not known, it may be none.
- To clients a position is one opaque string, `<epoch>:<offset>`.

(Kafka's consumers find where logs part in the same way, by the leader's epoch of each record.)
"""

import enum
from collections.abc import Iterable
from typing import NamedTuple

MAX_POSITION_LENGTH = 128
"""Characters of a position that a client may send back: ours have at most 20 + 1 + 16 + 1 + 20."""


class Verdict(enum.Enum):
    """What a reader does with an update."""

    DELIVER = "deliver"
    SKIP = "skip"
    GAP = "gap"


def generation_of(epoch: str) -> int:
    """The generation of an epoch; 0 for a text that is no epoch."""
    generation = epoch.partition("-")[0]
    return int(generation) if generation.isascii() and generation.isdigit() else 0


def format_position(epoch: str, offset: int) -> str:
    """The opaque position that clients see as `at`."""
    return f"{epoch}:{offset}"


def parse_position(at: object) -> tuple[str, int]:
    """The epoch and the offset of a position.

    Raises:
        ValueError: it is not a position that wispy gave out.
    """
    if isinstance(at, str) and len(at) <= MAX_POSITION_LENGTH:
        epoch, colon, offset = at.partition(":")
        if colon and generation_of(epoch) and offset.isascii() and offset.isdigit():
            return epoch, int(offset)
    raise ValueError("a position is what an earlier answer or update said as `at`")


class Line(NamedTuple):
    """How far a channel is, as Redis has it."""

    epoch: str
    """The owner's; "" if there was none for days."""
    lineage: frozenset[int]
    """The generations of owners since whom no update was lost unnoticed, the present one's among them."""
    head: int
    """The offset of the newest update; 0: there was none."""

    def is_behind(self, epoch: str, offset: int) -> bool:
        """Whether it lacks what a reader at this position has: Redis has lost it, and no owner has acquired since."""
        return (generation_of(self.epoch), self.head) < (generation_of(epoch), offset)

    def continues(self, epoch: str) -> bool:
        """Whether its offsets continue those of this epoch, without any loss in between."""
        return generation_of(epoch) in self.lineage


class Kept(NamedTuple):
    """An update in a channel's history."""

    generation: int
    offset: int
    value: bytes


class Brought(NamedTuple):
    """An update that a reader gets from history."""

    epoch: str
    """Of its position: a reader that stops here goes on from it as from any other."""
    offset: int
    value: bytes


class Missing(NamedTuple):
    """A gap: from one position to the other, both included; of two epochs if it is not known how many are missing."""

    first: str
    last: str


def resume(epoch: str, offset: int, line: Line, rows: Iterable[Kept]) -> list[Brought | Missing]:
    """What brings a reader from its position to the line's head: updates to deliver, and what is missing, in order.

    Args:
        epoch: where the reader is; the line is not behind it.
        offset: of the newest update that the reader has.
        line: how far the channel is.
        rows: what history has up to the line's head: behind `offset` if the line continues the epoch, else all.
    """
    found: list[Brought | Missing] = []
    generation, next_offset = generation_of(epoch), offset + 1

    def pass_to(later: int, up_to: int) -> None:
        """Name what is missing between the reader and the update behind `up_to`, which is of `later` or its lineage."""
        nonlocal epoch, generation
        former, later = epoch, max(later, generation)  # a position under an epoch has what is of those before it
        if later in line.lineage:
            epoch = line.epoch
        elif later != generation:
            epoch = str(later)  # its nonce is not known, and nobody compares it
        is_continued = generation in line.lineage or later == generation
        if not is_continued:
            found.append(Missing(format_position(former, next_offset), format_position(epoch, up_to)))
        elif next_offset <= up_to:
            found.append(Missing(format_position(epoch, next_offset), format_position(epoch, up_to)))
        generation = later

    for row in rows:
        if row.offset >= next_offset or (row.generation > generation and generation not in line.lineage):
            pass_to(row.generation, row.offset - 1)
            found.append(Brought(epoch, row.offset, row.value))
            next_offset = row.offset + 1
    pass_to(generation_of(line.epoch), line.head)
    return found


class Reader:
    """Where a reader of one channel is."""

    __slots__ = ("epoch", "generation", "head", "lineage")

    def __init__(self, epoch: str, head: int, lineage: frozenset[int] = frozenset()) -> None:
        self.head = head
        """The offset of the newest update that was delivered."""
        self.follow(epoch, lineage)

    def judge(self, epoch: str, offset: int) -> Verdict:
        """What to do with the update at `offset` of `epoch`. The head stays for the caller to move, once it has."""
        if epoch != self.epoch:
            return Verdict.SKIP if generation_of(epoch) < self.generation else Verdict.GAP
        if offset == self.head + 1:
            return Verdict.DELIVER
        return Verdict.SKIP if offset <= self.head else Verdict.GAP

    def follow(self, epoch: str, lineage: frozenset[int]) -> None:
        """Hear this owner from now on, and none before it."""
        self.epoch = epoch
        self.generation = generation_of(epoch)
        self.lineage = lineage

    @property
    def line(self) -> Line:
        """How far the channel is, to whoever joins this reader."""
        return Line(self.epoch, self.lineage, self.head)

    @property
    def at(self) -> str:
        """The position as clients see it."""
        return format_position(self.epoch, self.head)
