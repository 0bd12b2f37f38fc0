"""The HTTP server of a frontend, with a bound on its connections.

Rules:
- Connections that are no websockets, or none yet, are bounded for themselves: whoever opens them and says nothing keeps
  nobody from a websocket that is open, and costs no more than he may.
- A process never uses up the files that the system lets it open: without one left no connection can be accepted, not
  even to be refused, and the loop would try again and again.
"""

import logging
from typing import Any, Final

from tornado.httpserver import HTTPServer
from tornado.iostream import IOStream, SSLIOStream, StreamClosedError

from wispy.frontend.core import FULL, Core

try:
    import resource
except ImportError:  # Windows, where a process may open as many as it likes
    resource = None

log = logging.getLogger("wispy.frontend")

RESERVED_FILES: Final = 100
"""Files that are not clients': libraries, the log, links to Redis, uploads, pages that are being read."""

_REFUSAL: Final = (
    f"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Type: text/plain; charset=UTF-8\r\n"
    f"Content-Length: {len(FULL) + 1}\r\n\r\n{FULL}\n"
).encode()


class BoundedHTTPServer(HTTPServer):
    """Tornado's server. Refuses connections past the bounds, before anything is read.

    Args (beside Tornado's):
        core: the frontend's parts.
    """

    _core: Core
    _most_files: int

    def initialize(self, *args: Any, core: Core, **kwargs: Any) -> None:
        super().initialize(*args, **kwargs)
        self._core = core
        limits = core.config.limits
        self._most_files = allow_files(limits.connections + limits.http_connections + RESERVED_FILES) - RESERVED_FILES

    def handle_stream(self, stream: IOStream, address: Any) -> None:
        core = self._core
        http = len(self._connections)  # websockets have left, in either shell
        if http < core.config.limits.http_connections and http + len(core.sessions) < self._most_files:
            super().handle_stream(stream, address)  # pyright: ignore[reportUnknownMemberType] -- Tornado's bare tuple
            return
        core.counts.hit("http_connections")
        if isinstance(stream, SSLIOStream):  # a handshake for a refusal would cost what it is to save
            stream.close()
            return
        try:
            stream.write(_REFUSAL).add_done_callback(lambda done: (done.exception(), stream.close()))
        except StreamClosedError:
            stream.close()


def allow_files(wanted: int) -> int:
    """Let this process open as many files as it wants, as far as the system does.

    Returns:
        How many it may open.
    """
    if resource is None:
        return wanted
    least, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if least == resource.RLIM_INFINITY or least >= wanted:
        return wanted
    goal = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (goal, most))
    except (ValueError, OSError):  # macOS has a limit beside the limit
        goal = least
    if goal < wanted:
        log.info("only %d files may be open (ulimit -n): limits.connections and http_connections need %d", goal, wanted)
    return goal
