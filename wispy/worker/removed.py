"""Channels that were removed lately: if one comes again, its numbers go on where they ended.

Its readers know how far they were. A program that makes channels under ever new names must not fill the memory with
those that are gone: of these the longest gone are forgotten, and begin anew.
"""

from typing import Final

MAX_REMOVED: Final = 1000
"""Removed channels that are remembered: their readers were told, and have gone or asked again long before so many."""


class RemovedChannels:
    """The names of an object's channels that were removed, the longest gone first."""

    def __init__(self) -> None:
        self._names: dict[str, None] = {}

    def __bool__(self) -> bool:
        return bool(self._names)

    def add(self, name: str) -> str | None:
        """A channel was removed; the name of the one that is forgotten for it, if there is one."""
        self._names[name] = None
        if len(self._names) <= MAX_REMOVED:
            return None
        oldest = next(iter(self._names))
        del self._names[oldest]
        return oldest

    def discard(self, name: str) -> None:
        """A channel of this name is there, perhaps again."""
        self._names.pop(name, None)
