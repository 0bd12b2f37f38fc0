"""Who callers say that they are: tokens, where they come, sessions that are gone on with, and their rules."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.security.attack import CALL, SESSION_SECRET, check_no_leak, each, expected, message_of, refusal
from tests.security.conftest import FOLDER, Target
from tests.security.tokens import Issuer, resuming_token
from tests.support.rpc_client import Client
from tests.support.stack import Frontend, Stack, clean_stack
from wispy.broker.embedded import EmbeddedServer

BOSS = message_of("vault.for_the_boss")


class Guarded:
    """A worker and a frontend that take the issuer's tokens."""

    def __init__(self, stack: Stack, keys: Path) -> None:
        self.issuer = Issuer()
        self.issuer.write_keys(keys)
        self.worker = stack.worker("vault=served:vault", "watch=served:watch")
        self.frontend: Frontend = stack.frontend()
        self.http = httpx.Client(base_url=self.frontend.url, trust_env=False, timeout=30)
        self.good = {"Authorization": f"Bearer {self.issuer.good}"}
        self.touched()

    def post(self, text: str, path: str = "/rpc", **headers: str) -> httpx.Response:
        return self.http.post(path, content=text, headers={"Content-Type": "application/json", **headers})

    def touched(self) -> list[str]:
        return self.post(message_of("watch.look"), **self.good).json()["result"][0]


@pytest.fixture(scope="module")
def guarded(valkey_server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    keys = tmp_path_factory.mktemp("keys") / "keys.json"
    auth = {"kind": "jwt", "cookie": "login", "jwt.keys": keys, "jwt.issuer": "issuer", "jwt.audience": "lab"}
    config: dict[str, Any] = {"session.secret": SESSION_SECRET, **{f"auth.{key}": value for key, value in auth.items()}}
    with clean_stack(valkey_server, tmp_path_factory, folder=FOLDER, **config) as stack:
        guarded = Guarded(stack, keys)
        yield guarded
        guarded.http.close()


def check_refused(response: httpx.Response) -> None:
    check_no_leak(response.text)
    assert (response.status_code, response.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert refusal(response.json()) == expected("UNAUTHENTICATED")


def test_a_good_token_lets_its_user_in_and_no_further(guarded: Guarded) -> None:
    """What all rows differ from: without this, they would be refused for any reason."""
    assert guarded.post(CALL, **guarded.good).json()["result"] == 3
    assert refusal(guarded.post(BOSS, **guarded.good).json()) == expected("NOT_FOUND")
    assert guarded.touched() == ["add"]


@each("tokens")
async def test_tokens(row: dict[str, Any], guarded: Guarded) -> None:
    token = guarded.issuer.made(row)
    check_refused(guarded.post(CALL, Authorization=f"Bearer {token}"))
    async with Client(
        guarded.frontend.websocket_url, additional_headers={"Authorization": f"Bearer {token}"}
    ) as client:
        answer = await client.ask_raw(CALL)
        assert refusal(answer) == expected("UNAUTHENTICATED", "say rpc.authenticate first")
        answer = await client.ask_raw(message_of("rpc.authenticate", {"token": token}))
        check_no_leak(answer)
        assert refusal(answer) == expected(*row.get("first", ("UNAUTHENTICATED", "the token is not good")))
        assert refusal(await client.ask_raw(BOSS)) == expected("UNAUTHENTICATED", "say rpc.authenticate first")
    assert guarded.touched() == []
    assert len(token) < 20 or token not in guarded.frontend.output
    assert "Traceback" not in guarded.frontend.output


@each("credentials")
def test_credentials(row: dict[str, Any], guarded: Guarded) -> None:
    def filled(text: str) -> str:
        return text.replace("{good}", guarded.issuer.good).replace("{origin}", guarded.frontend.url)

    headers = {name: filled(value) for name, value in row["headers"].items()}
    check_refused(guarded.post(CALL, filled(row.get("path", "/rpc")), **headers))
    assert guarded.touched() == []


@each("resuming")
async def test_resuming(row: dict[str, Any], untouched: Target) -> None:
    async with Client(untouched.frontend.websocket_url) as victim, Client(untouched.frontend.websocket_url) as attacker:
        owned = await victim.hello()
        token = resuming_token(row, owned["session"], owned["token"], SESSION_SECRET)
        welcome = await attacker.call("rpc.hello", {"session": owned["session"], "token": token})
        check_no_leak({**welcome, "token": ""})
        assert welcome["resumed"] is False
        assert welcome["session"] != owned["session"]
        assert refusal(await attacker.ask_raw(message_of("vault._private", id=7))) == expected("NOT_FOUND")


async def test_a_good_token_goes_on_with_its_session(target: Target) -> None:
    """What all rows above differ from."""
    async with Client(target.frontend.websocket_url) as client:
        owned = await client.hello()
    token = resuming_token({}, owned["session"], owned["token"], SESSION_SECRET)
    async with Client(target.frontend.websocket_url) as client:
        assert (await client.call("rpc.hello", {"session": owned["session"], "token": token}))["resumed"] is True


@each("sessions")
async def test_sessions(row: dict[str, Any], client: Client, untouched: Target) -> None:
    await client.hello(last_id=98)
    await client.call("watch.look")
    method = row.get("method", "vault.add")
    members = json.dumps(row.get("members", {}))
    text = f'{{"jsonrpc":"2.0","id":{row["id"]},"method":"{method}","params":[],"wispy":{members}}}'
    answer = await client.ask_raw(text)
    check_no_leak(answer)
    assert refusal(answer) == expected("INVALID_REQUEST", row.get("says", "after rpc.hello, ids are rising integers"))
