"""How a token comes and who says whose it is, with real frontends and workers."""

import asyncio
import json
import os
import subprocess
from pathlib import Path

import pytest

import wispy
from tests.integration.stack.conftest import MakeStack
from tests.integration.stack.logins import LOGIN, bearer, call, settings, who, write_tokens
from tests.support.rpc_client import Client, RemoteError
from tests.support.stack import Frontend, command
from tests.support.waiting import wait_until
from wispy.frontend.auth.credentials import Credentials
from wispy.frontend.auth.verifying import StaticTokens
from wispy.protocol import errors
from wispy.protocol.identity import Identity

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


# --- what becomes of it -----------------------------------------------------------------------------------------------


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
