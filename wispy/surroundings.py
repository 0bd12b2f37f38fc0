"""What a process finds where it is started: its standard streams, and the signals that end it."""

import os
import signal
import sys
from pathlib import Path


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


def ending_signals() -> tuple[signal.Signals, ...]:
    """Ctrl-C, SIGTERM, and the end of the terminal, unless the program is to outlive that (`nohup`)."""
    if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
        return signal.SIGINT, signal.SIGTERM
    return signal.SIGINT, signal.SIGTERM, signal.SIGHUP
