"""Which Host a request may name, and which Origin may open a websocket or post.

Rules (DESIGN section 6):
- Host: loopback, the address that is listened on, and what `allowed_hosts` names. Anything else is refused, since a
  foreign name that resolves to this machine (DNS rebinding) would make a foreign page same-origin.
- Where all interfaces are listened on, a bare IP address is accepted too: a page cannot rebind one.
- Origin: the request's own scheme and Host, and what `allowed_origins` names, compared whole; `null` never.
  No Origin header means no browser.
"""

import ipaddress
from urllib.parse import urlsplit

from tornado.httputil import HTTPServerRequest

from wispy.config.schema import LOOPBACK_NAMES, Config

_USUAL_PORTS = {"http": ":80", "https": ":443"}


class Guard:
    """Checks where requests come from.

    Args:
        config: of the frontend.
    """

    def __init__(self, config: Config) -> None:
        self._hosts = LOOPBACK_NAMES | {host.lower() for host in config.allowed_hosts}
        self._any_address = config.address in ("", "0.0.0.0", "::")  # noqa: S104 -- compared, not bound
        if not self._any_address:
            self._hosts |= {config.address.lower()}
        if config.default_host:
            self._hosts |= {config.default_host.lower()}
        self._origins = frozenset(_plain(origin.rstrip("/")) for origin in config.allowed_origins)

    def refuses_host(self, request: HTTPServerRequest) -> bool:
        """Whether the request names a Host that this server does not answer to."""
        name = _host_name(request.host)
        return name not in self._hosts and not (self._any_address and _is_address(name))

    def refuses_origin(self, request: HTTPServerRequest) -> bool:
        """Whether a page of a foreign origin sent the request."""
        origin = request.headers.get("Origin")
        if origin is None:
            return False
        origin = _plain(origin)
        return origin != _plain(f"{request.protocol}://{request.host}") and origin not in self._origins


def _host_name(host: str) -> str:
    """The name in a Host header, without port and brackets; empty if it is no such thing."""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""


def _plain(origin: str) -> str:
    """An origin as browsers write it: in lower case, without the port that its scheme has in any case.

    A proxy may name it in the Host that it passes on, and so may whoever writes a configuration.
    """
    origin = origin.lower()
    return origin.removesuffix(_USUAL_PORTS.get(origin.partition("://")[0], ""))


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
