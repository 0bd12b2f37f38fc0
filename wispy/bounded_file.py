"""A log file of a bounded size, which any number of processes append to.

Rules:
- A line is written whole, by one call, to the end of the file: lines of several processes do not mix.
- Whoever finds the file full renames it and begins another one, under a lock on the full one; the others notice by the
  file's identity. So there is no process whose file it is.
- A line that cannot be written (a full disk) is lost, counted, and told of in the log, now and then: the service goes
  on. What the disk still took of it becomes blanks, so that the next line, whosever it is, begins as one.
"""

import errno
import fcntl
import logging
import os
import time
from pathlib import Path
from typing import Final

COMPLAINT_S: Final = 60.0
"""Seconds between two complaints about lines that cannot be written."""

log = logging.getLogger("wispy")


class BoundedFile(logging.Handler):
    """Appends records to a file.

    Args:
        path: of the file; its folder is there.
        size: in bytes, at which another one is begun.
        kept: former files that are kept, as `PATH.1` (the newest) and so on.

    Raises:
        OSError: the file cannot be opened.
    """

    def __init__(self, path: str, size: int, kept: int) -> None:
        super().__init__()
        self._path = Path(path).absolute()
        self._size = size
        self._kept = kept
        self._lost = 0
        self._complained = -COMPLAINT_S
        self._file = self._open()

    def emit(self, record: logging.LogRecord) -> None:
        line = f"{self.format(record)}\n".encode()
        try:
            self._make_room(len(line))
            written = os.write(self._file, line)
            if written < len(line):
                self._blank(written)
                raise OSError(errno.ENOSPC, "there is no room for a whole line")
        except OSError as error:
            self._complain(error)

    def _blank(self, size: int) -> None:
        """Overwrite the last `size` bytes that were written here, which takes no room.

        To cut the file would take what others have appended since.
        """
        end = os.lseek(self._file, 0, os.SEEK_CUR)
        flags = fcntl.fcntl(self._file, fcntl.F_GETFL)
        fcntl.fcntl(self._file, fcntl.F_SETFL, flags & ~os.O_APPEND)  # with it Linux writes to the end, wherever told
        try:
            os.pwrite(self._file, b"\n".rjust(size), end - size)
        finally:
            fcntl.fcntl(self._file, fcntl.F_SETFL, flags)

    def _open(self) -> int:
        # Who was where when is nobody else's business.
        return os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def _is_current(self) -> bool:
        """Whether what is open here is what the path names."""
        try:
            named, opened = self._path.stat(), os.fstat(self._file)
        except FileNotFoundError:
            return False
        return (named.st_dev, named.st_ino) == (opened.st_dev, opened.st_ino)

    def _make_room(self, size: int) -> None:
        """See to it that the file is the one that the path names, and takes so many bytes more."""
        if not self._is_current():
            self._open_again()
        held = os.fstat(self._file).st_size
        if held == 0 or held + size <= self._size:
            return
        fcntl.flock(self._file, fcntl.LOCK_EX)
        try:
            if self._is_current():  # else somebody else has renamed it while we waited
                self._rename()
        finally:  # what could not be renamed stays open here: all others would wait for ever
            fcntl.flock(self._file, fcntl.LOCK_UN)
        self._open_again()

    def _open_again(self) -> None:
        former, self._file = self._file, self._open()
        os.close(former)

    def _rename(self) -> None:
        for number in range(self._kept, 0, -1):
            younger = self._former(number - 1) if number > 1 else self._path
            if younger.exists():
                younger.replace(self._former(number))

    def _former(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")

    def _complain(self, error: OSError) -> None:
        self._lost += 1
        now = time.monotonic()
        if now - self._complained >= COMPLAINT_S:
            self._complained = now
            log.error("%d lines could not be written to %s: %s", self._lost, self._path, error.strerror)
            self._lost = 0

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        super().close()
