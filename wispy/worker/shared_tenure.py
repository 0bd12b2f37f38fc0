"""One worker's time with a shared object: from when it joins the others until it leaves. Runs on the I/O thread.

Where an owner has a lease of its own, the workers of a shared object have one together, and each says for itself that
it lives. Rules:
- An entry of the stream is given to one worker, once. Nobody else ever runs it: what a lost worker leaves is answered
  `maybe` by the others. So no clock and no pause can make anything run twice.
- Nobody remembers an answer. A copy of a request is answered `maybe`, whatever became of the first one.
- A worker takes as many requests at a time as the objects' thread starts in one turn, so that what waits, waits where
  the next free worker finds it.
- Each worker has an instance of its own. What one of them would publish or keep is not known to the others, so that
  an object with channels or a state is refused, and nothing of it can be set.
- Leaving: nothing more starts, running calls end; what has not begun goes back to the others.
"""

import asyncio
import logging
import time
from collections.abc import Collection, Sequence
from typing import Final

from wispy.audit_log import AuditLog
from wispy.broker.directory import ObjectDirectory
from wispy.broker.errors import BrokerError
from wispy.broker.keys import Keys
from wispy.broker.shared_store import Joined, SharedStore
from wispy.config.schema import Config
from wispy.protocol import errors
from wispy.protocol.entry_ids import order_of
from wispy.protocol.envelope import Seal
from wispy.protocol.ownership import HeldLease
from wispy.protocol.shared_memory import SharedMemory
from wispy.protocol.status import ObjectReport
from wispy.timing import boottime, wait_until
from wispy.worker.call_watch import CallWatch
from wispy.worker.calls import Call, ChannelUpdate, Outcome
from wispy.worker.counts import ObjectCounts, report
from wispy.worker.desk import Desk
from wispy.worker.forgeries import Forgeries
from wispy.worker.settling import settle_former
from wispy.worker.shared_reader import LONGEST_READ_S, SharedReader
from wispy.worker.stage import Stage
from wispy.worker.tenure import Links

log = logging.getLogger("wispy.worker")

BEATS_PER_LEASE: Final = 3
"""So that two of them may be lost or late."""

ANNOUNCE_S: Final = 60.0
"""How often it is said, for discovery, that the object is served."""

MAX_AHEAD: Final = 16
"""Requests that are taken at a time, at most: quick ones share the cost of a read and of a script, and the last of
them waits for no more than a few milliseconds, unless one before it is slow for once."""

QUICK_S: Final = 0.01
"""What is taken together should be through in this time: two turns of the objects' loop."""


class SharedTenure:
    """The time in which this process is one of an object's workers.

    Args:
        links: to Redis.
        keys: the deployment's keys.
        store: the object's scripts, under this worker's name.
        joined: what joining returned.
        sent_at: when it was sent, on `boottime`'s clock.
        config: the worker's configuration.
        stage: where the object's code runs.
    """

    def __init__(
        self,
        links: Links,
        keys: Keys,
        store: SharedStore,
        joined: Joined,
        sent_at: float,
        config: Config,
        stage: Stage,
    ) -> None:
        server = links.commands.server
        assert server is not None  # the answer came over this link
        self._links = links
        self._server = server
        self._config = config
        self._stage = stage
        self._store = store
        self._directory = ObjectDirectory(links.commands, keys)
        self._lease_ms = int(config.lease.duration * 1000)
        self.lease = HeldLease(joined.epoch, server.run_id, config.lease.duration, sent_at)
        self._joined = joined
        self._ended = asyncio.Event()
        """The time is over, by itself or by others."""
        self._is_opening = True
        self._is_serving = False
        self._releasing = False
        self._is_failing = False
        """Redis has not taken the last beat, which the log has said."""
        self.is_given_back = False
        """It has left, as it should at the end."""
        self.workers = 0
        """How many workers the object has, as far as Redis has told."""
        self.counts = ObjectCounts()
        self._audit_log = AuditLog.of(config.audit, "worker")
        self._max_start_delay_s: float = config.of_object(stage.name).func_caller.max_start_delay_default
        self._desk = self._make_desk()
        self._watch = CallWatch(self._desk, stage, config.func_caller.run_timeout_default)
        self._ahead = 1
        """How many requests are taken at a time."""
        self._handed_over_at = 0.0
        self._is_looked_at = True
        """The objects' thread has looked at what it was given."""
        self._reader = SharedReader(
            store.worker,
            self._desk.open_entries,
            links.reader,
            store,
            self.lease,
            group=joined.epoch,
            cursor=joined.settled,
            is_open=lambda: self.is_open,
            room=self._room,
            take=self._take,
            supervise=stage.supervise,
            on_fenced=self._lose,
        )

    def _make_desk(self) -> Desk:
        config, keys = self._config, self._store.keys
        return Desk(
            self._links.commands,
            self._store,
            keys,
            self.lease.epoch,
            SharedMemory(self.lease.run_id, int(self._max_start_delay_s * 1000)),
            max_start_delay_s=self._max_start_delay_s,
            max_reply_bytes=config.limits.reply_bytes,
            counts=self.counts,
            seal=Seal(config.sealing_secret, keys.requests) if config.auth.is_on else None,
            on_forged=Forgeries(self._stage.name, keys, self.counts, self._audit_log).note,
            hand_over=self._hand_over,
            on_fenced=self._lose,
        )

    @property
    def is_open(self) -> bool:
        """Whether requests are taken."""
        return self._is_serving and not self._releasing and not self._ended.is_set()

    def why_not_ready(self) -> str | None:
        """Why requests cannot be counted on being run; None if they can."""
        if not self._is_serving:
            return "the object is being made"
        return None if self.may_start() else "this worker does not count as alive"

    def may_start(self) -> bool:
        """Whether a request may be started now. Asked by the objects' thread before each one."""
        return not self._releasing and self.lease.is_valid(boottime())

    def now_ms(self) -> int:
        """The time on the Redis server's clock; while the link is down, as reckoned from when it was last seen."""
        server = self._links.commands.server
        if server is not None and server.run_id == self.lease.run_id:
            self._server = server
        return self._server.now_ms(time.monotonic())

    # --- from joining to the end ------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Work until this process leaves, or does not count as alive any more."""
        beats = asyncio.create_task(self._beat_until_end(), name=f"beats for {self._stage.name}")
        beats.add_done_callback(lambda _: self._ended.set())  # also where a fault has ended them
        try:
            try:
                await self._open()
            finally:
                self._is_opening = False
            if not self._ended.is_set():
                self._is_serving = True
                self._reader.begin()
            await self._ended.wait()
            if beats.done():
                beats.result()
        finally:
            beats.cancel()
            self.lease.lost = True
            self._reader.stop()
            self._watch.stop()
            if self._audit_log is not None:
                self._audit_log.close()
            await self._stage.close()  # the process that ends cancels this task while it waits here
            await asyncio.gather(beats, return_exceptions=True)

    async def _open(self) -> None:
        stage = self._stage
        await settle_former(self._store, self._desk, self._joined.settled, self.now_ms, self.lease.duration_s)
        try:
            await stage.open()
            await stage.acquired()
            await self._store.write_interface(self.lease.epoch, stage.interface())
            await self._directory.announce(stage.name)
            await stage.begin(self)
        except BrokerError:
            raise  # there is nobody to leave
        except Exception:
            await self._leave([])
            raise
        log.info("%s is served here, shared with others, epoch %s", stage.name, self.lease.epoch)

    def _lose(self) -> None:
        """The sharing is over, others hold this worker for dead, or Redis is another server."""
        if not self.lease.lost and not self.is_given_back:
            log.warning("%s: this worker does not count as alive, and joins anew", self._stage.name)
        self.lease.lost = True
        self._ended.set()

    # --- saying that it lives ---------------------------------------------------------------------------------------

    async def _beat_until_end(self) -> None:
        announced = boottime()
        while not self._ended.is_set():
            await self._beat()
            if boottime() - announced > ANNOUNCE_S:
                announced = boottime()
                try:
                    await self._directory.announce(self._stage.name)
                except BrokerError as error:
                    log.info("%s was not announced: %s", self._stage.name, error)
            await asyncio.sleep(self.lease.duration_s / BEATS_PER_LEASE)

    async def _beat(self) -> None:
        sent_at = boottime()
        try:
            beat = await self._store.beat(self.lease.epoch, self._lease_ms)
        except BrokerError as error:
            if not self._is_failing:
                log.warning("%s: Redis was not told that this worker lives, trying on: %s", self._stage.name, error)
            self._is_failing = True
            return
        self._is_failing = False
        server = self._links.commands.server
        if beat is None or server is None or server.run_id != self.lease.run_id:
            self._lose()
            return
        self.lease.renewed(sent_at)
        self.workers = beat.workers
        if beat.claimed:
            self.counts.claimed += len(beat.claimed)
            self._desk.settle_delivered(beat.claimed, self.now_ms())
        self._desk.resend()
        if any(call.started is None for call in self._desk.calls()):
            self._stage.run([])  # what was held while Redis did not answer
        self._reader.read()

    # --- calls and outcomes -----------------------------------------------------------------------------------------

    def _room(self) -> int:
        """How many more requests to take; none while the objects' thread has not looked at the last ones."""
        if not self._is_looked_at:
            return 0
        return min(self._ahead - self._waiting(), self._desk.room)

    def _waiting(self) -> int:
        return sum(call.started is None for call in self._desk.calls())

    def _take(self, entries: Sequence[tuple[str, bytes]]) -> None:
        self._desk.take(entries, self.now_ms())

    def _hand_over(self, calls: list[Call]) -> None:
        self._is_looked_at = False
        self._handed_over_at = time.monotonic()
        self._stage.run(calls)
        self._stage.after(self._looked_at)
        self._watch.begin()

    def _looked_at(self) -> None:
        """The objects' thread has started what it could of the last requests in one turn: take more, or fewer."""
        self._is_looked_at = True
        is_quick = time.monotonic() - self._handed_over_at < QUICK_S and not self._waiting()
        self._ahead = min(self._ahead * 2, MAX_AHEAD) if is_quick else max(self._ahead // 2, 1)
        self._reader.read()

    def outcomes(self, outcomes: list[Outcome], updates: list[ChannelUpdate]) -> None:
        """Take what the object's thread has done; there are no updates of an object without channels."""
        if not self._ended.is_set():
            self._desk.settle(outcomes)
            self._reader.read()

    def cancel(self, session: str, id: int) -> None:
        """A caller does not want the answer any more; his request still ends with one."""
        if self._desk.cancel(session, id):
            self._stage.cancel(session, id)

    def report(self) -> ObjectReport:
        """What has been done here and what waits, for people."""
        calls = self._desk.calls()
        return report(self._stage.name, self.lease.epoch, self.counts, calls, self._max_start_delay_s, self.now_ms())

    # --- leaving ----------------------------------------------------------------------------------------------------

    async def release(self, drain_s: float) -> None:
        """Work no more: let running calls end within `drain_s` seconds, and give back what has not begun.

        Where nothing is asked, half a second passes until the last read is over; the others are at work meanwhile.
        """
        self._releasing = True
        desk = self._desk
        await wait_until(lambda: self._ended.is_set() or not self._is_opening, drain_s)
        # Redis gives entries to the read that is under way; what came after they were counted would be lost.
        await wait_until(lambda: self._ended.is_set() or not self._reader.is_reading, LONGEST_READ_S)
        # The runner notes the start of a call before it asks `may_start`: what is unstarted now stays so.
        await wait_until(lambda: self._ended.is_set() or not desk.running(), drain_s)
        unstarted = [call for call in desk.calls() if call.started is None and not call.token.answered]
        running = desk.running()
        if running:
            log.warning("%d calls of %s did not end in time", len(running), self._stage.name)
            desk.answer_early(running, errors.OUTCOME_UNKNOWN())
        # Of an entry with several requests, as a frontend sends that does not know of the sharing yet, some have run.
        desk.answer_early([call for call in unstarted if call.token.entry.requests > 1], errors.NOT_STARTED())
        desk.resend()
        await wait_until(lambda: self._ended.is_set() or desk.is_settled, self.lease.duration_s)
        await self._stage.released()
        await self._leave({call.token.entry.id for call in unstarted if not call.token.answered})
        self._ended.set()

    async def _leave(self, unstarted: Collection[str]) -> None:
        """Leave the others; the entries `unstarted` go back to them."""
        if self.lease.lost:
            return
        self.is_given_back = True
        try:
            has_left = await self._store.leave(self.lease.epoch, sorted(unstarted, key=order_of))
            if has_left and self._is_serving:
                log.info("%s is released", self._stage.name)
        except BrokerError as error:
            log.warning("%s: Redis was not told that this worker goes: %s", self._stage.name, error)
