"""Whatever a client sends, it gets one clear error, and connection and worker go on."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.integration.stack.conftest import MakeStack, running_stack
from tests.integration.stack.gate import Gate
from tests.support.rpc_client import Client, result
from tests.support.stack import Frontend, Stack
from tests.support.waiting import wait_until
from wispy.broker.embedded import EmbeddedServer


def request(method: Any, params: Any = None, **members: Any) -> str:
    message = {"jsonrpc": "2.0", "id": 999, "method": method, "params": params, **members}
    if params is None:
        del message["params"]
    return json.dumps(message)


def get(path: Any) -> str:
    return request("rpc.get", {"path": path})


MESSAGES: dict[str, tuple[str, int, int | None]] = {
    # what is sent, code of the error, its id
    "malformed JSON": ('{"jsonrpc": "2.0", "id": 999,', -32700, None),
    "nothing": ("", -32700, None),
    "JSON and more": (request("quiet.ping") + "x", -32700, None),
    "NaN, which is no JSON": (request("sample.echo", "[NaN]").replace('"[NaN]"', "[NaN]"), -32700, None),
    "a number": ("7", -32600, None),
    "an empty batch": ("[]", -32600, None),
    "a batch that is too long": (f"[{','.join([request('quiet.ping')] * 65)}]", -32008, None),
    "another JSON-RPC": (request("quiet.ping", jsonrpc="1.0"), -32600, 999),
    "no method": (json.dumps({"jsonrpc": "2.0", "id": 999}), -32600, 999),
    "a method that is no string": (request(7), -32600, 999),
    "params that are a number": (request("quiet.ping", 7), -32600, 999),
    "an id that is a list": (request("quiet.ping", id=[1]), -32600, None),
    "a method without object": (request("ping"), -32601, 999),
    "an unknown method of wispy": (request("rpc.nothing"), -32601, 999),
    "an empty method": (request(""), -32601, 999),
    "an unknown object": (request("absent.ping"), -32001, 999),
    "an object whose name is none": (request("a b\n.ping"), -32001, 999),
    "an unknown method of the object": (request("sample.absent"), -32001, 999),
    "a hidden attribute": (get("sample._secret"), -32001, 999),
    "a class": (get("sample.__class__"), -32001, 999),
    "wispy's own attribute": (request("sample.publish", ["alarm", 1]), -32001, 999),
    "wispy's own channels": (get("sample.tracked_channel_values"), -32001, 999),
    "an unknown attribute": (get("sample.filter.absent"), -32001, 999),
    "an unknown key": (get(["sample", "filter", "table", "absent"]), -32001, 999),
    "no path": (request("rpc.get", {}), -32602, 999),
    "an empty path": (get(""), -32001, 999),
    "an empty name": (get("sample..a"), -32602, 999),
    "a path of lists": (get([["sample"], "a"]), -32602, 999),
    "a path too long": (get(["sample"] * 1000), -32602, 999),
    "a name with NUL": (get("sample.a\0"), -32602, 999),
    "too few arguments": (request("sample.test_sum", [1]), -32602, 999),
    "too many arguments": (request("sample.test_sum", [1, 2, 3]), -32602, 999),
    "an argument that does not exist": (request("sample.test_sum", {"x": 1, "z": 2}), -32602, 999),
    "a value of a wrong type": (request("rpc.set", {"path": "sample.limit", "value": "ten"}), -32602, 999),
    "a value that is missing": (request("rpc.set", {"path": "sample.limit"}), -32602, 999),
    "a method as an attribute": (request("rpc.set", {"path": "sample.test_sum", "value": 1}), -32602, 999),
    "an attribute as a method": (request("sample.note"), -32602, 999),
    "a tag that says nothing": (request("sample.echo", [{"$float": "one"}]), -32602, 999),
    "a time-out that is none": (request("rpc.call", {"path": "quiet.ping", "timeout_s": -1}), -32602, 999),
    "a time-out that is text": (request("rpc.call", {"path": "quiet.ping", "timeout_s": "1"}), -32602, 999),
    "too deep": (request("sample.echo", []).replace("[]", "[" * 70 + "]" * 70), -32008, 999),
    "deep enough for a stack": (request("sample.echo", []).replace("[]", "[" * 9000 + "]" * 9000), -32008, None),
    "an exception": (request("sample.fail", ["text"]), -32000, 999),
    "an end of the process": (request("sample.leave"), -32000, 999),
    "a result that cannot be sent": (request("sample.value", ["object"]), -32011, 999),
    "a result that contains itself": (request("sample.value", ["endless"]), -32011, 999),
}


@pytest.mark.parametrize(("text", "code", "id"), MESSAGES.values(), ids=MESSAGES)
async def test_each_bad_message_has_its_error(
    frontend: Frontend, plain_client: Client, text: str, code: int, id: int | None
) -> None:
    by_post = frontend.post_text(text)
    for answer in (await plain_client.ask_raw(text), by_post.json()):
        if isinstance(answer, list):
            (answer,) = answer
        assert answer["id"] == id
        assert answer["error"]["code"] == code, answer
        assert answer["error"]["message"]
        assert set(answer["error"]["data"]) >= {"executed", "retryable"}
        assert "Traceback" not in json.dumps(answer)
    assert await plain_client.call("quiet.ping") == "pong"
    assert await plain_client.call("sample.test_sum", [1, 1]) == 2


async def test_an_exception_names_its_type_and_arguments(client: Client) -> None:
    error = await client.error("sample.fail", ["text"])
    assert error.data == {"type": "ValueError", "args": ["text", 7], "executed": "yes", "retryable": False}


async def test_a_binary_message_closes_the_connection_only(client: Client, plain_client: Client) -> None:
    await plain_client.send_raw(b"\x01\x02")
    assert await plain_client.wait_until_closed() == 1003
    assert await client.call("quiet.ping") == "pong"


def test_what_is_not_utf8_is_refused(frontend: Frontend) -> None:
    assert frontend.post_text(b'{"\xff": 1}').json()["error"]["code"] == -32700


async def test_ids_of_a_session_rise(client: Client) -> None:
    answer = await client.ask_raw(request("quiet.ping"))
    assert answer["result"] == "pong"
    for id in (999, 5, "text", 1.5, -1):
        answer = await client.ask_raw(request("quiet.ping", id=id))
        assert answer["error"]["code"] == -32600, id
    assert (await client.ask_raw(request("quiet.ping", id=1000)))["result"] == "pong"
    assert (await client.ask_raw(request("rpc.hello", id=1001)))["error"]["code"] == -32600


@pytest.mark.parametrize("method", ["rpc.hello", "rpc.subscribe", "rpc.unsubscribe", "rpc.cancel"])
def test_what_needs_a_websocket_is_refused_by_post(frontend: Frontend, method: str) -> None:
    params: dict[str, Any] = {"rpc.cancel": {"id": 1}, "rpc.hello": {}}.get(method, {"channels": ["sample.a"]})
    answer = frontend.post_any({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).json()
    assert answer["error"]["code"] == -32600
    assert "websocket" in answer["error"]["message"]


# --- too large, too many ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small_stack(valkey_server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Bounds that a test reaches quickly."""
    bounds = {
        "websocket_max_message_size": "64KiB",
        "limits.http_body": "64KiB",
        "limits.reply_bytes": "64KiB",
        "websocket.write_buffer": "64KiB",
        "limits.in_flight_per_object": 8,
        "limits.subscriptions_per_connection": 3,
    }
    with running_stack(valkey_server, tmp_path_factory, **bounds) as stack:
        yield stack


@pytest.fixture
def small_frontend(small_stack: Stack) -> Frontend:
    return small_stack.first_frontend


async def test_a_message_that_is_too_large_closes_the_connection(small_frontend: Frontend) -> None:
    async with Client(small_frontend.websocket_url) as client:
        await client.start("sample.echo", ["x" * 70_000])
        assert await client.wait_until_closed() == 1009
    async with Client(small_frontend.websocket_url) as client:
        assert await client.call("quiet.ping") == "pong"


@pytest.mark.parametrize("is_chunked", [False, True], ids=["whole", "chunked"])
def test_a_post_that_is_too_large_is_answered(small_frontend: Frontend, *, is_chunked: bool) -> None:
    body: Any = (b" " * 50_000 for _ in range(100)) if is_chunked else b" " * 5_000_000
    given = {"Content-Type": "application/json"}
    ping = {"jsonrpc": "2.0", "id": 1, "method": "quiet.ping"}
    with httpx.Client(trust_env=False, timeout=30) as client:
        answer = client.post(f"{small_frontend.url}/rpc", content=body, headers=given)
        assert answer.status_code == 413
        assert answer.json()["id"] is None
        error = answer.json()["error"]
        assert error["code"] == -32008
        assert error["message"] == "the body has more than 65536 bytes (limits.http_body)"
        assert answer.headers["Connection"] == "close", "it is not read to its end"
        assert client.post(f"{small_frontend.url}/rpc", json=ping).json()["result"] == "pong"


def test_a_post_that_is_a_little_too_large_costs_no_connection(small_frontend: Frontend) -> None:
    given = {"Content-Type": "text/plain"}
    with httpx.Client(trust_env=False, timeout=30) as client:
        answers = [client.post(f"{small_frontend.url}/rpc", content=b" " * 60_000, headers=given) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [415, 415]
    first, second = (answer.extensions["network_stream"] for answer in answers)
    assert first is second


async def test_channels_that_are_no_list_are_refused(client: Client) -> None:
    assert (await client.error("rpc.subscribe", {"channels": "sample.a"})).code == -32602


async def test_a_result_that_is_too_large_is_an_error(small_frontend: Frontend) -> None:
    async with Client(small_frontend.websocket_url) as client:
        error = await client.error("sample.large", [70_000])
        assert error.data["executed"] == "yes"
        assert await client.call("sample.large", [10]) == "x" * 10


def test_the_results_of_a_batch_that_are_too_large_together_are_errors(small_frontend: Frontend) -> None:
    """One POST cannot make a frontend gather 64 of the largest results."""
    calls = [{"jsonrpc": "2.0", "id": id, "method": "sample.large", "params": [60_000]} for id in range(4)]
    wrong = {"jsonrpc": "2.0", "id": 4, "method": "sample.fail", "params": ["text"]}
    told = {"jsonrpc": "2.0", "method": "sample.large", "params": [60_000]}
    answers = small_frontend.post_any([*calls, wrong, told]).json()
    assert sorted(answer["id"] for answer in answers) == [0, 1, 2, 3, 4]
    kept = [answer for answer in answers if "result" in answer]
    assert len(kept) == 2, "64 KiB, and as much of write_buffer"
    assert {answer["result"] for answer in kept} == {"x" * 60_000}
    refused = [answer["error"] for answer in answers if "error" in answer and answer["id"] != 4]
    assert {error["code"] for error in refused} == {-32008}
    assert refused[0]["data"] == {"executed": "yes", "retryable": False}
    assert refused[0]["message"] == "the results of the batch have more than 131072 bytes; ask for fewer at once"
    assert [answer["error"]["code"] for answer in answers if answer["id"] == 4] == [-32000], "an error is kept"


async def test_too_many_subscriptions_are_refused(small_frontend: Frontend) -> None:
    async with Client(small_frontend.websocket_url) as client:
        await client.subscribe("sample.a", "sample.b")
        assert (await client.error("rpc.subscribe", {"channels": ["sample.list", "sample.log"]})).code == -32004
        await client.subscribe("sample.list")


async def test_too_many_requests_to_an_object_are_refused_and_the_others_go_on(
    small_frontend: Frontend, gate: Gate
) -> None:
    async with Client(small_frontend.websocket_url) as client, Client(small_frontend.websocket_url) as other:
        await client.hello()
        futures = [await client.start("sample.wait", [gate.path]) for _ in range(20)]
        await wait_until(lambda: sum(future.done() for future in futures) == 12, "twelve are refused")
        refused = [future.result() for future in futures if future.done()]
        assert {answer["error"]["code"] for answer in refused} == {-32004}
        assert refused[0]["error"]["data"] == {"executed": "no", "retryable": True}
        assert await other.call("quiet.ping") == "pong", "another object is as free as before"
        gate.open()
        assert [result(await future) for future in futures[:8]] == ["waited"] * 8
        assert await other.call("sample.test_sum", [1, 2]) == 3


@pytest.mark.parametrize("says_hello", [True, False])
async def test_four_thousand_requests_at_once_are_all_answered(frontend: Frontend, says_hello: bool) -> None:
    async with Client(frontend.websocket_url) as client:
        if says_hello:
            await client.hello()
        futures = [await client.start("sample.test_sum", [number, 1]) for number in range(4000)]
        assert [result(await future) for future in futures] == list(range(1, 4001))


async def test_the_log_is_no_place_for_clients_to_write(make_stack: MakeStack) -> None:
    """Line breaks and escapes of a client stay inside one line."""
    stack = make_stack()
    worker = stack.worker("sample=served:Sample")
    async with Client(stack.frontend().websocket_url) as client:
        await client.error("sample.fail", ["x\n2026-01-01 ERROR wispy: forged\x1b[2J"])
        await client.error("absent\nforged.x")
    for service in stack.services:
        assert "\x1b" not in service.output
        assert not [line for line in service.output.splitlines() if line.startswith(("2026-01-01", "forged"))]
    assert worker.is_running
