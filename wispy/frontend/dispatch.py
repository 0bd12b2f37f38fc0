"""Decides what becomes of a client's request: relayed to an object's owner, or answered by this frontend.

Rules:
- The envelope is read, and of `rpc.` methods that an owner answers the first name of the path and the time-out;
  nothing more.
- Every request ends at its sink, notifications with an empty answer.
"""

from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import msgspec

from wispy.frontend.flights import AnswerSink, Flight, SessionFlights
from wispy.frontend.relay import Relay
from wispy.frontend.tasks import Tasks
from wispy.protocol import errors, jsonrpc
from wispy.protocol.identity import Identity
from wispy.protocol.jsonrpc import Request

RELAYED: Final = frozenset({"rpc.get", "rpc.set", "rpc.delete", "rpc.call", "rpc.describe", "rpc.source"})
"""The methods with a path in their params, which the owner of the path's object answers."""


class Caller(Protocol):
    """Who asks: a websocket session, or an HTTP request."""

    @property
    def flights(self) -> SessionFlights | None:
        """The flights of a client that chooses its ids (`rpc.hello`); None for a plain JSON-RPC client."""
        ...

    @property
    def remote(self) -> str:
        """Address of the client, for the log."""
        ...

    @property
    def identity(self) -> Identity:
        """Who that is."""
        ...

    def plain(self) -> SessionFlights:
        """The flights whose ids the frontend chooses: a plain client's, and notifications."""
        ...


class Reception(Protocol):
    """Where a websocket's requests go: the dispatcher, or a place for those who have not said who they are."""

    def start(self, caller: Caller, request: Request, sink: AnswerSink) -> Flight | None:
        """Begin a request; its sink gets the answer."""
        ...

    def refuse(self, caller: Caller, request: Request, sink: AnswerSink, error: errors.RPCError) -> None:
        """Answer a request that may not begin."""
        ...


LocalMethod = Callable[[Caller, msgspec.Raw], "bytes | Awaitable[bytes]"]
"""Answers a request in the frontend: the JSON text of the result, at once or later. Raises RPCError."""


class Target(msgspec.Struct):
    """What this frontend reads of the params of a `RELAYED` request."""

    path: str | list[str | int]
    timeout_s: float | None = None


_decode_target: Final = msgspec.json.Decoder(Target).decode


class Dispatcher:
    """Starts the requests of all callers.

    Args:
        relay: to the owners.
        local: the methods that this frontend answers.
    """

    def __init__(self, relay: Relay, local: dict[str, LocalMethod]) -> None:
        self.requests = 0
        """How many there were."""
        self._relay = relay
        self._local = local
        self._tasks = Tasks("requests")

    def start(self, caller: Caller, request: Request, sink: AnswerSink) -> Flight | None:
        """Begin a request; its sink gets the answer. Returned is its flight, if an object's owner is to answer."""
        self.requests += 1
        method = request.method
        object_name, dot, _ = method.partition(".")
        try:
            if object_name != "rpc":
                if not dot:
                    raise errors.METHOD_NOT_FOUND("a method is <object>.<name>, or one of the rpc. methods")
                return self._relayed(caller, request, sink, object_name, None)
            if method in RELAYED:
                target = target_of(request)
                path = target.path
                object_name = path.partition(".")[0] if isinstance(path, str) else str(next(iter(path), ""))
                return self._relayed(caller, request, sink, object_name, target.timeout_s)
            self._answer_here(caller, request, sink)
        except errors.RPCError as error:
            refuse(request, sink, error)
        return None

    def refuse(self, caller: Caller, request: Request, sink: AnswerSink, error: errors.RPCError) -> None:
        """Answer a request that may not begin."""
        self.requests += 1
        refuse(request, sink, error)

    def gone(self, flights: SessionFlights) -> None:
        """The connection of these flights is gone: nobody here will get their answers."""

    def _relayed(
        self, caller: Caller, request: Request, sink: AnswerSink, object_name: str, timeout_s: float | None
    ) -> Flight:
        session = caller.flights
        if session is None or request.id is None:
            flight = Flight(caller.plain(), 0, request.id, request.method, request.params, 0, False, sink)
            self._relay.submit_plain(object_name, flight, timeout_s)
            return flight
        members = request.wispy
        retry = members is not None and members.retry
        id = _session_id(request.id)
        if members is not None and members.ack >= id:
            # The owner would take it for answered, and nobody would ever answer it.
            raise errors.INVALID_REQUEST(f"the answer to {id} cannot have come yet (wispy.ack)")
        if not retry:
            if id <= session.last_id:
                raise errors.INVALID_REQUEST(f"the ids of a session rise: {id} does not come after {session.last_id}")
            session.last_id = id
        elif id > session.last_id:
            session.last_id = id
        flight = Flight(session, id, request.id, request.method, request.params, 0, retry, sink, session.run)
        if members is not None:
            session.acknowledge(members.ack, members.open)
            flight.at = members.at or 0
            flight.run = members.run or session.run
        if retry and id in session.in_flight:
            session.in_flight[id].serve(flight)
            return flight
        if not flight.at and not retry:
            self._relay.stamp(flight)
        self._relay.submit(object_name, flight, timeout_s)
        return flight

    def _answer_here(self, caller: Caller, request: Request, sink: AnswerSink) -> None:
        method = self._local.get(request.method)
        if method is None:
            raise errors.METHOD_NOT_FOUND(f"there is no method {request.method[:100]}")
        result = method(caller, request.params)
        if isinstance(result, bytes):
            _succeed(request, sink, result)
        else:
            self._tasks.start(_answer_later(request, sink, result), request.method)

    async def close(self) -> None:
        """End what this frontend is still answering itself."""
        await self._tasks.cancel()


async def _answer_later(request: Request, sink: AnswerSink, result: Awaitable[bytes]) -> None:
    try:
        _succeed(request, sink, await result)
    except errors.RPCError as error:
        refuse(request, sink, error)
    except BaseException:
        refuse(request, sink, errors.INTERNAL(executed="no"))
        raise


def _succeed(request: Request, sink: AnswerSink, result: bytes) -> None:
    sink.answered(b"" if request.id is None else jsonrpc.result(request.id, result))


def refuse(request: Request, sink: AnswerSink, error: errors.RPCError) -> None:
    """Answer a request with an error."""
    sink.answered(b"" if request.id is None else jsonrpc.error(request.id, error.to_json()))


def target_of(request: Request) -> Target:
    """What a `RELAYED` request is about.

    Raises:
        RPCError: its params do not say so.
    """
    try:
        return _decode_target(request.params)
    except (msgspec.DecodeError, RecursionError) as error:
        raise errors.INVALID_PARAMS(f"params of {request.method}: {error}") from error


def _session_id(wire_id: bytes) -> int:
    if wire_id.isdigit() and len(wire_id) <= 16:
        return int(wire_id)
    raise errors.INVALID_REQUEST("after rpc.hello, ids are rising integers")
