"""What single users and single addresses have of a frontend process at this moment.

Rules:
- Nothing is counted on the way of an answer. A tally keeps who belongs to it, and a number that is never below what is
  in flight; only when that reaches the limit the flights themselves are looked at.
- What a client that is gone has in flight still counts: else a new connection would make room for more.
- A tally is there while somebody belongs to it, or something of his is in flight: there are at most as many as there
  are connections and requests in flight.
"""

from collections import OrderedDict
from typing import Literal, cast

from wispy.frontend.counts import FrontendCounts
from wispy.frontend.flights import SessionFlights
from wispy.frontend.session import Session
from wispy.limits import FrontendLimit
from wispy.protocol import errors

ScopeName = Literal["user", "address"]


class Tally:
    """What one user, or one address, has."""

    __slots__ = ("_asked", "left", "posts", "sessions")

    def __init__(self) -> None:
        self.sessions: dict[Session, None] = {}
        """His websockets."""
        self.posts: set[SessionFlights] = set()
        """What carries his `POST /rpc`."""
        self.left: list[SessionFlights] = []
        """Of connections that are gone, with something in flight."""
        self._asked = 0
        """Not below what is in flight."""

    @property
    def in_flight(self) -> int:
        """Requests to objects that are not answered."""
        self.left = [flights for flights in self.left if flights.in_flight]
        open_ones = [flights for session in self.sessions for flights in session.all_flights()]
        return sum(len(flights.in_flight) for flights in (*open_ones, *self.posts, *self.left))

    @property
    def subscriptions(self) -> int:
        """Channels that its websockets are subscribed to."""
        return sum(len(session.subscriptions) for session in self.sessions)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing of his here any more."""
        return not self.sessions and not self.posts and not any(flights.in_flight for flights in self.left)

    def has_room(self, limit: int) -> bool:
        """Whether one more may be in flight."""
        if self._asked >= limit:
            self._asked = self.in_flight
        return self._asked < limit

    def asked(self) -> None:
        """One more may be in flight."""
        self._asked += 1


class Scope:
    """All users, or all addresses, and what one of them may have.

    Args:
        name: which.
        counts: what is counted.
        connections: websockets; None: any number, as for the others.
        in_flight: requests to objects that are not answered.
        subscriptions: channels.
    """

    def __init__(
        self,
        name: ScopeName,
        counts: FrontendCounts,
        *,
        connections: int | None,
        in_flight: int | None,
        subscriptions: int | None,
    ) -> None:
        self.name = name
        self.connections = connections
        self.in_flight = in_flight
        self.subscriptions = subscriptions
        self._counts = counts
        self._tallies: dict[str, Tally] = {}
        self._lingering: OrderedDict[str, None] = OrderedDict()
        """Those to which only requests in flight belong."""

    def __len__(self) -> int:
        return len(self._tallies)

    @property
    def is_on(self) -> bool:
        """Whether there is something to count."""
        return self.connections is not None or self.in_flight is not None or self.subscriptions is not None

    def of(self, key: str) -> Tally:
        """The tally of one; it is to be given back by `leave`."""
        self._sweep()
        tally = self._tallies.get(key)
        if tally is None:
            tally = self._tallies[key] = Tally()
        self._lingering.pop(key, None)
        return tally

    def leave(self, key: str) -> None:
        """Somebody does not belong to it any more."""
        tally = self._tallies.get(key)
        if tally is not None and not tally.sessions and not tally.posts:
            self._lingering[key] = None
        self._sweep()

    def _sweep(self) -> None:
        for _ in range(min(2, len(self._lingering))):
            key = next(iter(self._lingering))
            self._lingering.move_to_end(key)
            if self._tallies[key].is_empty:
                del self._tallies[key], self._lingering[key]

    # --- the limits, for one who wants more ---------------------------------------------------------------------------

    def check_connection(self, key: str) -> None:
        """One more websocket.

        Raises:
            RPCError: OVERLOADED; he has as many as he may.
        """
        tally = self._tallies.get(key)
        if tally is not None and self.connections is not None and len(tally.sessions) >= self.connections:
            self._hit("connections")
            raise errors.OVERLOADED(f"this {self.name} has {self.connections} connections, and may have no more")

    def check_request(self, tally: Tally, *, is_retry: bool) -> None:
        """One more request.

        Raises:
            RPCError: OVERLOADED; he has as many in flight as he may.
        """
        limit = self.in_flight
        # A client that comes again brings along what it had in flight, beside what others have: as for objects.
        if limit is not None and not tally.has_room(limit * 2 if is_retry else limit):
            self._hit("in_flight")
            raise errors.OVERLOADED(f"{limit} requests of this {self.name} are in flight")

    def subscriptions_left(self, tally: Tally) -> int | None:
        """Channels that he may subscribe to; None: any number."""
        return None if self.subscriptions is None else self.subscriptions - tally.subscriptions

    def _hit(self, what: str) -> None:
        self._counts.hit(cast(FrontendLimit, f"{what}_per_{self.name}"))
