"""Channels and connections end with the rights of those who use them."""

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import redis
from cryptography.hazmat.primitives.asymmetric import ec

from tests.integration.stack.conftest import MakeStack
from tests.integration.stack.logins import LOGIN, bearer, call, settings, write_tokens
from tests.support.rpc_client import Client
from tests.support.waiting import wait_until
from wispy.broker.embedded import EmbeddedServer
from wispy.broker.keys import Keys
from wispy.protocol import errors

# --- channels ---------------------------------------------------------------------------------------------------------


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


# --- tokens -----------------------------------------------------------------------------------------------------------


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
