"""A copy of the seed's quickstart, served with `expose: public`: `a`, `test_sum`, the channels, and nothing else."""

import inspect
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.rpc_client import Client
from tests.support.stack import Frontend, clean_stack, command
from wispy.broker.embedded import EmbeddedServer
from wispy.protocol import errors

QUICKSTART = Path(__file__).parents[3] / "examples/quickstart"
CHANNELS = {"a", "b", "c", "d"}

# What Python and wispy put on such an object, and what an attacker would try.
HIDDEN = sorted(
    {name for name, _ in inspect.getmembers_static(type("Sample", (), {"__doc__": ""})())}
    | {"tracked_channel_values", "event_channels", "publish", "rpcWebsocket", "remote", "__globals__", "__code__", "x"}
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(QUICKSTART, tmp_path_factory.mktemp("copy") / "quickstart"))


@pytest.fixture(scope="module")
def frontend(
    valkey_server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory, folder: Path
) -> Iterator[Frontend]:
    config: dict[str, Any] = {"interface.expose": "public"}
    with clean_stack(valkey_server, tmp_path_factory, folder=folder, **config) as stack:
        stack.worker("sample=quickstart:sample")
        yield stack.frontend()


@pytest.mark.parametrize("caller", [[], ["--as", "admin"]])
def test_the_command_says_so(folder: Path, caller: list[str]) -> None:
    (folder / "public.yaml").write_text("interface: {expose: public}")
    run = subprocess.run(
        [command("wispy"), "describe", "quickstart:Sample", *caller, "--config", "public.yaml"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    shown = dict(line.split(maxsplit=1) for line in run.stdout.splitlines())
    assert shown == dict.fromkeys(CHANNELS, "get set delete watch") | {"test_sum": "call"}


async def test_all_that_is_told_is_that(frontend: Frontend) -> None:
    async with Client(frontend.websocket_url) as client:
        described = await client.call("rpc.describe", {"path": "sample"})
        assert {row["name"] for row in described["attributes"]} == CHANNELS
        assert {row["name"] for row in described["methods"]} == {"test_sum"}
        assert await client.call("rpc.channels", {}) == {f"sample.{name}": "value" for name in CHANNELS}
        document = await client.call("rpc.discover")
        assert [method["name"] for method in document["methods"]] == ["sample.test_sum"]
        assert {row["name"] for row in document["x-wispy"]["attributes"]["sample"]} == CHANNELS


async def test_all_that_can_be_touched_is_that(frontend: Frontend) -> None:
    async with Client(frontend.websocket_url) as client:
        await client.hello()
        assert await client.call("sample.test_sum", [4, 5]) == 9
        for name, value in (("a", 1), ("b", "test"), ("c", [2, 3]), ("d", {"e": 5})):
            assert await client.get(f"sample.{name}") == value
        answers = await client.subscribe(*(f"sample.{name}" for name in CHANNELS))
        assert not any("error" in answer for answer in answers.values())
        for name in HIDDEN:
            for method, params in (
                ("rpc.get", {}),
                ("rpc.set", {"value": 1}),
                ("rpc.delete", {}),
                ("rpc.call", {}),
                ("rpc.describe", {}),
                ("rpc.source", {}),
            ):
                error = await client.error(method, {"path": ["sample", name], **params})
                assert error.code == errors.NOT_FOUND.code, (method, name)
            answer = await client.subscribe(f"sample.{name}")
            assert answer[f"sample.{name}"]["error"]["code"] == errors.NOT_FOUND.code, name
        for path in (["sample", "test_sum", "__globals__"], ["sample", "a", "real"], ["sample", "b", "format"]):
            assert (await client.error("rpc.get", {"path": path})).code == errors.NOT_FOUND.code, path
