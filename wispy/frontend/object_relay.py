"""The requests of one frontend to one object: entries out, answers in, and what takes too long.

Rules (DESIGN section 5):
- What one turn of the loop brings leaves as one entry, unless it is too large for one; while Redis has an entry that it
  has not acknowledged, requests gather for the next.
- The object's reply channel is subscribed to, and confirmed, before the first request is sent.
- The frontend says `executed: no` only for what was never written to Redis, for a definite error on a first XADD, and
  for an entry that it withdrew before an owner took it. In all other cases it says `maybe`.
- What a broken link leaves unacknowledged, and what is in flight when the reply subscription broke, is sent again as
  retries, in order, in entries of its own; the owner knows copies.
- An object that several workers share has nobody who knows copies: nothing is sent again, and what is in doubt is
  `maybe`. Each request is an entry of its own there, for the next worker that is free.
"""

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

import msgspec

from wispy.broker.errors import BrokerError, LinkDown, LinkLost
from wispy.broker.keys import ObjectKeys
from wispy.broker.server import Clocks
from wispy.broker.store import ObjectStore
from wispy.frontend.flights import Flight, SessionFlights
from wispy.protocol import errors, relay
from wispy.protocol.envelope import Seal
from wispy.protocol.identity import NO_BEARER
from wispy.protocol.relay import Entry, RelayedRequest, SessionRequests
from wispy.timing import EarliestTimer

if TYPE_CHECKING:
    from wispy.frontend.relay import Relay

log = logging.getLogger("wispy.frontend")

MAX_WAIT_S: Final = 7 * 86400.0
"""The longest that a caller may wait: as long as the object's keys live."""

LOOK_S: Final = 0.02
"""Seconds between two looks at deadlines: many that lie close together cost one look."""

LOST_REPLY_S: Final = 1.0
"""How long an answer may be on its way after its entry has gone: the subscription may be behind the link."""

ASK_AGAIN_S: Final = 1.0
"""Pause before Redis is asked again to give back what no owner has taken."""

GRACE_S: Final = 2.0
"""How much longer than the owner's own deadlines a frontend waits: the owner's answer says more than its own."""


class OpenEntry:
    """An entry that was sent, while one of its flights is not answered."""

    __slots__ = ("_flights", "id", "is_asked", "left", "run_id", "sent_at")

    def __init__(self, flights: list[Flight], sent_at: float) -> None:
        self._flights = flights
        self.left = len(flights)
        """Flights that are not answered."""
        self.sent_at = sent_at
        self.id: str | None = None
        """As Redis answered; None until then, and again where it is to be sent once more."""
        self.run_id: str | None = None
        """Of the Redis server that has answered so."""
        self.is_asked = False
        """Whether Redis was asked to withdraw it."""

    def open_flights(self) -> list[Flight]:
        """What is not answered, and was not sent again by another entry."""
        return [flight for flight in self._flights if flight.entry is self]


class ObjectRelay:
    """The requests of one frontend to one object."""

    def __init__(self, relay: "Relay", object_name: str, keys: ObjectKeys) -> None:
        self.object_name = object_name
        self.in_flight = 0
        self._relay = relay
        self._max_in_flight = relay.max_in_flight
        settings = relay.settings_of(object_name)
        self._max_start_delay_s: float = settings.max_start_delay_default
        self._run_timeout_s: float = settings.run_timeout_default
        self._wait_s = self._max_start_delay_s + self._run_timeout_s + GRACE_S
        self._loop = asyncio.get_running_loop()
        self._keys = keys
        self._link = relay.link.route(self._keys.requests)
        self._link.on_connected(self.resend_unacknowledged)
        self._clocks = self._link.clocks
        """Where each object's server has a clock of its own, on which stamps are told."""
        self._store = ObjectStore(self._link, self._keys)
        secret = relay.sealing_secret
        self._seal = None if secret is None else Seal(secret, self._keys.requests)
        self._queue: list[Flight] = []
        """What has not left yet."""
        self._queue_bytes = 0
        """Of the methods and params in it."""
        self._unacknowledged = 0
        """Entries that were sent, and that Redis has not answered."""
        self._entries: dict[OpenEntry, None] = {}
        """What is not answered, in the order in which it was sent."""
        self.is_open = False
        """Whether the reply channel is subscribed to."""
        self._is_shared = False
        """Whether several workers share the object."""
        self._is_flush_due = False
        self._timer = EarliestTimer(self._loop, self._look_at_deadlines)
        relay.tasks.start(self._open(), f"opening of {object_name}")

    @property
    def _run_id(self) -> str | None:
        """Of the Redis server that has the object."""
        server = self._link.server
        return None if server is None else server.run_id

    @property
    def has_unsent(self) -> bool:
        """Whether there is a request that Redis may not have yet."""
        return bool(self._queue) or self._unacknowledged > 0

    @property
    def is_idle(self) -> bool:
        """Whether it has nothing to do, and nothing begun."""
        return self.is_open and not self.in_flight and not self.has_unsent

    # --- requests go out --------------------------------------------------------------------------------------------

    def submit(self, flight: Flight, timeout_s: float | None) -> None:
        """Take a request; it leaves at the end of this turn of the loop, or with the next entry."""
        # A frontend that others' clients come to takes what they had in flight, beside what its own have.
        if self.in_flight >= (self._max_in_flight * 2 if flight.retry else self._max_in_flight):
            self._relay.counts.hit("in_flight_per_object")
            error = errors.OVERLOADED(f"{self.in_flight} requests to {self.object_name} are in flight")
            self._relay.refuse(flight, error)
            return
        if not self._link.connected:
            flight.refuse(errors.UNAVAILABLE())
            return
        if timeout_s is not None and timeout_s > self._run_timeout_s:
            flight.wait_s = self._max_start_delay_s + min(timeout_s, MAX_WAIT_S) + GRACE_S
        else:
            flight.wait_s = self._wait_s
        flight.carrier = self
        flight.session.in_flight[flight.id] = flight
        self.in_flight += 1
        self._queue.append(flight)
        self._queue_bytes += len(flight.params) + len(flight.method)
        if self._unacknowledged == 0 or len(self._queue) >= relay.MAX_ENTRY_REQUESTS:
            self._flush_soon()

    def cancel(self, flight: Flight) -> None:
        """Drop a request that has not left yet; tell the owner of one that has."""
        if flight.entry is None:
            self._queue.remove(flight)
            self._queue_bytes -= len(flight.params) + len(flight.method)
            unknown = errors.OUTCOME_UNKNOWN()
            unsent = errors.CANCELLED("the request was cancelled before it was sent", executed="no")
            self._fail(flight, unknown if flight.retry else unsent)
            return
        message = msgspec.json.encode((flight.session.name, flight.id))
        self._link.publish(self._keys.cancels, message, _log_failure)

    def _flush_soon(self) -> None:
        """Send what has gathered at the end of this turn.

        Not called while Redis has an entry that it has not acknowledged: until it has, or until they fill an entry,
        requests gather. So entries grow under load and share their cost, and a request waits for at most one round
        trip more. At rest nothing waits.
        """
        if not self._is_flush_due and self.is_open:
            self._is_flush_due = True
            self._relay.flush_soon(self)

    async def _open(self) -> None:
        """Find out whether there is such an object, and subscribe to its replies before anything is sent."""
        replies = self._keys.replies(self._relay.name)
        try:
            if not await self._link.call("EXISTS", self._keys.requests):
                self._refuse_queue(self._relay.absence(self.object_name))
                self._relay.forget(self.object_name)
                return
            self._is_shared = await self._store.is_shared()
            async with asyncio.timeout(self._max_start_delay_s):
                await self._relay.subscriber.subscribe(replies, self._relay.take_replies)
        except (BrokerError, TimeoutError) as error:
            log.warning("%s cannot be reached: %s", self.object_name, str(error) or "the subscription is not confirmed")
            if isinstance(error, TimeoutError):  # only the subscription ends so; before it there is none to give up
                self._relay.subscriber.unsubscribe(replies)
            self._refuse_queue(errors.UNAVAILABLE())
            self._relay.forget(self.object_name)
            return
        self.is_open = True
        self._relay.found(self.object_name)
        self.flush()
        self._link.flush()

    def _refuse_queue(self, error: errors.RPCError) -> None:
        """Answer what was never written."""
        queue, self._queue = self._queue, []
        self._queue_bytes = 0
        for flight in queue:
            self._fail(flight, errors.OUTCOME_UNKNOWN() if flight.retry else error)

    def flush(self) -> None:
        """Send what has gathered; the caller flushes the link."""
        self._is_flush_due = False
        queue, self._queue = self._queue, []
        size, self._queue_bytes = self._queue_bytes, 0
        if self._is_shared:
            for flight in queue:
                self._send([flight])
        elif len(queue) > relay.MAX_ENTRY_REQUESTS or size > relay.MAX_ENTRY_BYTES:
            self._send_in_parts(queue)
        elif queue:
            self._send(queue)

    def _send_in_parts(self, queue: list[Flight]) -> None:
        start = 0
        size = 0
        for end, flight in enumerate(queue):
            cost = len(flight.params) + len(flight.method)
            if end > start and (end - start >= relay.MAX_ENTRY_REQUESTS or size + cost > relay.MAX_ENTRY_BYTES):
                self._send(queue[start:end])
                start, size = end, 0
            size += cost
        self._send(queue[start:])

    def _send(self, flights: list[Flight]) -> None:
        now = self._loop.time()
        entry = OpenEntry(flights, now)
        self._entries[entry] = None
        for flight in flights:
            flight.entry = entry
            flight.deadline = now + flight.wait_s
        self._unacknowledged += 1
        content = _entry(self._relay.name, flights)
        if self._clocks is not None:
            self._tell_on_this_clock(content, self._clocks, now)
        data = relay.encode(content)
        if self._seal is not None:
            data = self._seal.seal(data)
        command = (b"XADD", self._keys.requests, b"NOMKSTREAM", b"*", b"e", data)
        self._timer.at(now + self._max_start_delay_s)
        self._link.send(command, lambda reply: self._sent(entry, reply), will_flush=True)

    def _tell_on_this_clock(self, content: Entry, clocks: Clocks, now: float) -> None:
        """Sessions stamp on the clock of one server; the owner's memory is by that of the object's own."""
        server = self._link.server
        if server is None:
            return  # then nothing is sent
        for block in content.sessions:
            shift_ms = None if block.run == server.run_id else clocks.shift_ms(block.run, server, now)
            if shift_ms is not None:
                block.run = server.run_id
                for request in block.requests:
                    request.at += shift_ms

    def _sent(self, entry: OpenEntry, reply: Any) -> None:
        self._unacknowledged -= 1
        if self._queue:
            self._flush_soon()
        if entry not in self._entries:
            return  # all of it is answered, or was sent again
        if isinstance(reply, bytes):
            entry.id = reply.decode()
            entry.run_id = self._run_id
        elif isinstance(reply, LinkLost):
            return  # it may have been written: `resend_unacknowledged` goes on
        elif reply is None:
            self._relay.missed(self.object_name)
            self._fail_all(entry, self._relay.absence(self.object_name))
            if not self._entries and not self._queue:  # else others of its answers may still come
                self._relay.forget(self.object_name)
        elif isinstance(reply, LinkDown):
            self._fail_all(entry, errors.UNAVAILABLE())
        else:
            log.warning("Redis did not take requests to %s: %s", self.object_name, reply)
            self._fail_all(entry, errors.UNAVAILABLE("Redis does not take requests at present"))

    # --- answers come in --------------------------------------------------------------------------------------------

    def landed(self, flight: Flight) -> None:
        """A flight is answered: its place is free."""
        self.in_flight -= 1
        entry = flight.entry
        if isinstance(entry, OpenEntry):
            flight.entry = None
            entry.left -= 1
            if entry.left == 0:
                self._entries.pop(entry, None)

    def _fail(self, flight: Flight, error: errors.RPCError) -> None:
        if flight.session.in_flight.pop(flight.id, None) is not None:
            self.landed(flight)
            self._relay.forget_if_done(flight.session)
            if error.denied is not None:
                self._relay.audit.flight_denied(flight, error.denied, error.message, is_own=True)
            flight.fail(error)

    def _fail_all(self, entry: OpenEntry, error: errors.RPCError) -> None:
        for flight in entry.open_flights():
            self._fail(flight, errors.OUTCOME_UNKNOWN() if flight.retry else error)

    # --- what takes too long ----------------------------------------------------------------------------------------

    def _look_at_deadlines(self) -> None:
        now = self._loop.time()
        start_delay_s = self._max_start_delay_s
        for entry in list(self._entries):
            if not entry.is_asked and now >= entry.sent_at + start_delay_s:
                entry.is_asked = True
                self._relay.tasks.start(self._withdraw(entry), f"withdrawal from {self.object_name}")
            for flight in entry.open_flights():
                if flight.deadline <= now:
                    self._fail(flight, errors.OUTCOME_UNKNOWN("the owner did not answer in time"))
            if entry in self._entries:
                due = min(flight.deadline for flight in entry.open_flights())
                due = due if entry.is_asked else min(due, entry.sent_at + start_delay_s)
                self._timer.at(max(due, now + LOOK_S))

    async def _withdraw(self, entry: OpenEntry) -> None:
        """Take back an entry that no owner has taken within the start delay."""
        withdrawn: bool | None = None
        while withdrawn is None and entry in self._entries:  # else it is answered, or was sent again
            try:
                if entry.id is not None:
                    withdrawn = await self._store.withdraw(entry.id)
            except BrokerError as error:
                log.info("requests to %s were not withdrawn: %s", self.object_name, error)
            if withdrawn is None:  # nor is it known whether one that has no id yet was written
                await asyncio.sleep(ASK_AGAIN_S)
                await self._link.wait_connected()
        if withdrawn and self._run_id != entry.run_id:
            # One that has taken over, or has started anew, may not know what the former one has given out.
            self._fail_all(entry, errors.OUTCOME_UNKNOWN())
        elif withdrawn:
            no_worker = "no worker of the object was free in time" if self._is_shared else None
            self._fail_all(entry, errors.NO_OWNER(no_worker))

    # --- broken links -----------------------------------------------------------------------------------------------

    def resend_unacknowledged(self) -> None:
        """The link is back: send again what may not have arrived."""
        unacknowledged = [entry for entry in self._entries if entry.id is None]
        if self._is_shared:
            self._give_up(unacknowledged)
        else:
            self._resend(unacknowledged)

    def resend_all(self) -> None:
        """The reply subscription is back: answers may have been missed, so that all is asked for again."""
        if self._is_shared:
            self._relay.tasks.start(self._give_up_lost(), f"lost answers of {self.object_name}")
        elif self._link.connected:
            self._resend(list(self._entries))
        else:  # `resend_unacknowledged` has it all to do
            for entry in self._entries:
                entry.id = None

    async def _give_up_lost(self) -> None:
        """Give up what a shared object has answered while nobody listened: an entry goes with its answer."""
        entries = {entry.id: entry for entry in self._entries if entry.id is not None}
        missing: set[str] | None = None
        while missing is None:
            await self._link.wait_connected()
            try:
                missing = await self._store.missing(list(entries))
            except BrokerError as error:  # a node of a Cluster that is being replaced refuses to read, too
                log.info("lost answers of %s are looked for again: %s", self.object_name, error)
                await asyncio.sleep(LOST_REPLY_S)
        await asyncio.sleep(LOST_REPLY_S)
        self._give_up([entry for entry_id, entry in entries.items() if entry_id in missing])

    def _give_up(self, entries: list[OpenEntry]) -> None:
        for entry in entries:
            for flight in entry.open_flights():
                self._fail(flight, errors.OUTCOME_UNKNOWN())

    def _resend(self, entries: list[OpenEntry]) -> None:
        for entry in entries:
            del self._entries[entry]
            flights = entry.open_flights()
            for flight in flights:
                flight.retry = True
            self._send(flights)
        self._link.flush()

    def forget(self) -> None:
        """Nothing is asked of it any more: nothing is sent again."""
        self._link.remove_connected(self.resend_unacknowledged)

    def close(self) -> None:
        """Answer what is in flight with what is known."""
        self._timer.cancel()
        self._refuse_queue(errors.UNAVAILABLE("the server is shutting down"))
        for entry in list(self._entries):
            for flight in entry.open_flights():
                flight.retry = True
            self._fail_all(entry, errors.OUTCOME_UNKNOWN())


def _entry(frontend: str, flights: list[Flight]) -> Entry:
    """The entry that carries these flights: consecutive ones of a session share a block, so that all keep their order,
    also a session's notifications, which go as the plain session's. A block's stamps are all on one server's clock.
    """
    blocks: list[SessionRequests] = []
    session: SessionFlights | None = None
    run = ""
    for flight in flights:
        if flight.session is not session or flight.run != run:
            session, run = flight.session, flight.run
            if session.is_plain:
                session.acknowledge_all_but_in_flight()
            bearer = NO_BEARER if session.bearer is None else session.bearer.text
            blocks.append(SessionRequests(session.name, run, session.ack, session.open, [], bearer))
        blocks[-1].requests.append(RelayedRequest(flight.id, flight.at, flight.retry, flight.method, flight.params))
    return Entry(frontend, blocks)


def _log_failure(reply: Any) -> None:
    if isinstance(reply, BrokerError):
        log.info("a cancellation did not reach Redis: %s", reply)
