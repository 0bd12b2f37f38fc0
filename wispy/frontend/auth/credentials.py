"""What a request shows of who sends it.

Rules:
- A token comes in a header, a subprotocol, a cookie or the first message; never in a URL, which ends up in logs.
- A cookie is sent by the browser for whatever page asks: it counts only where an Origin says which page, and `guard`
  has accepted that.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from tornado.httputil import HTTPServerRequest, parse_cookie

MAX_TOKEN: Final = 16 << 10
"""Characters of a token: a JWT with many roles has a few thousand; Tornado takes 64 KiB of headers."""

_BEARER: Final = "bearer."


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a caller shows; the user's own function gets one of these."""

    token: str | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    """Of the request, or of the websocket's handshake, by lower-case name."""
    remote: str = ""
    """Address of the client."""
    is_from_proxy: bool = False
    """Whether one of `trusted_proxies` has passed the request on."""


def credentials_of(request: HTTPServerRequest, cookie: str | None, *, is_from_proxy: bool) -> Credentials:
    """What a request shows, after `guard` has accepted its origin.

    Args:
        request: to look at.
        cookie: name of the cookie that may hold the token; None: none may.
        is_from_proxy: whether one of `trusted_proxies` has passed it on.
    """
    headers = {name.lower(): value for name, value in request.headers.get_all()}
    token = _from_header(headers) or _from_subprotocol(headers)
    if token is None and cookie is not None and "origin" in headers:
        token = parse_cookie(headers.get("cookie", "")).get(cookie)
    if token is not None and not 0 < len(token) <= MAX_TOKEN:
        token = None
    return Credentials(token, headers, str(request.remote_ip), is_from_proxy)


def _from_header(headers: Mapping[str, str]) -> str | None:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def _from_subprotocol(headers: Mapping[str, str]) -> str | None:
    for offered in headers.get("sec-websocket-protocol", "").split(","):
        if offered.strip().startswith(_BEARER):
            return offered.strip().removeprefix(_BEARER)
    return None
