"""Positions on a channel, and the rule by which a reader accepts updates.

Rules:
- An owner numbers the updates of a channel from 1. Offsets continue from one owner to the next; the epoch changes.
- An epoch is `<generation>-<nonce>`. Generations only rise, so that of two epochs the later one is known.
- A reader drops what is of an earlier epoch, or not beyond its head; an offset beyond the next one is a gap,
  which is repaired from history before anything newer is delivered.
- Offsets that do not continue mean that Redis has lost what it had: the channel begins anew, and so does its reader.
- To clients a position is one opaque string, `<epoch>:<offset>`.
"""

import enum

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


class Reader:
    """Where a reader of one channel is."""

    __slots__ = ("epoch", "generation", "head")

    def __init__(self, epoch: str, head: int) -> None:
        self.epoch = epoch
        self.generation = generation_of(epoch)
        self.head = head
        """The offset of the newest update that was delivered."""

    def judge(self, epoch: str, offset: int) -> Verdict:
        """What to do with the update at `offset` of `epoch`.

        A later epoch is followed from now on; where its offsets do not continue, the head goes back to just before
        this update. Otherwise the head stays for the caller to move, once the update is delivered.
        """
        if epoch != self.epoch:
            generation = generation_of(epoch)
            if generation < self.generation:
                return Verdict.SKIP
            self._follow(epoch, generation, offset - 1)
        if offset == self.head + 1:
            return Verdict.DELIVER
        return Verdict.SKIP if offset <= self.head else Verdict.GAP

    def adopt(self, epoch: str, head: int) -> None:
        """A snapshot with this head was read under `epoch`: an earlier owner is not heard any more from now on."""
        generation = generation_of(epoch)
        if generation > self.generation:
            self._follow(epoch, generation, head)

    def _follow(self, epoch: str, generation: int, newest: int) -> None:
        """Follow another owner, who has published up to `newest` as far as is known."""
        self.epoch = epoch
        self.generation = generation
        if newest < self.head:
            self.head = newest

    @property
    def at(self) -> str:
        """The position as clients see it."""
        return format_position(self.epoch, self.head)
