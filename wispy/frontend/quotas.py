"""How much callers may have of a frontend process: by session, by user, by address.

Rules:
- What is off costs nothing: where no limit is set on requests, they go straight to the dispatcher.
- Whatever is refused gets an answer that says for how long, is counted, and does not use anything up.
- A retry may have run, so that it is never told `no`. It gets room beside the limits: a session that comes again brings
  along all that it had in flight.
- An address is that of the client, as `trusted_proxies` tell it. Of IPv6 the first 64 bits count: a network of that
  size is the least that anybody has, and he may use all of its addresses.
- The counts are this process' own. Buckets are as many as websockets may be: whoever is connected has his.
"""

import ipaddress
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Literal

from wispy.config.schema import LimitsConfig
from wispy.frontend.counts import FrontendCounts
from wispy.frontend.dispatch import Caller, Reception
from wispy.frontend.flights import AnswerSink, Flight, SessionFlights
from wispy.frontend.session import Session
from wispy.frontend.tallies import Scope, Tally
from wispy.limits import FrontendLimit
from wispy.protocol import errors
from wispy.protocol.jsonrpc import Request
from wispy.protocol.token_bucket import Buckets

_V6_NETWORK: Final = 64
"""Bits of an IPv6 address that belong to one subscriber of a network."""


def address_key(remote: str) -> str:
    """What is counted as one address: an IPv4 address, or the network of an IPv6 one."""
    try:
        ip = ipaddress.ip_address(remote)
    except ValueError:
        return remote  # a unix socket has none
    if isinstance(ip, ipaddress.IPv4Address):
        return remote
    if ip.ipv4_mapped is not None:  # a socket for both families shows IPv4 clients so
        return str(ip.ipv4_mapped)
    return f"{int(ip) >> _V6_NETWORK:x}/{_V6_NETWORK}"


@dataclass(frozen=True, slots=True)
class Rate:
    """How often something may happen, and how often it did."""

    limit: FrontendLimit
    buckets: Buckets


class _Rates:
    """The rates of one thing, for a session, a user and an address; None where there is none."""

    def __init__(self, thing: Literal["request", "subscription"], limits: LimitsConfig) -> None:
        self._burst_s = limits.burst
        self._kept = limits.connections
        if thing == "request":
            self.session = self.rate("request_rate_per_session", limits.request_rate_per_session)
            self.user = self.rate("request_rate_per_user", limits.request_rate_per_user)
            self.address = self.rate("request_rate_per_address", limits.request_rate_per_address)
        else:
            self.session = self.rate("subscription_rate_per_session", limits.subscription_rate_per_session)
            self.user = self.rate("subscription_rate_per_user", limits.subscription_rate_per_user)
            self.address = self.rate("subscription_rate_per_address", limits.subscription_rate_per_address)

    def rate(self, limit: FrontendLimit, per_second: float | None) -> Rate | None:
        if per_second is None:
            return None
        return Rate(limit, Buckets(per_second, per_second * self._burst_s, self._kept))

    @property
    def is_on(self) -> bool:
        return self.session is not None or self.user is not None or self.address is not None

    def of(self, session: Session | None, user: str | None, address: str) -> list[tuple[Rate, str]]:
        """The rates that count for somebody, each with the key of his bucket."""
        found: list[tuple[Rate, str]] = []
        if self.session is not None and session is not None:
            found.append((self.session, _session_key(session)))
        if self.user is not None and user is not None:
            found.append((self.user, user))
        if self.address is not None:
            found.append((self.address, address))
        return found


def _session_key(session: Session) -> str:
    """A session goes on over other connections, and its bucket with it. A connection without one is one."""
    return f"{session.opened_at} {id(session)}" if session.flights is None else session.flights.name


class Quotas:
    """The limits of one frontend process on its callers.

    Args:
        limits: what they are.
        counts: what is counted.
        clock: monotonic seconds.
    """

    def __init__(self, limits: LimitsConfig, counts: FrontendCounts, clock: Callable[[], float]) -> None:
        self.counts = counts
        self._limits = limits
        self._clock = clock
        self._requests = _Rates("request", limits)
        self._subscriptions = _Rates("subscription", limits)
        self._openings = self._requests.rate("connection_rate_per_address", limits.connection_rate_per_address)
        self._http = self._requests.rate("http_request_rate_per_address", limits.http_request_rate_per_address)
        self._users = Scope(
            "user",
            counts,
            connections=limits.connections_per_user,
            in_flight=limits.in_flight_per_user,
            subscriptions=limits.subscriptions_per_user,
        )
        self._addresses = Scope(
            "address",
            counts,
            connections=limits.connections_per_address,
            in_flight=limits.in_flight_per_address,
            subscriptions=limits.subscriptions_per_address,
        )
        self._held: dict[Session, list[tuple[Scope, str, Tally]]] = {}
        """To what each websocket belongs."""
        is_in_flight_on = self._users.in_flight is not None or self._addresses.in_flight is not None
        self._is_metered = self._requests.is_on or is_in_flight_on

    # --- connections --------------------------------------------------------------------------------------------------

    def check_opening(self, remote: str) -> None:
        """An address wants to open a websocket.

        Raises:
            RPCError: it has as many as it may, or opens them too often.
        """
        if self._addresses.connections is None and self._openings is None:
            return
        address = address_key(remote)
        self._addresses.check_connection(address)
        if self._openings is not None:
            self._take([(self._openings, address)], "this address opens websockets too often")

    def check_user(self, user: str | None) -> None:
        """A user wants one more websocket.

        Raises:
            RPCError: he has as many as he may.
        """
        if user is not None:
            self._users.check_connection(user)

    def opened(self, session: Session) -> None:
        """A websocket is open.

        Raises:
            RPCError: others were opened since its handshake was checked, and it is one too many.
        """
        if self._addresses.is_on:
            address = address_key(session.remote)
            self._addresses.check_connection(address)
            self._join(session, self._addresses, address)
        if session.grant is not None:
            self.check_user(session.identity.user)
            self.admitted(session)

    def admitted(self, session: Session) -> None:
        """It is known whose a websocket is."""
        user = session.identity.user
        if user is not None and session.connection is not None:
            self._join(session, self._users, user)

    def _join(self, session: Session, scope: Scope, key: str) -> None:
        if scope.is_on:
            tally = scope.of(key)
            if session not in tally.sessions:
                tally.sessions[session] = None
                self._held.setdefault(session, []).append((scope, key, tally))

    def closed(self, session: Session) -> None:
        """A websocket is gone, and with it all but what it has in flight."""
        for scope, key, tally in self._held.pop(session, ()):
            del tally.sessions[session]
            tally.left += [flights for flights in session.all_flights() if flights.in_flight]
            scope.leave(key)

    # --- requests -----------------------------------------------------------------------------------------------------

    def websocket(self, inner: Reception, remote: str, user: str | None) -> Reception:
        """Where the requests of a websocket go.

        Args:
            inner: where they go in the end.
            remote: the client's address.
            user: who that is, where it is known.
        """
        return _WebsocketMeter(self, inner, user, address_key(remote)) if self._is_metered else inner

    @contextmanager
    def post(self, inner: Reception, remote: str, user: str | None, flights: SessionFlights) -> Generator[Reception]:
        """Where the requests of one `POST /rpc` go, while it lasts.

        Args:
            inner: where they go in the end.
            remote: the client's address.
            user: who that is, where it is known.
            flights: that it has.
        """
        if not self._is_metered:
            yield inner
            return
        address = address_key(remote)
        keys = [(self._addresses, address)] + ([(self._users, user)] if user is not None else [])
        tallies = [(scope, key, scope.of(key)) for scope, key in keys if scope.in_flight is not None]
        for _, _, tally in tallies:
            tally.posts.add(flights)
        try:
            rates = self._requests.of(None, user, address)
            yield _Meter(self, inner, rates, [(scope, tally) for scope, _, tally in tallies])
        finally:
            for scope, key, tally in tallies:
                tally.posts.discard(flights)
                scope.leave(key)

    def check_http(self, remote: str) -> None:
        """An HTTP request has come, for whatever.

        Raises:
            RPCError: RATE_LIMITED; the address has sent too many.
        """
        if self._http is not None:
            self._take([(self._http, address_key(remote))], "this address asks too often")

    def check_login(self, remote: str) -> None:
        """An HTTP request is about to say who sends it.

        Raises:
            RPCError: RATE_LIMITED; the address has asked too often.
        """
        rate = self._requests.address
        if rate is not None:
            self._check([(rate, address_key(remote))], "this address asks too often")

    def failed_login(self, remote: str) -> None:
        """It was nobody: that costs its address as much as a request."""
        rate = self._requests.address
        if rate is not None:
            rate.buckets.take(address_key(remote), self._clock())

    def admit_request(
        self, request: Request, rates: list[tuple[Rate, str]], tallies: list[tuple[Scope, Tally]]
    ) -> None:
        """Count a request, or refuse it.

        Args:
            request: it.
            rates: that count for it, each with the key of the bucket.
            tallies: to which it belongs.

        Raises:
            RPCError: somebody whose it is has too many in flight, or asks too often.
        """
        is_retry = request.wispy is not None and request.wispy.retry
        try:
            for scope, tally in tallies:
                scope.check_request(tally, is_retry=is_retry)
            # As many as may be in flight are brought along at most.
            self._take(rates, "requests come too often", room=self._limits.in_flight_per_connection if is_retry else 0)
        except errors.RPCError as error:
            if is_retry:
                raise errors.OUTCOME_UNKNOWN(f"{error.message}; an earlier copy may have run") from error
            raise
        for _, tally in tallies:
            tally.asked()

    def what_counts(
        self, session: Session, user: str | None, address: str
    ) -> tuple[list[tuple[Rate, str]], list[tuple[Scope, Tally]]]:
        """The rates and the tallies of an open websocket's requests, as `admit_request` takes them."""
        held = self._held.get(session, ())
        tallies = [(scope, tally) for scope, _, tally in held if scope.in_flight is not None]
        return self._requests.of(session, user, address), tallies

    # --- subscriptions ------------------------------------------------------------------------------------------------

    def subscribing(self, session: Session, names: list[str]) -> None:
        """A websocket wants to subscribe to channels that it is not subscribed to.

        Raises:
            RPCError: too many, or too often.
        """
        limit, left = self._least_left(session)
        if len(names) > left:
            self.counts.hit(limit)
            text = f"{left} more channels can be subscribed to here, not {len(names)} (limits.{limit})"
            raise errors.OVERLOADED(text, retryable=False)
        rates = self._subscriptions.of(session, session.identity.user, address_key(session.remote))
        self._take(rates, "channels are subscribed to too often", tokens=len(names))

    def check_subscription(self, session: Session) -> None:
        """A channel is about to be delivered to a websocket.

        Raises:
            RPCError: OVERLOADED; others were since `subscribing`, and it is one too many.
        """
        limit, left = self._least_left(session)
        if left < 1:
            self.counts.hit(limit)
            raise errors.OVERLOADED(f"no more channels can be subscribed to here (limits.{limit})", retryable=False)

    def _least_left(self, session: Session) -> tuple[FrontendLimit, int]:
        """How many channels may be added, and which limit says so."""
        limit: FrontendLimit = "subscriptions_per_connection"
        least = self._limits.subscriptions_per_connection - len(session.subscriptions)
        for scope, _, tally in self._held.get(session, ()):
            left = scope.subscriptions_left(tally)
            if left is not None and left < least:
                limit = "subscriptions_per_user" if scope.name == "user" else "subscriptions_per_address"
                least = left
        return limit, max(0, least)

    # --- rates --------------------------------------------------------------------------------------------------------

    def _check(self, rates: list[tuple[Rate, str]], what: str, *, tokens: int = 1, room: int = 0) -> float:
        now = self._clock()
        for rate, key in rates:
            wait_s = rate.buckets.wait_s(key, now, tokens, room)
            if wait_s:
                self.counts.hit(rate.limit)
                raise errors.rate_limited(f"{what} (limits.{rate.limit})", wait_s)
        return now

    def _take(self, rates: list[tuple[Rate, str]], what: str, *, tokens: int = 1, room: int = 0) -> None:
        now = self._check(rates, what, tokens=tokens, room=room)
        for rate, key in rates:
            rate.buckets.take(key, now, tokens)


class _Meter:
    """Counts the requests of a caller before they go on: those of a POST."""

    def __init__(
        self, quotas: Quotas, inner: Reception, rates: list[tuple[Rate, str]], tallies: list[tuple[Scope, Tally]]
    ) -> None:
        self._quotas = quotas
        self._inner = inner
        self._rates = rates
        self._tallies = tallies

    def start(self, caller: Caller, request: Request, sink: AnswerSink) -> Flight | None:
        try:
            self._quotas.admit_request(request, self._rates, self._tallies)
        except errors.RPCError as error:
            self.refuse(caller, request, sink, error)
            return None
        return self._inner.start(caller, request, sink)

    def refuse(self, caller: Caller, request: Request, sink: AnswerSink, error: errors.RPCError) -> None:
        self._inner.refuse(caller, request, sink, error)

    def turned_away(self, caller: Caller, error: errors.RPCError) -> None:
        self._inner.turned_away(caller, error)


class _WebsocketMeter(_Meter):
    """Those of a websocket: to what they belong is known once it is open."""

    def __init__(self, quotas: Quotas, inner: Reception, user: str | None, address: str) -> None:
        super().__init__(quotas, inner, [], [])
        self._user = user
        self._address = address
        self._is_begun = False
        self._flights: SessionFlights | None = None

    def start(self, caller: Caller, request: Request, sink: AnswerSink) -> Flight | None:
        if not self._is_begun or caller.flights is not self._flights:  # it has opened, or has said whose session it is
            assert isinstance(caller, Session)
            self._is_begun = True
            self._flights = caller.flights
            self._rates, self._tallies = self._quotas.what_counts(caller, self._user, self._address)
        return super().start(caller, request, sink)
