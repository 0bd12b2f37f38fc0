"""How a command ends: the exit statuses, one table for the code, the help and the documentation."""

import signal
from typing import Final

from wispy.errors import WispyError

DONE: Final = 0
RAN_AND_FAILED: Final = 1
MISUSED: Final = 2
DID_NOT_RUN: Final = 3
OUTCOME_UNKNOWN: Final = 4
NO_SERVER: Final = 5
NOT_LET_IN: Final = 6
INTERRUPTED: Final = 128 + signal.SIGINT
READER_GONE: Final = 128 + 13  # SIGPIPE, which Windows does not have

OF_EXECUTED: Final = {"yes": RAN_AND_FAILED, "no": DID_NOT_RUN, "maybe": OUTCOME_UNKNOWN}
"""What an error says of a request, `executed`, as an exit status."""

MEANINGS: Final = {
    DONE: "done",
    RAN_AND_FAILED: "it ran and failed: the object's code raised an exception, or its result cannot be had",
    MISUSED: "the command line, the configuration or an object cannot be used; nothing was sent",
    DID_NOT_RUN: "it did not run, and will not: no such name, arguments that do not fit, no owner in time",
    OUTCOME_UNKNOWN: "it is not known whether it ran: a time-out, or something was lost at the wrong moment",
    NO_SERVER: "no server could be reached; nothing was sent",
    NOT_LET_IN: "the server is there and did not let you in: no token, or one that is no good; nothing was sent",
    INTERRUPTED: "Ctrl-C; a call was cancelled on the server, too",
    READER_GONE: "who read the output has gone, as `head` does (what serves goes on)",
}
"""All of them, for people."""


class CommandError(WispyError):
    """A command cannot be carried out as it was given; the text says what to change."""
