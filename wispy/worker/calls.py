"""What passes between an owner and the runner of its object: requests in, outcomes and channel updates out."""

import math
from typing import Any, Literal

import msgspec

from wispy.protocol.denials import Reason
from wispy.protocol.identity import ANONYMOUS, Identity

Operation = Literal["call", "get", "set", "delete", "describe", "source"]


# Structs, since msgspec makes one in a third of the time of a dataclass. `gc=False`, since none can be part of a cycle:
# an owner's token does not lead back to its call.


class Call(msgspec.Struct, eq=False, gc=False):
    """One request of a session to an object, on its way through the runner.

    The first part is the owner's; the second part is written by the runner as the call goes on, and may be read from
    any thread. Identity is the object itself (`eq=False`): a call is one thing, not a value.
    """

    session: str
    id: int
    op: Operation
    path: tuple[str, ...]  # names below the object, without the object's own
    params: bytes = b""  # JSON. call: an array or object of arguments, empty for none; set: the value; else unused
    kwargs: bytes = b""  # JSON object. call in its general form: named arguments beside an array in `params`
    start_by: float = math.inf  # monotonic seconds; past it the call is not started any more
    timeout_s: float | None = None  # the caller's own limit for the run; counts where it is shorter than the method's
    token: Any = None  # the owner's; the runner does not look at it
    identity: Identity = ANONYMOUS  # who asks

    started: float | None = None  # monotonic seconds; set before the last check of whether it may start
    deadline: float = math.inf  # monotonic seconds, known once the call has started; see Runner.overdue
    withdrawn: bool = False  # it is not to be started any more; see Runner.withdraw
    expired: bool = False  # the owner has answered at the deadline; what the call still brings is dropped
    reported: bool = False  # a log line has said that it hangs


class Outcome(msgspec.Struct, eq=False, gc=False):
    """A call has ended: its answer, and with it its place is free again. Each call ends once."""

    call: Call
    body: bytes  # JSON of the result or of the error object; empty for an expired call
    is_error: bool
    denied: Reason | None = None  # it was not to be asked for


UpdateKind = Literal["value", "event", "removed"]


class ChannelUpdate(msgspec.Struct, gc=False):
    """News of one channel of the object."""

    channel: str  # without the object's name
    kind: UpdateKind  # "removed": the author has deleted the channel; `value` is null
    value: bytes  # JSON
    # Counts the channel's updates since the object was bound, from 1. Events are numbered when they are published, so
    # that events dropped because too many were pending show as a gap. The owner adds the head that it found.
    number: int
