"""Requests in flight: what a frontend knows of a request between its arrival and its answer.

Rules:
- A request to an object has an integer id that rises within its session and is never used again. wispy's own clients
  choose it; for plain JSON-RPC clients the frontend does, in sessions that it keeps for them.
- Every flight is answered exactly once: by the owner, or by the frontend, which then forgets it.
- A session may go on over another connection, here or at another frontend. What it asks for again is a flight like any
  other, a retry; where the first copy is still in flight here, that one serves both.
"""

from collections.abc import Callable
from itertools import islice
from typing import Final, Protocol

import msgspec

from wispy.protocol import jsonrpc, relay
from wispy.protocol.errors import INVALID_REQUEST, OUTCOME_UNKNOWN, RPCError
from wispy.protocol.identity import Bearer

OPEN_WINDOW: Final = 256
"""Ids between the oldest request in flight and the newest, beyond which a session acknowledges around the stragglers:
one call that takes a minute must not keep the owner from forgetting the answers given since."""

MAX_OPEN: Final = 16
"""Stragglers that are named one by one."""


class AnswerSink(Protocol):
    """Who waits for an answer: a websocket session, a batch, an HTTP request."""

    def answered(self, text: bytes) -> None:
        """Take the JSON-RPC answer to one request; it is empty where the request was a notification."""
        ...

    def abandoned(self) -> None:
        """The client is gone: there is no answer for it here."""
        ...


class Carrier(Protocol):
    """Who takes flights to an object."""

    def landed(self, flight: "Flight") -> None:
        """A flight is answered: its place is free."""
        ...

    def cancel(self, flight: "Flight") -> None:
        """Nobody wants the answer any more; there will be one all the same."""
        ...


class _Nobody:
    """The sink of a client that is gone."""

    def answered(self, text: bytes) -> None:
        """Drop the answer."""

    def abandoned(self) -> None:
        """Nobody was there."""


NOBODY: Final = _Nobody()


class Flight(msgspec.Struct, eq=False, gc=False):
    """One request on its way to an owner and back.

    The garbage collector need not look at it: it is out of `in_flight` and of its entry once it is answered.
    """

    session: "SessionFlights"
    id: int
    wire_id: bytes | None
    """The id as the client wrote it; None for a notification."""
    method: str
    params: msgspec.Raw
    at: int
    retry: bool
    sink: AnswerSink
    run: str = ""
    """The run id of the Redis server on whose clock `at` is."""
    wait_s: float = 0.0
    """How long the frontend waits for the answer, from when the request is sent."""
    deadline: float = 0.0
    """When the frontend stops waiting: seconds on the loop's clock."""
    carrier: Carrier | None = None
    """Who takes it to its object."""
    entry: object = None
    """The carrier's own: the stream entry that it went with; None before it is sent."""

    def answer(self, kind: int, body: bytes | msgspec.Raw) -> None:
        """Give the owner's answer to whoever waits for it."""
        wire_id = self.wire_id
        if wire_id is None:
            self.sink.answered(b"")
        elif kind == relay.RESULT:
            self.sink.answered(jsonrpc.result(wire_id, body))
        else:
            self.sink.answered(jsonrpc.error(wire_id, body))

    def fail(self, error: RPCError) -> None:
        """Give the frontend's own answer."""
        self.answer(relay.ERROR, error.to_json())

    def serve(self, copy: "Flight") -> None:
        """Answer this copy instead of the connection that the request came over.

        Raises:
            RPCError: somebody waits for the answer to this one, or it is another request.
        """
        if self.sink is not NOBODY:
            raise INVALID_REQUEST(f"the request {self.id} is in flight on this connection", executed="maybe")
        if (self.method, bytes(self.params)) != (copy.method, bytes(copy.params)):
            raise INVALID_REQUEST("the id was used for another request of this session")
        self.sink = copy.sink
        self.wire_id = copy.wire_id

    def refuse(self, error: RPCError) -> None:
        """Give the frontend's own answer to what was not sent; of a retry an earlier copy may have run."""
        self.fail(OUTCOME_UNKNOWN() if self.retry else error)


class SessionFlights:
    """The requests in flight of one session, and what it has acknowledged."""

    __slots__ = (
        "ack",
        "bearer",
        "in_flight",
        "is_closed",
        "is_plain",
        "last_id",
        "leave",
        "name",
        "open",
        "remote",
        "run",
    )

    def __init__(self, name: str, run: str, *, is_plain: bool = False, leave: Callable[[], None] | None = None) -> None:
        self.name = name
        self.is_plain = is_plain
        """The frontend chooses the ids, and acknowledges."""
        self.run = run
        """The run id of the Redis server on whose clock its stamps are, where a request does not say."""
        self.leave = leave
        """Ends the connection: the session goes on over another one."""
        self.bearer: Bearer | None = None
        """Whose requests these are, where callers have to say who they are."""
        self.remote = ""
        """Address of the client, for the audit log."""
        self.in_flight: dict[int, Flight] = {}
        self.last_id = 0
        self.ack = 0
        self.open: list[int] = []
        self.is_closed = False
        """Its connection is gone."""

    def take_over(self, former: "SessionFlights") -> None:
        """Go on for the same session's former connection, which has not ended yet: what it has in flight is ours."""
        former.abandon()
        self.in_flight, former.in_flight = former.in_flight, {}
        self.last_id = next(reversed(self.in_flight), 0)
        for flight in self.in_flight.values():
            flight.session = self
        former.is_closed = True
        if former.leave is not None:
            former.leave()

    def abandon(self) -> None:
        """Nobody waits here any more: what is in flight still lands."""
        for flight in self.in_flight.values():
            flight.sink.abandoned()
            flight.sink = NOBODY

    def acknowledge(self, ack: int, still_open: list[int]) -> None:
        """The client says up to which id it has its answers, and which of those it does not have."""
        if ack >= self.ack:
            self.ack = ack
            self.open = still_open

    def acknowledge_all_but_in_flight(self) -> None:
        """The frontend's own session has every answer that is not in flight any more."""
        oldest = next(iter(self.in_flight), self.last_id + 1)
        if self.last_id - oldest < OPEN_WINDOW:
            self.ack = oldest - 1
            self.open = []
            return
        stragglers = list(islice(self.in_flight, MAX_OPEN + 1))
        last = stragglers.pop() if len(stragglers) > MAX_OPEN else self.last_id + 1
        self.ack = last - 1
        self.open = stragglers
