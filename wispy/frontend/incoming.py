"""A file on its way to disk: it grows under a hidden name, and gets its own in one step when it is whole.

Rules:
- Memory is bounded: what has come is gathered to `WRITE` bytes, and no more is read until a thread has written them.
- A reader sees the old file or the whole new one. Whoever creates a file never replaces one that came meanwhile.
- What does not become whole is removed: at once where this process lives, else by the next one that starts (`sweep`).
"""

import asyncio
import errno
import logging
import os
import secrets
import threading
import time
from pathlib import Path
from typing import Final

from wispy.frontend.upload_rules import Target

log = logging.getLogger("wispy.frontend")

WRITE: Final = 256 << 10
"""Bytes that are written at a time: large enough that the hop to a thread costs nothing beside it."""

PARTIAL_PREFIX: Final = ".wispy-upload-"

STALE_S: Final = 3600.0
"""Seconds after which a partial file that does not grow is nobody's: a live upload grows by the second."""

# What a file system says that knows no hard links.
_NO_LINKS: Final = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS, errno.EINVAL})


class IncomingFile:
    """One file. Every path ends with `publish` or `discard`.

    Args:
        target: where it will be.

    Raises:
        OSError: the folder takes no file.
    """

    def __init__(self, target: Target) -> None:
        self.target = target
        self.size = 0
        """Bytes that have come."""
        self._gathered = bytearray()
        self._lock = threading.Lock()  # a writing thread, and a connection that is lost meanwhile
        self._partial = target.partial_folder / f"{PARTIAL_PREFIX}{secrets.token_hex(8)}"
        self._file = self._partial.open("xb", buffering=0)
        self._is_open = True
        self._is_writing = False

    async def write(self, data: bytes) -> None:
        """Take the next bytes; returns when more may come.

        Raises:
            OSError: the disk does not take them.
        """
        self.size += len(data)
        self._gathered += data
        if len(self._gathered) >= WRITE:
            gathered, self._gathered = self._gathered, bytearray()
            await asyncio.to_thread(self._write, gathered)

    def _write(self, data: bytearray) -> None:
        """In a thread. Who discards the file meanwhile does not wait for it."""
        with self._lock:
            if not self._is_open:
                return
            self._is_writing = True
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[self._file.write(rest) :]
        finally:
            self._end_of_writing()

    def _end_of_writing(self) -> None:
        with self._lock:
            self._is_writing = False
            if not self._is_open:
                self._file.close()

    async def complete(self) -> None:
        """Everything has come: have it on the disk, so that a crash of the machine leaves all of it or nothing.

        Raises:
            OSError: the disk does not take it.
        """
        await asyncio.to_thread(self._complete)

    def _complete(self) -> None:
        self._write(self._gathered)
        with self._lock:
            if not self._is_open:
                return
            self._is_writing = True
        try:
            os.fsync(self._file.fileno())
        finally:
            self._is_open = False
            self._end_of_writing()

    def publish(self, *, overwrites: bool) -> None:
        """Give the file its name.

        Raises:
            FileExistsError: one has come meanwhile, which this one was not to overwrite.
            OSError: it cannot get its name.
        """
        path = self.target.path
        if overwrites:
            self._partial.replace(path)
            return
        try:
            path.hardlink_to(self._partial)
            self._partial.unlink()
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            path.open("xb").close()  # an empty file for a moment: second best, but never a replaced one
            try:
                self._partial.replace(path)
            except OSError:  # it was discarded meanwhile
                path.unlink(missing_ok=True)
                raise

    def discard(self) -> None:
        """Remove what there is, unless it was published; may be called again, and never waits."""
        with self._lock:
            self._is_open = False
            if not self._is_writing:
                self._file.close()
        try:
            self._partial.unlink(missing_ok=True)
        except OSError as error:  # Windows, while it is written: `sweep` takes it later
            log.warning("%s cannot be removed: %s", self._partial, error)


def sweep(folder: Path, now_s: float | None = None) -> None:
    """Remove partial files that a process which was killed has left, and that no other process is writing."""
    now_s = time.time() if now_s is None else now_s
    try:
        for partial in folder.glob(f"{PARTIAL_PREFIX}*"):
            if now_s - partial.lstat().st_mtime > STALE_S:
                partial.unlink(missing_ok=True)
                log.info("removed %s, which an upload has left", partial)
    except OSError as error:
        log.warning("what uploads have left in %s cannot be removed: %s", folder, error)
