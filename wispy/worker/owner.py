"""Standby and owner of one object, in turn: waits for the lease, holds it, waits again. Runs on the I/O thread.

A fault of wispy itself in a tenure ends that tenure, is logged, and after a pause the object is acquired anew: one
object's trouble does not take the process' other objects along.
"""

import asyncio
import contextlib
import logging
import os
import secrets
import socket
import time
from typing import Final

from wispy.broker.deployment import Deployment
from wispy.broker.errors import BrokerError
from wispy.broker.route import Commands
from wispy.broker.store import Acquired, GivenOut, LeaseRecord, ObjectStore
from wispy.config.schema import Config
from wispy.errors import StartError, UnservableError
from wispy.metrics import Snapshot
from wispy.protocol.ownership import LeaseWatch
from wispy.protocol.positions import generation_of
from wispy.protocol.status import ObjectReport
from wispy.timing import boottime
from wispy.worker.counts import ObjectCounts, tell_metrics
from wispy.worker.entry_reader import BLOCK_MS, READS_AHEAD
from wispy.worker.shared_tenure import SharedTenure
from wispy.worker.stage import Stage
from wispy.worker.tenure import Links, Tenure

log = logging.getLogger("wispy.worker")

LOOKS_PER_LEASE: Final = 10
"""How often a standby looks at the record within one lease, at least."""

LOOK_S: Final = 0.15
"""The longest time between two looks, however long the lease: a hand-over is not to take longer for that."""

PAUSE_AFTER_FAULT_S: Final = 1.0
"""Pause after a tenure that ended by a fault: it may well happen again."""


MAX_PAUSE_S: Final = 10.0
"""The longest pause between two tries to make an object: an instrument that was switched on is there soon after."""


class Owner:
    """One object in one worker process.

    Args:
        stage: where the object's code runs.
        deployment: Redis.
        commands: the process' link for commands.
        config: the worker's configuration.
    """

    def __init__(self, stage: Stage, deployment: Deployment, commands: Commands, config: Config) -> None:
        self.stage = stage
        self._keys = deployment.keys
        object_keys = self._keys.of(stage.name)
        self._config = config
        reader = deployment.reader(f"reader {stage.name}", object_keys.requests, READS_AHEAD * BLOCK_MS / 1000)
        self._links = Links(commands.route(object_keys.owner), reader)
        self._store = ObjectStore(self._links.commands, object_keys)
        self._tenure: Tenure | SharedTenure | None = None
        self._stopping = False
        self._stop_asked = asyncio.Event()
        """Set with `_stopping`, for who waits."""
        self._last_failure = ""
        """Why the object could not be made the last time; empty once it was."""
        self._pause_s = PAUSE_AFTER_FAULT_S
        self._former = ObjectCounts()
        """What was done in tenures that are over."""
        self._tenures = 0
        self._losses = 0
        """Tenures that ended without giving the object back."""
        self._is_standby = False
        """Another process owns the object, and this one is ready to."""
        self._given_out: GivenOut | None = None
        """The offsets that this process gave out when it was the owner last."""
        self._known = 0
        """The newest generation that was seen: a server that has lost the record may also be behind in time."""

    @property
    def is_serving(self) -> bool:
        """Whether this process owns the object now."""
        return self._tenure is not None and self._tenure.is_open

    def why_not_ready(self) -> str | None:
        """Why the object cannot be counted on here, as its owner or as a standby; None if it can."""
        if not self._links.reader.connected:
            return "the link that its requests come by is down"
        if self._stopping:
            return "it is being handed over"
        if self._tenure is None:
            return None if self._is_standby else "neither owned nor stood by for"
        return self._tenure.why_not_ready()

    async def run(self) -> None:
        """Wait for the lease, hold it, and so on, until `release` is called."""
        await self._links.reader.start()
        try:
            while not self._stopping:
                await self._hold_once()
        finally:
            await self._links.reader.stop()

    async def _hold_once(self) -> None:
        try:
            tenure = await self._next_tenure()
            if tenure is None:
                return
            if self._stopping:  # asked to while Redis was asked for the lease
                await tenure.release(0.0)
                return
            self._tenure = tenure
            self._tenures += 1
            try:
                await tenure.run()
                self._last_failure = ""
            finally:
                self._is_over(tenure)
                self._losses += not tenure.is_given_back
                self._former.add(tenure.counts)
                self._tenure = None
        except UnservableError:
            raise
        except BrokerError as error:
            log.warning("%s: Redis failed, trying again: %s", self.stage.name, error)
            await asyncio.sleep(PAUSE_AFTER_FAULT_S)
        except StartError as error:
            await self._pause_after(error)
        except Exception:
            log.exception("%s: serving it failed, trying again", self.stage.name)
            await asyncio.sleep(PAUSE_AFTER_FAULT_S)

    async def _pause_after(self, error: StartError) -> None:
        """The object cannot be made: the log says once why, and that it is tried again, at longer and longer times."""
        is_new = str(error) != self._last_failure
        self._last_failure = str(error)
        self._pause_s = PAUSE_AFTER_FAULT_S if is_new else min(self._pause_s * 2, MAX_PAUSE_S)
        log.error("%s; trying again in %g s", error, self._pause_s, exc_info=error.__cause__ if is_new else None)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._pause_s):
                await self._stop_asked.wait()

    async def _next_tenure(self) -> Tenure | SharedTenure | None:
        """Wait until this process may serve the object; None when it stops."""
        sent_at, acquired = await self._wait_for_lease()
        if acquired is None:
            return None
        return Tenure(self._links, self._keys, acquired, sent_at, self._config, self.stage, self._given_out)

    def _is_over(self, tenure: Tenure | SharedTenure) -> None:
        """Take note of what a tenure leaves."""
        if isinstance(tenure, Tenure):
            self._given_out = tenure.given_out

    async def _wait_for_lease(self) -> tuple[float, Acquired | None]:
        """Be a standby until the lease is acquired; None when the process stops.

        Raises:
            UnservableError: other workers share the object.
        """
        commands = self._links.commands
        watch = LeaseWatch()
        lease_s = self._config.lease.duration
        waiting = False
        while not self._stopping:
            await commands.wait_connected()
            record = await self._store.read_record()
            self._see(record)
            if watch.is_free(record, commands.connection, time.monotonic()):
                sent_at = boottime()
                acquired = await self._store.acquire(
                    record,
                    nonce=secrets.token_hex(4),
                    lease_ms=int(lease_s * 1000),
                    holder=holder(),
                    known=self._known,
                    given_out=self._given_out,
                )
                if acquired is not None:
                    self._is_standby = False
                    self._known = generation_of(acquired.epoch)
                    return sent_at, acquired
            elif record is not None and record.shared:
                if watch.lives:
                    raise UnservableError(
                        f"{self.stage.name} is shared by workers that were started with --shared ({record.holder} is "
                        "one), and this one would own it alone: start it with --shared, too, or stop those"
                    )
            elif not waiting:
                waiting = self._is_standby = True
                log.info("%s is owned by another process; this one stands by", self.stage.name)
                self.stage.warn_of_standby()
            await asyncio.sleep(pause_between_looks_s(lease_s))
        return 0.0, None

    def _see(self, record: LeaseRecord | None) -> None:
        """Learn from a record what else it may be that Redis loses."""
        if record is None:
            return
        self._known = max(self._known, record.generation)
        if self._given_out is not None and record.generation > self._given_out.generation:
            self._given_out = None  # another owner has gone on from what Redis had

    async def release(self, drain_s: float) -> None:
        """Hand the object over, within about `drain_s` seconds, and acquire it no more."""
        self._stopping = True
        self._stop_asked.set()
        if self._tenure is not None:
            await self._tenure.release(drain_s)

    def report(self) -> ObjectReport | None:
        """What this process has done for the object, if it owns it."""
        return None if self._tenure is None else self._tenure.report()

    def tell_metrics(self, snapshot: Snapshot, label: str) -> None:
        """Add what this process has done for the object.

        Args:
            snapshot: gets it.
            label: the object's.
        """
        tenure = self._tenure
        counts = ObjectCounts()
        counts.add(self._former)
        if tenure is not None:
            counts.add(tenure.counts)
        tell_metrics(counts, snapshot, label)
        report = tenure.report() if tenure is not None else None
        oldest_s = 0.0
        if tenure is not None and report is not None and report.oldest_ms is not None:
            oldest_s = max(0, tenure.now_ms() - report.oldest_ms) / 1000
        snapshot.put("wispy_object_queue_length", report.waiting if report else 0, label)
        snapshot.put("wispy_object_queue_age_seconds", oldest_s, label)
        snapshot.put("wispy_object_running", report.running if report else 0, label)
        workers = tenure.workers if isinstance(tenure, SharedTenure) else 0
        snapshot.put("wispy_object_workers", workers, label)
        snapshot.put("wispy_object_owned", self.is_serving, label)
        snapshot.put("wispy_object_takeovers", self._tenures, label)
        snapshot.put("wispy_object_lease_losses", self._losses, label)

    def cancel(self, session: str, id: int) -> None:
        """A caller of this object gave up on a request."""
        if self._tenure is not None:
            self._tenure.cancel(session, id)


def holder() -> str:
    """Who holds the lease, for people who look at the record."""
    return f"{socket.gethostname()} pid {os.getpid()}"


def pause_between_looks_s(lease_s: float) -> float:
    """How long a standby waits before it looks at the record again."""
    return min(lease_s / LOOKS_PER_LEASE, LOOK_S)
