"""One owner's time with an object: from the acquisition of the lease to its release or loss. Runs on the I/O thread.

Rules (DESIGN section 5):
- All that is written carries the lease's epoch, and is refused once another owner has acquired.
- Nothing is read before the object takes calls, however long it takes to be made. `EntryReader` reads, as far as there
  is room on the `Desk`.
- Releasing: nothing more starts, running calls end, what was answered is confirmed; the object's state is stored, and
  the object is told; what it has published is confirmed; then the cursor is set before the first entry with a request
  that did not start, so that the next owner runs it.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass

from wispy.audit_log import AuditLog
from wispy.broker.directory import ObjectDirectory
from wispy.broker.errors import BrokerError
from wispy.broker.keys import Keys
from wispy.broker.link import Link
from wispy.broker.route import Route
from wispy.broker.store import Acquired, GivenOut, ObjectStore
from wispy.config.schema import Config
from wispy.protocol import errors
from wispy.protocol.entry_ids import before, order_of
from wispy.protocol.envelope import Seal
from wispy.protocol.memory import Memory
from wispy.protocol.ownership import HeldLease
from wispy.protocol.positions import generation_of
from wispy.protocol.status import ObjectReport
from wispy.timing import boottime, wait_until
from wispy.worker.call_watch import CallWatch
from wispy.worker.calls import Call, ChannelUpdate, Outcome
from wispy.worker.counts import ObjectCounts, report
from wispy.worker.declarations import Declarations
from wispy.worker.desk import Desk, Pending
from wispy.worker.entry_reader import EntryReader
from wispy.worker.forgeries import Forgeries
from wispy.worker.publisher import Publisher
from wispy.worker.renewals import Renewals
from wispy.worker.settling import settle_former
from wispy.worker.stage import Stage
from wispy.worker.state_keeper import StateKeeper
from wispy.worker.upkeep import Upkeep

log = logging.getLogger("wispy.worker")


@dataclass(frozen=True)
class Links:
    """The connections of one object: commands and blocking reads do not share one."""

    commands: Route
    reader: Link


class Tenure:
    """The time in which this process owns an object.

    Args:
        links: to Redis.
        keys: the deployment's keys.
        acquired: what the acquisition returned.
        sent_at: when the acquisition was sent, on `boottime`'s clock.
        config: the worker's configuration.
        stage: where the object's code runs.
        given_out: what a former tenure of this process has given out, if no other owner came in between.
    """

    def __init__(
        self,
        links: Links,
        keys: Keys,
        acquired: Acquired,
        sent_at: float,
        config: Config,
        stage: Stage,
        given_out: GivenOut | None = None,
    ) -> None:
        server = links.commands.server
        assert server is not None  # the acquisition's answer came over this link
        self._links = links
        self._server = server
        """The Redis server on which the lease was acquired."""
        self._object_keys = keys.of(stage.name)
        self._config = config
        self._stage = stage
        self._store = ObjectStore(links.commands, self._object_keys)
        self._acquired = acquired
        self._given_out = given_out
        self.lease = HeldLease(acquired.epoch, server.run_id, config.lease.duration, sent_at)
        self._ended = asyncio.Event()
        """The lease is lost or released."""
        self._is_opening = True
        """The object is being made and told of it: it cannot be let go in between."""
        self._is_serving = False
        """The object takes calls: until it does, nothing is read for it."""
        self._releasing = False
        self.is_given_back = False
        """The lease was given back, as it should be at the end."""
        self._handed_over = False
        """The object has been told of the release: what it does now is no longer told."""
        self._gives_back = False
        """Redis is told that the lease is free: a renewal or a read that is refused from now on was under way."""
        self._reader = EntryReader(
            links.reader,
            self._store,
            self.lease,
            group=acquired.group,
            cursor=acquired.cursor,
            is_open=lambda: self.is_open,
            room=lambda: 0 if self._desk is None else self._desk.room,
            take=self._take,
            supervise=stage.supervise,
            on_fenced=self._lose,
        )
        self.counts = ObjectCounts()
        """What has been done since the acquisition."""
        self._audit_log = AuditLog.of(config.audit, "worker")
        self._renewals = Renewals(
            links.commands,
            self._store,
            self.lease,
            ObjectDirectory(links.commands, keys),
            stage.name,
            take_changed=lambda: self._publisher.take_changed() if self._publisher is not None else set(),
            channels=lambda: self._publisher.channels if self._publisher is not None else [],
            on_renewed=self._renewed,
            on_fenced=self._lose,
        )
        self._upkeep = Upkeep(stage.name, self.now_ms, window_s=config.session.window)
        self._desk: Desk | None = None
        self._publisher: Publisher | None = None
        self._declarations = Declarations(stage, self._store, self.epoch)
        self._state = StateKeeper(
            stage,
            self._store,
            self.epoch,
            max_bytes=config.limits.snapshot_bytes,
            counts=self.counts,
            on_fenced=self._lose,
        )
        self._watch: CallWatch | None = None

    @property
    def epoch(self) -> str:
        """The epoch of everything that is written."""
        return self.lease.epoch

    @property
    def is_open(self) -> bool:
        """Whether requests are taken."""
        return self._is_serving and not self._releasing and not self._ended.is_set()

    def why_not_ready(self) -> str | None:
        """Why requests cannot be counted on being run; None if they can."""
        if not self._is_serving:
            return "the object is being made"
        return None if self.may_start() else "the lease is not held"

    def may_start(self) -> bool:
        """Whether a request may be started now. Asked by the objects' thread before each one."""
        return not self._releasing and self.lease.is_valid(boottime())

    @property
    def given_out(self) -> GivenOut | None:
        """The offsets that this process has given out, in this tenure or in one before."""
        if self._publisher is not None:
            return self._publisher.given_out
        if self._given_out is None:
            return None
        return self._given_out._replace(generation=generation_of(self.epoch))

    # --- from acquisition to the end --------------------------------------------------------------------------------

    async def run(self) -> None:
        """Own the object until the lease is lost or released."""
        renewals = asyncio.create_task(self._renewals.run(), name=f"lease of {self._stage.name}")
        renewals.add_done_callback(lambda _: self._ended.set())  # also where a fault has ended them
        try:
            await self._open_or_give_up()
            if not self._ended.is_set():
                self._is_serving = True
                self._state.begin()
                self._reader.begin()
                await self._ended.wait()
            if renewals.done():
                renewals.result()
        finally:
            renewals.cancel()  # before all else: a lease that is renewed for nobody is never free again
            self._close()
            if self._audit_log is not None:
                self._audit_log.close()
            await self._state.stop()
            await self._stage.close()  # the process that ends cancels this task while it waits here
            await asyncio.gather(renewals, return_exceptions=True)

    async def _open_or_give_up(self) -> None:
        """Open the object; where that fails the lease is given back, since another process may be able to."""
        try:
            await self._open()
        except BrokerError:
            raise  # there is nobody to give it back to
        except Exception:
            await self._give_back(self._acquired.cursor)
            raise
        finally:
            self._is_opening = False

    def _seal(self) -> Seal | None:
        """What is on every entry, where callers have to say who they are."""
        config = self._config
        return Seal(config.sealing_secret, self._object_keys.requests) if config.auth.is_on else None

    async def _open(self) -> None:
        """Settle what is left of former owners, build the object, and declare its channels."""
        store, epoch = self._store, self.epoch
        run_id, _, since = self._acquired.since.rpartition(":")
        func_caller = self._config.of_object(self._stage.name).func_caller
        memory = Memory(run_id, int(since), int(func_caller.max_start_delay_default * 1000))
        memory.restore(await store.read_log(), self.now_ms())
        self._desk = Desk(
            self._links.commands,
            store,
            self._object_keys,
            epoch,
            memory,
            max_start_delay_s=func_caller.max_start_delay_default,
            max_reply_bytes=self._config.limits.reply_bytes,
            counts=self.counts,
            seal=self._seal(),
            on_forged=Forgeries(self._stage.name, self._object_keys, self.counts, self._audit_log).note,
            hand_over=self._hand_over,
            on_fenced=self._lose,
        )
        self._watch = CallWatch(self._desk, self._stage, self._config.func_caller.run_timeout_default)
        # First: their callers need not wait for an instrument to be opened.
        await settle_former(store, self._desk, self._acquired.cursor, self.now_ms, self.lease.duration_s)
        heads = await store.heads()
        stored = await store.retained()
        retained = {channel: value for channel, (_, value) in stored.items()}
        await self._stage.open()
        # Subscribers know a value unless its channel has gone on, and Redis has lost that: then it is stated anew.
        known = {channel: value for channel, (at, value) in stored.items() if at == heads.get(channel)}
        self._publisher = Publisher(store, epoch, heads, known, self._stage.history_of, self._lose, self.counts)
        if self._ended.is_set():  # while it was made: then it is not told of an acquisition that is over
            return
        await self._stage.acquired()
        await self._state.restore()
        if self._config.lease.restore:
            # After the state: each change of a channel is retained at once, and so is newer than the state may be.
            await self._stage.restore(retained)
        await self._declarations.declare()
        await store.write_interface(epoch, self._stage.interface())
        await self._renewals.announce()
        self._renewals.changed(heads)
        await self._stage.begin(self)
        log.info("%s is served here, epoch %s", self._stage.name, epoch)

    def _lose(self) -> None:
        """Another owner has acquired, or Redis is another server."""
        if not self.lease.lost:
            self.lease.lost = True
            if not self._gives_back:  # else the answer to that says whether it was lost
                self._log_loss()
        self._ended.set()

    def _log_loss(self) -> None:
        log.warning("%s is not owned by this process any more (epoch %s)", self._stage.name, self.epoch)

    def _close(self) -> None:
        self.lease.lost = True
        self._reader.stop()
        if self._watch is not None:
            self._watch.stop()
        if self._publisher is not None:
            self._publisher.stop()

    def now_ms(self) -> int:
        """The time on the Redis server's clock; while the link is down, as reckoned from when it was last seen."""
        server = self._links.commands.server
        if server is not None and server.run_id == self.lease.run_id:
            self._server = server
        return self._server.now_ms(time.monotonic())

    # --- the lease --------------------------------------------------------------------------------------------------

    def _renewed(self) -> None:
        """The lease is good and Redis answers: bring there what was held back, and start what waits for it."""
        if self._desk is not None:
            self._upkeep.look(self._desk)
            self._desk.resend()
            self._declarations.renewed()
            if any(call.started is None for call in self._desk.calls()):
                self._stage.run([])
        self._reader.read()

    # --- calls and outcomes -----------------------------------------------------------------------------------------

    def _take(self, entries: Sequence[tuple[str, bytes]]) -> None:
        assert self._desk is not None
        self._desk.take(entries, self.now_ms())

    def _hand_over(self, calls: list[Call]) -> None:
        # What there is to write is written first: the objects' thread then finds this one going to sleep when it wakes
        # up, and not in its way. (They cannot both run Python.)
        self._reader.read()
        self._stage.run(calls)
        if self._watch is not None:
            self._watch.begin()

    def outcomes(self, outcomes: list[Outcome], updates: list[ChannelUpdate]) -> None:
        """Take what the object's thread has done: updates first, since a request's updates precede its reply."""
        if self._handed_over or self._ended.is_set() or self._desk is None or self._publisher is None:
            if self._publisher is not None:
                self._publisher.count(updates)
            return
        if updates:
            self.counts.updates += len(updates)
            self._declarations.follow(updates)
            self._publisher.publish(updates)
        if outcomes:
            self._desk.settle(outcomes)
            self._reader.read()

    def cancel(self, session: str, id: int) -> None:
        """A caller does not want the answer any more; his request still ends with one."""
        if self._desk is not None and self._desk.cancel(session, id):
            self._stage.cancel(session, id)

    def report(self) -> ObjectReport | None:
        """What has been done and what waits, for people; None before there is anything to say."""
        if self._desk is None:
            return None
        func_caller = self._config.of_object(self._stage.name).func_caller
        max_age_s = func_caller.max_start_delay_default
        return report(self._stage.name, self.epoch, self.counts, self._desk.calls(), max_age_s, self.now_ms())

    # --- releasing --------------------------------------------------------------------------------------------------

    async def release(self, drain_s: float) -> None:
        """Hand the object over: let running calls end within `drain_s` seconds, then give the lease back."""
        self._releasing = True
        await wait_until(lambda: self._ended.is_set() or not self._is_opening, drain_s)
        desk = self._desk
        if desk is not None:
            # The runner notes the start of a call before it asks `may_start`: what is unstarted now stays so.
            await wait_until(lambda: self._ended.is_set() or not desk.running(), drain_s)
            running = desk.running()
            if running:
                log.warning("%d calls of %s did not end in time", len(running), self._stage.name)
                desk.answer_early(running, errors.OUTCOME_UNKNOWN())
            desk.resend()
            await wait_until(lambda: self._ended.is_set() or desk.is_settled, self.lease.duration_s)
        if self._is_serving and not self.lease.lost:
            await self._state.store_last()
        await self._stage.released()
        self._handed_over = True
        publisher = self._publisher
        if publisher is not None:
            await wait_until(lambda: self._ended.is_set() or publisher.is_settled, self.lease.duration_s)
        await self._give_back(self._cursor_of_next_owner())
        self._ended.set()

    async def _give_back(self, cursor: str) -> None:
        """Give the lease back; the next owner begins behind the entry `cursor`."""
        if self.lease.lost:
            return
        self._gives_back = True
        try:
            if await self._store.release(self.epoch, cursor):
                self.is_given_back = True
                if self._is_serving:
                    log.info("%s is released", self._stage.name)
            else:
                self._log_loss()
        except BrokerError as error:
            log.warning("the lease of %s could not be released, it will run out: %s", self._stage.name, error)

    def _cursor_of_next_owner(self) -> str:
        """Before the first entry with a request that did not start, or else behind what was received."""
        calls = self._desk.calls() if self._desk is not None else []
        unstarted: list[Pending] = [call.token for call in calls if not call.token.answered]
        return min((before(token.entry.id) for token in unstarted), key=order_of, default=self._reader.last_id)
