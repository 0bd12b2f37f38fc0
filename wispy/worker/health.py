"""Whether a worker lives and is ready, in words; for its health port. Runs on the I/O thread.

Rules:
- Ready: each object is owned here, or stood by for, over links that are up and hear. An object that cannot be made is
  neither, so that a roll-out of a broken one stops at its first worker.
- Alive: the objects' thread takes work. A call that holds it is seen at once, with its name; whatever else does, a
  constructor or a hook, is seen by a note that is put before the thread at each look, and stays unread.
- Links that are down do not end a worker: they are made again, and a new process would have them no sooner.
- Nothing is done while nobody looks.
"""

import asyncio
import logging
import time
from collections.abc import Sequence

from wispy.broker.route import Commands
from wispy.broker.subscriber import Subscriptions
from wispy.worker.owner import Owner
from wispy.worker.running import label

log = logging.getLogger("wispy.worker")


class Health:
    """The health of one worker process.

    Args:
        owners: its objects.
        link: for commands.
        subscriber: for cancellations.
        objects_loop: the loop that the objects' code runs on.
        hang_s: seconds after which code that holds that loop counts as hanging (`health_hang`).
    """

    def __init__(
        self,
        owners: Sequence[Owner],
        link: Commands,
        subscriber: Subscriptions,
        objects_loop: asyncio.AbstractEventLoop,
        hang_s: float,
    ) -> None:
        self._owners = owners
        self._link = link
        self._subscriber = subscriber
        self._objects_loop = objects_loop
        self._hang_s = hang_s
        self._unread_since: float | None = None
        """Since when the objects' thread has a note to read; monotonic seconds."""
        self._is_hang_logged = False

    def reasons_not_ready(self) -> list[str]:
        """Why this worker cannot be counted on; empty if it can."""
        reasons = {
            "the link to Redis is down": not self._link.connected,
            "the subscription to Redis is down": not self._subscriber.connected,
            "the subscription to Redis is deaf": self._subscriber.deaf,
        }
        told = [reason for reason, holds in reasons.items() if holds]
        whys = ((owner.stage.name, owner.why_not_ready()) for owner in self._owners)
        return told + [f"{name}: {why}" for name, why in whys if why is not None]

    def reasons_not_alive(self) -> list[str]:
        """Why only a new process can go on; empty if this one can. To be asked every few seconds."""
        now = time.monotonic()
        reasons = self._hanging(now)
        if reasons and not self._is_hang_logged:
            log.error("the objects' thread hangs, /healthz says so: %s", "; ".join(reasons))
        self._is_hang_logged = bool(reasons)
        if self._unread_since is None:
            self._unread_since = now
            try:
                self._objects_loop.call_soon_threadsafe(self._read)
            except RuntimeError:
                log.debug("the objects' loop is closed: the process ends")
        return reasons

    def _read(self) -> None:
        """On the objects' thread: it takes work."""
        self._unread_since = None

    def _hanging(self, now: float) -> list[str]:
        for owner in self._owners:
            occupation = owner.stage.occupation()
            if occupation is not None:
                held_s = now - occupation.since
                if held_s < self._hang_s:
                    return []  # this call ends, or is seen when it does not; the note is behind it
                return [f"{label(owner.stage.name, occupation.call)} has held the objects' thread for {held_s:.0f} s"]
        since = self._unread_since
        if since is None or now - since < self._hang_s:
            return []
        return [f"the objects' thread has taken no work for {now - since:.0f} s: a constructor or a hook holds it"]
