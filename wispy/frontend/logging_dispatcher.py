"""A dispatcher that writes a line to the access log for each request when it is answered.

Rules:
- A line names the request as its worker does, by the session and the id that the owner knows it by.
- A notification has no answer: its line says that it was taken.
- What lost its connection before its answer has a line, too. If its session goes on, here or elsewhere, it is asked for
  again, and has another one there.
"""

import time
from typing import Final

from wispy.access_log import AccessLog
from wispy.frontend.dispatch import RELAYED, Caller, Dispatcher, LocalMethod, target_of
from wispy.frontend.flights import AnswerSink, Flight, SessionFlights
from wispy.frontend.relay import Relay
from wispy.protocol import errors, jsonrpc
from wispy.protocol.jsonrpc import Request
from wispy.protocol.labels import request_name

TAKEN: Final = "taken"
"""The outcome of a notification, as far as a frontend knows it."""

GONE: Final = "GONE"
"""The outcome of a request whose client left before the answer."""


class LoggedSink:
    """Who waits for an answer, and the line that is written when it comes."""

    __slots__ = (
        "_access_log",
        "_address",
        "_began",
        "_flight",
        "_is_begun",
        "_outcome",
        "_request",
        "_session",
        "sink",
    )

    def __init__(self, access_log: AccessLog, caller: Caller, request: Request, sink: AnswerSink) -> None:
        self.sink = sink
        self._access_log = access_log
        self._request = request
        self._address = caller.remote
        self._session = caller.flights
        self._began = time.monotonic()  # uvloop counts milliseconds
        self._flight: Flight | None = None
        self._is_begun = False
        """What names the request is known: it may be answered before."""
        self._outcome = ""
        """How it ended; empty until then."""

    def answered(self, text: bytes) -> None:
        """Give the answer on, and write the line."""
        self.sink.answered(text)
        id = self._request.id
        error = None if id is None else jsonrpc.error_in(text, id)
        if id is None:
            self._end(TAKEN)
        else:
            self._end("ok" if error is None else errors.name_in(error))

    def begun(self, flight: Flight | None) -> None:
        """The request is on its way, or answered: with this flight, if any."""
        self._flight = flight
        self._is_begun = True
        if self._outcome:
            self._write()

    def abandoned(self) -> None:
        """The client is gone."""
        self._end(GONE)

    def _end(self, outcome: str) -> None:
        self._outcome = outcome
        if self._is_begun:
            self._write()

    def _write(self) -> None:
        operation, path = _about(self._request)
        duration_s = time.monotonic() - self._began
        self._access_log.write(self._name(), operation, path, self._outcome, duration_s, address=self._address)

    def _name(self) -> str:
        flight, session, id = self._flight, self._session, self._request.id
        if flight is not None:
            return request_name(flight.session.name, flight.id)
        if session is None or id is None:
            return "-"  # nobody else knows of it
        return request_name(session.name, id.decode())


class LoggingDispatcher(Dispatcher):
    """A `Dispatcher` whose requests are logged; where none are, that one is used, and no request is asked about it.

    Args:
        access_log: where the lines go.
        relay: to the owners.
        local: the methods that this frontend answers.
    """

    def __init__(self, access_log: AccessLog, relay: Relay, local: dict[str, LocalMethod]) -> None:
        super().__init__(relay, local)
        self._access_log = access_log

    def start(self, caller: Caller, request: Request, sink: AnswerSink) -> Flight | None:
        logged = LoggedSink(self._access_log, caller, request, sink)
        flight = super().start(caller, request, logged)
        logged.begun(flight)
        return flight

    def refuse(self, caller: Caller, request: Request, sink: AnswerSink, error: errors.RPCError) -> None:
        logged = LoggedSink(self._access_log, caller, request, sink)
        super().refuse(caller, request, logged, error)
        logged.begun(None)

    def gone(self, flights: SessionFlights) -> None:
        for flight in flights.in_flight.values():
            if isinstance(flight.sink, LoggedSink):
                flight.sink.abandoned()


def _about(request: Request) -> tuple[str, str]:
    """The operation and the path of a request."""
    method = request.method
    if method not in RELAYED:
        return (method, "") if method.startswith("rpc.") else ("call", method)
    try:
        path = target_of(request).path
    except errors.RPCError:
        return method.removeprefix("rpc."), ""
    return method.removeprefix("rpc."), path if isinstance(path, str) else ".".join(map(str, path))
