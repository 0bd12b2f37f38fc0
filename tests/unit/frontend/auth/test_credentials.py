"""What a request shows of who sends it."""

import pytest
from tornado.httputil import HTTPHeaders, HTTPServerRequest, RequestStartLine

from wispy.frontend.auth.credentials import MAX_TOKEN, credentials_of


def request(*headers: tuple[str, str]) -> HTTPServerRequest:
    given = HTTPHeaders({"Host": "localhost"})
    for name, value in headers:
        given.add(name, value)
    return HTTPServerRequest(headers=given, start_line=RequestStartLine("GET", "/ws", "HTTP/1.1"))


def token_of(*headers: tuple[str, str], cookie: str | None = None) -> str | None:
    return credentials_of(request(*headers), cookie, is_from_proxy=False).token


@pytest.mark.parametrize(
    ("header", "token"),
    [
        ("Bearer a.b-c", "a.b-c"),
        ("bearer a.b-c", "a.b-c"),
        ("BEARER  a.b-c", "a.b-c"),
        ("Bearer", None),
        ("Basic a.b-c", None),
        ("a.b-c", None),
        ("", None),
        ("Bearer " + "x" * MAX_TOKEN, "x" * MAX_TOKEN),
        ("Bearer " + "x" * (MAX_TOKEN + 1), None),
    ],
)
def test_of_the_header(header: str, token: str | None) -> None:
    assert token_of(("Authorization", header)) == token


@pytest.mark.parametrize(
    ("offered", "token"),
    [
        ("wispy, bearer.a.b-c", "a.b-c"),
        ("bearer.a.b-c", "a.b-c"),
        ("wispy", None),
        ("wispy, bearer.", None),
        ("wispy, Bearer.x", None),
        ("wispy.bearer.x", None),
    ],
)
def test_of_the_subprotocol(offered: str, token: str | None) -> None:
    assert token_of(("Sec-WebSocket-Protocol", offered)) == token


def test_the_header_is_stronger_than_the_subprotocol_and_both_than_a_cookie() -> None:
    header, offered = ("Authorization", "Bearer one"), ("Sec-WebSocket-Protocol", "bearer.two")
    cookie, origin = ("Cookie", "login=three"), ("Origin", "http://localhost")
    assert token_of(header, offered, cookie, origin, cookie="login") == "one"
    assert token_of(offered, cookie, origin, cookie="login") == "two"
    assert token_of(cookie, origin, cookie="login") == "three"


def test_a_cookie_counts_where_it_is_configured_and_an_origin_says_which_page_asks() -> None:
    cookie, origin = ("Cookie", "other=1; login=three"), ("Origin", "http://localhost")
    assert token_of(cookie, origin, cookie=None) is None
    assert token_of(cookie, cookie="login") is None
    assert token_of(cookie, origin, cookie="log") is None


def test_no_token_comes_in_the_url() -> None:
    asked = request()
    asked.uri = "/ws?token=x&access_token=x&bearer=x"
    asked.arguments = asked.query_arguments = {"token": [b"x"], "access_token": [b"x"]}
    assert credentials_of(asked, "token", is_from_proxy=False).token is None


def test_a_token_is_not_in_what_is_logged() -> None:
    shown = credentials_of(request(("Authorization", "Bearer a-secret")), None, is_from_proxy=True)
    assert shown.is_from_proxy
    assert shown.headers["authorization"] == "Bearer a-secret"
    assert "a-secret" not in repr(shown)
