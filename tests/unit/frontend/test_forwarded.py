"""What a proxy says of a request, and when it is believed."""

from typing import Any

import pytest
from tornado.httputil import HTTPHeaders, HTTPServerRequest, RequestStartLine

from wispy.config.schema import Config
from wispy.frontend.forwarded import Forwarded


def seen(
    peer: str, *, version: str = "HTTP/1.1", config: dict[str, Any] | None = None, **given: str
) -> tuple[Any, ...]:
    """Client, scheme and host of a request from this peer, with `X-Forwarded-` headers."""
    headers = HTTPHeaders({f"X-Forwarded-{name}": value for name, value in given.items()})
    if version == "HTTP/1.1":
        headers["Host"] = "inner:5000"
    request = HTTPServerRequest(headers=headers, start_line=RequestStartLine("GET", "/", version))
    request.remote_ip = peer
    settings = {"trusted_proxies": ("10.0.0.0/8", "::1", "192.0.2.7"), **(config or {})}
    Forwarded(Config(**settings)).apply(request)
    return request.remote_ip, request.protocol, request.host


def test_a_trusted_proxy_is_believed() -> None:
    for peer in ("10.1.2.3", "192.0.2.7", "::1", "::ffff:10.1.2.3"):
        told = seen(peer, For="203.0.113.9", Proto="https", Host="lab.example:8443")
        assert told == ("203.0.113.9", "https", "lab.example:8443")


@pytest.mark.parametrize("peer", ["203.0.113.1", "192.0.2.8", "::2", "", "not an address"])
def test_anybody_else_is_not(peer: str) -> None:
    assert seen(peer, For="1.2.3.4", Proto="https", Host="evil.example") == (peer, "http", "inner:5000")


def test_nobody_is_trusted_by_default() -> None:
    assert seen("127.0.0.1", config={"trusted_proxies": ()}, Proto="https") == ("127.0.0.1", "http", "inner:5000")


@pytest.mark.parametrize(
    ("chain", "client"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("6.6.6.6, 203.0.113.9", "203.0.113.9"),  # the first is the client's own invention
        ("6.6.6.6, 203.0.113.9, 10.0.0.4", "203.0.113.9"),
        ("10.0.0.5, 10.0.0.4", "10.0.0.5"),
        ("nonsense, 10.0.0.4", "10.0.0.4"),
        ("nonsense", "10.0.0.1"),
        ("", "10.0.0.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("6.6.6.6, 203.0.113.9:51234, 10.0.0.4:80", "203.0.113.9"),
        ("[2001:db8::1]:51234", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[", "10.0.0.1"),
        (":80", "10.0.0.1"),
        (", ".join(["6.6.6.6"] * 10_000), "6.6.6.6"),
    ],
)
def test_the_client_is_the_nearest_that_is_no_proxy(chain: str, client: str) -> None:
    assert seen("10.0.0.1", For=chain)[0] == client


@pytest.mark.parametrize(
    ("told", "scheme"), [("wss", "https"), ("ws", "http"), ("HTTPS", "https"), ("ftp", "http"), ("", "http")]
)
def test_the_scheme_of_a_websocket_is_that_of_its_handshake(told: str, scheme: str) -> None:
    assert seen("10.0.0.1", Proto=told)[1] == scheme


def test_the_nearest_proxy_says_scheme_and_host() -> None:
    assert seen("10.0.0.1", Proto="http, https", Host="evil, lab")[1:] == ("https", "lab")
    assert seen("10.0.0.1", Proto="gopher")[1] == "http"


def test_a_request_without_a_host_is_for_the_default_one() -> None:
    config = {"default_host": "lab.example"}
    assert seen("1.2.3.4", version="HTTP/1.0", config=config)[2] == "lab.example"
    assert seen("1.2.3.4", config=config)[2] == "inner:5000"
    assert seen("1.2.3.4", version="HTTP/1.0")[2] == "127.0.0.1"
