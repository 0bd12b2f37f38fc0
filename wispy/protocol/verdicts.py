"""What an owner says by itself of a copy of a request: verdicts, refusals, and answers that lack their body. Pure."""

import enum
from typing import Final

import msgspec

from wispy.protocol import errors
from wispy.protocol.relay import ERROR, RESULT, Reply, is_error

MAX_BARE_ERROR_BYTES: Final = 512
"""An error up to this size is kept whole also beyond a quota: it is about what its bare form would take."""


class Verdict(enum.Enum):
    """What becomes of a copy of a request."""

    RUN = "run"
    """It is new: run it."""
    DROPPED = "dropped"
    """Its session has the answer."""
    ATTACHED = "attached"
    """It is running; its one answer serves this copy too."""
    ANSWERED = "answered"
    """It is answered: it gets that answer again."""
    REUSED = "reused"
    """Its id was used for another request, whose answer stands: this copy alone is refused."""
    LATE = "late"
    """It is too old to start: it is to be refused, which is final."""
    UNKNOWN = "unknown"
    """Whether it ran before cannot be known: it is to be refused, which is final."""


REFUSALS: Final[dict[Verdict, errors.ErrorType]] = {
    Verdict.REUSED: errors.INVALID_REQUEST,
    Verdict.LATE: errors.NOT_STARTED,
    Verdict.UNKNOWN: errors.OUTCOME_UNKNOWN,
}
"""How the verdicts that refuse a copy are answered."""


def refusal(id: int, verdict: Verdict) -> Reply:
    """The answer to a copy with a verdict of `REFUSALS`."""
    error = REFUSALS[verdict]
    text = "the id was used for another request of this session" if verdict is Verdict.REUSED else None
    return Reply(id, ERROR, msgspec.Raw(error(text).to_json()))


class _Executed(msgspec.Struct):
    executed: errors.Executed
    retryable: bool


class _Error(msgspec.Struct):
    code: int
    message: str
    data: _Executed


_decode_error: Final = msgspec.json.Decoder(_Error).decode


def bare(reply: Reply) -> Reply:
    """What is kept of an answer beyond a quota: whether the request ran stays true."""
    if reply.kind == RESULT:
        return Reply(reply.id, ERROR, msgspec.Raw(errors.RESULT_GONE().to_json()))
    if not is_error(reply.kind) or len(reply.body) <= MAX_BARE_ERROR_BYTES:
        return reply
    error = _decode_error(reply.body)
    executed, retryable = error.data.executed, error.data.retryable
    bare = errors.RPCError(error.code, error.message[:100], executed=executed, retryable=retryable)
    return Reply(reply.id, reply.kind, msgspec.Raw(bare.to_json()))
