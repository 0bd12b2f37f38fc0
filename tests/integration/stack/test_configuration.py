"""Each key of the seed's configuration has its effect; docs/reference/seed-features.md names the tests elsewhere."""

import asyncio
import signal
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.integration.stack.attacks import raw_request
from tests.integration.stack.conftest import MakeStack
from tests.support.certificates import Authority
from tests.support.rpc_client import Client
from tests.support.stack import SERVED, Frontend, Service, clean_stack, command
from tests.support.waiting import wait_until
from wispy.broker.embedded import EmbeddedServer

SEED = Path(__file__).parents[2] / "unit" / "config" / "seed.yaml"

INSTANCES = """{
  pooled: {func_caller: {synchronous_default: false}},
  literal: {func_caller: {check_return_annotation_default: false}},
  locked: {func_caller: {locking_default: true}},
  open: {interface: {include_internals: true, include_dunders: true}},
  shallow: {interface: {max_interface_depth: 2}},
  guarded: {interface: {access_restricting_attributes: [for_staff]}},
  secret: {interface: {source_access: false}},
  bare: {add_attributes: false}
}"""
NAMES = ("plain", "pooled", "literal", "locked", "open", "shallow", "guarded", "secret", "bare")


@pytest.fixture(scope="module")
def devices(valkey_server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Frontend]:
    """One object for each way to set it, all of one class, in one worker."""
    with clean_stack(valkey_server, tmp_path_factory, instance_configs=INSTANCES) as stack:
        stack.worker(*(f"{name}=configured:Device" for name in NAMES))
        yield stack.frontend()


@pytest.fixture
async def ask(devices: Frontend) -> AsyncIterator[Client]:
    async with Client(devices.websocket_url) as client:
        yield client


# --- func_caller, interface, add_attributes; instance_configs throughout -------------------------------------------


async def test_synchronous_default(ask: Client) -> None:
    assert [await ask.call(f"{name}.where") for name in ("plain", "pooled")] == ["main", "pool"]


async def test_check_return_annotation_default(ask: Client) -> None:
    assert [await ask.call(f"{name}.annotated") for name in ("plain", "literal")] == ["pool", "main"]


async def test_locking_default(ask: Client) -> None:
    async def most(name: str) -> int:
        return max(await asyncio.gather(*(ask.call(f"{name}.count_together") for _ in range(4))))

    async def are_together() -> bool:
        return await most("plain") > 1

    assert await most("locked") == 1
    await wait_until(are_together, "calls that lock nothing meet")


async def test_max_workers(make_stack: MakeStack) -> None:
    stack = make_stack(**{"synchronous_task_lock.max_workers": 1})
    stack.worker("plain=configured:Device")
    async with Client(stack.frontend().websocket_url) as client:
        together = await asyncio.gather(*(client.call("plain.count_together") for _ in range(4)))
        assert together == [1, 1, 1, 1]


async def test_include_internals_and_dunders(ask: Client) -> None:
    assert await ask.get("open._internal") == "internal"
    assert await ask.call("open.__len__") == 7
    hidden = [await ask.error("rpc.get", {"path": "plain._internal"}), await ask.error("plain.__len__")]
    absent = await ask.error("plain.absent")
    assert {error.code for error in hidden} == {absent.code}


async def test_max_interface_depth(ask: Client) -> None:
    assert await ask.get("plain.part.part.part.depth") == 3
    assert await ask.get("shallow.part.depth") == 1
    assert (await ask.error("rpc.get", {"path": "shallow.part.part.depth"})).code == (await ask.error("plain.x")).code


async def test_access_restricting_attributes(ask: Client) -> None:
    assert await ask.call("plain.for_staff_only") == "staff"
    assert (await ask.error("guarded.for_staff_only")).code == (await ask.error("plain.x")).code


async def test_source_access(ask: Client) -> None:
    assert "def where" in str(await ask.call("rpc.source", {"path": "plain.where"}))
    await ask.error("rpc.source", {"path": "secret.where"})


async def test_add_attributes(ask: Client) -> None:
    added = await ask.call("plain.added")
    assert added["wispy_name"] == "plain"
    assert added.keys() == {"wispy_name", "tracked_channel_values", "publish"}
    assert await ask.call("bare.added") == {}


# --- how it is reached ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("multiprocessed", ["true", "false"])
def test_multiprocessed(make_stack: MakeStack, multiprocessed: str) -> None:
    arguments = [command("wispy"), "serve", "--port", "0", "--object", "quiet=served:quiet"]
    service = make_stack().run([*arguments, "--set", f"multiprocessed={multiprocessed}", "--set", "launch=never"])
    service.wait_until_says("wispy serves")
    lines = [" ".join(child.cmdline()) for child in psutil.Process(service.pid).children()]
    assert any("wispy.frontend" in line for line in lines) is (multiprocessed == "true"), lines


@pytest.mark.parametrize(("address", "listens"), [("", {"0.0.0.0", "::"}), ("127.0.0.1", {"127.0.0.1"})])
def test_address(make_stack: MakeStack, address: str, listens: set[str]) -> None:
    frontend = make_stack().frontend(address=address)
    connections = psutil.Process(frontend.pid).net_connections("tcp")
    found = {each.laddr[0] for each in connections if each.status == psutil.CONN_LISTEN}
    assert set() < found <= listens, "on a machine without IPv6 it is one of the two"
    assert (frontend.says("other machines can connect") is not None) is (address == "")


def test_wispy_static_path(make_stack: MakeStack) -> None:
    frontend = make_stack().frontend(wispy_static_path="tools/js", base_path="/lab")
    with httpx.Client(trust_env=False, verify=False, timeout=30) as client:
        assert client.get(f"{frontend.url}/tools/js/rpc.js").status_code == 200
        assert client.get(f"{frontend.url}/wispyjs/rpc.js").status_code == 404
        assert '"/lab/tools/js/rpc.js"' in client.get(f"{frontend.url}/").text


@pytest.mark.parametrize("folders", ["{tmp}/pages", "[{tmp}/pages, {tmp}/other]"])
def test_folders_as_text_and_list(make_stack: MakeStack, tmp_path: Path, folders: str) -> None:
    """Each is served under its own name."""
    for name in ("pages", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.txt").write_text(name)
    config: dict[str, Any] = {"static.folders": folders.format(tmp=tmp_path), "static.homepage": "pages/x.txt"}
    frontend = make_stack().frontend(**config)
    with httpx.Client(trust_env=False, verify=False, timeout=30) as client:
        assert client.get(f"{frontend.url}/pages/x.txt").text == "pages"
        assert client.get(f"{frontend.url}/").headers["Location"] == "/pages/x.txt"
        assert client.get(f"{frontend.url}/other/x.txt").status_code == (200 if folders.startswith("[") else 404)


async def test_default_host(make_stack: MakeStack) -> None:
    """It shows where a request has no Host header of its own."""
    frontend = make_stack().frontend(default_host="lab.example")
    host, port = frontend.address.split(":")
    for origin, status in (("http://lab.example", b"200"), ("http://127.0.0.1", b"403")):
        reader, writer = await asyncio.open_connection(host, int(port))
        body = b'{"jsonrpc": "2.0", "id": 1, "method": "rpc.channels"}'
        lines = ["POST /rpc HTTP/1.0", f"Origin: {origin}", "Content-Type: application/json"]
        writer.write("\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body)
        assert status in await asyncio.wait_for(reader.readline(), 10)
        writer.close()
        await writer.wait_closed()


async def test_trusted_proxies(make_stack: MakeStack) -> None:
    """A page that a proxy serves over https may connect, and nobody else may say so."""
    stack = make_stack(allowed_hosts="[lab.example]")
    behind = stack.frontend(trusted_proxies="[127.0.0.0/8]")
    open_to_all = stack.frontend()
    body = b'{"jsonrpc": "2.0", "id": 1, "method": "rpc.channels"}'
    told = ("X-Forwarded-Proto: https", "X-Forwarded-Host: lab.example", "X-Forwarded-For: 203.0.113.9")
    headers = ("Content-Type: application/json", "Origin: https://lab.example", *told)
    assert b" 200 " in await raw_request(behind.address, "POST", "/rpc", body, *headers)
    assert b" 403 " in await raw_request(open_to_all.address, "POST", "/rpc", body, *headers)
    forged = await raw_request(behind.address, "GET", "/", b"", "X-Forwarded-Host: evil.example")
    assert b" 421 " in forged, "a proxy's host is checked like any other"


async def test_tls(make_stack: MakeStack, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    file, key = authority.sign("server", "IP:127.0.0.1")
    stack = make_stack()
    stack.worker("quiet=served:quiet")
    config: dict[str, Any] = {"tls.certificate": file, "tls.key": key}
    frontend = stack.frontend(**config)
    assert frontend.url.startswith("https://127.0.0.1:")
    trusting = ssl.create_default_context(cafile=str(authority.ca))
    async with httpx.AsyncClient(trust_env=False, verify=trusting, timeout=30) as client:
        page = await client.get(f"{frontend.url}/wispyjs/rpc.js")
        assert page.status_code == 200
    url = f"wss://{frontend.address}/ws"
    async with Client(url, ssl=trusting, origin=frontend.url) as client:
        assert await client.call("quiet.ping") == "pong"
    for wrong, said in [
        ({"tls.certificate": file}, "both tls.certificate and tls.key"),
        ({"tls.certificate": file, "tls.key": key.parent / "absent"}, "tls.key = .*absent: cannot be read"),
        ({"tls.certificate": key, "tls.key": key}, "no PEM certificate"),
    ]:
        flags = [part for name, value in wrong.items() for part in ("--set", f"{name}={value}")]
        service = stack.run([command("wispy-frontend"), "--redis", stack.redis_url, "--port", "0", *flags])
        assert service.wait() == 2
        assert service.says(said), service.output
        assert "Traceback" not in service.output


# --- all of it -----------------------------------------------------------------------------------------------------


async def test_the_seeds_file_serves(tmp_path: Path) -> None:
    """Verbatim; but for the port, which only the superuser may take."""
    server = tmp_path / "server"
    (server / "static").mkdir(parents=True)
    (server / "static" / "index.html").write_text("<title>home</title>")
    arguments = [command("wispy"), "serve", str(SEED), "--object", "sample=served:Sample", "--port", "0"]
    env = {"PYTHONPATH": str(SERVED), "WISPY_LAUNCH": "never"}
    service = Service(arguments, folder=server, log=tmp_path / "log", env=env)
    try:
        url = service.wait_until_says(r"serves sample at (http://\S+)/")[1]
        assert url.endswith("/test")
        async with httpx.AsyncClient(trust_env=False, verify=False, follow_redirects=True, timeout=30) as client:
            assert "home" in (await client.get(url)).text
            assert "home" in (await client.get(f"{url}/static/")).text
            assert (await client.get(f"{url}/wispyjs/rpc.js")).status_code == 200
            stored = await client.put(f"{url}/uploads/x.png", content=b"x")
            assert (stored.status_code, (server / "uploads" / "x.png").read_bytes()) == (201, b"x")
            assert (await client.put(f"{url}/uploads/x.png", content=b"y")).status_code == 200
            assert (await client.put(f"{url}/uploads/x.txt", content=b"x")).status_code == 403
            assert (await client.get(f"{url}/uploads/")).json()["names"] == ["x.png"]
        async with Client(f"{url.replace('http', 'ws')}/ws") as client:
            await wait_until(lambda: service.says("sample is served here"), "the object is served")
            assert await client.call("sample.test_sum", [4, 5]) == 9
            assert "def test_sum" in str(await client.call("rpc.source", {"path": "sample.test_sum"}))
        # address: "" means all interfaces, and an address that no page can forge is answered to
        own = next((each[4][0] for each in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)), "127.0.0.1")
        port = url.rpartition(":")[2].removesuffix("/test")
        assert b" 302 " in await raw_request(f"{own}:{port}", "GET", "/test/")
    finally:
        service.send(signal.SIGTERM)
        service.wait()
        service.kill()
    assert [path.name for path in (server / "uploads").iterdir()] == ["x.png"]
