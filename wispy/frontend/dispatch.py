"""Decides what becomes of a client's request: relayed to an object's owner, or answered by this frontend.

Rules:
- The envelope is read, and of `rpc.` methods that an owner answers the first name of the path and the time-out;
  nothing more.
- Every request ends at its sink, notifications with an empty answer.
"""

from collections.abc import Awaitable, Callable
from typing import Protocol

import msgspec

from wispy.audit_log import Access
from wispy.frontend.flights import AnswerSink, Flight, SessionFlights
from wispy.frontend.relay import Relay
from wispy.frontend.targets import RELAYED, target_of
from wispy.frontend.tasks import Tasks
from wispy.protocol import errors, jsonrpc
from wispy.protocol.identity import Identity
from wispy.protocol.jsonrpc import Request


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

    def turned_away(self, caller: Caller, error: errors.RPCError) -> None:
        """A message of this caller's was no request, or too large to be one."""
        ...


LocalMethod = Callable[[Caller, msgspec.Raw], "bytes | Awaitable[bytes]"]
"""Answers a request in the frontend: the JSON text of the result, at once or later. Raises RPCError."""


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
                target = target_of(method, request.params)
                path = target.path
                object_name = path.partition(".")[0] if isinstance(path, str) else str(next(iter(path), ""))
                return self._relayed(caller, request, sink, object_name, target.timeout_s)
            self._answer_here(caller, request, sink)
        except errors.RPCError as error:
            self._refused(caller, request, sink, error)
        return None

    def refuse(self, caller: Caller, request: Request, sink: AnswerSink, error: errors.RPCError) -> None:
        """Answer a request that may not begin."""
        self.requests += 1
        self._refused(caller, request, sink, error)

    def _refused(self, caller: Caller, request: Request, sink: AnswerSink, error: errors.RPCError) -> None:
        if error.denied is not None:
            self._relay.audit.request_denied(
                request,
                sink,
                error.denied,
                flights=caller.flights,
                address=caller.remote,
                user=caller.identity.user,
                detail=error.message,
            )
        _refuse(request, sink, error)

    def turned_away(self, caller: Caller, error: errors.RPCError) -> None:
        """Tell the audit log of a message that could not be read, if it was denied."""
        if error.denied is not None:
            access = Access("message", "", address=caller.remote, user=caller.identity.user, detail=error.message)
            self._relay.audit.denied(error.denied, access)

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
            self._tasks.start(self._answer_later(caller, request, sink, result), request.method)

    async def _answer_later(self, caller: Caller, request: Request, sink: AnswerSink, result: Awaitable[bytes]) -> None:
        try:
            _succeed(request, sink, await result)
        except errors.RPCError as error:
            self._refused(caller, request, sink, error)
        except BaseException:
            _refuse(request, sink, errors.INTERNAL(executed="no"))
            raise

    async def close(self) -> None:
        """End what this frontend is still answering itself."""
        await self._tasks.cancel()


def _succeed(request: Request, sink: AnswerSink, result: bytes) -> None:
    sink.answered(b"" if request.id is None else jsonrpc.result(request.id, result))


def _refuse(request: Request, sink: AnswerSink, error: errors.RPCError) -> None:
    sink.answered(b"" if request.id is None else jsonrpc.error(request.id, error.to_json()))


def _session_id(wire_id: bytes) -> int:
    if wire_id.isdigit() and len(wire_id) <= 16:
        return int(wire_id)
    raise errors.INVALID_REQUEST("after rpc.hello, ids are rising integers")
