"""Who waits for an answer, where a line is written for each request when it is answered.

Rules:
- A line names the request as its worker does, by the session and the id that the owner knows it by.
- A notification has no answer: its line says that it was taken.
- What lost its connection before its answer has a line, too. If its session goes on, here or elsewhere, it is asked for
  again, and has another one there.
"""

import time
from typing import Final

from wispy.access_log import AccessLog
from wispy.audit_log import Access, AuditLog
from wispy.frontend.flights import AnswerSink, Flight, SessionFlights
from wispy.frontend.targets import about
from wispy.protocol import errors, jsonrpc
from wispy.protocol.denials import Reason
from wispy.protocol.jsonrpc import Request
from wispy.protocol.labels import request_name

TAKEN: Final = "taken"
"""The outcome of a notification, as far as a frontend knows it."""

GONE: Final = "GONE"
"""The outcome of a request whose client left before the answer."""


class LoggedSink:
    """Who waits for an answer, and the lines that are written when it comes.

    Args:
        access_log: one that they go to.
        audit_log: the other one.
        request: what is asked.
        sink: who waits.
        flights: of a client that chooses its ids.
        address: of the client.
        user: who it is.
    """

    __slots__ = (
        "_access_log",
        "_address",
        "_audit_log",
        "_began",
        "_detail",
        "_flight",
        "_is_begun",
        "_outcome",
        "_reason",
        "_request",
        "_session",
        "_user",
        "sink",
    )

    def __init__(
        self,
        access_log: AccessLog | None,
        audit_log: AuditLog | None,
        request: Request,
        sink: AnswerSink,
        *,
        flights: SessionFlights | None,
        address: str,
        user: str | None,
    ) -> None:
        self.sink = sink
        self._access_log = access_log
        self._audit_log = audit_log
        self._request = request
        self._address = address
        self._user = user
        self._session = flights
        self._reason: Reason | None = None
        """Why it was denied, if it was."""
        self._detail = ""
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

    def denied(self, reason: Reason, detail: str) -> None:
        """The request is denied: its answer comes next."""
        self._reason = reason
        self._detail = detail

    def begun(self, flight: Flight | None) -> None:
        """The request is on its way, or answered: with this flight, if any."""
        self._flight = flight
        self._is_begun = True
        if self._outcome:
            self._write()

    def abandoned(self) -> None:
        """The client is gone: write the line of that."""
        self._end(GONE)

    def _end(self, outcome: str) -> None:
        self._outcome = outcome
        if self._is_begun:
            self._write()

    def _write(self) -> None:
        operation, path = about(self._request.method, self._request.params)
        duration_s = time.monotonic() - self._began
        name = self._name()
        if self._access_log is not None:
            self._access_log.write(
                name, operation, path, self._outcome, duration_s, address=self._address, user=self._user
            )
        audit_log = self._audit_log
        if audit_log is not None and (self._reason is not None or audit_log.is_whole):
            access = Access(operation, path, address=self._address, user=self._user, request=name, detail=self._detail)
            if self._reason is not None:
                audit_log.denied(self._reason, access)
            else:
                audit_log.ended(self._outcome, access, duration_s)

    def _name(self) -> str:
        flight, session, id = self._flight, self._session, self._request.id
        if flight is not None:
            return request_name(flight.session.name, flight.id)
        if session is None or id is None:
            return "-"  # nobody else knows of it
        return request_name(session.name, id.decode())
