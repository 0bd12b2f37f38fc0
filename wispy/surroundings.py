"""What a process finds where it is started: its standard streams, and the signals that end it."""

import codecs
import json
import os
import signal
import sys
from pathlib import Path
from typing import Final

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


def escape_output() -> None:
    """Have standard output write what its encoding has no characters for as JSON does: so JSON stays JSON."""
    codecs.register_error(_ESCAPING, _escaped)
    reconfigure = getattr(sys.stdout, "reconfigure", None)  # what a program has put there may have none
    if reconfigure is not None:
        reconfigure(errors=_ESCAPING)


def _escaped(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    return json.dumps(error.object[error.start : error.end])[1:-1], error.end


def ending_signals() -> tuple[signal.Signals, ...]:
    """Ctrl-C, SIGTERM, and the end of the terminal, unless the program is to outlive that (`nohup`)."""
    hangup: signal.Signals | None = getattr(signal, "SIGHUP", None)  # Windows has none
    if hangup is None or signal.getsignal(hangup) == signal.SIG_IGN:
        return signal.SIGINT, signal.SIGTERM
    return signal.SIGINT, signal.SIGTERM, hangup
