"""Calls, attributes, descriptions and batches, through every door: session, plain websocket, and POST."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest

from tests.support.rpc_client import Client, RemoteError, result
from tests.support.stack import Frontend
from tests.support.waiting import wait_until

Ask = Callable[..., Awaitable[Any]]


@pytest.fixture(params=["session", "plain websocket", "POST"])
async def ask(request: pytest.FixtureRequest, frontend: Frontend) -> AsyncIterator[Ask]:
    """`await ask(method, params)`: the result, or RemoteError."""
    if request.param == "POST":

        async def post(method: str, params: Any = None) -> Any:
            message = {"jsonrpc": "2.0", "id": 1, "method": method}
            return result(frontend.post_any(message if params is None else {**message, "params": params}).json())

        yield post
        return
    async with Client(frontend.websocket_url) as client:
        if request.param == "session":
            await client.hello()
        yield client.call


async def test_calls_take_arguments_by_place_and_by_name(ask: Ask) -> None:
    assert await ask("sample.test_sum", [4, 5]) == 9
    assert await ask("sample.test_sum", {"x": 4, "y": 5}) == 9
    assert await ask("sample.collect", [1, "two", None]) == [[1, "two", None], {}]
    assert await ask("sample.collect") == [[], {}]
    assert await ask("rpc.call", {"path": "sample.collect", "args": [1], "kwargs": {"k": 2}}) == [[1], {"k": 2}]
    assert await ask("rpc.call", {"path": ["sample", "test_sum"], "kwargs": {"x": 1, "y": 2}}) == 3
    assert await ask("quiet.ping") == "pong"


async def test_attributes_are_read_set_and_deleted(ask: Ask) -> None:
    assert await ask("rpc.get", {"path": "sample.note"}) == "start"
    assert await ask("rpc.set", {"path": "sample.note", "value": ["any", {"thing": None}]}) is None
    assert await ask("rpc.get", {"path": "sample.note"}) == ["any", {"thing": None}]
    assert await ask("rpc.set", {"path": "sample.note", "value": "start"}) is None

    await ask("rpc.set", {"path": "sample.limit", "value": 11})
    assert await ask("rpc.delete", {"path": "sample.limit"}) is None
    assert await ask("rpc.get", {"path": "sample.limit"}) == 10, "the class' value shows again"


async def test_an_asynchronous_property_is_awaited(ask: Ask) -> None:
    assert await ask("rpc.get", {"path": "sample.reading"}) == 2.5
    described = await ask("rpc.describe", {"path": "sample.reading"})
    assert (described["kind"], described["type"]) == ("property", "float")
    for hidden in ("sample.reading_of_code", "sample.reading.real"):
        with pytest.raises(RemoteError) as raised:
            await ask("rpc.get", {"path": hidden})
        assert raised.value.code == -32001


async def test_paths_go_through_nested_objects_and_containers(ask: Ask) -> None:
    assert await ask("sample.filter.apply", [3]) == 6
    assert await ask("rpc.get", {"path": ["sample", "filter", "table", "dotted.key", "1"]}) == 20
    assert await ask("rpc.get", {"path": "sample.filter.table.point.x"}) == 1
    await ask("rpc.set", {"path": ["sample", "filter", "table", "dotted.key", "1"], "value": 21})
    assert await ask("rpc.get", {"path": ["sample", "filter", "table", "dotted.key"]}) == [10, 21, 30]
    await ask("rpc.set", {"path": ["sample", "filter", "table", "dotted.key", "1"], "value": 20})
    await ask("rpc.set", {"path": "sample.filter.gain", "value": 3})
    assert await ask("sample.filter.apply", [3]) == 9
    await ask("rpc.set", {"path": "sample.filter.gain", "value": 2})


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("nan", [{"$float": "NaN"}, {"$float": "Infinity"}, {"$float": "-Infinity"}]),
        ("big", {"$int": str(2**80)}),
        ("tag", {"$dict": {"$float": "no number"}}),
        ("point", {"x": 1.5, "y": 2.5}),
        ("bytes", "AP8="),
    ],
)
async def test_values_that_json_lacks_travel_as_tags(client: Client, name: str, text: Any) -> None:
    assert await client.call("sample.value", [name]) == text


@pytest.mark.parametrize(
    "value",
    [
        {"$float": "NaN"},
        {"$int": str(-(2**70))},
        {"$dict": {"$int": "5"}},
        {"nested": [{"$float": "-Infinity"}, {"": None}]},
        "snow \N{SNOWMAN} and \N{PILE OF POO}\u2028",
        2**53 - 1,
        [],
        {},
        0.1,
    ],
)
async def test_values_come_back_as_they_were_sent(ask: Ask, value: Any) -> None:
    assert await ask("sample.echo", [value]) == value


async def test_large_values_travel(client: Client) -> None:
    assert await client.call("sample.large", [3_000_000]) == "x" * 3_000_000
    text = "y" * 2_000_000
    assert await client.call("sample.echo", [text]) == text


async def test_descriptions_and_sources(ask: Ask) -> None:
    described = await ask("rpc.describe", {"path": "sample.test_sum"})
    assert "Add two numbers." in json.dumps(described)
    assert [param["name"] for param in described["params"]] == ["x", "y"]
    assert "def test_sum(self, x: int, y: int)" in await ask("rpc.source", {"path": "sample.test_sum"})
    assert await ask("rpc.describe", {"path": "sample"})


async def test_discovery_names_the_methods_of_all_objects(frontend: Frontend, ask: Ask) -> None:
    document = await ask("rpc.discover")
    names = {method["name"] for method in document["methods"]}
    assert {"sample.test_sum", "quiet.ping"} <= names
    assert not [name for name in names if "publish" in name or "._" in name]


async def test_channels_are_listed(ask: Ask) -> None:
    listed = {"sample.a": "value", "sample.b": "value", "sample.settings": "value", "sample.list": "value"}
    listed |= {"sample.alarm": "event", "sample.log": "event"}
    assert await ask("rpc.channels", {"object": "sample"}) == listed
    assert await ask("rpc.channels") == listed
    assert await ask("rpc.channels", {"object": "quiet"}) == {}
    with pytest.raises(RemoteError) as raised:
        await ask("rpc.channels", {"object": "absent"})
    assert raised.value.code == -32001


# --- batches and notifications ----------------------------------------------------------------------------------------

BATCH = [
    {"jsonrpc": "2.0", "id": 101, "method": "sample.test_sum", "params": [1, 2]},
    {"jsonrpc": "2.0", "method": "rpc.set", "params": {"path": "sample.note", "value": "batched"}},
    {"jsonrpc": "2.0", "id": 102, "method": "sample.nothing"},
    7,
    {"jsonrpc": "2.0", "id": 103, "method": "rpc.get", "params": {"path": "sample.note"}},
]


def check_batch(answers: list[Any]) -> None:
    by_id = {answer["id"]: answer for answer in answers}
    assert len(answers) == 4
    assert by_id[101]["result"] == 3
    assert by_id[102]["error"]["code"] == -32001
    assert by_id[None]["error"]["code"] == -32600
    assert by_id[103]["result"] == "batched"


async def test_a_batch_by_websocket(client: Client, plain_client: Client) -> None:
    for each in (client, plain_client):
        check_batch(await each.ask_raw(json.dumps(BATCH)))
        await plain_client.set("sample.note", "start")


def test_a_batch_by_post(frontend: Frontend) -> None:
    check_batch(frontend.post_any(BATCH).json())
    frontend.post_any({"jsonrpc": "2.0", "method": "rpc.set", "params": {"path": "sample.note", "value": "start"}})


async def test_notifications_run_and_are_not_answered(frontend: Frontend, plain_client: Client) -> None:
    note = {"jsonrpc": "2.0", "method": "rpc.set", "params": {"path": "sample.note", "value": "noticed"}}
    response = frontend.post_any(note)
    assert (response.status_code, response.content) == (204, b"")
    assert await plain_client.get("sample.note") == "noticed"

    note["params"]["value"] = "start"
    await plain_client.send_raw(json.dumps([note]))

    async def is_set() -> bool:
        return await plain_client.get("sample.note") == "start"

    await wait_until(is_set, "the notification has run")
    assert all("id" in message for message in plain_client.received)


async def test_ids_come_back_as_they_were(plain_client: Client) -> None:
    for id in ("text", 2**60, 1.5, -1, ""):
        answer = await plain_client.ask_raw(json.dumps({"jsonrpc": "2.0", "id": id, "method": "quiet.ping"}))
        assert answer == {"jsonrpc": "2.0", "id": id, "result": "pong"}


async def test_requests_of_one_connection_start_in_order(client: Client) -> None:
    futures = [await client.start("sample.echo", [number]) for number in range(300)]
    assert [result(await future) for future in futures] == list(range(300))
    answered = [message["id"] for message in client.received if "result" in message]
    assert answered == sorted(answered)


async def test_the_http_pages(frontend: Frontend) -> None:
    async with httpx.AsyncClient(base_url=frontend.url, trust_env=False, timeout=30) as http:
        assert (await http.get("/healthz")).text == "ok\n"
        assert (await http.get("/readyz")).text == "ready\n"
        assert "sample" in (await http.get("/")).text
        assert (await http.get("/wispyjs/rpc.js")).status_code == 200
        document = (await http.get("/openrpc.json")).json()
        assert document["openrpc"].startswith("1.")
        assert (await http.get("/nothing")).status_code == 404
