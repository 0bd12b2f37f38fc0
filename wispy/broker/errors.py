"""What can go wrong between wispy and Redis. The type says what the caller may conclude about the command.

    BrokerError
    ├── LinkDown              the command was never written: it did not reach Redis
    ├── LinkLost              the command was written, and no reply came: it may have been executed
    │   └── CommandTimeout    ... because the reply did not come by the deadline (the connection is dropped with it)
    └── ReplyError            Redis answered with an error: `code` says which
        └── Unfit             ... and the connection ends with it: this server will refuse all that follows

`LinkDown` and a `ReplyError` are definite answers; after a `LinkLost` only Redis knows.
"""

from wispy.errors import BrokerError

__all__ = ["BrokerError", "CommandTimeout", "LinkDown", "LinkLost", "ReplyError", "Unfit"]


class LinkDown(BrokerError):  # noqa: N818 - the name says what is known, as in all texts about it
    """There is no connection, or it is stalled: the command was never written and did not reach Redis."""


class LinkLost(BrokerError):  # noqa: N818 - as above
    """The connection broke after the command was written: whether Redis executed it is unknown."""


class CommandTimeout(LinkLost):
    """No reply came within the link's command time-out: whether Redis executed the command is unknown."""


class ReplyError(BrokerError):
    """Redis answered with an error.

    `code` is its first word: "NOGROUP", "OOM", "READONLY", "LOADING", "NOSCRIPT", "WRONGTYPE", "ERR", ...
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.code: str = text.partition(" ")[0]


class Unfit(ReplyError):  # noqa: N818 - as above
    """Redis answered that it does not serve any more: it is a replica now, or another node has the keys.

    The connection ends, and is made anew: who goes on at each connection has nothing to do.
    """
