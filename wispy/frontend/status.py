"""What `rpc.status` answers: objects, owners, queues, frontends and sessions, as of now.

Rules:
- Nobody keeps it: a frontend that is asked asks all processes, itself included, and puts together what they report
  within a moment. So it is never old, and a system that nobody looks at does nothing for it.
- Who owns an object is what Redis says, and what the owner reports only stands beside it.
- However many ask, a frontend asks the others at most twice a second.
- Objects' names and numbers are no secret to whoever may come in. Other users' sessions and denials are, except for
  callers with one of `auth.status_roles`. Of nobody it tells how to become him.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

import msgspec

from wispy.broker.connection import settle
from wispy.broker.errors import BrokerError
from wispy.broker.keys import Keys, status_reports
from wispy.broker.route import Commands
from wispy.broker.status import ObjectStatus, ObjectStatuses
from wispy.broker.subscriber import Subscriptions
from wispy.frontend.dispatch import Caller
from wispy.protocol import errors
from wispy.protocol.denials import Event
from wispy.protocol.status import MAX_SESSIONS, FrontendRow, ObjectReport, Report, SessionRow, added
from wispy.protocol.surface import admits

log = logging.getLogger("wispy.frontend")

MAX_OBJECTS: Final = 1000
"""Objects that are shown, of those served of late: each is a script that Redis runs, of some 10 us."""

MAX_DENIALS: Final = 50
"""Newest denials that are shown, of all frontends together: a few screens."""

PATIENCE_S: Final = 0.3
"""How long the others may take to report: a busy process takes some milliseconds, a person does not mind."""

FRESH_S: Final = 0.5
"""An answer serves whoever asks within this time: a console in each of many tabs costs no more than one."""

NO_COUNTS: Final = dict.fromkeys(("calls", "gets", "sets", "deletes", "errors", "refused", "denied", "updates"), 0)

_decode_report: Final = msgspec.json.Decoder(Report).decode


class Status:
    """The status, as one frontend finds it out; and what it tells the others.

    Args:
        name: this frontend's.
        link: for commands.
        subscriber: for questions and reports.
        keys: the deployment's keys.
        report: what this frontend says of itself at a time (milliseconds on the Redis server's clock).
        objects: the names of the objects that are served.
        roles: of which a caller needs one to see all sessions and denials, and not his own alone; None: all do.
    """

    def __init__(
        self,
        name: str,
        link: Commands,
        subscriber: Subscriptions,
        keys: Keys,
        *,
        report: Callable[[int], Report],
        objects: Callable[[], Awaitable[list[str]]],
        roles: tuple[str, ...] | None,
    ) -> None:
        self._roles = roles
        self._name = name
        self._link = link
        self._subscriber = subscriber
        self._keys = keys
        self._report = report
        self._objects = objects
        self._statuses = ObjectStatuses(link, keys)
        self._reports: dict[str, Report] = {}
        """What came since this frontend last asked, by who sent it."""
        self._expected = 0
        """How many reports there will be."""
        self._complete = asyncio.Event()
        self._asking: asyncio.Task[dict[str, Any]] | None = None
        """The question that is being asked, or was answered last."""
        self._answered_at = 0.0
        """When; on the loop's clock."""

    def start(self) -> None:
        """Listen for questions and reports. To be called before the subscriber connects."""
        self._subscriber.subscribe(self._keys.status_wanted, self._asked)
        self._subscriber.subscribe(status_reports(self._keys.prefix, self._name), self._reported)

    # --- what this frontend tells -----------------------------------------------------------------------------------

    def _asked(self, payload: bytes) -> None:
        server = self._link.server
        if server is None:
            return
        channel = status_reports(self._keys.prefix, payload.decode("ascii", "replace"))
        report = self._report(server.now_ms(time.monotonic()))
        self._link.publish(channel, msgspec.json.encode(report), _log_failure)

    def _reported(self, payload: bytes) -> None:
        try:
            report = _decode_report(payload)
        except msgspec.MsgspecError:
            log.exception("the report of another process cannot be read")
            return
        self._reports[report.process] = report
        if len(self._reports) >= self._expected > 0:
            self._complete.set()

    # --- what it finds out ------------------------------------------------------------------------------------------

    async def answer(self, caller: Caller, params: msgspec.Raw) -> bytes:
        """The method `rpc.status`."""
        loop = asyncio.get_running_loop()
        asking = self._asking
        if asking is None or (asking.done() and loop.time() - self._answered_at > FRESH_S):
            asking = self._asking = asyncio.create_task(self._ask(), name="rpc.status")
        try:
            found = await asyncio.shield(asking)
        except BrokerError as error:
            raise errors.UNAVAILABLE() from error
        if not admits(self._roles, caller.identity.roles):
            user = caller.identity.user
            sessions: list[SessionRow] = found["sessions"]
            denials: list[Event] = found["denials"]
            found = found | {
                "sessions": [session for session in sessions if session.user == user],
                "denials": [denial for denial in denials if denial.user == user],
            }
        return msgspec.json.encode(found)

    async def close(self) -> None:
        """End the question that is being asked."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)

    async def _ask(self) -> dict[str, Any]:
        if not self._subscriber.connected:
            raise errors.UNAVAILABLE()
        try:
            reports, names = await asyncio.gather(self._ask_all(), self._objects())
            names = names[:MAX_OBJECTS]
            statuses = await asyncio.gather(*[self._statuses.of(name) for name in names])
        finally:
            self._answered_at = asyncio.get_running_loop().time()
        server = self._link.server
        if server is None:
            raise errors.UNAVAILABLE()
        frontends = [report.frontend for report in reports if report.frontend is not None]
        frontends.sort(key=_since)
        owned: dict[tuple[str, str], ObjectReport] = {}
        for each in (each for report in reports for each in report.objects):
            former = owned.get((each.name, each.epoch))
            owned[each.name, each.epoch] = each if former is None else added(former, each)
        rows = [
            _object_row(name, each, owned.get((name, each.epoch or "")))
            for name, each in zip(names, statuses, strict=True)
        ]
        sessions = [session for report in reports for session in report.sessions]
        sessions.sort(key=_since, reverse=True)
        denials = sorted((each for report in reports for each in report.denials), key=_time, reverse=True)
        return {
            "objects": rows,
            "frontends": frontends,
            "sessions": sessions[:MAX_SESSIONS],
            "denials": denials[:MAX_DENIALS],
            "sessions_total": sum(frontend.connections for frontend in frontends),
            "clock_ms": server.now_ms(time.monotonic()),
        }

    async def _ask_all(self) -> list[Report]:
        """What the processes report; those that hear nothing for the moment are missing."""
        self._reports = {}
        self._expected = 0
        self._complete.clear()
        asked: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._link.publish(self._keys.status_wanted, self._name, partial(settle, asked))
        self._expected = await asked
        if len(self._reports) < self._expected:
            try:
                async with asyncio.timeout(PATIENCE_S):
                    await self._complete.wait()
            except TimeoutError:
                pass  # what came is shown
            if len(self._reports) < self._expected:
                log.info("%d of %d processes report their status", len(self._reports), self._expected)
        return list(self._reports.values())


def _object_row(name: str, status: ObjectStatus, report: ObjectReport | None) -> dict[str, Any]:
    """An object, as `rpc.status` shows it; without its owner's report where that did not come.

    Of a shared object the counts are those of all workers, and the owner stands for the one that has joined last.
    """
    waits_since = [status.oldest_unread_ms, report.oldest_ms if report else None]
    oldest_ms = min((each for each in waits_since if each is not None), default=None)
    return {
        "name": name,
        "owner": _owner(status),
        "workers": status.workers,
        "queue": {
            "length": status.unread + (report.waiting if report else 0),
            "oldest_ms": None if oldest_ms is None else max(0, status.server_ms - oldest_ms),
        },
        "counts": report.counts if report else NO_COUNTS,
        "busy_ms": report.busy_ms if report else 0,
        "running": report.running if report else 0,
    }


def _owner(status: ObjectStatus) -> dict[str, Any] | None:
    if status.epoch is None:
        return None
    host, _, pid = status.holder.rpartition(" pid ")
    return {
        "id": status.epoch,
        "host": host,
        "pid": int(pid) if pid.isdigit() else None,
        "generation": status.generation,
        # The time of the acquisition in microseconds, unless the server's clock was set back before it.
        "since_ms": status.generation // 1000,
    }


def _time(event: Event) -> str:
    return event.time


def _since(row: SessionRow | FrontendRow) -> int:
    return row.since_ms


def _log_failure(reply: Any) -> None:
    if isinstance(reply, BrokerError):
        log.info("the status of this frontend was not told: %s", reply)
