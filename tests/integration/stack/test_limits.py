"""How much one session, one user and one address may have of a frontend: over real sockets, on both shells."""

import asyncio
import contextlib
import functools
import json
import re
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.integration.stack.conftest import check_keys
from tests.integration.stack.gate import Gate
from tests.integration.stack.logins import SECRET, write_tokens
from tests.integration.websocket.wire import connect
from tests.support.rpc_client import Client
from tests.support.stack import Frontend, Stack, command, flags
from tests.support.waiting import wait_until
from wispy.broker.embedded import EmbeddedServer
from wispy.protocol import errors

FOLDER = Path(__file__).parent
SLOW = 0.02
"""A second: what is used up stays so for the length of a test's next lines."""

BEHIND: dict[str, Any] = {"metrics": "true", "trusted_proxies": "[127.0.0.1]"}
"""The tests are the proxy: each client has the address that it says."""

StartFrontend = Callable[..., Frontend]


@pytest.fixture(scope="module")
def worker_stack(valkey_server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    tokens = tmp_path_factory.mktemp("tokens") / "tokens.yaml"
    write_tokens(tokens, alice=["operator"], bob=[])
    logs = tmp_path_factory.mktemp("logs")
    config: dict[str, Any] = {"session.secret": SECRET, "auth.tokens": tokens}
    stack = Stack(valkey_server.url, folder=FOLDER, logs=logs, **config)
    try:
        stack.worker("sample=served:Sample")
        guarded: dict[str, Any] = {"auth.kind": "tokens"}
        stack.worker("guarded=served:Sample", **guarded)
        yield stack
    finally:
        stack.close()
    check_keys(valkey_server, stack)


@pytest.fixture
def start(worker_stack: Stack) -> Iterator[StartFrontend]:
    """Start a frontend with these limits; it ends with the test."""
    frontends: list[Frontend] = []

    def start_one(
        shell: str = "detached",
        *,
        message_size: str | None = None,
        proxies: str | None = None,
        metrics_port: int | None = None,
        **config: Any,
    ) -> Frontend:
        settings = {key if "." in key else f"limits.{key}": value for key, value in config.items()}
        if proxies is not None:
            settings["trusted_proxies"] = proxies
        if metrics_port is not None:
            settings["metrics_port"] = metrics_port
        if message_size is not None:
            settings["websocket_max_message_size"] = message_size
        frontends.append(worker_stack.frontend(**{**BEHIND, "websocket.shell": shell, **settings}))
        return frontends[-1]

    yield start_one
    for frontend in frontends:
        frontend.stop()
        worker_stack.services.remove(frontend)


@pytest.fixture(params=["detached", "tornado"])
def shell(request: pytest.FixtureRequest) -> str:
    return request.param


def client_of(frontend: Frontend, address: str = "192.0.2.1", token: str | None = None) -> Client:
    headers = {"X-Forwarded-For": address} | ({} if token is None else {"Authorization": f"Bearer {token}"})
    return Client(frontend.websocket_url, additional_headers=headers)


def get(url: str, **headers: str) -> httpx.Response:
    return httpx.get(url, headers=headers, timeout=10, trust_env=False)


def hits(frontend: Frontend) -> dict[str, float]:
    """How often each limit was reached; nothing of it while this is turned away as well."""
    answer = get(f"{frontend.url}/metrics")
    families = text_string_to_metric_families(answer.text) if answer.status_code == 200 else []
    samples = [sample for family in families for sample in family.samples]
    return {
        sample.labels["limit"]: sample.value
        for sample in samples
        if sample.name == "wispy_frontend_limit_hits_total" and sample.value
    }


def request(id: int | None, method: str = "sample.test_sum", params: Any = (1, 2)) -> dict[str, Any]:
    message = {"jsonrpc": "2.0", "method": method, "params": params}
    return message if id is None else {**message, "id": id}


def codes(answers: list[dict[str, Any]]) -> list[int]:
    """0 for a result, else the error's code; in the order of ids."""
    return [each["error"]["code"] if "error" in each else 0 for each in sorted(answers, key=lambda each: each["id"])]


async def status_of(client: Client) -> tuple[int, str | None]:
    """With what a handshake is refused, and when to come again."""
    with pytest.raises(InvalidStatus) as raised:
        async with client:
            pass
    response = raised.value.response
    return response.status_code, response.headers.get("Retry-After")


RATE_LIMITED = errors.RATE_LIMITED.code
OVERLOADED = errors.OVERLOADED.code


# --- requests a second ------------------------------------------------------------------------------------------------


async def test_an_address_has_its_rate_over_all_of_its_doors(start: StartFrontend, shell: str) -> None:
    frontend = start(shell, request_rate_per_address=SLOW, burst=5 / SLOW)
    async with client_of(frontend) as client, client_of(frontend) as second:
        assert await client.call("sample.test_sum", [1, 2]) == 3
        await client.send_raw(json.dumps([request(11), request(12), request(None)]))
        await wait_until(lambda: any(isinstance(each, list) for each in client.received), "the batch is answered")
        post = frontend.post_text(json.dumps([request(1), request(2)]), X_Forwarded_For="192.0.2.1")
        assert codes(post.json()) == [0, RATE_LIMITED]
        refused = await second.error("sample.note_run", ["it did not run"])
        assert (refused.code, refused.data["executed"], refused.data["retryable"]) == (RATE_LIMITED, "no", True)
        assert 20_000 < refused.data["retry_in_ms"] <= 50_001
        assert "limits.request_rate_per_address" in refused.message
        async with client_of(frontend, "192.0.2.2") as neighbour:
            assert "it did not run" not in await neighbour.get("sample.ran")
    assert hits(frontend) == {"request_rate_per_address": 2}


async def test_each_request_of_a_batch_counts_and_is_answered(start: StartFrontend, shell: str) -> None:
    frontend = start(shell, request_rate_per_session=SLOW, burst=3 / SLOW)
    async with client_of(frontend) as client:
        await client.send_raw(json.dumps([request(number) for number in range(5)]))
        await wait_until(lambda: bool(client.received), "the batch is answered")
        assert codes(client.received[0]) == [0, 0, 0, RATE_LIMITED, RATE_LIMITED]
    assert hits(frontend) == {"request_rate_per_session": 2}


async def test_who_waits_as_told_is_served(start: StartFrontend) -> None:
    frontend = start(request_rate_per_session=0.5)
    both = json.dumps([request(1), request(2)])  # at the same moment, however busy the machine is
    async with client_of(frontend) as client:
        for _ in range(2):
            served, refused = sorted(await client.ask_raw(both), key=lambda answer: answer["id"])
            assert served["result"] == 3
            retry_in_ms = refused["error"]["data"]["retry_in_ms"]
            await asyncio.sleep(retry_in_ms / 1000)  # what is tested: the time that was told


async def test_a_network_of_ipv6_is_one_address_and_a_forged_one_none(start: StartFrontend) -> None:
    frontend = start(request_rate_per_address=SLOW, burst=1 / SLOW)
    for address, code in (
        ("2001:db8:1:2::1", 0),
        ("2001:db8:1:2:ffff::9", RATE_LIMITED),
        ("2001:db8:1:3::1", 0),
        ("198.51.100.7", 0),
        ("203.0.113.5, 198.51.100.7", RATE_LIMITED),  # what its client wrote before the proxy is nobody's word
        ("::ffff:198.51.100.7", RATE_LIMITED),
    ):
        answer = frontend.post_text(json.dumps([request(1)]), X_Forwarded_For=address).json()
        assert codes(answer) == [code], address


async def test_the_bucket_of_a_session_goes_on_with_it(start: StartFrontend) -> None:
    frontend = start(request_rate_per_session=SLOW, burst=4 / SLOW)
    async with client_of(frontend) as client:
        session = await client.hello()
        assert [await client.call("sample.test_sum", [1, 2]) for _ in range(3)] == [3, 3, 3]
    async with client_of(frontend) as again:
        assert (await again.hello(session, last_id=10))["resumed"]
        await again.call("sample.test_sum", [1, 2])
        assert (await again.error("sample.test_sum", [1, 2])).code == RATE_LIMITED
    async with client_of(frontend) as another:
        await another.hello()
        assert await another.call("sample.test_sum", [1, 2]) == 3


async def test_a_retry_is_never_told_that_it_did_not_run(start: StartFrontend) -> None:
    frontend = start(request_rate_per_session=SLOW, burst=1 / SLOW, in_flight_per_connection=3)
    async with client_of(frontend) as client:
        welcome = await client.hello()
        members = {"wispy": {"retry": True, "at": welcome["ms"]}}
        for id in range(100, 105):
            await client.send_raw(json.dumps({**request(id), **members}))
        await wait_until(
            lambda: {each.get("id") for each in client.received} >= set(range(100, 105)), "all are answered"
        )
        answers = [each for each in client.received if each["id"] >= 100]
        # One that the bucket holds, and what may have been in flight.
        assert codes(answers) == [0, 0, 0, 0, errors.OUTCOME_UNKNOWN.code]
        assert [each["error"]["data"]["executed"] for each in answers if "error" in each] == ["maybe"]


async def test_users_have_their_rate_wherever_they_are(start: StartFrontend) -> None:
    frontend = start(request_rate_per_user=SLOW, burst=2 / SLOW, **{"auth.kind": "tokens"})
    async with client_of(frontend, "192.0.2.1", "alice-token") as one, client_of(frontend, "192.0.2.2") as other:
        assert (await one.call("guarded.who"))[0] == "alice"
        await other.call("rpc.authenticate", {"token": "alice-token"})
        assert (await other.call("guarded.who"))[0] == "alice"
        assert (await one.error("guarded.who")).code == RATE_LIMITED
        async with client_of(frontend, "192.0.2.1", "bob-token") as bob:
            assert (await bob.call("guarded.who"))[0] == "bob"
    assert hits(frontend) == {"request_rate_per_user": 1}


# --- in flight --------------------------------------------------------------------------------------------------------


async def test_what_an_address_has_in_flight_counts_though_it_is_gone(
    start: StartFrontend, shell: str, gate: Gate
) -> None:
    frontend = start(shell, in_flight_per_address=3)
    async with client_of(frontend) as client:
        await client.send_raw(json.dumps([request(number, "sample.wait", [gate.path]) for number in (1, 2)]))
        await gate.wait_until_reached()
    async with client_of(frontend) as client, client_of(frontend, "192.0.2.2") as neighbour:
        third = await client.start("sample.wait", [gate.path])
        refused = await client.error("sample.test_sum", [1, 2])
        assert (refused.code, refused.data["executed"], refused.data["retryable"]) == (OVERLOADED, "no", True)
        post = frontend.post_text(json.dumps([request(1), request(2)]), X_Forwarded_For="192.0.2.1")
        assert codes(post.json()) == [OVERLOADED, OVERLOADED]
        assert await neighbour.call("sample.test_sum", [1, 2]) == 3
        gate.open()
        await third
        assert await client.call("sample.test_sum", [1, 2]) == 3
    assert hits(frontend) == {"in_flight_per_address": 3}


async def test_what_a_user_has_in_flight(start: StartFrontend, gate: Gate) -> None:
    frontend = start(in_flight_per_user=2, **{"auth.kind": "tokens"})
    async with client_of(frontend, "192.0.2.1", "alice-token") as one, client_of(frontend, "192.0.2.2") as other:
        await other.call("rpc.authenticate", {"token": "alice-token"})
        held = [await other.start("guarded.wait", [gate.path])]
        await gate.wait_until_reached()
        held.append(await one.start("guarded.wait", [gate.path]))
        assert (await one.error("guarded.who")).code == OVERLOADED
        async with client_of(frontend, "192.0.2.1", "bob-token") as bob:
            assert (await bob.call("guarded.who"))[0] == "bob"
        gate.open()
        await asyncio.gather(*held)
        assert (await one.call("guarded.who"))[0] == "alice"
    assert hits(frontend) == {"in_flight_per_user": 1}


# --- connections ------------------------------------------------------------------------------------------------------


async def test_connections_of_an_address(start: StartFrontend, shell: str) -> None:
    frontend = start(shell, connections_per_address=2)
    async with client_of(frontend) as one, client_of(frontend, "192.0.2.2"):
        async with client_of(frontend):
            assert await status_of(client_of(frontend)) == (429, None)
        await wait_until(lambda: opens(frontend), "one that is closed makes room")
        assert await one.call("sample.test_sum", [1, 2]) == 3


async def opens(frontend: Frontend) -> bool:
    with contextlib.suppress(InvalidStatus):
        async with client_of(frontend):
            return True
    return False


async def test_many_at_the_same_moment_are_not_more_than_they_may_be(start: StartFrontend, shell: str) -> None:
    frontend = start(shell, connections_per_address=3, connections=8)
    async with AsyncExitStack() as stack:
        clients = [client_of(frontend, f"192.0.2.{1 + number // 10}") for number in range(30)]
        opened = await asyncio.gather(*map(stack.enter_async_context, clients), return_exceptions=True)
        assert all(isinstance(each, Client | InvalidStatus) for each in opened), opened

        async def served() -> list[Client]:
            answers = await asyncio.gather(*(ask(each) for each in opened if isinstance(each, Client)))
            return [client for client in answers if client is not None]

        assert len(await served()) == 8
        turned_away = [each for each in opened if isinstance(each, Client) and each.close_code is not None]
        assert {each.close_code for each in turned_away} <= {1013}
    assert set(hits(frontend)) <= {"connections", "connections_per_address"}
    assert sum(hits(frontend).values()) == 22


async def ask(client: Client) -> Client | None:
    try:
        await client.call("sample.test_sum", [1, 2])
    except (ConnectionClosed, asyncio.CancelledError):  # while it sent, or while it waited for the answer
        await wait_until(lambda: client.close_code is not None, "it is closed")
        return None
    return client


async def test_how_often_an_address_may_connect(start: StartFrontend, shell: str) -> None:
    frontend = start(shell, connection_rate_per_address=SLOW, burst=2 / SLOW)
    for _ in range(2):
        async with client_of(frontend) as client:
            assert await client.call("sample.test_sum", [1, 2]) == 3
    status, seconds = await status_of(client_of(frontend))
    assert status == 429
    assert 20 < int(seconds or 0) <= 50
    async with client_of(frontend, "192.0.2.2"):
        pass
    assert hits(frontend) == {"connection_rate_per_address": 1}


async def test_connections_of_a_user(start: StartFrontend, shell: str) -> None:
    frontend = start(shell, connections_per_user=2, **{"auth.kind": "tokens"})
    async with client_of(frontend, "192.0.2.1", "alice-token"), client_of(frontend, "192.0.2.2") as second:
        await second.call("rpc.authenticate", {"token": "alice-token"})
        await second.call("rpc.authenticate", {"token": "alice-token"})  # it is one of hers already
        assert await status_of(client_of(frontend, "192.0.2.3", "alice-token")) == (429, None)
        async with client_of(frontend, "192.0.2.3") as third:
            refused = await third.error("rpc.authenticate", {"token": "alice-token"})
            assert refused.code == OVERLOADED
            assert (await third.error("guarded.who")).code == errors.UNAUTHENTICATED.code
            assert await third.call("rpc.authenticate", {"token": "bob-token"})
    assert hits(frontend) == {"connections_per_user": 2}


async def told(reader: asyncio.StreamReader) -> bytes:
    """All that comes until the server closes the connection."""
    return await asyncio.wait_for(reader.read(), 20)


async def test_connections_that_say_nothing_are_bounded(start: StartFrontend, shell: str) -> None:
    frontend = start(shell, http_connections=4)
    host, _, port = frontend.address.partition(":")
    async with client_of(frontend) as client, AsyncExitStack() as stack:
        assert await client.call("sample.test_sum", [1, 2]) == 3, "and what was connected before is gone"
        for _ in range(4):
            _, writer = await asyncio.open_connection(host, int(port))
            stack.callback(writer.close)
        reader, writer = await asyncio.open_connection(host, int(port))
        stack.callback(writer.close)
        assert (await told(reader)).startswith(b"HTTP/1.1 503 ")
        assert await client.call("sample.test_sum", [1, 2]) == 3
    await wait_until(lambda: hits(frontend).get("http_connections"), "those that are gone make room")


async def test_probes_are_answered_while_all_connections_are_held(start: StartFrontend, shell: str) -> None:
    """A frontend that is full lives, and its websockets with it; new clients are another one's."""
    frontend = start(shell, http_connections=4, metrics_port=0)
    base = frontend.wait_until_says(r"metrics are told at (http://\S+)/metrics")[1]

    async def probed(path: str) -> tuple[int, str]:
        response = await asyncio.to_thread(httpx.get, f"{base}{path}", trust_env=False, timeout=30)
        return response.status_code, response.text

    ready, full = (200, "ready\n"), (503, "no more HTTP connections are taken (limits.http_connections)\n")
    await wait_until(lambda: is_answer(probed("/readyz"), ready), "it is ready")
    host, _, port = frontend.address.partition(":")
    async with client_of(frontend) as client:
        assert await client.call("sample.test_sum", [1, 2]) == 3, "and what was connected before is gone"
        async with AsyncExitStack() as stack:
            for _ in range(4):
                _, writer = await asyncio.open_connection(host, int(port))
                stack.callback(writer.close)
            await wait_until(lambda: is_answer(probed("/readyz"), full), "it is full")
            assert await probed("/healthz") == (200, "ok\n")
            refused, writer = await asyncio.open_connection(host, int(port))
            stack.callback(writer.close)
            assert (await told(refused)).startswith(b"HTTP/1.1 503 "), "and so it is on the port for everybody"
            assert await client.call("sample.test_sum", [1, 2]) == 3
        await wait_until(lambda: is_answer(probed("/readyz"), ready), "those that are gone make room")


async def is_answer(asked: Awaitable[tuple[int, str]], expected: tuple[int, str]) -> bool:
    return await asked == expected


async def test_one_address_does_not_take_the_connections_of_all(start: StartFrontend) -> None:
    frontend = start(http_connections_per_address=3, proxies="[127.0.0.2]")
    host, _, port = frontend.address.partition(":")
    async with client_of(frontend) as client:
        assert await client.call("sample.test_sum", [1, 2]) == 3, "and what was connected before is gone"
    async with AsyncExitStack() as stack:

        async def connect(source: str) -> asyncio.StreamReader:
            reader, writer = await asyncio.open_connection(host, int(port), local_addr=(source, 0))
            stack.callback(writer.close)
            return reader

        for source in ("127.0.0.1", "127.0.0.2", "127.0.0.2"):
            for _ in range(3):
                await connect(source)
        assert (await told(await connect("127.0.0.1"))).startswith(b"HTTP/1.1 503 ")
        await connect("127.0.0.3")
    await wait_until(lambda: hits(frontend).get("http_connections_per_address"), "those that are gone make room")


async def test_who_says_nothing_has_to_go(start: StartFrontend) -> None:
    frontend = start(http_idle=0.5)
    host, _, port = frontend.address.partition(":")
    for said in (b"", b"GET / HTTP/1.1\r\nHost: "):
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(said)
        assert await told(reader) == b""
        writer.close()


@pytest.mark.skipif(sys.platform == "win32", reason="platform: processes have no such limit")
async def test_a_frontend_keeps_files_for_itself(worker_stack: Stack) -> None:
    """However many connect: it can accept and refuse them, and serves those who are in."""
    config = flags({**worker_stack._config, **BEHIND, "port": 0, "multiprocessed": "false"})
    frontend = Frontend(
        ["sh", "-c", 'ulimit -n 150; exec "$@"', "sh", command("wispy-frontend"), *config],
        folder=FOLDER,
        log=worker_stack._log("few"),
    )
    worker_stack.services.append(frontend)
    frontend.wait_until_listening()
    host, _, port = frontend.address.partition(":")
    async with client_of(frontend) as client:
        assert "files may be open" not in frontend.output
        many = [await asyncio.open_connection(host, int(port)) for _ in range(200)]
        refused = 0
        for reader, writer in reversed(many):
            with contextlib.suppress(TimeoutError, ConnectionError):
                refused += (await asyncio.wait_for(reader.read(1), 0.1 if refused > 100 else 5)) == b"H"
            if refused > 120:
                break
            writer.close()
        assert refused > 120
        assert await client.call("sample.test_sum", [1, 2]) == 3
        for _, writer in many:
            writer.close()
    assert "Too many open files" not in frontend.output
    assert frontend.output.count("only 150 files may be open") == 1
    assert frontend.stop() == 0


# --- subscriptions ----------------------------------------------------------------------------------------------------

NEW_CHANNELS = ("sample.log", "sample.alarm")


async def test_subscriptions(start: StartFrontend) -> None:
    frontend = start(subscriptions_per_address=3, subscriptions_per_connection=2)
    async with client_of(frontend) as one, client_of(frontend) as other, client_of(frontend, "192.0.2.2") as third:
        assert (
            await one.error("rpc.subscribe", {"channels": ["sample.a", "sample.b", "sample.log"]})
        ).code == OVERLOADED
        await one.subscribe("sample.a", "sample.b")
        await one.subscribe("sample.a", "sample.b")  # it has them
        refused = await other.error("rpc.subscribe", {"channels": ["sample.a", "sample.b"]})
        assert (refused.code, refused.data["retryable"]) == (OVERLOADED, False)
        assert "limits.subscriptions_per_address" in refused.message
        await third.subscribe("sample.a", "sample.b")
        await one.call("rpc.unsubscribe", {"channels": ["sample.a"]})
        await other.subscribe("sample.a", "sample.b")
        await third.call("rpc.unsubscribe", {"channels": ["sample.b"]})
        # Both are begun before one of them is done.
        both = [request(number, "rpc.subscribe", {"channels": [name]}) for number, name in enumerate(NEW_CHANNELS, 1)]
        await third.send_raw(json.dumps(both))
        await wait_until(lambda: isinstance(third.received[-1], list), "both are answered")
        results = [result for answer in third.received[-1] for result in answer["result"].values()]
        assert sorted("error" in result for result in results) == [False, True]
    assert hits(frontend) == {"subscriptions_per_connection": 2, "subscriptions_per_address": 1}


async def test_how_often_may_be_subscribed(start: StartFrontend) -> None:
    frontend = start(subscription_rate_per_session=SLOW, burst=3 / SLOW)
    async with client_of(frontend) as client:
        await client.subscribe("sample.a", "sample.b")
        refused = await client.error("rpc.subscribe", {"channels": ["sample.log", "sample.alarm"]})
        assert (refused.code, refused.data["executed"]) == (RATE_LIMITED, "no")
        assert 20_000 < refused.data["retry_in_ms"] <= 50_001
        await client.subscribe("sample.log")
        assert await client.call("sample.test_sum", [1, 2]) == 3
    assert hits(frontend) == {"subscription_rate_per_session": 1}


# --- messages ---------------------------------------------------------------------------------------------------------


async def test_messages_past_their_limits(start: StartFrontend, shell: str) -> None:
    frontend = start(shell, message_size="4 KiB", batch=2, depth=8, digits=30, http_body=2000)
    deep = "[" * 9 + "]" * 9
    messages = {
        "batch": json.dumps([request(1)] * 3),
        "depth": '{"jsonrpc":"2.0","id":1,"method":"sample.echo","params":[' + deep + "]}",
        "digits": '{"jsonrpc":"2.0","id":1,"method":"sample.echo","params":[' + "7" * 31 + "]}",
    }
    async with client_of(frontend) as client:
        for limit, message in messages.items():
            before = hits(frontend).get(limit, 0)
            assert (await client.ask_raw(message))["error"]["code"] == errors.TOO_LARGE.code, limit
            assert frontend.post_text(message).json()["error"]["code"] == errors.TOO_LARGE.code, limit
            assert hits(frontend)[limit] == before + 2
        answer = frontend.post_text(json.dumps(request(1, params=["x" * 2000])))
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, errors.TOO_LARGE.code)
        await client.send_raw("x" * 5000)
        assert await client.wait_until_closed() == 1009
    assert hits(frontend) == {"batch": 2, "depth": 2, "digits": 2, "http_body": 1, "websocket_max_message_size": 1}


async def test_messages_that_come_in_part_share_a_room(start: StartFrontend, shell: str) -> None:
    frontend = start(shell, message_size="300 KiB", http_body=300 << 10, partial_messages="300 KiB")
    port = int(frontend.address.rpartition(":")[2])

    async def held() -> bool:
        text = (await asyncio.to_thread(get, f"{frontend.url}/metrics")).text
        found = re.search(r"^wispy_frontend_partial_message_bytes\{.*\} (\S+)$", text, re.MULTILINE)
        return found is not None and float(found[1]) > 200_000

    async with connect(port) as first, connect(port) as second:
        for client in (first, second):
            await client.upgrade(path="/ws", host=frontend.address)
        first.send("text+*250000")
        await wait_until(held, "the first message holds most of it")
        second.send("text+*250000")
        close = (await second.receive_all())[-1]
        assert (close.code, b"limits.partial_messages" in close.payload) == (1013, True)
        body = json.dumps(request(1, "sample.echo", ["x" * 250_000]))
        answer = frontend.post_text(body)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
        assert answer.json()["error"]["code"] == OVERLOADED
        async with client_of(frontend) as client:
            assert await client.call("sample.test_sum", [1, 2]) == 3
    await wait_until(lambda: frontend.post_text(body).status_code == 200, "who is gone holds nothing")
    assert hits(frontend)["partial_messages"] >= 2


async def test_who_has_not_logged_in_sends_small_messages(start: StartFrontend, shell: str) -> None:
    frontend = start(shell, message_size="1 MiB", **{"auth.kind": "tokens"})
    async with client_of(frontend) as client:
        await client.send_raw("x" * (64 << 10) + "x")
        assert await client.wait_until_closed() == 1009
    assert hits(frontend) == {"login_size": 1}


# --- HTTP requests a second -------------------------------------------------------------------------------------------


def test_an_address_has_its_rate_of_http_requests(start: StartFrontend, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("<!DOCTYPE html>")
    folders = {"static.folders": f"{{site: {tmp_path}}}", "upload.folders": f"{{in: {tmp_path}}}"}
    rules = {"upload.rules.file_creation_whitelist": "['*']"}
    frontend = start(http_request_rate_per_address=SLOW, burst=4 / SLOW, **folders, **rules)
    mine, other = {"X-Forwarded-For": "192.0.2.1"}, {"X-Forwarded-For": "192.0.2.2"}
    assert get(f"{frontend.url}/site/page.html", **mine).status_code == 200
    assert get(f"{frontend.url}/site/absent", **mine).status_code == 404
    assert frontend.post_text(json.dumps(request(1)), X_Forwarded_For="192.0.2.1").status_code == 200
    upload = functools.partial(
        httpx.put, f"{frontend.url}/in/a.txt", content=b"x" * 100_000, trust_env=False, timeout=30
    )
    assert upload(headers=mine).status_code == 201
    refused = [
        get(f"{frontend.url}{path}", **mine) for path in ("/site/page.html", "/wispyjs/rpc.js", "/", "/openrpc.json")
    ]
    refused += [upload(headers=mine), frontend.post_text(json.dumps(request(1)), X_Forwarded_For="192.0.2.1")]
    for answer in refused:
        assert answer.status_code == 429, answer.url
        assert 20 < int(answer.headers["Retry-After"]) <= 50
    assert refused[-1].json()["error"]["code"] == RATE_LIMITED
    assert (
        get(f"{frontend.url}/healthz", **mine).status_code == get(f"{frontend.url}/readyz", **mine).status_code == 200
    )
    assert get(f"{frontend.url}/site/page.html", **other).status_code == 200
    assert hits(frontend) == {"http_request_rate_per_address": 6}


async def test_a_websocket_is_no_request_of_that_rate(start: StartFrontend) -> None:
    frontend = start(http_request_rate_per_address=SLOW, burst=1 / SLOW)
    for _ in range(3):
        async with client_of(frontend) as client:
            assert await client.call("sample.test_sum", [1, 2]) == 3


def test_a_page_with_forty_files_meets_no_limit_unless_there_is_one(start: StartFrontend) -> None:
    frontend = start()
    with httpx.Client(trust_env=False, timeout=30) as client:
        assert {client.get(f"{frontend.url}/wispyjs/rpc.js").status_code for _ in range(200)} == {200}
    assert hits(frontend) == {}


# --- bodies -----------------------------------------------------------------------------------------------------------


async def test_a_body_that_does_not_come(start: StartFrontend) -> None:
    frontend = start(http_body_time=1)
    host, _, port = frontend.address.partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = f"POST /rpc HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{{"
    writer.write(head.encode())
    assert await told(reader) == b""
    writer.close()
    await wait_until(lambda: hits(frontend) == {"http_body_time": 1}, "it is counted")


async def test_a_message_that_does_not_come(start: StartFrontend, shell: str) -> None:
    # It is looked at twice in a ping's interval, and has time for its pongs.
    frontend = start(shell, http_body_time=1, **{"websocket.ping_interval": 3, "websocket.pong_timeout": 5})
    async with connect(int(frontend.address.rpartition(":")[2])) as client:
        await client.upgrade(path="/ws", host=frontend.address)
        client.send("text+:{")
        while (frame := await client.receive()) is not None and frame.kind == "ping":
            client.send("pong:")
        assert frame is not None
        assert (frame.code, b"limits.http_body_time" in frame.payload) == (1008, True)
    await wait_until(lambda: hits(frontend) == {"http_body_time": 1}, "it is counted")


# --- those whom nobody knows ------------------------------------------------------------------------------------------


async def test_who_guesses_tokens_is_slowed_down(start: StartFrontend, shell: str) -> None:
    limits = {"auth.kind": "tokens", "auth.failed_logins": 2, "auth.login_time": 4}
    frontend = start(shell, request_rate_per_address=SLOW, burst=4 / SLOW, **limits)
    async with client_of(frontend) as client:
        for _ in range(2):
            assert (await client.error("rpc.authenticate", {"token": "guess"})).code == errors.UNAUTHENTICATED.code
        assert await client.wait_until_closed() == 4401
    for _ in range(2):
        answer = frontend.post_text(json.dumps(request(1)), X_Forwarded_For="192.0.2.1", Authorization="Bearer guess")
        assert answer.status_code == 401
    answer = frontend.post_text(json.dumps(request(1)), X_Forwarded_For="192.0.2.1", Authorization="Bearer alice-token")
    assert (answer.status_code, answer.json()["error"]["code"]) == (429, RATE_LIMITED)
    assert 20 < int(answer.headers["Retry-After"]) <= 50
    given = {"X-Forwarded-For": "192.0.2.1", "Authorization": "Bearer alice-token"}
    document = get(f"{frontend.url}/openrpc.json", **given)
    assert document.status_code == 429
    assert 20 < int(document.headers["Retry-After"]) <= 50
    async with client_of(frontend, "192.0.2.2") as client:
        await wait_until(lambda: client.close_code == 4401, "who says nothing has to go", 20)
    assert hits(frontend) == {"failed_logins": 1, "request_rate_per_address": 2, "login_time": 1}
