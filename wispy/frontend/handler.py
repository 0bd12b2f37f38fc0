"""What all HTTP handlers of a frontend share: the checks that every request passes, and how an answer looks.

Rules:
- Host is checked on every request, Origin on every one that changes something, before anything else; then the rate of
  the address, where it has one.
- A body is for those who take one; where none is wanted it passes by and is not kept, however large.
- An answer to a client never holds a traceback or a path of the server's.
"""

import logging
import math
from asyncio import Future
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any, ClassVar, Final, cast

from tornado.http1connection import HTTP1Connection
from tornado.httputil import HTTPServerRequest
from tornado.web import HTTPError, RequestHandler, stream_request_body

from wispy.audit_log import Access
from wispy.frontend.auth.verifying import Grant
from wispy.frontend.core import Core
from wispy.frontend.security_headers import Headers, Kind
from wispy.protocol.denials import Reason
from wispy.protocol.errors import RPCError
from wispy.protocol.identity import ANONYMOUS, Identity

log = logging.getLogger("wispy.frontend")

JSON: Final = "application/json"

_DENIALS: Final[dict[int, Reason]] = {
    HTTPStatus.UNAUTHORIZED: "login",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "limit",
    HTTPStatus.MISDIRECTED_REQUEST: "host",
    HTTPStatus.TOO_MANY_REQUESTS: "rate",
}
"""Why requests are answered with these statuses."""

CHANGING_METHODS: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})


def finish(handler: RequestHandler, body: str | bytes) -> None:
    """End the answer with this body."""
    handler.finish(body)  # pyright: ignore[reportUnknownMemberType] -- Tornado's type holds a bare dict


class RefusalError(HTTPError):
    """A request is refused for what a JSON-RPC error says as well.

    Args:
        status: of the answer.
        error: what it is for a client that speaks JSON-RPC.
    """

    def __init__(self, status: HTTPStatus, error: RPCError) -> None:
        super().__init__(int(status))
        self.error = error


def refusal_in(error: Mapping[str, Any]) -> RPCError | None:
    """Of what `write_error` is told: what a JSON-RPC error says as well."""
    exception = error.get("exc_info", (None, None, None))[1]
    return exception.error if isinstance(exception, RefusalError) else None


def set_retry_after(handler: RequestHandler, error: RPCError) -> None:
    """Say when the client may come again, where that is known."""
    if "retry_in_ms" in error.data:
        handler.set_header("Retry-After", str(math.ceil(error.data["retry_in_ms"] / 1000)))


def access_of(request: HTTPServerRequest, user: str | None) -> Access:
    """What a request of HTTP asks for. A query is left out: some people put tokens there."""
    detail = f"host {request.host}"
    if "Origin" in request.headers:
        detail += f", origin {request.headers['Origin']}"
    return Access(
        str(request.method),
        request.path,
        has_object=False,
        address=str(request.remote_ip),
        user=user,
        detail=detail,
    )


@stream_request_body
class Handler(RequestHandler):
    """Base of all handlers: the checks that every request passes."""

    kind: ClassVar[Kind] = "data"
    """What it answers with: see `security_headers`."""
    is_rated: ClassVar[bool] = True
    """Whether such requests count for the rate of an address."""

    _core: Core
    grant: Grant | None = None
    """Who sends the request; see `learn_who`."""
    changes_files = False
    """Whether this request does, for an audit log of all accesses; what `POST /rpc` asks for has lines of its own."""

    def initialize(self, core: Core) -> None:
        self._core = core

    def prepare(self) -> Awaitable[None] | None:
        if self._core.guard.refuses_host(self.request):
            raise HTTPError(421, reason="This server does not answer to this host name (allowed_hosts)")
        if self.request.method in CHANGING_METHODS and self._core.guard.refuses_origin(self.request):
            raise HTTPError(403, reason="This origin may not post here (allowed_origins)")
        if self.is_rated:
            self._check_rate(self._core.quotas.check_http)
        if self._core.is_draining:
            self.set_header("Connection", "close")  # the next request is another frontend's

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        """A part of the body has come."""

    def denial(self, status: int) -> Reason | None:
        """Why the request was denied, by the status of its answer; None: it was not denied."""
        if status == HTTPStatus.FORBIDDEN:
            return "origin"
        return _DENIALS.get(status)

    def on_finish(self) -> None:
        """Tell the audit log; the answer is on its way."""
        status, audit = self.get_status(), self._core.audit
        if status >= HTTPStatus.BAD_REQUEST:
            reason = self.denial(status)
            if reason is not None:
                audit.denied(reason, access_of(self.request, self.identity.user))
        elif audit.log is not None and audit.log.is_whole and self.changes_files:
            audit.log.ended("ok", access_of(self.request, self.identity.user), self.request.request_time())

    async def learn_who(self) -> None:
        """Find out who sends the request; to be called where that matters."""
        gate = self._core.gate
        if gate is None:
            return
        self._check_rate(self._core.quotas.check_login)
        try:
            self.grant = await gate.check(gate.credentials_of(self.request))
        except RPCError as error:
            raise HTTPError(503, reason="The login cannot be checked at present") from error
        if self.grant is None:
            self._core.quotas.failed_login(str(self.request.remote_ip))

    def _check_rate(self, check: Callable[[str], None]) -> None:
        try:
            check(str(self.request.remote_ip))
        except RPCError as error:
            raise RefusalError(HTTPStatus.TOO_MANY_REQUESTS, error) from error

    @property
    def is_known(self) -> bool:
        """Whether the sender may go on; after `learn_who`."""
        return self._core.gate is None or self.grant is not None

    @property
    def identity(self) -> Identity:
        """Who sends the request; after `learn_who`."""
        return ANONYMOUS if self.grant is None else self.grant.identity

    def set_default_headers(self) -> None:
        headers: Headers = self.settings["security_headers"]  # Tornado calls this before `initialize`
        for name, value in headers[self.kind]:
            self.set_header(name, value)

    def log_exception(self, typ: Any, value: BaseException | None, tb: Any) -> None:
        """Log by wispy's own rules: Tornado's text may hold line ends of a path, and goes to a logger of its own."""
        request = self.request
        if isinstance(value, HTTPError):
            log.debug("refused %s %s of %s: %s", request.method, request.path, request.remote_ip, value)
        elif typ is not None:
            log.error("%s %s of %s failed", request.method, request.path, request.remote_ip, exc_info=value)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        self.set_ways_out(status_code, kwargs)
        self.set_header("Content-Type", "text/plain; charset=UTF-8")
        finish(self, f"{status_code} {self._reason}\n")

    def set_ways_out(self, status_code: int, error: Mapping[str, Any]) -> None:
        """Say when the client may come again, or which methods there are; of what `write_error` is told."""
        refusal = refusal_in(error)
        if refusal is not None:
            set_retry_after(self, refusal)
        if status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            absent = RequestHandler.get
            there = [name for name in self.SUPPORTED_METHODS if getattr(type(self), name.lower()) is not absent]
            self.set_header("Allow", ", ".join(there))

    def finish(self, chunk: str | bytes | dict[str, Any] | None = None) -> "Future[None]":
        if not cast("HTTP1Connection", self.request.connection)._read_finished:  # pyright: ignore[reportPrivateUsage]
            # Tornado ends the connection where a request is answered before it is read, and does not say so.
            self.set_header("Connection", "close")
        return super().finish(chunk)  # pyright: ignore[reportUnknownMemberType] -- Tornado's type holds a bare dict

    def reply_json(self, body: bytes) -> None:
        """Answer with a JSON text."""
        self.set_header("Content-Type", JSON)
        finish(self, body)
