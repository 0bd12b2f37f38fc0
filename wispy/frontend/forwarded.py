"""What a request says of its way here: client, scheme and host, where a proxy passed it on.

Rules:
- `X-Forwarded-*` count only if the connection itself comes from one of `trusted_proxies`: anybody can write a header.
- `X-Forwarded-For` is read from its end, the nearest first: the client is the first address that is no trusted proxy.
- `X-Forwarded-Proto` and `X-Forwarded-Host` are the nearest proxy's, which is the last that wrote. The host is checked
  like any other afterwards (`guard`).
- A request without a Host header (HTTP/1.0) is for `default_host`.
"""

import ipaddress

from tornado.httputil import HTTPServerRequest

from wispy.config.schema import Config

# A chain of proxies is short; what is longer was made up.
_LONGEST_CHAIN = 32

# Some proxies, Traefik among them, name the scheme of a websocket's address: its handshake is a request of HTTP.
_SCHEMES = {"http": "http", "https": "https", "ws": "http", "wss": "https"}


class Forwarded:
    """Makes requests that came through a proxy look as they did before it.

    Args:
        config: of the frontend.
    """

    def __init__(self, config: Config) -> None:
        self._networks = [ipaddress.ip_network(network) for network in config.trusted_proxies]
        self._default_host = config.default_host

    def apply(self, request: HTTPServerRequest) -> None:
        """Set the request's `remote_ip`, `protocol` and `host` from what is to be believed."""
        if self._default_host is not None and "Host" not in request.headers:
            request.host = request.host_name = self._default_host
        if not self._networks or not self.is_trusted(request.remote_ip or ""):
            return
        request.is_from_proxy = True  # pyright: ignore[reportAttributeAccessIssue] -- for `auth`, which reads it with a default
        headers = request.headers
        client = self._client(headers.get("X-Forwarded-For", ""))
        if client:
            request.remote_ip = client
        scheme = _last(headers.get("X-Forwarded-Proto", ""))
        request.protocol = _SCHEMES.get(scheme.lower(), request.protocol)
        host = _last(headers.get("X-Forwarded-Host", ""))
        if host:
            request.host = host
            request.host_name = host.lower().rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host.lower()

    def _client(self, chain: str) -> str:
        """The nearest address that is no trusted proxy, or else the farthest; empty if there is none."""
        client = ""
        for entry in reversed(chain.split(",")[-_LONGEST_CHAIN:]):
            try:
                client = str(ipaddress.ip_address(_without_port(entry.strip())))
            except ValueError:  # what lies beyond was not written by a proxy that we know
                break
            if not self.is_trusted(client):
                break
        return client

    def is_trusted(self, address: str) -> bool:
        """Whether an address is one of `trusted_proxies`."""
        try:
            ip = ipaddress.ip_address(address)
        except ValueError:
            return False
        if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
            ip = ip.ipv4_mapped  # a socket for both families shows IPv4 clients so
        return any(ip in network for network in self._networks)


def _without_port(address: str) -> str:
    """The address in what some proxies write (Azure's, for one): `1.2.3.4:56` or `[2001:db8::1]:56`."""
    if address.startswith("["):
        return address[1:].partition("]")[0]
    return address.partition(":")[0] if address.count(":") == 1 else address


def _last(values: str) -> str:
    return values.rpartition(",")[2].strip()
