"""A dispatcher that has a line for each request when it is answered, in the access log and in an audit log of all."""

from wispy.access_log import AccessLog
from wispy.frontend.dispatch import Caller, Dispatcher, LocalMethod
from wispy.frontend.flights import AnswerSink, Flight
from wispy.frontend.logged_sink import LoggedSink
from wispy.frontend.relay import Relay
from wispy.protocol import errors
from wispy.protocol.jsonrpc import Request


class LoggingDispatcher(Dispatcher):
    """A `Dispatcher` whose requests are logged; where none are, that one is used, and no request is asked about it.

    Args:
        access_log: where the lines go, if there is one.
        relay: to the owners; its audit log has a line for each, too, if it is one of all.
        local: the methods that this frontend answers.
    """

    def __init__(self, access_log: AccessLog | None, relay: Relay, local: dict[str, LocalMethod]) -> None:
        super().__init__(relay, local)
        self._access_log = access_log
        self._audit_log = relay.audit.log

    def start(self, caller: Caller, request: Request, sink: AnswerSink) -> Flight | None:
        logged = self._logged(caller, request, sink)
        flight = super().start(caller, request, logged)
        logged.begun(flight)
        return flight

    def refuse(self, caller: Caller, request: Request, sink: AnswerSink, error: errors.RPCError) -> None:
        logged = self._logged(caller, request, sink)
        super().refuse(caller, request, logged, error)
        logged.begun(None)

    def _logged(self, caller: Caller, request: Request, sink: AnswerSink) -> LoggedSink:
        return LoggedSink(
            self._access_log,
            self._audit_log,
            request,
            sink,
            flights=caller.flights,
            address=caller.remote,
            user=caller.identity.user,
        )
