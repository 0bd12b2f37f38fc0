"""Which Host a request may name, and which pages may send one."""

from typing import Any

import pytest
from tornado.httputil import HTTPHeaders, HTTPServerRequest, RequestStartLine

from wispy.config.schema import Config
from wispy.frontend.guard import Guard


def request(host: str, origin: str | None = None) -> HTTPServerRequest:
    headers = HTTPHeaders({"Host": "localhost"})
    if origin is not None:
        headers["Origin"] = origin
    made = HTTPServerRequest(headers=headers, start_line=RequestStartLine("GET", "/", "HTTP/1.1"))
    made.host = host  # recent versions of Tornado refuse what is no host at all, older ones do not
    return made


def guard(**settings: Any) -> Guard:
    return Guard(Config(**settings))


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST:5000",
        "127.0.0.1",
        "127.0.0.1:5000",
        "[::1]",
        "[::1]:5000",
        "lab.example",
        "Lab.Example:80",
    ],
)
def test_hosts_that_are_answered(host: str) -> None:
    assert not guard(allowed_hosts=("lab.example",)).refuses_host(request(host))


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "evil.example:5000", "localhost.evil.example", "localhost@evil.example",
        "evil.example#localhost", "", ":5000", "[", "[::1", "192.168.1.5", "xlab.example",
        "lab.example.evil.org", "lab.example.", "lab.exampl", "localhost.", "127.0.0.1.evil.example", "127.0.0.2",
    ],
)  # fmt: skip
def test_other_hosts_are_refused(host: str) -> None:
    assert guard(allowed_hosts=("lab.example",)).refuses_host(request(host))


def test_the_address_that_is_listened_on_is_a_host() -> None:
    assert not guard(address="192.168.1.5").refuses_host(request("192.168.1.5:5000"))
    assert guard(address="192.168.1.5").refuses_host(request("192.168.1.6:5000"))
    assert not guard(default_host="lab.example").refuses_host(request("lab.example"))


@pytest.mark.parametrize("address", ["", "0.0.0.0", "::"])
def test_on_all_interfaces_addresses_are_hosts_and_names_are_not(address: str) -> None:
    everywhere = guard(address=address)
    assert not everywhere.refuses_host(request("192.168.1.5:5000"))
    assert not everywhere.refuses_host(request("[fe80::1]:5000"))
    assert everywhere.refuses_host(request("evil.example:5000"))
    assert everywhere.refuses_host(request("2130706433"))


def test_without_an_origin_it_is_no_page() -> None:
    assert not guard().refuses_origin(request("localhost:5000"))


@pytest.mark.parametrize("origin", ["http://localhost:5000", "HTTP://LocalHost:5000", "https://lab.example"])
def test_origins_that_are_answered(origin: str) -> None:
    checks = guard(allowed_origins=("https://Lab.example/",))
    assert not checks.refuses_origin(request("localhost:5000", origin))


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("lab.example:80", "http://lab.example"),
        ("lab.example", "http://lab.example:80"),
        ("[::1]:80", "http://[::1]"),
        ("lab.example", "https://pages.example"),
    ],
)
def test_a_port_that_goes_without_saying_makes_no_difference(host: str, origin: str) -> None:
    checks = guard(allowed_origins=("https://pages.example:443",))
    assert not checks.refuses_origin(request(host, origin))
    assert checks.refuses_origin(request(host, f"{origin}:443" if origin.startswith("http:") else f"{origin}:80"))


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example", "https://localhost:5000", "http://localhost", "http://localhost:5001", "null", "",
        "http://localhost:5000.evil.example", "http://evil.example/http://localhost:5000", "https://lab.example:444",
        "https://lab.example.evil.org", "https://xlab.example", "https://evil.org#lab.example", "http://lab.example",
        "https://lab.example@evil.org", "https://lab.example/", "https://lab.example, https://evil.org", "https://",
        "lab.example", "https://*.example", " https://lab.example", "nullx", "file://", "https://lab.exampl",
    ],
)  # fmt: skip
def test_pages_of_other_origins_are_refused(origin: str) -> None:
    checks = guard(allowed_origins=("https://lab.example",))
    assert checks.refuses_origin(request("localhost:5000", origin))
