"""What takes a role, asked for by those who have none, through every door of a real frontend and worker."""

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from tests.support.rpc_client import Client
from tests.support.stack import Frontend, clean_stack
from wispy.broker.embedded import EmbeddedServer
from wispy.protocol import errors


@pytest.fixture(scope="module")
def frontend(valkey_server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Frontend]:
    with clean_stack(valkey_server, tmp_path_factory) as stack:
        stack.worker("guarded=served:Guarded")
        yield stack.frontend()


@pytest.fixture
async def client(frontend: Frontend) -> AsyncIterator[Client]:
    async with Client(frontend.websocket_url) as client:
        await client.hello()
        yield client


@pytest.mark.parametrize("name", ["stop", "engine", "engine.power", "current"])
async def test_it_is_absent(client: Client, name: str) -> None:
    for method in ("rpc.get", "rpc.delete", "rpc.describe", "rpc.source", "rpc.call"):
        error = await client.error(method, {"path": f"guarded.{name}"})
        absent = await client.error(method, {"path": "guarded.absent"})
        assert (error.code, str(error)) == (absent.code, str(absent)) == (errors.NOT_FOUND.code, str(absent))
    error = await client.error("rpc.set", {"path": f"guarded.{name}", "value": 1})
    assert error.code == errors.NOT_FOUND.code
    assert (await client.error(f"guarded.{name}", [])).code == errors.NOT_FOUND.code
    assert await client.call("guarded.calls") == 0


async def test_it_is_not_described(client: Client) -> None:
    described = await client.call("rpc.describe", {"path": "guarded"})
    assert {row["name"] for row in described["attributes"]} == {"level", "gain"}
    assert {row["name"] for row in described["methods"]} == {"calls", "quick"}
    document = await client.call("rpc.discover")
    assert {method["name"] for method in document["methods"]} == {"guarded.calls", "guarded.quick"}
    attributes = {row["name"]: row["settable"] for row in document["x-wispy"]["attributes"]["guarded"]}
    assert attributes == {"level": True, "gain": False}
    assert "operator" not in str(document)


def test_the_document_at_its_address_is_for_nobody_in_particular(frontend: Frontend) -> None:
    text = httpx.get(f"{frontend.url}/openrpc.json").text
    assert "guarded.quick" in text
    assert not any(word in text for word in ("operator", "stop", "engine", "current"))


async def test_its_channels_are_absent(client: Client) -> None:
    assert await client.call("rpc.channels", {"object": "guarded"}) == {"guarded.level": "value"}
    answers = await client.subscribe("guarded.level", "guarded.current", "guarded.alarm", "guarded.absent")
    assert answers["guarded.level"]["value"] == 1
    assert answers["guarded.current"] == answers["guarded.alarm"] == answers["guarded.absent"]


async def test_what_is_not_of_the_role_is_served(client: Client) -> None:
    assert await client.get("guarded.gain") == 1.0
    error = await client.error("rpc.set", {"path": "guarded.gain", "value": 2.0})
    assert (error.code, "read-only" in str(error)) == (errors.INVALID_PARAMS.code, True)
    await client.call("guarded.quick", [1])
    error = await client.error("guarded.quick", ["1"])
    assert "args[0]: expected int, got str" in str(error)
