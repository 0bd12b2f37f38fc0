"""The audit log: one line of JSON for each access that is denied, or for every access, to a logger of its own.

Rules:
- Nothing goes missing silently: what is left out, since there were too many events in a second, is counted by outcome
  or reason, and within a second a line says how many there were.
- Denials do not wait behind what is allowed, nor the other way round: each has a rate of its own.
- A line is in ASCII, whatever a client brought into it; and its texts are short.
"""

import asyncio
import json
import logging
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

import msgspec

from wispy.config.schema import AuditConfig
from wispy.log import AUDIT
from wispy.protocol.denials import DENIED, Event, Reason

MAX_TEXT: Final = 200
"""Characters of a path, a detail or another text of a client: a name in Python is short."""

RECENT: Final = 20
"""Denials that are remembered, for people who look: one screen."""

WINDOW_S: Final = 1.0


class Access(msgspec.Struct):
    """What was asked for, and by whom, as far as it is known."""

    operation: str
    """get, call and so on; a method of wispy's own, as in `rpc.subscribe`; or of HTTP."""
    path: str
    has_object: bool = True
    """Whether the path begins with an object's name."""
    address: str = ""
    """Of the client."""
    user: str | None = None
    """Who he is, by what he has shown."""
    request: str = ""
    """Its name, as `wispy.protocol.labels` makes it."""
    detail: str = ""
    """More, for people."""


class _Share:
    """How many events of a kind may still be written in this window."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._left = 0
        self._until = 0.0

    def take(self, now: float) -> bool:
        if now >= self._until:
            self._until = now + WINDOW_S
            self._left = self._rate
        if self._left == 0:
            return False
        self._left -= 1
        return True


class AuditLog:
    """The audit log of one process. Used in one thread, that of a running loop.

    Args:
        config: of it; `events` is not `off`.
        process: the process' name, as in metrics.
        clock: monotonic seconds.
    """

    def __init__(self, config: AuditConfig, process: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.is_whole = config.events == "all"
        """Whether what is allowed is written, too."""
        self.recent: list[Event] = []
        """The newest denials, the oldest first."""
        self._process = process
        self._clock = clock
        self._logger = logging.getLogger(AUDIT)
        self._denied, self._others = _Share(config.rate), _Share(config.rate)
        self._left_out: Counter[str] = Counter()
        """Reason or outcome to how many events were not written."""
        self._telling: asyncio.TimerHandle | None = None

    @classmethod
    def of(cls, config: AuditConfig, process: str) -> "AuditLog | None":
        """The log that the configuration asks for, if it does."""
        return None if config.events == "off" else cls(config, process)

    def denied(self, reason: Reason, access: Access) -> None:
        """Note that an access was denied, and why."""
        if not self._denied.take(self._clock()):
            self._leave_out(reason)
            return
        event = self._event(DENIED, reason, access, None)
        self.recent.append(event)
        del self.recent[:-RECENT]
        self._write(msgspec.structs.asdict(event))

    def ended(self, outcome: str, access: Access, duration_s: float | None = None) -> None:
        """Note an access that was allowed, and has ended.

        Args:
            outcome: `ok`, or the name of an error.
            access: that.
            duration_s: seconds that it took.
        """
        if not self._others.take(self._clock()):
            self._leave_out(outcome)
            return
        self._write(msgspec.structs.asdict(self._event(outcome, None, access, duration_s)))

    def _event(self, outcome: str, reason: Reason | None, access: Access, duration_s: float | None) -> Event:
        path, name = access.path[:MAX_TEXT], ""
        if access.has_object:
            name, _, path = path.partition(".")
        return Event(
            time=_now(),
            process=self._process,
            outcome=outcome,
            reason=reason,
            address=access.address[:MAX_TEXT],
            user=None if access.user is None else access.user[:MAX_TEXT],
            request=access.request[:MAX_TEXT],
            operation=access.operation[:MAX_TEXT],
            object=name,
            path=path,
            detail=access.detail[:MAX_TEXT],
            duration_ms=None if duration_s is None else round(duration_s * 1000, 3),
        )

    def _leave_out(self, what: str) -> None:
        self._left_out[what] += 1
        if self._telling is None:
            self._telling = asyncio.get_running_loop().call_later(WINDOW_S, self._tell_left_out)

    def _tell_left_out(self) -> None:
        self._telling = None
        counts, self._left_out = self._left_out, Counter()
        self._write({"time": _now(), "process": self._process, "outcome": "left out", "counts": dict(counts)})

    def _write(self, line: dict[str, object]) -> None:
        self._logger.info("%s", json.dumps(line))  # all in ASCII: no control character gets through

    def close(self) -> None:
        """Say what was left out, if that is still to be said."""
        if self._telling is not None:
            self._telling.cancel()
            self._tell_left_out()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
