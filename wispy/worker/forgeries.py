"""What an owner does about entries that no frontend of its deployment has sealed: counts them, and tells people.

Rules:
- Whoever can write to the stream decides how many there are: the log has one line in a while, the audit log its own
  bound; the count is right.
- Nothing of what such an entry says is passed on: all of it may be made up.
"""

import logging
import time
from typing import Final

from wispy.audit_log import Access, AuditLog
from wispy.broker.keys import ObjectKeys
from wispy.worker.counts import ObjectCounts

log = logging.getLogger("wispy.worker")

PAUSE_S: Final = 10.0
"""Seconds between two lines in the log. Where it is no attack, it is a frontend with another secret: that does not pass
by itself, and needs no line for each of its entries."""


class Forgeries:
    """The forged entries of one object.

    Args:
        object_name: the object's.
        keys: the object's.
        counts: what is counted.
        audit_log: where each is told, if there is one.
    """

    def __init__(self, object_name: str, keys: ObjectKeys, counts: ObjectCounts, audit_log: AuditLog | None) -> None:
        self._object_name = object_name
        self._stream = keys.requests
        self._counts = counts
        self._audit_log = audit_log
        self._logged_at = -PAUSE_S
        self._unlogged = 0

    def note(self, entry_id: str) -> None:
        """An entry has no good seal."""
        self._counts.deny_unread("seal")
        if self._audit_log is not None:
            self._audit_log.denied("seal", Access("entry", self._object_name, detail=entry_id))
        now = time.monotonic()
        if now - self._logged_at < PAUSE_S:
            self._unlogged += 1
            return
        others = f" ({self._unlogged} others before it were not logged)" if self._unlogged else ""
        self._logged_at, self._unlogged = now, 0
        log.error(
            "entry %s of %s is deleted: no frontend with this session.secret, and with auth, has sent it%s",
            entry_id,
            self._stream,
            others,
        )
