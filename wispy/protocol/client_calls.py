"""What a client's session is made of: its calls, the server's hello, and the pauses between tries."""

import enum
from collections.abc import Callable
from typing import Final

import msgspec

from wispy.protocol.errors import RPCError

DEFAULT_WINDOW_S: Final = 60.0
"""How long a session outlives its connection where the server does not say."""

_NEW: Final = 0


class Backoff:
    """Full jitter: the pause before try n is `minimum_s` and a random part of `base_s * 2**n`, at most `cap_s`.

    Args:
        random: a random number from 0 to 1.
    """

    __slots__ = ("_random", "_tries", "base_s", "cap_s", "minimum_s")

    def __init__(
        self, random: Callable[[], float], base_s: float = 0.5, cap_s: float = 20.0, minimum_s: float = 0.1
    ) -> None:
        self._random = random
        self._tries = 0
        self.base_s = base_s
        self.cap_s = cap_s
        self.minimum_s = minimum_s

    def next_s(self) -> float:
        """Seconds to wait now; longer the next time."""
        limit = min(self.cap_s, self.base_s * 2**self._tries)
        self._tries = min(self._tries + 1, 30)  # 2 ** 30 is beyond every cap
        return self.minimum_s + self._random() * limit

    def reset(self) -> None:
        """Begin anew: it went well."""
        self._tries = 0


class Limits(msgspec.Struct):
    """What a server takes."""

    in_flight: int
    message_bytes: int = 2**62


class Hello(msgspec.Struct):
    """What the answer to `rpc.hello` tells a client."""

    session: str
    token: str
    run: str
    ms: int
    limits: Limits
    resumed: bool = False
    session_window_s: float = DEFAULT_WINDOW_S


class CallState(enum.Enum):
    """Where a call is."""

    WAITING = "waiting"
    IN_FLIGHT = "in flight"
    PAUSING = "pausing"
    SETTLED = "settled"


class Call:
    """One request of an application.

    Args:
        method: of JSON-RPC.
        params: JSON text.
        target: the object's name, or "" where it is about none.
        now: the present time.
        on_settled: called once, when `result` or `error` is there.
        deadline: until when its caller waits; None where he has set no time-out.
        is_idempotent: its caller says that it may run twice.
    """

    __slots__ = (
        "at",
        "backoff",
        "deadline",
        "error",
        "id",
        "is_idempotent",
        "is_local",
        "issued_at",
        "may_have_run",
        "method",
        "on_settled",
        "params",
        "repeat_at",
        "result",
        "run",
        "state",
        "target",
    )

    def __init__(
        self,
        method: str,
        params: bytes,
        target: str,
        now: float,
        on_settled: "Callable[[Call], None]",
        *,
        deadline: float | None = None,
        is_idempotent: bool = False,
    ) -> None:
        self.method = method
        self.params = params
        self.target = target
        self.issued_at = now
        self.on_settled = on_settled
        self.deadline = deadline
        self.is_idempotent = is_idempotent
        self.is_local = False
        self.state = CallState.WAITING
        self.id = _NEW
        self.at: int | None = None
        self.run = ""
        """The run id under which `at` was taken."""
        self.result: bytes | None = None
        self.error: RPCError | None = None
        self.may_have_run = False
        """An earlier try of an idempotent call ended without a known outcome."""
        self.backoff: Backoff | None = None
        self.repeat_at = 0.0
