"""Whatever is sent to the routes of files, nothing outside their folders is read or written."""

import re
import socket

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.integration.stack.attacks import FORGED_NAMES, FORGED_PATHS, SECRET
from tests.integration.stack.inbox import Inbox

ANSWER_S = 10.0

# An example is a few requests to a real server.
FUZZ = settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])

PIECES = [
    "..",
    "/",
    "\\",
    "%2e",
    "%2f",
    "%5c",
    "%00",
    ".",
    "x.png",
    "outward",
    "link.png",
    "secret.txt",
    "inner",
    "%",
    "~",
    ":",
]
# No spaces and line ends: those would be another request, which Tornado's own tests are about.
PATHS = st.one_of(
    st.lists(st.sampled_from(PIECES), max_size=8).map("".join).map(str.encode),
    st.sampled_from(FORGED_PATHS).map(str.encode),
    st.binary(max_size=30).map(lambda data: re.sub(rb"[\x00-\x20\x7f]", b"_", data)),
)
NAMES = st.one_of(
    st.sampled_from(FORGED_NAMES).map(lambda name: name.encode("utf-8", "surrogatepass")),
    st.lists(st.sampled_from(PIECES), max_size=8).map("".join).map(str.encode),
    st.binary(max_size=40),
)
PARTS = [b"--x", b"--", b"\r\n", b"\n", b"\r\n\r\n", b"x"]
PARTS += [b'Content-Disposition: form-data; name="f"', b'; filename="x.png"']
BODIES = st.one_of(st.binary(max_size=200), st.lists(st.sampled_from(PARTS), max_size=16).map(b"".join))
FORM = b"multipart/form-data; boundary=x"


def ask(inbox: Inbox, method: str, path: bytes, body: bytes = b"", headers: bytes = b"") -> bytes:
    """The whole answer; empty where the server ends the connection of what is no HTTP."""
    host, port = inbox.frontend.address.split(":")
    with socket.create_connection((host, int(port)), timeout=ANSWER_S) as connection:
        lines = [f"Host: {host}:{port}", f"Content-Length: {len(body)}", "Connection: close"]
        head = method.encode() + b" " + path + b" HTTP/1.1\r\n" + "\r\n".join(lines).encode() + b"\r\n" + headers
        connection.sendall(head + b"\r\n" + body)
        return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.fixture(scope="module")
def before(shared_inbox: Inbox) -> set[str]:
    return shared_inbox.everything()


def check(inbox: Inbox, before: set[str], answer: bytes) -> None:
    if answer:
        status = int(answer.split(maxsplit=2)[1])
        assert 200 <= status < 500, answer
    assert SECRET.encode() not in answer
    assert str(inbox.folder).encode() not in answer
    assert (inbox.outside / "secret.txt").read_text() == SECRET
    new = inbox.everything() - before
    assert all(path.startswith("server/uploads/") for path in new), new
    assert inbox.partial() == []
    for path in new:
        (inbox.folder / path).unlink()
    assert inbox.everything() == before


@FUZZ
@given(method=st.sampled_from(["GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS"]), path=PATHS)
def test_paths(shared_inbox: Inbox, before: set[str], method: str, path: bytes) -> None:
    for route in (b"/uploads/", b"/all/"):
        check(shared_inbox, before, ask(shared_inbox, method, route + path, b"evil" if method.startswith("P") else b""))


@FUZZ
@given(name=NAMES)
def test_names_in_forms(shared_inbox: Inbox, before: set[str], name: bytes) -> None:
    body = b'--x\r\nContent-Disposition: form-data; name="f"; filename="' + name + b'"\r\n\r\nevil\r\n--x--\r\n'
    answer = ask(shared_inbox, "POST", b"/uploads/", body, b"Content-Type: " + FORM + b"\r\n")
    check(shared_inbox, before, answer)


@FUZZ
@given(body=BODIES, kind=st.sampled_from([FORM, b"multipart/form-data", b"multipart/form-data; boundary=\xff"]))
def test_bodies_of_forms(shared_inbox: Inbox, before: set[str], body: bytes, kind: bytes) -> None:
    answer = ask(shared_inbox, "POST", b"/uploads/", body, b"Content-Type: " + kind + b"\r\n")
    check(shared_inbox, before, answer)
    assert "Traceback" not in shared_inbox.frontend.output
