"""The HTTP server of a frontend, with a bound on its connections.

Rules:
- Connections that are no websockets, or none yet, are bounded for themselves: whoever opens them and says nothing keeps
  nobody from a websocket that is open, and costs no more than he may.
- A process never uses up the files that the system lets it open: without one left no connection can be accepted, not
  even to be refused, and the loop would try again and again.
"""

import logging
from collections import Counter
from contextlib import suppress
from typing import Any, Final, cast

from tornado.httpserver import HTTPServer
from tornado.iostream import IOStream, SSLIOStream, StreamClosedError

from wispy.frontend.core import FULL, Core
from wispy.frontend.forwarded import Forwarded
from wispy.frontend.quotas import address_key
from wispy.limits import FrontendLimit

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
    _forwarded: Forwarded
    _wanted_files: int
    _most_files: int
    _are_files_told: bool
    _by_peer: Counter[str]
    """Connections of each address that is no proxy's; counted only where that is limited."""

    def initialize(self, *args: Any, core: Core, **kwargs: Any) -> None:
        super().initialize(*args, **kwargs)
        self._core = core
        self._forwarded = Forwarded(core.config)
        self._by_peer = Counter()
        limits = core.config.limits
        self._wanted_files = limits.connections + limits.http_connections + RESERVED_FILES
        self._most_files = allow_files(self._wanted_files) - RESERVED_FILES
        self._are_files_told = False

    def handle_stream(self, stream: IOStream, address: Any) -> None:
        peer = self._peer(address[0])
        limit = self._reached(peer)
        if limit is None:
            if peer is not None:
                self._by_peer[peer] += 1
            super().handle_stream(stream, address)  # pyright: ignore[reportUnknownMemberType] -- Tornado's bare tuple
            return
        self._core.counts.hit(limit)
        if isinstance(stream, SSLIOStream):  # a handshake for a refusal would cost what it is to save
            stream.close()
            return
        with suppress(StreamClosedError):
            stream.write(_REFUSAL)  # the kernel has it now
        stream.close()  # not in a later turn: in one, more may be accepted than there are files

    def _reached(self, peer: str | None) -> FrontendLimit | None:
        """The limit that one more connection would be past."""
        if self.is_full:
            self._tell_of_files()
            return "http_connections"
        most = self._core.config.limits.http_connections_per_address
        return "http_connections_per_address" if peer is not None and most and self._by_peer[peer] >= most else None

    @property
    def is_full(self) -> bool:
        """Whether one more connection would be refused, whoever opened it."""
        # Of these websockets have left, in either shell.
        return len(self._connections) >= self._core.config.limits.http_connections or self._are_files_used_up

    @property
    def _are_files_used_up(self) -> bool:
        return len(self._connections) + len(self._core.sessions) >= self._most_files

    def _tell_of_files(self) -> None:
        """Once, and not before it matters: most who start a frontend have a handful of connections."""
        if self._are_files_used_up and not self._are_files_told:
            self._are_files_told = True
            log.warning(
                "connections are refused: only %d files may be open (ulimit -n), and limits.connections and "
                "limits.http_connections need %d",
                self._most_files + RESERVED_FILES,
                self._wanted_files,
            )

    def on_close(self, server_conn: object) -> None:
        super().on_close(server_conn)
        peer = self._peer(cast("Any", server_conn).context.remote_ip)
        if peer is not None:
            self._by_peer[peer] -= 1
            if not self._by_peer[peer]:
                del self._by_peer[peer]

    def _peer(self, address: str) -> str | None:
        """As whose a connection counts; None: as nobody's. Who is behind a proxy is known with his request only."""
        is_counted = self._core.config.limits.http_connections_per_address is not None
        return address_key(address) if is_counted and not self._forwarded.is_trusted(address) else None


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
    return goal
