"""The access log: one line for each request, in words or as JSON, to a logger of its own.

Rules:
- A line says who asked for what, how it ended and how long it took; never an argument, a result, or what opens a
  session.
- The frontend and the worker of a request call it by the same name, so that their lines can be put together.
- In words, each part of a line is one word: white space that a client brings is escaped.
- Nobody pays for it where `logging_config.access` is off: then there is no `AccessLog`.
"""

import json
import logging
import re
from datetime import UTC, datetime
from typing import Final, Literal, Self

from wispy.config.schema import LoggingConfig

LOGGER: Final = "wispy.access"

MAX_PATH: Final = 200
"""Characters of a path, or of a method: clients choose it, and a name in Python is short."""

_SPACE: Final = re.compile(r"\s")

Side = Literal["frontend", "worker"]


class AccessLog:
    """The lines of one side.

    Args:
        side: which one this is.
        is_json: whether a line is a JSON object.
    """

    def __init__(self, side: Side, *, is_json: bool) -> None:
        self._side = side
        self._is_json = is_json
        self._logger = logging.getLogger(f"{LOGGER}.{side}")

    @classmethod
    def of(cls, config: LoggingConfig, side: Side) -> Self | None:
        """The log that the configuration asks for, if it does."""
        if config.access == "off" or (side == "worker" and not config.access_worker):
            return None
        return cls(side, is_json=config.access == "json")

    def write(
        self,
        request: str,
        operation: str,
        path: str,
        outcome: str,
        duration_s: float,
        *,
        address: str | None = None,
        user: str | None = None,
    ) -> None:
        """Write the line of one request.

        Args:
            request: its name, as `wispy.protocol.labels` makes it.
            operation: call, get, set and so on; or a method of wispy's own, as in `rpc.subscribe`.
            path: what it is about, beginning with the object's name; empty: about no object.
            outcome: `ok`, or the name of an error.
            duration_s: seconds from its arrival to its answer; in the worker, from its start to its end.
            address: of the client.
            user: who he is.
        """
        operation, path = operation[:MAX_PATH], path[:MAX_PATH]
        duration_ms = round(duration_s * 1000, 3)
        if not self._is_json:
            self._logger.info(
                "%s %s %s %s %s %s %.3f ms",
                address or "-", _word(user or "-"), request, _word(operation), _word(path or "-"), outcome, duration_ms,
            )  # fmt: skip
            return
        line = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "side": self._side,
            "request": request,
            "address": address,
            "user": user,
            "operation": operation,
            "object": path.partition(".")[0],
            "path": path.partition(".")[2],
            "outcome": outcome,
            "duration_ms": duration_ms,
        }
        self._logger.info("%s", json.dumps(line))  # all in ASCII: no control character gets through


def _word(text: str) -> str:
    return _SPACE.sub(lambda space: f"\\x{ord(space[0]):02x}", text)
