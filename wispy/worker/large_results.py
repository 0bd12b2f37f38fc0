"""Results that are too large for a reply message: Redis keeps each for its frontend to fetch. Runs on the I/O thread.

Rules:
- A result is stored for as long as a session may be away, and all that wait have a quota together.
- Whether a stored one was fetched, only Redis knows: it is asked when the quota is reached, and not before.
- It is not stored in the finish script, which passes when Redis' memory is full: a body must not.
"""

import logging
import time
from collections.abc import Callable
from functools import partial
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
"""Bytes of stored bodies of one object that may wait at a time: a result beyond it is gone, unless none other waits."""

OnEnd = Callable[[str | errors.RPCError], None]


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
        self._stored: dict[str, tuple[float, int]] = {}
        """Key to until when it waits (monotonic seconds) and its bytes, the oldest first."""
        self._stored_bytes = 0
        self._unanswered = 0
        """Stored results of which it is asked at this moment whether they still wait."""
        self._waiting: list[tuple[str, bytes, OnEnd]] = []
        """What there is no room for unless some do not."""

    def store(self, call: Call, body: bytes, on_end: OnEnd) -> None:
        """Store the result of a call; `on_end` gets the key that it is at, or why there is none."""
        if len(body) > self._max_bytes:
            text = f"the result has {len(body)} bytes, the limit (limits.reply_bytes) is {self._max_bytes}"
            self._counts.hit("reply_bytes")
            on_end(errors.TOO_LARGE(text, executed="yes"))
            return
        key = self._keys.body(call.session, call.id)
        if self._has_room(body):
            self._store(key, body, on_end)
        else:
            self._waiting.append((key, body, on_end))
            if not self._unanswered:
                self._look()

    def _has_room(self, body: bytes) -> bool:
        now = time.monotonic()
        while self._stored and self._stored[oldest := next(iter(self._stored))][0] < now:
            self._forget(oldest)
        return not self._stored or self._stored_bytes + len(body) <= STORED_QUOTA_BYTES

    def _forget(self, key: str) -> None:
        _, size = self._stored.pop(key, (0.0, 0))
        self._stored_bytes -= size

    def _look(self) -> None:
        """Find out what was fetched: some hundred keys at most, since each has a megabyte."""
        self._unanswered = len(self._stored)
        for key in self._stored:
            self._link.send((b"EXISTS", key), partial(self._looked, key))

    def _looked(self, key: str, reply: object) -> None:
        if reply == 0:
            self._forget(key)
        self._unanswered -= 1
        if self._unanswered:
            return
        waiting, self._waiting = self._waiting, []
        for place, body, on_end in waiting:
            if self._has_room(body):
                self._store(place, body, on_end)
            else:
                on_end(errors.RESULT_GONE("too many large results wait to be fetched"))

    def _store(self, key: str, body: bytes, on_end: OnEnd) -> None:
        self._forget(key)
        self._stored[key] = time.monotonic() + BODY_LIFE_S, len(body)
        self._stored_bytes += len(body)

        def stored(reply: object) -> None:
            if isinstance(reply, BrokerError):
                self._forget(key)
                log.warning("a large result of %s is lost: %s", self._keys.requests, reply)
                on_end(errors.RESULT_GONE("Redis could not store it"))
            else:
                on_end(key)

        self._link.send((b"SET", key, body, b"PX", int(BODY_LIFE_S * 1000)), stored)
