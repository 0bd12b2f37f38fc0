"""What a process finds where it is started: its standard streams, and the signals that end it."""

import codecs
import errno
import io
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any, Final

from wispy.errors import StartError

_ESCAPING: Final = "wispy-json"
"""The name of what escapes, for `codecs`."""


def open_standard_streams() -> None:
    """Open the null device in place of standard streams that are closed, as some supervisors leave them.

    The next sockets would have their numbers, and libuv ends the process that lets it close such a one.
    """
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # gets the lowest free number: this one
    sys.stdout = sys.stdout or Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 -- open until the end


def outlive_readers() -> None:
    """Have standard output and standard error drop what nobody can read any more, as with `wispy serve | head -1`.

    For programs that serve: neither their log nor an object that prints is to fail by it. The streams stay the same
    objects, for whoever holds one already; what a program has put in their place stays as it is.
    """
    for stream in (sys.__stdout__, sys.__stderr__):
        if isinstance(stream, io.TextIOWrapper):
            _outlive_readers_of(stream)


def _outlive_readers_of(stream: io.TextIOWrapper) -> None:
    buffer: Any = stream.buffer
    raw = getattr(buffer, "raw", buffer)  # `python -u` has no buffer between
    if type(raw) is not io.FileIO:
        return  # a console of Windows, or ours already
    kept = {name: getattr(stream, name) for name in ("encoding", "errors", "line_buffering", "write_through")}
    stream.detach()
    ours: Any = _Outliving(raw.fileno(), "w", closefd=False)
    ours.name = raw.name
    stream.__init__(ours if buffer is raw else io.BufferedWriter(ours), **kept)


class _Outliving(io.FileIO):
    """Takes for written what is for a pipe or a terminal whose other end is gone."""

    def write(self, data: Any, /) -> int | None:
        try:
            return super().write(data)
        except OSError as error:
            if error.errno not in (errno.EPIPE, errno.EIO):
                raise
            return memoryview(data).nbytes


def escape_output() -> None:
    """Have standard output write what its encoding has no characters for as JSON does: so JSON stays JSON."""
    codecs.register_error(_ESCAPING, _escaped)
    reconfigure = getattr(sys.stdout, "reconfigure", None)  # what a program has put there may have none
    if reconfigure is not None:
        reconfigure(errors=_ESCAPING)


def _escaped(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    return json.dumps(error.object[error.start : error.end])[1:-1], error.end


def working_folder() -> Path:
    """The folder that the program was started in.

    Raises:
        StartError: it has been removed.
    """
    try:
        return Path.cwd()
    except FileNotFoundError as error:
        raise StartError("the working directory has been removed: start again from one that is there") from error


def ending_signals() -> tuple[signal.Signals, ...]:
    """Ctrl-C, SIGTERM, and the end of the terminal, unless the program is to outlive that (`nohup`)."""
    hangup: signal.Signals | None = getattr(signal, "SIGHUP", None)  # Windows has none
    if hangup is None or signal.getsignal(hangup) == signal.SIG_IGN:
        return signal.SIGINT, signal.SIGTERM
    return signal.SIGINT, signal.SIGTERM, hangup
