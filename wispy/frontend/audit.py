"""What a frontend denies, and what owners deny to its clients: counted, and told to the audit log.

Rules:
- Only a frontend knows a client's address: so it is here that an owner's denials are written, too.
- All of this is beside the path of what is allowed, which is not even asked about.
- Each side counts what it has denied itself, also where nothing is written.
"""

from typing import Final

from wispy.audit_log import Access, AuditLog
from wispy.frontend.flights import AnswerSink, Flight, SessionFlights
from wispy.frontend.logged_sink import LoggedSink
from wispy.frontend.targets import about
from wispy.protocol.denials import Event, Reason
from wispy.protocol.jsonrpc import Request
from wispy.protocol.labels import request_name


class Audit:
    """The denials of one frontend process.

    Args:
        log: where they are written; None: nowhere.
    """

    def __init__(self, log: AuditLog | None = None) -> None:
        self.log: Final = log
        self.counts: dict[Reason, int] = {}
        """What this frontend has denied itself."""

    @property
    def recent(self) -> list[Event]:
        """The newest denials."""
        return [] if self.log is None else self.log.recent

    def denied(self, reason: Reason, access: Access) -> None:
        """This frontend has denied something."""
        self.counts[reason] = self.counts.get(reason, 0) + 1
        if self.log is not None:
            self.log.denied(reason, access)

    def request_denied(
        self,
        request: Request,
        sink: AnswerSink,
        reason: Reason,
        *,
        flights: SessionFlights | None,
        address: str,
        user: str | None,
        detail: str,
    ) -> None:
        """This frontend has denied a request that was not to go to an owner, or did not get so far.

        Args:
            request: that.
            sink: who waits for the answer, which comes next.
            reason: why.
            flights: of the client, if it chooses its ids.
            address: of the client.
            user: who it is.
            detail: the message of the error.
        """
        self.counts[reason] = self.counts.get(reason, 0) + 1
        if isinstance(sink, LoggedSink):
            sink.denied(reason, detail)
        elif self.log is not None:
            operation, path = about(request.method, request.params)
            name = "" if flights is None or request.id is None else request_name(flights.name, request.id.decode())
            self.log.denied(reason, Access(operation, path, address=address, user=user, request=name, detail=detail))

    def flight_denied(self, flight: Flight, reason: Reason, detail: str = "", *, is_own: bool) -> None:
        """A request to an object was denied, and its answer comes next.

        Args:
            flight: that.
            reason: why.
            detail: the message of the error.
            is_own: whether it was by this frontend, and not by the object's owner.
        """
        if is_own:
            self.counts[reason] = self.counts.get(reason, 0) + 1
        if isinstance(flight.sink, LoggedSink):
            flight.sink.denied(reason, detail)
        elif self.log is not None:
            session = flight.session
            operation, path = about(flight.method, flight.params)
            self.log.denied(
                reason,
                Access(
                    operation,
                    path,
                    address=session.remote,
                    user=None if session.bearer is None else session.bearer.user,
                    request=request_name(session.name, flight.id),
                    detail=detail,
                ),
            )
