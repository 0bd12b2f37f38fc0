"""What stands around a session and a dispatcher in tests: a connection, a hub and a relay that keep what they get."""

from typing import Any

import msgspec

from wispy.frontend.audit import Audit
from wispy.frontend.counts import FrontendCounts
from wispy.frontend.feed import Feed
from wispy.frontend.flights import Flight, SessionFlights
from wispy.frontend.hub import Hub
from wispy.frontend.relay import Relay
from wispy.frontend.websocket.seam import PreparedMessages
from wispy.protocol import relay
from wispy.protocol.identity import ANONYMOUS
from wispy.protocol.positions import Reader
from wispy.protocol.values import decode


class RecordingConnection:
    """A websocket whose reader is as slow as the test says."""

    remote = "a test"
    identity = ANONYMOUS

    def __init__(self) -> None:
        self.texts: list[bytes] = []
        self.is_full = False
        self.capacity: int | None = None
        """Messages until it is full; None: the test says when."""
        self.buffered = 0
        self.is_paused = False
        self.closed: list[tuple[int, str]] = []
        self.largest: int | None = None

    @property
    def messages(self) -> list[Any]:
        return [decode(text) for text in self.texts]

    def send(self, payload: bytes, *, is_text: bool = True) -> None:
        assert is_text
        self.texts.append(payload)
        if self.capacity is not None:
            self.capacity -= 1
            self.is_full = self.capacity <= 0

    def send_prepared(self, messages: PreparedMessages) -> None:
        self.texts += messages.payloads

    def flush(self) -> None:
        """Everything is written at once here."""

    def pause_reading(self) -> None:
        self.is_paused = True

    def resume_reading(self) -> None:
        self.is_paused = False

    def limit_messages(self, size: int) -> None:
        self.largest = size

    def close(self, code: int, reason: str = "") -> None:
        self.closed.append((code, reason))


class RecordingHub(Hub):
    """Keeps who is subscribed to what."""

    def __init__(self) -> None:
        self.counts = FrontendCounts()
        self.added: list[str] = []
        self.removed: list[str] = []

    def add(self, feed: Feed, subscriber: Any) -> None:
        self.added.append(feed.name)
        super().add(feed, subscriber)

    def remove(self, feed: Feed, subscriber: Any) -> None:
        self.removed.append(feed.name)
        feed.subscribers.discard(subscriber)


class RecordingRelay(Relay):
    """Keeps the flights; the tests answer them. Its clock stands still."""

    def __init__(self) -> None:
        self.submitted: list[tuple[str, Flight, float | None]] = []
        self.audit = Audit()

    def stamp(self, flight: Flight) -> None:
        flight.at = 1234

    def submit(self, object_name: str, flight: Flight, timeout_s: float | None = None) -> None:
        flight.session.in_flight[flight.id] = flight
        self.submitted.append((object_name, flight, timeout_s))

    @property
    def flights(self) -> list[Flight]:
        return [flight for _, flight, _ in self.submitted]

    def answer(self, number: int, result: Any = "done") -> None:
        """Answer the request that was submitted as this one, from 0."""
        flight = self.flights[number]
        del flight.session.in_flight[flight.id]
        flight.answer(relay.RESULT, msgspec.json.encode(result))


def open_plain() -> SessionFlights:
    return SessionFlights("plain", "run", is_plain=True)


def make_feed(name: str, kind: str, head: int) -> Feed:
    object_name, _, channel = name.partition(".")
    feed = Feed(name, object_name, channel)
    feed.kind = kind
    feed.reader = Reader("5-a", head, frozenset({5}))
    feed.delivered = ("5-a", head)
    feed.held = None
    return feed
