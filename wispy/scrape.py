"""Small HTTP ports beside the one that is for everybody: for probes, and for whoever scrapes metrics.

They are for use inside a deployment: they name objects, take nothing, and have no authentication and no TLS. No limit
of the public port counts here: who uses one up must not make a process that lives look dead.
"""

import errno
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

from wispy.errors import StartError
from wispy.metrics import Snapshot

MAX_BODY: Final = 1024
"""Bytes of a request's body: nothing here takes one."""

IDLE_S: Final = 75.0
"""How long an idle connection stays open: longer than the minute between two looks of most scrapers."""

Tell = Callable[[], Awaitable[list[Snapshot]]]
"""Tells the numbers of some processes."""

Reasons = Callable[[], list[str]]
"""Why a process is not what a probe asks for; empty if it is."""


def bind(address: str, port: int, hint: str, backlog: int = 128) -> list[socket.socket]:
    """Listen on a port, which nobody else may.

    Args:
        address: of this machine; empty for all.
        port: 0 for any free one.
        hint: what to do where it is taken.
        backlog: connections that wait to be accepted.

    Raises:
        StartError: the port is in use, or the address is none of this machine's.
    """
    try:
        return bind_sockets(port, address or None, backlog=backlog)
    except (OSError, UnicodeError) as error:  # the latter: a part of a name is too long
        place = f"{address or 'any address'}, port {port}"
        text = getattr(error, "strerror", None) or error
        is_port = isinstance(error, OSError) and error.errno in (errno.EADDRINUSE, errno.EACCES)
        advice = hint if is_port else "`address` is one of this machine's, or empty for all of them"
        raise StartError(f"cannot listen on {place}: {text}; {advice}") from error


def url_of(sockets: Sequence[socket.socket], path: str) -> str:
    """Where a path is served on these sockets."""
    address, port = sockets[0].getsockname()[:2]
    return f"http://{f'[{address}]' if ':' in address else address}:{port}{path}"


class Metrics(RequestHandler):
    """The numbers of some processes, for Prometheus."""

    def initialize(self, tell: Tell) -> None:
        self._tell = tell

    async def get(self) -> None:
        from wispy.exposition import CONTENT_TYPE, exposition

        text = exposition(await self._tell())
        self.set_header("Content-Type", CONTENT_TYPE)
        self.finish(text)  # pyright: ignore[reportUnknownMemberType]


class Probe(RequestHandler):
    """200, or 503 and why."""

    def initialize(self, reasons: Reasons, good: str) -> None:
        self._reasons = reasons
        self._good = good

    def get(self) -> None:
        reasons = self._reasons()
        if reasons:
            self.set_status(503)
        self.set_header("Content-Type", "text/plain; charset=UTF-8")
        self.finish("\n".join(reasons or [self._good]) + "\n")  # pyright: ignore[reportUnknownMemberType]

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        self.set_header("Content-Type", "text/plain; charset=UTF-8")
        self.finish(f"{status_code} {self._reason}\n")  # pyright: ignore[reportUnknownMemberType]


def serve(sockets: Sequence[socket.socket], tell: Tell, *, not_alive: Reasons, not_ready: Reasons) -> HTTPServer:
    """Serve `/metrics`, `/healthz` and `/readyz` on these sockets until the server is stopped.

    Args:
        sockets: they listen.
        tell: tells the numbers.
        not_alive: why `/healthz` fails.
        not_ready: why `/readyz` fails.
    """
    routes: list[Any] = [
        ("/healthz", Probe, {"reasons": not_alive, "good": "ok"}),
        ("/readyz", Probe, {"reasons": not_ready, "good": "ready"}),
        ("/metrics", Metrics, {"tell": tell}),
    ]
    application = Application(routes, log_function=_log_nothing)
    server = HTTPServer(application, max_body_size=MAX_BODY, idle_connection_timeout=IDLE_S)
    server.add_sockets(sockets)
    return server


def _log_nothing(_handler: RequestHandler) -> None:
    """A look every few seconds is no news."""
