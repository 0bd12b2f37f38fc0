"""Results that are too large for a reply message: Redis keeps each for its frontend to fetch. Runs on the I/O thread.

Rules:
- A result is stored for as long as a session may be away, and all that wait have a quota together.
- It is not stored in the finish script, which passes when Redis' memory is full: a body must not.
"""

import logging
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from wispy.broker.keys import ObjectKeys
from wispy.broker.route import Route
from wispy.errors import BrokerError
from wispy.protocol import errors
from wispy.worker.calls import Call
from wispy.worker.counts import ObjectCounts

log = logging.getLogger("wispy.worker")

BODY_LIFE_S: Final = 60.0
"""How long a stored body waits for its frontend: as long as a session may be away."""

STORED_QUOTA_BYTES: Final = 256 * 1024 * 1024
"""Bytes of stored bodies of one object that may wait at a time: a result beyond it is gone."""


class LargeResults:
    """The stored results of one object.

    Args:
        link: to Redis.
        keys: the object's keys.
        max_bytes: size of a result beyond which its caller gets an error instead.
        counts: what is counted.
    """

    def __init__(self, link: Route, keys: ObjectKeys, max_bytes: int, counts: ObjectCounts) -> None:
        self._link = link
        self._keys = keys
        self._max_bytes = max_bytes
        self._counts = counts
        self._stored: deque[tuple[float, int]] = deque()
        """Until when each waits (monotonic seconds), and its bytes."""
        self._stored_bytes = 0

    def store(self, call: Call, body: bytes, on_end: Callable[[str | errors.RPCError], None]) -> None:
        """Store the result of a call; `on_end` gets the key that it is at, or why there is none."""
        now = time.monotonic()
        while self._stored and self._stored[0][0] < now:
            self._stored_bytes -= self._stored.popleft()[1]
        if len(body) > self._max_bytes:
            text = f"the result has {len(body)} bytes, the limit (limits.reply_bytes) is {self._max_bytes}"
            self._counts.hit("reply_bytes")
            on_end(errors.TOO_LARGE(text, executed="yes"))
            return
        if self._stored_bytes + len(body) > STORED_QUOTA_BYTES:
            on_end(errors.RESULT_GONE("too many large results wait to be fetched"))
            return
        self._stored.append((now + BODY_LIFE_S, len(body)))
        self._stored_bytes += len(body)
        key = self._keys.body(call.session, call.id)

        def stored(reply: object) -> None:
            if isinstance(reply, BrokerError):
                log.warning("a large result of %s is lost: %s", self._keys.requests, reply)
                on_end(errors.RESULT_GONE("Redis could not store it"))
            else:
                on_end(key)

        self._link.send((b"SET", key, body, b"PX", int(BODY_LIFE_S * 1000)), stored)
