"""Who may come in, and for how long: real frontends and workers, with each kind of `auth`."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import httpx
import jwt
import pytest
import redis
from cryptography.hazmat.primitives.asymmetric import ec
from websockets.exceptions import InvalidStatus

import wispy
from tests.integration.stack.conftest import MakeStack
from tests.support.rpc_client import Client, RemoteError
from tests.support.stack import Frontend, Stack, clean_stack, command
from tests.support.waiting import wait_until, wait_until_blocking
from wispy.broker.embedded import EmbeddedServer
from wispy.broker.keys import Keys
from wispy.frontend.auth.credentials import Credentials
from wispy.frontend.auth.verifying import StaticTokens, digest_of
from wispy.frontend.dispatch import RELAYED
from wispy.frontend.methods import Methods
from wispy.protocol import errors
from wispy.protocol.envelope import Seal
from wispy.protocol.identity import Identity

SECRET = "a secret of frontends and workers, long enough"
LOGIN = "rpc.authenticate"


def write_tokens(file: Path, **users: list[str]) -> None:
    """Users whose token is their name and `-token`, with roles."""
    entries = {user: {"sha256": [digest_of(f"{user}-token")], "roles": roles} for user, roles in users.items()}
    partial = file.with_suffix(".new")
    partial.write_text(json.dumps(entries))
    partial.replace(file)


def settings(**auth: Any) -> dict[str, Any]:
    return {"session.secret": SECRET, **{f"auth.{key.replace('__', '.')}": value for key, value in auth.items()}}


@pytest.fixture(scope="module")
def guarded(valkey_server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("tokens")
    write_tokens(folder / "tokens.yaml", alice=["operator", "viewer"], bob=[])
    config = settings(kind="tokens", tokens=folder / "tokens.yaml", cookie="login", recheck=0.3)
    with clean_stack(valkey_server, tmp_path_factory, **config) as stack:
        stack.worker("sample=served:Sample")
        stack.frontend()
        yield stack


@pytest.fixture
def frontend(guarded: Stack) -> Frontend:
    return guarded.first_frontend


def call(method: str, **params: Any) -> str:
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params or []})


def bearer(token: str) -> dict[str, Any]:
    return {"additional_headers": {"Authorization": f"Bearer {token}"}}


async def who(frontend: Frontend, **options: Any) -> Any:
    async with Client(frontend.websocket_url, **options) as client:
        return await client.call("sample.who")


async def code(client: Client, method: str, params: Any = None) -> int:
    return (await client.error(method, params)).code


# --- how a token comes ------------------------------------------------------------------------------------------------


async def test_object_code_learns_who_asks(frontend: Frontend) -> None:
    async with Client(frontend.websocket_url, **bearer("alice-token")) as client:
        for method in ("who", "who_in_thread", "who_later"):
            assert await client.call(f"sample.{method}") == ["alice", ["operator", "viewer"]]


async def test_a_token_comes_as_subprotocol_or_first_message(frontend: Frontend) -> None:
    async with Client(frontend.websocket_url, subprotocols=["wispy", "bearer.bob-token"]) as client:
        assert client.socket.subprotocol == "wispy"
        assert await client.call("sample.who") == ["bob", []]
    async with Client(frontend.websocket_url) as client:
        assert await client.call(LOGIN, {"token": "alice-token"}) == {"user": "alice", "roles": ["operator", "viewer"]}
        await client.hello()
        assert await client.call("sample.who") == ["alice", ["operator", "viewer"]]


async def test_a_cookie_counts_with_an_origin_only(frontend: Frontend) -> None:
    cookie = {"Cookie": "other=1; login=bob-token"}
    assert await who(frontend, additional_headers=cookie, origin=frontend.url) == ["bob", []]
    with pytest.raises(RemoteError, match="authenticate"):
        await who(frontend, additional_headers=cookie)
    assert frontend.post_text(call("sample.who"), **cookie).status_code == 401
    assert frontend.post_text(call("sample.who"), Origin=frontend.url, **cookie).json()["result"] == ["bob", []]


def test_a_post_shows_its_token_in_a_header(frontend: Frontend) -> None:
    for headers in ({}, {"Authorization": "Bearer nobody"}, {"Authorization": "Basic alice-token"}):
        answer = frontend.post_text(call("sample.who"), **headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, errors.UNAUTHENTICATED.code)
        assert answer.headers["WWW-Authenticate"] == "Bearer"
    for user, roles in (("alice", ["operator", "viewer"]), ("bob", [])):  # one plain session after another
        answer = frontend.post_text(call("sample.who"), Authorization=f"Bearer {user}-token")
        assert answer.json()["result"] == [user, roles]


# --- who shows nothing, or something that is no good ------------------------------------------------------------------


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


# --- our own clients --------------------------------------------------------------------------------------------------


async def test_the_python_client_shows_its_token_on_each_connection(frontend: Frontend) -> None:
    async with wispy.connect(frontend.url, token="alice-token") as rpc:
        assert await rpc.sample.who() == ["alice", ["operator", "viewer"]]
        await rpc.authenticate("alice-token")
        with pytest.raises(wispy.RPCError, match="stays its user's"):
            await rpc.authenticate("bob-token")
    for token in (None, "nobody"):
        with pytest.raises(wispy.RPCError) as refused:
            await wispy.connect(frontend.url, token=token).open()
        assert refused.value.code == errors.UNAUTHENTICATED.code


def test_commands_show_a_token(frontend: Frontend) -> None:
    def run(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "WISPY_URL": frontend.url, **env}
        ran = [command("wispy"), *arguments]
        return subprocess.run(ran, env=environment, capture_output=True, text=True, timeout=60, check=False)

    assert json.loads(run("call", "sample.who", "--token", "bob-token").stdout) == ["bob", []]
    assert json.loads(run("get", "sample.a", WISPY_TOKEN="alice-token").stdout) == 1
    refused = run("get", "sample.a")
    assert refused.returncode != 0
    assert "--token" in refused.stderr


def test_a_made_token_lets_its_user_in(tmp_path: Path) -> None:
    made = subprocess.run(
        [command("wispy"), "token", "ada: x", "--role", "a, b"], capture_output=True, text=True, timeout=60, check=True
    )
    (tmp_path / "tokens.yaml").write_text(made.stdout)
    token = made.stderr.splitlines()[-1]
    assert token not in made.stdout
    grant = asyncio.run(StaticTokens(str(tmp_path / "tokens.yaml")).verify(Credentials(token)))
    assert grant is not None
    assert grant.identity == Identity("ada: x", frozenset({"a, b"}))


# --- between the parts ------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def writer(server: EmbeddedServer, stack: Stack) -> Iterator[Callable[..., None]]:
    """Writes requests of an imagined frontend to the stream, in the name of alice: `write(name, id, seal)`."""
    keys = Keys(stack.prefix).of("sample")
    with redis.Redis(unix_socket_path=server.url.removeprefix("unix://"), protocol=2) as connection:
        run: str = cast("dict[str, str]", connection.info("server"))["run_id"]
        at = int(time.time() * 1000)

        def write(name: str, seal: Callable[[bytes], bytes], *, expires_ms: int = 0, times: int = 1) -> None:
            request = [1, at, False, "sample.note_run", [name]]
            block = [f"session {name}", run, 0, [], [request], ["alice", [], expires_ms]]
            for _ in range(times):
                connection.xadd(keys.requests, {"e": seal(json.dumps(["f", [block]]).encode())})

        yield write
        wait_until_blocking(lambda: connection.xlen(keys.requests) == 0, "all are dealt with")


async def test_a_worker_runs_only_what_a_frontend_has_sealed(
    guarded: Stack, frontend: Frontend, valkey_server: EmbeddedServer
) -> None:
    stream = Keys(guarded.prefix).of("sample").requests
    seals: dict[str, Callable[[bytes], bytes]] = {
        "bare": lambda entry: entry,
        "zero": lambda entry: b"\x01" + bytes(32) + entry,
        "secret": Seal("another secret", stream).seal,
        "object": Seal(SECRET, Keys(guarded.prefix).of("other").requests).seal,
        "changed": lambda entry: Seal(SECRET, stream).seal(entry).replace(b"alice", b"admin"),
    }
    with writer(valkey_server, guarded) as write:
        for name, seal in seals.items():
            write(name, seal)
        write("late", Seal(SECRET, stream).seal, expires_ms=int(time.time() * 1000) - 60_000)
        write("good", Seal(SECRET, stream).seal, times=3)  # written again, it does not run again
        async with Client(frontend.websocket_url, **bearer("alice-token")) as client:
            assert await client.get("sample.ran") == ["good"]
    worker = guarded.services[0]
    await wait_until(lambda: worker.output.count('"reason": "seal"') >= len(seals), "each forgery is told of")
    assert worker.output.count('"reason": "seal"') == len(seals)


async def test_what_a_frontend_has_sealed_is_good_once_and_for_nothing_else(
    make_stack: MakeStack, tmp_path: Path, valkey_server: EmbeddedServer
) -> None:
    write_tokens(tmp_path / "tokens.yaml", alice=[])
    stack = make_stack(**settings(kind="tokens", tokens=tmp_path / "tokens.yaml"))
    worker = stack.worker("sample=served:Sample", "other=served:Sample")
    frontend = stack.frontend()
    sample, other = (Keys(stack.prefix).of(name).requests for name in ("sample", "other"))
    path = valkey_server.url.removeprefix("unix://")
    with redis.Redis(unix_socket_path=path, protocol=2) as thief:
        async with Client(frontend.websocket_url, **bearer("alice-token")) as client:
            await client.hello()
            assert await client.get("sample.ran") == await client.get("other.ran") == []
            worker.send(signal.SIGSTOP)
            try:
                waiting = await client.start("sample.note_run", ["captured"])
                await wait_until(lambda: thief.xlen(sample) == 1, "the entry is in the stream")
                ((_, fields),) = cast("list[tuple[bytes, dict[bytes, bytes]]]", thief.xrange(sample))
            finally:
                worker.send(signal.SIGCONT)
            assert "result" in await waiting
            entry = fields[b"e"]
            assert b"captured" in entry
            thief.xadd(sample, {"e": entry})  # once more, as it is
            thief.xadd(other, {"e": entry})  # to another object
            thief.xadd(sample, {"e": entry.replace(b"captured", b"doctored")})
            thief.xadd(sample, {"e": entry.replace(b"note_run", b"set_a")})
            thief.xadd(sample, {"e": entry.replace(b"alice", b"admin")})
            thief.xadd(sample, {"e": entry[:1] + bytes(32) + entry[33:]})
            thief.xadd(sample, {"e": entry + b" "})
            await wait_until(lambda: thief.xlen(sample) == thief.xlen(other) == 0, "all are dealt with")
            assert await client.get("sample.ran") == ["captured"]
            assert await client.get("other.ran") == []
    await wait_until(lambda: worker.output.count('"reason": "seal"') >= 6, "each forgery is told of")
    assert worker.output.count('"reason": "seal"') == 6


async def test_frontend_and_worker_need_the_same_secret(make_stack: MakeStack, tmp_path: Path) -> None:
    write_tokens(tmp_path / "tokens.yaml", alice=[])
    stack = make_stack(**settings(kind="tokens", tokens=tmp_path / "tokens.yaml"))
    config: dict[str, Any] = {"session.secret": "another secret, which is as long as it"}
    worker = stack.worker("sample=served:Sample", **config)
    frontend = stack.frontend()
    async with Client(frontend.websocket_url, **bearer("alice-token")) as client:
        await client.start("sample.note_run", ["x"])
        await asyncio.to_thread(worker.wait_until_says, "no frontend with this session.secret")


async def test_a_channel_is_there_for_its_roles(
    make_stack: MakeStack, tmp_path: Path, valkey_server: EmbeddedServer
) -> None:
    file = tmp_path / "tokens.yaml"
    write_tokens(file, alice=["operator"], bob=["viewer"])
    stack = make_stack(**settings(kind="tokens", tokens=file, recheck=0.2))
    stack.worker("sample=served:Sample")
    with redis.Redis(unix_socket_path=valkey_server.url.removeprefix("unix://"), protocol=2) as connection:
        declaration = json.dumps({"kind": "value", "roles": ["operator", "chief"]})
        connection.hset(Keys(stack.prefix).of("sample").channels, "b", declaration)
    frontend = stack.frontend()
    async with (
        Client(frontend.websocket_url, **bearer("alice-token")) as alice,
        Client(frontend.websocket_url, **bearer("bob-token")) as bob,
    ):
        assert (await alice.subscribe("sample.b"))["sample.b"]["value"] == 2
        found = await bob.subscribe("sample.b", "sample.a")  # the second subscriber, too
        assert found["sample.b"]["error"]["code"] == errors.NOT_FOUND.code
        assert found["sample.a"]["value"] == 1
        assert "sample.b" in await alice.call("rpc.channels", {})
        assert "sample.b" not in await bob.call("rpc.channels", {"object": "sample"})
        write_tokens(file, alice=["viewer"], bob=["viewer", "spare"])
        await wait_until(lambda: alice.close_code == 4401, "alice's subscription ends with her role")
        assert await bob.call("sample.test_sum", [1, 2]) == 3


async def test_a_channel_that_takes_a_role_by_now_ends_with_those_who_lack_it(
    make_stack: MakeStack, tmp_path: Path
) -> None:
    write_tokens(tmp_path / "tokens.yaml", alice=["operator"], bob=["viewer"])
    stack = make_stack(**settings(kind="tokens", tokens=tmp_path / "tokens.yaml"))
    worker = stack.worker("changing=changing:Changing")
    frontend = stack.frontend()
    async with (
        Client(frontend.websocket_url, **bearer("alice-token")) as alice,
        Client(frontend.websocket_url, **bearer("bob-token")) as bob,
    ):
        for client in (alice, bob):
            assert (await client.subscribe("changing.level"))["changing.level"]["value"] == 1
        await asyncio.to_thread(worker.stop)
        await asyncio.to_thread(stack.worker, "changing=changing:Changing", env={"ROLE_OF_LEVEL": "operator"})
        await wait_until(lambda: bob.close_code == 4401, "bob's subscription ends")
        await alice.call("changing.up")
        await alice.wait_for_update("changing.level", 2)
    async with Client(frontend.websocket_url, **bearer("bob-token")) as bob:
        answer = await bob.subscribe("changing.level")
        assert answer["changing.level"]["error"]["code"] == errors.NOT_FOUND.code


# --- the end of rights -----------------------------------------------------------------------------------------------


async def test_a_revoked_token_ends_its_connections(make_stack: MakeStack, tmp_path: Path) -> None:
    file = tmp_path / "tokens.yaml"
    write_tokens(file, alice=["operator"], bob=[])
    stack = make_stack(**settings(kind="tokens", tokens=file, recheck=0.2))
    stack.worker("sample=served:Sample")
    frontend = stack.frontend()
    async with (
        Client(frontend.websocket_url, **bearer("alice-token")) as alice,
        Client(frontend.websocket_url, **bearer("bob-token")) as bob,
    ):
        assert await alice.call("sample.who") == ["alice", ["operator"]]
        write_tokens(file, alice=["viewer"])
        await wait_until(lambda: bob.close_code == 4401, "bob is sent away")

        async def is_changed() -> bool:
            return await alice.call("sample.who") == ["alice", ["viewer"]]

        await wait_until(is_changed, "alice has her new role")
    assert frontend.post_text(call("sample.who"), Authorization="Bearer bob-token").status_code == 401


def make_jwks(file: Path) -> Callable[..., str]:
    """Writes the public key; returns what signs with the private one."""
    key = ec.generate_private_key(ec.SECP256R1())
    public = jwt.get_algorithm_by_name("ES256").to_jwk(key.public_key(), as_dict=True)
    file.write_text(json.dumps({"keys": [{**public, "kid": "k1", "alg": "ES256"}]}))

    def sign(user: str, lifetime_s: float, **claims: Any) -> str:
        payload = {"sub": user, "exp": time.time() + lifetime_s, "iss": "me", "aud": "lab", **claims}
        return jwt.encode(payload, key, algorithm="ES256", headers={"kid": "k1"})

    return sign


async def test_a_jwt_is_refreshed_without_reconnecting_and_ends_in_time(make_stack: MakeStack, tmp_path: Path) -> None:
    sign = make_jwks(tmp_path / "jwks.json")
    jwt_settings = {"jwt__keys": tmp_path / "jwks.json", "jwt__issuer": "me", "jwt__audience": "lab", "jwt__leeway": 0}
    stack = make_stack(**settings(kind="jwt", **jwt_settings))
    stack.worker("sample=served:Sample")
    frontend = stack.frontend()
    async with Client(frontend.websocket_url, **bearer(sign("alice", 6))) as client:
        until = time.time() + 6
        assert await client.call("sample.who") == ["alice", []]
        answer = await client.call(LOGIN, {"token": sign("alice", 60, roles="a b")})
        assert answer == {"user": "alice", "roles": ["a", "b"]}
        assert await client.call("sample.who") == ["alice", ["a", "b"]]
        await wait_until(lambda: time.time() > until, "the first token has expired")
        assert await client.call("sample.who") == ["alice", ["a", "b"]]

        async def has_logged_in() -> bool:
            """It may have expired on its way to a busy process."""
            return "result" in await (await client.start(LOGIN, {"token": sign("alice", 2)}))

        await wait_until(has_logged_in, "the token that ends soon has taken the place of the other one")
        await wait_until(lambda: client.close_code == 4401, "the connection has ended with its token")
    for token in (sign("alice", 60, iss="you"), sign("alice", 60, aud="shop"), sign("alice", -1), sign("", 60)):
        assert frontend.post_text(call("sample.who"), Authorization=f"Bearer {token}").status_code == 401


async def test_an_open_subscription_ends_with_its_token(make_stack: MakeStack, tmp_path: Path) -> None:
    sign = make_jwks(tmp_path / "jwks.json")
    stack = make_stack(**settings(kind="jwt", jwt__keys=tmp_path / "jwks.json", jwt__leeway=0))
    stack.worker("sample=served:Sample")
    frontend = stack.frontend()
    async with Client(frontend.websocket_url, **bearer(sign("bob", 60))) as bob:
        expires = time.time() + 6
        async with Client(frontend.websocket_url, **bearer(sign("alice", 0, exp=expires))) as alice:
            await alice.subscribe("sample.a")
            await bob.set("sample.a", 2)
            await alice.wait_for_update("sample.a", 2)
            await wait_until(lambda: alice.close_code == 4401, "alice's connection ends")
            assert time.time() < expires + 5  # a sweep of half a second, on a busy machine
            await bob.set("sample.a", 3)
            assert await bob.get("sample.a") == 3
            assert alice.updates("sample.a") == [2]
            await bob.set("sample.a", 1)


async def test_tokens_are_in_no_log(make_stack: MakeStack, tmp_path: Path) -> None:
    write_tokens(tmp_path / "tokens.yaml", alice=[])
    logs = {"logging_config.level": "DEBUG", "logging_config.access": "json"}
    stack = make_stack(**settings(kind="tokens", tokens=tmp_path / "tokens.yaml", cookie="login"), **logs)
    worker = stack.worker("sample=served:Sample")
    frontend = stack.frontend()
    secrets = ["alice-token", "wrong-token"]
    for token in secrets:
        for options in (
            bearer(token),
            {"subprotocols": ["wispy", f"bearer.{token}"]},
            {"additional_headers": {"Cookie": f"login={token}"}, "origin": frontend.url},
            {},
        ):
            async with Client(frontend.websocket_url, **options) as client:
                await client.ask_raw(call(LOGIN, token=token))
                await client.ask_raw(call("sample.who"))
        frontend.post_text(call("sample.who"), Authorization=f"Bearer {token}")
        frontend.post_text(call(LOGIN, token=token), Authorization="Bearer alice-token")
        frontend.post_text("{" + token, Authorization="Bearer alice-token")
    await wait_until(lambda: LOGIN in frontend.output, "requests are logged")
    for token in secrets:
        assert token not in frontend.output
        assert token not in worker.output


async def test_a_function_decides(make_stack: MakeStack) -> None:
    for function in ("users:of_token", "users:of_token_later"):
        stack = make_stack(**settings(kind="function", function=function, function_timeout=3, recheck=0.2))
        stack.worker("sample=served:Sample")
        frontend = stack.frontend()
        assert await who(frontend, **bearer("carol")) == ["carol", ["from 127.0.0.1"]]
        for token, status in (("nobody", 401), ("slow", 503), ("broken", 503), ("wrong", 503)):
            answer = frontend.post_text(call("sample.who"), Authorization=f"Bearer {token}")
            assert answer.status_code == status, (function, token)
            assert "secret place" not in answer.text
        async with Client(frontend.websocket_url, **bearer("brief")) as client:
            await wait_until(lambda: client.close_code == 4401, "the function knows this user no more")


async def test_a_proxy_is_believed_where_it_is_trusted(make_stack: MakeStack) -> None:
    headers = {"X-Forwarded-User": "dave", "X-Forwarded-Groups": "staff, guests"}
    for trusted in (True, False):
        proxies = {"trusted_proxies": json.dumps(["127.0.0.0/8" if trusted else "10.0.0.0/8"])}
        stack = make_stack(**settings(kind="proxy", proxy__lifetime=3), **proxies)
        stack.worker("sample=served:Sample")
        frontend = stack.frontend()
        answer = frontend.post_text(call("sample.who"), **headers)
        if not trusted:
            assert answer.status_code == 401
            continue
        assert answer.json()["result"] == ["dave", ["guests", "staff"]]
        async with Client(frontend.websocket_url, additional_headers=headers) as client:
            assert await client.call("sample.who") == ["dave", ["guests", "staff"]]
            await wait_until(lambda: client.close_code == 4401, "it has to come through the proxy again")
