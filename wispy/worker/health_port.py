"""The worker's small HTTP server: `/healthz`, `/readyz` and `/metrics`.

It runs on the I/O thread, which object code cannot hold. It is for probes and scrapers inside a deployment: it names
objects, takes nothing, and has no authentication.
"""

import socket
from collections.abc import Callable
from typing import Any, Final

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

from wispy.errors import StartError
from wispy.metrics import Snapshot
from wispy.worker.health import Health

MAX_BODY: Final = 1024
"""Bytes of a request's body: nothing here takes one."""

IDLE_S: Final = 75.0
"""How long an idle connection stays open: longer than the minute between two looks of most scrapers."""


def listen(port: int, address: str) -> list[socket.socket]:
    """Listen on the health port.

    Raises:
        StartError: the port is in use, or the address is none of this machine's.
    """
    try:
        return bind_sockets(port, address or None)
    except (OSError, OverflowError) as error:
        place = f"{address or 'any address'}, port {port}"
        text = getattr(error, "strerror", None) or error
        raise StartError(
            f"cannot listen on {place}: {text}; choose another one with --health-port N or `health_port: N`"
        ) from error


class _Reasons(RequestHandler):
    """200, or 503 and why."""

    def initialize(self, reasons: Callable[[], list[str]], good: str) -> None:
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


class _Metrics(RequestHandler):
    """The numbers of this process, for Prometheus."""

    def initialize(self, snapshot: Callable[[], Snapshot]) -> None:
        self._snapshot = snapshot

    def get(self) -> None:
        from wispy.exposition import CONTENT_TYPE, exposition

        self.set_header("Content-Type", CONTENT_TYPE)
        self.finish(exposition([self._snapshot()]))  # pyright: ignore[reportUnknownMemberType]


def serve(sockets: list[socket.socket], health: Health, snapshot: Callable[[], Snapshot]) -> HTTPServer:
    """Serve on these sockets until the server is stopped.

    Args:
        sockets: they listen.
        health: says what is well.
        snapshot: says the numbers.
    """
    routes: list[Any] = [
        ("/healthz", _Reasons, {"reasons": health.reasons_not_alive, "good": "ok"}),
        ("/readyz", _Reasons, {"reasons": health.reasons_not_ready, "good": "ready"}),
        ("/metrics", _Metrics, {"snapshot": snapshot}),
    ]
    application = Application(routes, log_function=_log_nothing)
    server = HTTPServer(application, max_body_size=MAX_BODY, idle_connection_timeout=IDLE_S)
    server.add_sockets(sockets)
    return server


def _log_nothing(_handler: RequestHandler) -> None:
    """A probe every few seconds is no news; what it finds, `Health` logs."""
