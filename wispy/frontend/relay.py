"""All requests of one frontend process: sessions, the objects that it relays to, and the answers that come back."""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final

import msgspec

from wispy.broker.errors import BrokerError
from wispy.broker.keys import OBJECT_TTL_MS, Keys
from wispy.broker.route import Commands
from wispy.broker.subscriber import Subscriptions
from wispy.config.schema import FuncCallerConfig
from wispy.frontend.audit import Audit
from wispy.frontend.counts import FrontendCounts
from wispy.frontend.flights import NOBODY, Flight, SessionFlights
from wispy.frontend.object_relay import GRACE_S, ObjectRelay
from wispy.frontend.tasks import Tasks
from wispy.protocol import errors, relay

log = logging.getLogger("wispy.frontend")

_decode_seconds: Final = msgspec.json.Decoder(float).decode
_decode_key: Final = msgspec.json.Decoder(str).decode


class Relay:
    """All requests of one frontend process to all objects.

    Args:
        name: this frontend's, unique among all frontends and their former lives.
        link: for commands.
        subscriber: for replies.
        keys: the deployment's keys.
        settings_of: an object's greatest start delay, after which an entry that no owner took is withdrawn, and its
            default run time-out, after which an answer is not waited for any more.
        max_in_flight: requests in flight to one object.
        max_objects: objects that are relayed to.
        before_replies: called before replies are given out: a request's updates precede its reply.
        sealing_secret: seals what goes to workers, where callers have to say who they are; else None.
        counts: what is counted.
        audit: told of what is denied.
    """

    def __init__(
        self,
        name: str,
        link: Commands,
        subscriber: Subscriptions,
        keys: Keys,
        *,
        settings_of: Callable[[str], FuncCallerConfig],
        max_in_flight: int,
        max_objects: int,
        before_replies: Callable[[], None],
        sealing_secret: str | None = None,
        counts: FrontendCounts,
        audit: Audit,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self.counts = counts
        self.audit = audit
        self.name = name
        self.link = link
        self.subscriber = subscriber
        self.keys = keys
        self.settings_of = settings_of
        self.max_in_flight = max_in_flight
        self._max_objects = max_objects
        self.sealing_secret = sealing_secret
        self.tasks = Tasks("relay")
        self.sessions: dict[str, SessionFlights] = {}
        self._plain_sessions = 0
        self._idle_plain: list[SessionFlights] = []
        """Sessions that HTTP requests take in turn. A session's requests start in order, which these do not owe."""
        self._objects: dict[str, ObjectRelay] = {}
        self._missed: dict[str, float] = {}
        """Objects that were relayed to until Redis did not have them any more, to when that was (the loop's clock)."""
        self._to_flush: list[ObjectRelay] = []
        self._before_replies = before_replies
        subscriber.on_connected(self._resubscribed)

    @property
    def in_flight(self) -> int:
        """Requests that are not answered yet."""
        return sum(each.in_flight for each in self._objects.values())

    @property
    def has_unsent(self) -> bool:
        """Whether there is a request that Redis may not have yet."""
        return any(each.has_unsent for each in self._objects.values())

    def submit_plain(self, object_name: str, flight: Flight, timeout_s: float | None = None) -> None:
        """Send a request of a plain client: it gets its id and its stamp here."""
        session = flight.session
        session.last_id += 1
        flight.id = session.last_id
        self.stamp(flight)
        self.submit(object_name, flight, timeout_s)

    def stamp(self, flight: Flight) -> None:
        """Note when a request was first sent, for a client that does not say."""
        server = self.link.server
        if server is not None:
            flight.run = server.run_id
            flight.at = server.now_ms(time.monotonic())

    def submit(self, object_name: str, flight: Flight, timeout_s: float | None = None) -> None:
        """Send a request to the owner of an object; its sink gets the answer, at once if there can be none.

        Args:
            object_name: the first name of the request's path.
            flight: the request.
            timeout_s: the caller's own time-out for the run.

        Raises:
            RPCError: no object can have this name.
        """
        object_relay = self._objects.get(object_name)
        if object_relay is None:
            keys = self.keys.of(object_name)
            if len(self._objects) >= self._max_objects and not self._forget_an_idle_one():
                self.counts.hit("objects")
                self.refuse(flight, errors.OVERLOADED("this frontend relays to as many objects as it may"))
                return
            object_relay = self._objects[object_name] = ObjectRelay(self, object_name, keys)
        object_relay.submit(flight, timeout_s)

    def _forget_an_idle_one(self) -> bool:
        """Make room for another object: whoever asks for the forgotten one next waits for two commands more."""
        idle = next((name for name, each in self._objects.items() if each.is_idle), None)
        if idle is not None:
            self.forget(idle)
        return idle is not None

    def refuse(self, flight: Flight, error: errors.RPCError) -> None:
        """Answer a flight that was not sent."""
        if error.denied is not None:
            self.audit.flight_denied(flight, error.denied, error.message, is_own=True)
        flight.refuse(error)

    def flush_soon(self, object_relay: "ObjectRelay") -> None:
        """Send what gathered for an object at the end of this turn."""
        if not self._to_flush:
            self._loop.call_soon(self._flush)
        self._to_flush.append(object_relay)

    def _flush(self) -> None:
        to_flush, self._to_flush = self._to_flush, []
        for object_relay in to_flush:
            object_relay.flush()
        self.link.flush()

    def forget(self, object_name: str) -> None:
        """The object does not exist, or not any more, or nobody has asked for it of late."""
        object_relay = self._objects.pop(object_name, None)
        if object_relay is None:
            return
        object_relay.forget()
        if object_relay.is_open:
            self.subscriber.unsubscribe(self.keys.of(object_name).replies(self.name))

    def missed(self, object_name: str) -> None:
        """Redis had the object, and has it no more."""
        self.found(object_name)  # the newest is the last
        if len(self._missed) >= self._max_objects:
            del self._missed[next(iter(self._missed))]
        self._missed[object_name] = self._loop.time()

    def found(self, object_name: str) -> None:
        """Redis has the object: it is not missed."""
        self._missed.pop(object_name, None)

    def absence(self, object_name: str) -> errors.RPCError:
        """What to answer where Redis has no such object.

        A failover or a restart may lose data, and owners take a moment to notice: of an object that was here the answer
        is the one that it would be had Redis kept its keys.
        """
        since = self._missed.get(object_name)
        if since is None or self._loop.time() - since > OBJECT_TTL_MS / 1000:
            return errors.NOT_FOUND()
        return errors.NO_OWNER()

    def open_session(self, name: str, run: str, leave: Callable[[], None]) -> SessionFlights:
        """Keep the flights of a client that chooses its ids.

        Args:
            name: the session's. If it is open here, on a connection whose end was not noticed yet, that one ends.
            run: the run id of the Redis server on whose clock it stamps.
            leave: ends the connection.
        """
        session = SessionFlights(name, run, leave=leave)
        former = self.sessions.get(name)
        self.sessions[name] = session
        if former is not None:
            session.take_over(former)
        return session

    def open_plain_session(self) -> SessionFlights:
        """Keep the flights of a client whose ids are mapped: a websocket of its own, or the HTTP requests in turn."""
        if self._idle_plain:
            return self._idle_plain.pop()
        self._plain_sessions += 1
        session = SessionFlights(f"{self.name}.{self._plain_sessions}", "", is_plain=True)
        self.sessions[session.name] = session
        return session

    def reuse_plain_session(self, session: SessionFlights) -> None:
        """An HTTP request is over; the next one takes its session on."""
        self._idle_plain.append(session)

    def close_session(self, session: SessionFlights) -> None:
        """The session's connection is gone: what is in flight still lands, for nobody."""
        session.is_closed = True
        session.abandon()
        self.forget_if_done(session)

    def forget_if_done(self, session: SessionFlights) -> None:
        """A request has landed: of a session whose connection is gone it may have been the last one."""
        if session.is_closed and not session.in_flight and self.sessions.get(session.name) is session:
            del self.sessions[session.name]

    def take_replies(self, payload: bytes) -> None:
        """Give out the answers of one message of an owner."""
        self._before_replies()
        try:
            blocks = relay.decode_replies(payload)
        except msgspec.MsgspecError:
            log.exception("a message of an owner cannot be read")
            return
        for block in blocks:
            session = self.sessions.get(block.session)
            if session is None:
                continue  # its connection is gone
            in_flight = session.in_flight
            for reply in block.replies:
                if reply.kind <= relay.ERROR:
                    flight = in_flight.pop(reply.id, None)
                    if flight is not None:
                        _landed(flight)
                        flight.answer(reply.kind, reply.body)
                elif reply.id in in_flight:
                    self._take_special(in_flight[reply.id], reply)
            if session.is_closed:
                self.forget_if_done(session)

    def _take_special(self, flight: Flight, reply: relay.Reply) -> None:
        if reply.kind >= relay.DENIED:
            _land(flight)
            reason = relay.denied_reason(reply.kind)
            self.audit.flight_denied(flight, reason, errors.message_in(reply.body), is_own=False)
            flight.answer(reply.kind, reply.body)
        elif reply.kind == relay.EXTENDED:
            flight.deadline = self._loop.time() + _decode_seconds(reply.body) + GRACE_S
        elif flight.sink is NOBODY:
            _land(flight)  # its session asks again, here or elsewhere, and is told the same: the body is left to it
        else:
            self.tasks.start(self._fetch(flight, _decode_key(reply.body)), "fetch of a large result")

    async def _fetch(self, flight: Flight, key: str) -> None:
        try:
            body: bytes | None = await self.link.route(key).call("GETDEL", key)
        except BrokerError as error:
            log.warning("a large result cannot be fetched: %s", error)
            body = None
        if flight.session.in_flight.pop(flight.id, None) is None:
            return
        _landed(flight)
        self.forget_if_done(flight.session)
        if body is None:
            flight.fail(errors.RESULT_GONE())
        else:
            flight.answer(relay.RESULT, body)

    def cancel(self, flight: Flight) -> None:
        """Tell the owner that nobody wants this answer any more: best effort, past the queue."""
        if flight.carrier is not None:
            flight.carrier.cancel(flight)

    def _resubscribed(self) -> None:
        for object_relay in self._objects.values():
            object_relay.resend_all()

    async def close(self) -> None:
        """Give up; what is in flight is answered with what is known."""
        for object_relay in list(self._objects.values()):
            object_relay.close()
        await self.tasks.cancel()


def _land(flight: Flight) -> None:
    """It is in flight no more."""
    del flight.session.in_flight[flight.id]
    _landed(flight)


def _landed(flight: Flight) -> None:
    if flight.carrier is not None:
        flight.carrier.landed(flight)
