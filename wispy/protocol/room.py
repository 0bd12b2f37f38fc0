"""Memory for messages that have come in part: one bound over those of all clients.

Rules:
- What counts is what has come, not what was announced: an announcement costs a client nothing.
- The first `FREE` bytes of each message do not count, so that whoever fills the room with large messages keeps nobody
  from sending the usual small ones.
- Whoever would be past the bound is refused; who is within it keeps what he has.
"""

import sys
from typing import Final

FREE: Final = 16 << 10
"""Bytes of each message that do not count. As many connections as there may be (20,000) hold 300 MiB with them, which
is what they cost in any case."""


class Room:
    """What may be held of messages that have come in part.

    Args:
        limit: bytes, of all messages together.
    """

    __slots__ = ("limit", "refused", "taken")

    def __init__(self, limit: int = sys.maxsize) -> None:
        self.limit = limit
        self.taken = 0
        """Bytes that are held."""
        self.refused = 0
        """Messages for which there was no room."""


class Share:
    """What one message holds of a room: it grows as the message comes, and is given back as a whole.

    Args:
        room: of which.
    """

    __slots__ = ("_counted", "_room", "_since", "_size")

    def __init__(self, room: Room) -> None:
        self._room = room
        self._size = 0
        self._counted = 0
        self._since: float | None = None

    def grow(self, size: int) -> bool:
        """Hold so many bytes more; False: there is no room for them, and they are not to be kept."""
        room = self._room
        more = self._size + size - FREE - self._counted
        if more > 0:
            if room.taken + more > room.limit:
                room.refused += 1
                return False
            room.taken += more
            self._counted += more
        self._size += size
        return True

    def give_back(self) -> None:
        """Hold nothing; may be called again, and the share be used for the next message."""
        self._room.taken -= self._counted
        self._size = self._counted = 0
        self._since = None

    def age(self, now: float, *, is_read: bool) -> float:
        """How long the message has been coming, in seconds: since it was first asked for its age.

        Args:
            now: on a monotonic clock.
            is_read: whether its sender is listened to at present; while he is not, his message grows no older.
        """
        if not is_read or not self._size:
            self._since = None
        elif self._since is None:
            self._since = now
        return 0.0 if self._since is None else now - self._since
