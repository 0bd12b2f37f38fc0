"""The worker's small HTTP server: `/healthz`, `/readyz` and `/metrics`.

It runs on the I/O thread, which object code cannot hold.
"""

import socket
from collections.abc import Callable
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.web import RequestHandler

from wispy import scrape
from wispy.worker.health import Health

HINT = "choose another one with --health-port N or `health_port: N`"


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


def serve(sockets: list[socket.socket], health: Health, tell: scrape.Tell) -> HTTPServer:
    """Serve on these sockets until the server is stopped.

    Args:
        sockets: they listen.
        health: says what is well.
        tell: says the numbers.
    """
    return scrape.serve(
        sockets,
        [
            ("/healthz", _Reasons, {"reasons": health.reasons_not_alive, "good": "ok"}),
            ("/readyz", _Reasons, {"reasons": health.reasons_not_ready, "good": "ready"}),
            ("/metrics", scrape.Metrics, {"tell": tell}),
        ],
    )
