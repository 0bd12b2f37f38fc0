"""One browser's conversation over one websocket, whichever shell carries it.

Rules:
- At most `in_flight_per_connection` requests are in flight: then nothing more is read until some are answered. A batch
  is started whole, so that it may go beyond by its own length, which is bounded.
- Replies are never dropped. While the reader is slow nothing is read from it either; past the bound on unread bytes
  the connection is closed with 1008. What channels bring at once leaves room for them.
- A slow reader of a value channel skips to the newest value once it reads again; on an event channel it is told
  exactly which messages it missed.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from wispy.frontend.auth.credentials import Credentials
from wispy.frontend.auth.verifying import Grant
from wispy.frontend.batch_sink import BatchSink
from wispy.frontend.dispatch import Reception
from wispy.frontend.feed import Feed
from wispy.frontend.flights import AnswerSink, SessionFlights
from wispy.frontend.hub import Hub
from wispy.frontend.logged_sink import LoggedSink
from wispy.frontend.websocket.seam import CloseCode, Connection, PreparedMessages
from wispy.protocol import errors, jsonrpc
from wispy.protocol.identity import ANONYMOUS, Bearer, Identity
from wispy.protocol.jsonrpc import InvalidMessageError, Request

log = logging.getLogger("wispy.frontend")

NO_CREDENTIALS: Final = Credentials()

UNSUPPORTED_DATA: Final = 1003
"""RFC 6455: a kind of data that the endpoint does not accept."""


@dataclass(frozen=True)
class SessionLimits:
    """The bounds of one connection."""

    in_flight: int
    batch: int
    depth: int
    digits: int
    unread_bytes: int
    """Bytes of replies that a reader may leave unread, and of those that a batch gathers."""


class Subscribing(Protocol):
    """A subscription to channels that are still being opened."""

    def leave(self, name: str) -> None:
        """The client does not want this channel any more."""
        ...


class Session:
    """The message handler of one websocket.

    Args:
        reception: starts requests.
        hub: the channels.
        limits: this connection's bounds.
        open_plain: keeps the flights of a plain client.
        on_open: called with the session when it is open.
        on_closed: called with the session when its connection is gone.
    """

    __slots__ = (
        "_after_answer",
        "_behind",
        "_hub",
        "_in_flight",
        "_is_ending",
        "_is_paused",
        "_limits",
        "_on_closed",
        "_on_open",
        "_open_plain",
        "_plain",
        "_reception",
        "connection",
        "credentials",
        "failures",
        "flights",
        "grant",
        "opened_at",
        "subscribing",
        "subscriptions",
    )

    def __init__(
        self,
        reception: Reception,
        hub: Hub,
        limits: SessionLimits,
        open_plain: Callable[[], SessionFlights],
        on_open: "Callable[[Session], None]",
        on_closed: "Callable[[Session], None]",
    ) -> None:
        self._reception = reception
        self._hub = hub
        self._limits = limits
        self._open_plain = open_plain
        self._on_open = on_open
        self._on_closed = on_closed
        self.connection: Connection | None = None
        """None before the connection is made, and after it is lost or given up."""
        self.flights: SessionFlights | None = None
        """Of a client that said hello; None for a plain one."""
        self._plain: SessionFlights | None = None
        """Of what has ids of the frontend's choice; None until there is some."""
        self.subscriptions: dict[str, Feed] = {}
        self.subscribing: tuple[Subscribing, ...] = ()
        """What is about to become one of them."""
        self.opened_at = 0.0
        """When its connection was made, on the loop's clock."""
        self.grant: Grant | None = None
        """Who the client is; None where nobody has to say so, or before he has."""
        self.credentials = NO_CREDENTIALS
        """What the client has shown."""
        self.failures = 0
        """Tokens that were no good."""
        self._in_flight = 0
        self._is_paused = False
        self._is_ending = False
        self._after_answer: list[bytes] = []
        """What follows the answer that is being given in this turn."""
        self._behind: dict[Feed, tuple[str, int]] | None = None
        """Feeds of which this slow reader missed updates, and its position; None while there are none."""

    # --- the connection's calls -------------------------------------------------------------------------------------

    def connection_made(self, connection: Connection) -> None:
        self.connection = connection
        self._on_open(self)

    def connection_lost(self, code: int, reason: str) -> None:
        if code == CloseCode.TOO_BIG:
            self._reception.turned_away(self, errors.TOO_LARGE(reason))
        self.connection = None
        subscriptions, self.subscriptions = self.subscriptions, {}
        for feed in subscriptions.values():
            self._hub.remove(feed, self)
        self._behind = None
        self._on_closed(self)

    def message_received(self, data: bytes, is_text: bool) -> None:
        if not is_text:
            self._close(UNSUPPORTED_DATA, "wispy speaks JSON in text messages")
            return
        limits = self._limits
        try:
            message = jsonrpc.parse(
                data, batch_limit=limits.batch, depth_limit=limits.depth, digits_limit=limits.digits
            )
        except InvalidMessageError as error:
            if error.limit is not None:
                self._hub.counts.hit(error.limit)
            self._reception.turned_away(self, error)
            self.send(error.reply())
            return
        if isinstance(message, Request):
            self._in_flight += 1
            self._reception.start(self, message, self)
        else:
            self._start_batch(message)
        if self._in_flight >= limits.in_flight:
            self._hub.counts.hit("in_flight_per_connection")
            self._pause()

    def writable(self) -> None:
        if self._behind is not None:
            self._catch_up(self._behind)
        self._resume()

    def leave(self) -> None:
        """The client goes on over another connection: this one is over, though nobody has said so."""
        self._close(CloseCode.POLICY, "the session goes on over another connection")

    def turn_away(self, reason: str) -> None:
        """There is no room for it, which was not known when its handshake began."""
        self._close(CloseCode.TRY_AGAIN_LATER, reason)

    def finish(self) -> None:
        """End once all is answered: this frontend goes. A plain client could ask on and on: it is read no more."""
        self._is_ending = True
        self._is_paused = True  # each answer looks whether it was the last one
        if self.flights is None:
            self._pause()
        self._resume()

    def give_up(self) -> None:
        """End now; what is not answered goes along to another frontend, where the client asks for it again."""
        self._close(CloseCode.GOING_AWAY, "the server goes; reconnect")

    def plain(self) -> SessionFlights:
        """The flights whose ids the frontend chooses."""
        if self._plain is None:
            self._plain = self._open_plain()
            self._plain.bearer = self.bearer
            self._plain.remote = self.remote
        return self._plain

    # --- who it is --------------------------------------------------------------------------------------------------

    def admit(self, grant: Grant, credentials: Credentials, reception: Reception) -> None:
        """The client is known, or has other rights from now on."""
        self.grant = grant
        self.credentials = credentials
        self._reception = reception
        if not all(feed.declaration.is_for(grant.identity) for feed in self.subscriptions.values()):
            self.expel("a channel that it follows is not its any more")
        for flights in self.all_flights():
            flights.bearer = self.bearer

    def expel(self, reason: str) -> None:
        """The client has no rights here, or not any more. It may come again, and show who it is."""
        self._close(CloseCode.UNAUTHENTICATED, reason)

    @property
    def identity(self) -> Identity:
        """Who the client is."""
        return ANONYMOUS if self.grant is None else self.grant.identity

    @property
    def bearer(self) -> Bearer | None:
        """What goes to workers with each block of requests; None where nobody has to say who he is."""
        return None if self.grant is None else self.grant.bearer

    @property
    def in_flight(self) -> int:
        """Requests that are not answered yet."""
        return self._in_flight

    @property
    def remote(self) -> str:
        """Address of the client, for the log; empty once it is gone."""
        return "" if self.connection is None else self.connection.remote

    def all_flights(self) -> list[SessionFlights]:
        """All that this connection has in flight."""
        return [flights for flights in (self.flights, self._plain) if flights is not None]

    # --- requests and answers ---------------------------------------------------------------------------------------

    def _start_batch(self, requests: list[Request | InvalidMessageError]) -> None:
        self._in_flight += len(requests)
        batch = BatchSink(self, len(requests))
        for request in requests:
            if isinstance(request, Request):
                self._reception.start(self, request, batch)
            else:
                batch.answered(request.reply())

    def answered(self, text: bytes) -> None:
        """Send the answer to a request; make room for the next."""
        connection = self.connection
        if text and connection is not None:
            connection.send(text)
            if connection.is_full:
                self._slow_down(connection)
        self._in_flight -= 1
        if self._after_answer or self._is_paused:
            self.landed(0)

    def abandoned(self) -> None:
        """Its own end has brought this about."""

    def send_after_answer(self, texts: list[bytes]) -> None:
        """Send notifications right behind the answer that the caller is about to give."""
        self._after_answer += texts

    def is_sink_of(self, sink: AnswerSink) -> bool:
        """Whether an answer to `sink` goes out here."""
        if isinstance(sink, LoggedSink):
            sink = sink.sink
        return sink is self or (isinstance(sink, BatchSink) and sink.session is self)

    def landed(self, requests: int) -> None:
        """That many requests have their answers."""
        self._in_flight -= requests
        if self._after_answer:
            texts, self._after_answer = self._after_answer, []
            for text in texts:
                self.send(text)
        if self._is_paused:
            self._resume()

    def send(self, text: bytes) -> None:
        """Send a reply or a notification that must not be dropped."""
        connection = self.connection
        if connection is None:
            return
        connection.send(text)
        if connection.is_full:
            self._slow_down(connection)

    def _slow_down(self, connection: Connection) -> None:
        """The reader does not keep up: read nothing from it, and end with it if it leaves too much unread."""
        self._pause()
        self.may_leave_unread(connection.buffered)

    def may_leave_unread(self, size: int) -> bool:
        """Whether the client may leave so many bytes unread; ends with it if not."""
        if size > self._limits.unread_bytes and self.connection is not None:
            self._hub.counts.slow_closed += 1
            self._close(CloseCode.POLICY, "slow reader: too many bytes of replies are unread")
        return self.connection is not None

    def _pause(self) -> None:
        if self.connection is not None:
            self._is_paused = True
            self.connection.pause_reading()

    def _resume(self) -> None:
        connection = self.connection
        if self._is_ending:
            if self._in_flight == 0:
                self.give_up()
        elif connection is not None and not connection.is_full and self._in_flight < self._limits.in_flight:
            self._is_paused = False
            connection.resume_reading()

    def _close(self, code: int, reason: str) -> None:
        if self.connection is not None:
            log.info("the connection of %s is closed: %s", self.connection.remote, reason)
            connection, self.connection = self.connection, None  # what is answered from now on must not hold up its end
            connection.close(code, reason)

    # --- channels ---------------------------------------------------------------------------------------------------

    def subscribe(self, feed: Feed) -> None:
        """Deliver a feed's updates from now on."""
        if feed.name not in self.subscriptions:
            self.subscriptions[feed.name] = feed
            self._hub.add(feed, self)

    def has_room(self, size: int, before: int) -> bool:
        """Whether a channel's `size` bytes may be sent at once, behind those of others.

        Half of the bound on unread bytes is left to replies. What is more than the other half goes alone.

        Args:
            size: of what the channel brings.
            before: bytes of other channels that are sent in the same turn.
        """
        connection = self.connection
        if connection is None or connection.buffered + before + size <= self._limits.unread_bytes // 2:
            return True
        return before == 0 and not connection.is_full

    def unsubscribe(self, name: str) -> None:
        """Deliver a channel's updates no more, nor those of one that the client was about to follow."""
        for each in self.subscribing:
            each.leave(name)
        feed = self.subscriptions.pop(name, None)
        if feed is not None:
            self._hub.remove(feed, self)
            if self._behind is not None:
                self._behind.pop(feed, None)

    def deliver(self, feed: Feed, messages: PreparedMessages) -> None:
        """Send updates to a reader that keeps up; remember what a slow one misses."""
        connection = self.connection
        if connection is None:
            return
        if connection.is_full or (self._behind is not None and feed in self._behind):
            counts = self._hub.counts
            if self._behind is None:
                self._behind = {}
                counts.slow += 1
            self._behind.setdefault(feed, feed.delivered)
            if feed.kind == "event":
                counts.dropped += len(messages.payloads)
            else:
                counts.conflated += len(messages.payloads)
            return
        connection.send_prepared(messages)

    def redeclared(self, feed: Feed) -> None:
        """Leave with a channel that takes a role by now which the client lacks."""
        if not feed.declaration.is_for(self.identity):
            self.expel("a channel that it follows is not its any more")

    def _catch_up(self, behind: dict[Feed, tuple[str, int]]) -> None:
        """The reader reads again: bring it to the newest values, say which messages it missed, while there is room."""
        connection = self.connection
        while behind and connection is not None and not connection.is_full:
            feed = next(iter(behind))
            position = behind.pop(feed)
            if feed.kind == "event":
                gap = feed.gap_since(*position)
                if gap is not None:
                    self.send(feed.gap_text(gap))
            elif feed.value is not None:
                assert feed.reader is not None
                self.send(feed.update_text(feed.reader.epoch, feed.reader.head, feed.value))
        if not behind:
            self._behind = None
