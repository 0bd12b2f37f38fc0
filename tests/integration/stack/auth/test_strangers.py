"""Who shows nothing, or something that is no good."""

from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from tests.integration.stack.conftest import MakeStack
from tests.integration.stack.logins import LOGIN, bearer, call, settings, write_tokens
from tests.support.rpc_client import Client
from tests.support.stack import Frontend, Stack
from tests.support.waiting import wait_until
from wispy.frontend.dispatch import RELAYED
from wispy.frontend.methods import Methods
from wispy.protocol import errors


async def code(client: Client, method: str, params: Any = None) -> int:
    return (await client.error(method, params)).code


async def test_a_stranger_may_only_log_in(frontend: Frontend) -> None:
    async with Client(frontend.websocket_url) as client:
        for method, params in (
            ("sample.who", []),
            ("rpc.hello", {}),
            ("rpc.get", {"path": "sample.a"}),
            ("rpc.subscribe", {"channels": ["sample.a"]}),
            ("rpc.channels", {}),
            ("rpc.discover", {}),
            ("rpc.status", {}),
            (LOGIN, {"token": "nobody"}),
            (LOGIN, {"token": ""}),
        ):
            assert await code(client, method, params) == errors.UNAUTHENTICATED.code, method
        for method in RELAYED | Methods.__new__(Methods).table().keys():  # every method that there is
            assert await code(client, method, {"path": "sample.a"}) == errors.UNAUTHENTICATED.code, method
        assert await code(client, LOGIN, {"token": 5}) == errors.INVALID_PARAMS.code
        await client.socket.send(f"[{call('sample.who')},{call('rpc.get', path='sample.a')}]")
        await wait_until(lambda: any(isinstance(each, list) for each in client.received), "the batch is answered")
        batch = next(each for each in client.received if isinstance(each, list))
        assert {each["error"]["code"] for each in batch} == {errors.UNAUTHENTICATED.code}


async def test_who_does_not_log_in_in_time_is_sent_away(guarded: Stack) -> None:
    settings: dict[str, Any] = {"auth.login_time": 0.5}
    frontend = guarded.frontend(**settings)
    async with Client(frontend.websocket_url) as client:
        await wait_until(lambda: client.close_code == 4401, "the connection is closed")
    assert frontend.stop() == 0


@pytest.mark.parametrize("shell", [{}, {"websocket.shell": "tornado"}, {"websocket.compression": "true"}])
async def test_a_stranger_may_not_say_much(make_stack: MakeStack, tmp_path: Path, shell: dict[str, str]) -> None:
    write_tokens(tmp_path / "tokens.yaml", alice=[])
    stack = make_stack(**settings(kind="tokens", tokens=tmp_path / "tokens.yaml"), **shell)
    frontend = stack.frontend()
    padding = " " * (100 << 10)  # compressed it is a hundred bytes
    compression = "deflate" if "websocket.compression" in shell else None
    async with Client(frontend.websocket_url, compression=compression) as client:
        await client.socket.send(call("rpc.hello") + padding)
        await wait_until(lambda: client.close_code == 1009, "it is closed")
    async with Client(frontend.websocket_url, compression=compression) as client:
        await client.call(LOGIN, {"token": "alice-token"})
        await client.socket.send(call("rpc.channels") + padding)
        await wait_until(lambda: any(each.get("result") == {} for each in client.received), "it is answered")


async def test_a_guesser_is_sent_away(frontend: Frontend) -> None:
    async with Client(frontend.websocket_url) as client:
        for number in range(5):
            await client.error(LOGIN, {"token": f"guess {number}"})
        await wait_until(lambda: client.close_reason.startswith("too many"), "the connection is closed")


async def test_a_session_is_its_users(frontend: Frontend) -> None:
    async with Client(frontend.websocket_url, **bearer("alice-token")) as client:
        assert await code(client, LOGIN, {"token": "bob-token"}) == errors.INVALID_REQUEST.code
        hello = await client.hello()
    for user, resumed in (("bob", False), ("alice", True)):
        async with Client(frontend.websocket_url, **bearer(f"{user}-token")) as client:
            assert (await client.hello(hello))["resumed"] is resumed


def test_pages_are_public_and_what_they_read_is_not(frontend: Frontend) -> None:
    def status(path: str, **headers: str) -> int:
        return httpx.get(f"{frontend.url}/{path}", headers=headers, trust_env=False, timeout=30).status_code

    assert status("wispyjs/rpc.js") == 200
    assert status("openrpc.json") == 401
    assert status("openrpc.json", Authorization="Bearer bob-token") == 200
    assert "Served here: what one has to log in for" in httpx.get(f"{frontend.url}/", trust_env=False, timeout=30).text


def test_uploads_are_for_those_who_have_logged_in_and_have_the_role(make_stack: MakeStack, tmp_path: Path) -> None:
    write_tokens(tmp_path / "tokens.yaml", alice=["author"], bob=["viewer"])
    uploads: dict[str, Any] = {
        "upload.folders": f"{{inbox: {tmp_path / 'inbox'}}}",
        "upload.roles": '["author", "admin"]',
    }
    rules: dict[str, Any] = {"upload.rules.file_creation_whitelist": '["*"]'}
    frontend = make_stack(**settings(kind="tokens", tokens=tmp_path / "tokens.yaml", cookie="login")).frontend(
        **uploads, **rules
    )

    def status(method: str, path: str, **headers: str) -> int:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        url = f"{frontend.url}/inbox/{path}"
        content = None if method == "GET" else b"content"
        return httpx.request(method, url, headers=given, content=content, trust_env=False, timeout=30).status_code

    form = {"Content_Type": "multipart/form-data; boundary=x"}
    alice, bob, own = "Bearer alice-token", "Bearer bob-token", frontend.url
    for method, path in (("PUT", "a.txt"), ("POST", ""), ("GET", "")):
        assert status(method, path, **form) == 401, method
        assert status(method, path, Authorization="Bearer nobody", **form) == 401, method
        assert status(method, path, Authorization=bob, **form) == 403, method
        # A cookie is sent by the browser for whatever page asks.
        assert status(method, path, Cookie="login=alice-token", **form) == 401, method
    for origin in ("http://evil.example", "null", f"{own}.evil.example", own.replace("http", "https")):
        assert status("PUT", "a.txt", Origin=origin, Authorization=alice) == 403, origin
        assert status("PUT", "a.txt", Origin=origin, Cookie="login=alice-token") == 403, origin
        assert status("POST", "", Origin=origin, Cookie="login=alice-token", **form) == 403, origin
    assert not list((tmp_path / "inbox").glob("**/*.txt"))
    assert status("PUT", "a.txt", Authorization=alice) == 201
    assert status("PUT", "b.txt", Origin=own, Cookie="login=alice-token") == 201
    assert status("GET", "", Authorization=alice) == 200
    assert {file.name for file in (tmp_path / "inbox").iterdir()} == {"a.txt", "b.txt"}


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "https://{address}", "http://{address}.evil.example"]
)
async def test_a_foreign_page_cannot_use_the_users_cookie(frontend: Frontend, origin: str) -> None:
    """CSRF: the browser adds the cookie, and says whose page it is."""
    headers = {"Cookie": "login=alice-token", "Origin": origin.format(address=frontend.address)}
    answer = frontend.post_text(call("sample.note_run", x=1), **headers)
    assert answer.status_code == 403
    with pytest.raises(InvalidStatus) as refused:
        await Client(frontend.websocket_url, additional_headers=headers).__aenter__()
    assert refused.value.response.status_code == 403


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "", "application/jsonx"],
)
def test_what_a_form_can_send_is_not_taken_even_of_the_own_origin(frontend: Frontend, content_type: str) -> None:
    given = {"Cookie": "login=alice-token", "Origin": frontend.url, "Content_Type": content_type}
    assert frontend.post_text(call("sample.who"), **given).status_code == 415
