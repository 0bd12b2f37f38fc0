"""Static text files, compressed once and kept in memory.

Rules:
- Only what pays: files of some size that shrink; what is larger than `LARGEST` leaves as it is, without a copy here.
- The copies have a bound in bytes; the one that was asked for the longest time ago goes first.
- Compressing runs in a thread, one file at a time: whoever else asks waits for it, and nobody does it twice.
"""

import asyncio
import gzip
import os
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SMALLEST: Final = 1024
"""Bytes below which the saving is lost in one packet's overhead."""

LARGEST: Final = 4 << 20
"""Bytes above which compressing takes too long for the first who asks: 4 MiB take about 0.1 s."""

CACHE_BYTES: Final = 16 << 20
"""Copies kept by one process: the scripts and pages of several large applications."""

WORTH: Final = 0.9
"""A copy that is larger than this part of its file is not worth the client's work."""

LEVEL: Final = 6
"""gzip's own choice: level 9 takes three times as long for one percent."""

Key = tuple[str, int, int]


def etag_of(mtime_ns: int, size: int, suffix: str = "") -> str:
    """An ETag that costs nothing: a file's time and size."""
    return f'"{mtime_ns:x}-{size:x}{suffix}"'


@dataclass(frozen=True, slots=True)
class Copy:
    """A compressed copy of a file."""

    content: bytes
    etag: str
    """By what the file was before it was read: should it have changed since, the copy is asked for once more."""


class Compressed:
    """The compressed copies of one process."""

    def __init__(self, limit: int = CACHE_BYTES) -> None:
        self._limit = limit
        self._copies: OrderedDict[Key, Copy | None] = OrderedDict()  # None: it does not pay
        self._bytes = 0
        self._lock = asyncio.Lock()

    @property
    def size(self) -> int:
        """Bytes that are held."""
        return self._bytes

    async def of(self, file: str) -> Copy | None:
        """The file's compressed copy; None where it leaves as it is.

        Raises:
            OSError: it cannot be read.
        """
        stat = os.stat(file)  # noqa: PTH116 -- a call that asks a local disk, as Tornado's own do
        if not SMALLEST <= stat.st_size <= LARGEST:
            return None
        key = (file, stat.st_mtime_ns, stat.st_size)
        if key not in self._copies:
            async with self._lock:
                if key not in self._copies:
                    content = await asyncio.to_thread(_compress, file)
                    etag = etag_of(stat.st_mtime_ns, stat.st_size, "-gzip")
                    self._keep(key, None if content is None else Copy(content, etag))
        self._copies.move_to_end(key)
        return self._copies[key]

    def _keep(self, key: Key, copy: Copy | None) -> None:
        self._copies[key] = copy
        self._bytes += _cost(copy)
        while self._bytes > self._limit and len(self._copies) > 1:
            _, oldest = self._copies.popitem(last=False)
            self._bytes -= _cost(oldest)


def _cost(copy: Copy | None) -> int:
    return 512 + (0 if copy is None else len(copy.content))  # and the entry itself


def _compress(file: str) -> bytes | None:
    with Path(file).open("rb") as stream:
        content = stream.read(LARGEST + 1)
    copy = gzip.compress(content, LEVEL, mtime=0)
    return copy if len(copy) < len(content) * WORTH else None


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether a client that sends this header takes gzip."""
    for entry in accept_encoding.lower().split(","):
        coding, _, parameters = entry.partition(";")
        if coding.strip() == "gzip":
            quality = parameters.strip().removeprefix("q=")
            return quality.strip("0.") != "" or not parameters.strip()
    return False
