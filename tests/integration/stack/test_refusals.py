"""Which hosts and origins may come in, and how commands end that cannot start."""

import asyncio
import socket
from collections.abc import Sequence
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from tests.integration.stack.conftest import MakeStack
from tests.support.rpc_client import Client
from tests.support.stack import Frontend, Service, command
from wispy.broker.embedded import EmbeddedServer

PING = b'{"jsonrpc": "2.0", "id": 1, "method": "quiet.ping"}'

# --- Host and Origin --------------------------------------------------------------------------------------------------


async def test_a_page_of_the_server_itself_may_connect(frontend: Frontend) -> None:
    async with Client(frontend.websocket_url, origin=frontend.url) as client:
        assert await client.call("quiet.ping") == "pong"
    assert frontend.post_text(PING, Origin=frontend.url).json()["result"] == "pong"


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://{address}", "http://127.0.0.1:1", "", "x"])
async def test_foreign_origins_are_refused(frontend: Frontend, origin: str) -> None:
    origin = origin.format(address=frontend.address)
    with pytest.raises(InvalidStatus) as raised:
        async with Client(frontend.websocket_url, additional_headers={"Origin": origin}):
            pass
    assert raised.value.response.status_code == 403
    response = frontend.post_text(PING, Origin=origin)
    assert response.status_code == 403
    assert "origin" in response.text


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "10.0.0.1", "127.0.0.1.nip.io:80", "[::1"])
async def test_foreign_hosts_are_refused(frontend: Frontend, host: str) -> None:
    """A foreign name that resolves to this machine would make a foreign page same-origin."""
    response = frontend.post_text(PING, Host=host)
    assert response.status_code in (400, 421)
    reader_status = await websocket_status(frontend, host)
    assert reader_status in (400, 421)


async def websocket_status(frontend: Frontend, host: str) -> int:
    name, _, port = frontend.address.partition(":")
    reader, writer = await asyncio.open_connection(name, int(port))
    headers = ["GET /ws HTTP/1.1", f"Host: {host}", "Upgrade: websocket", "Connection: Upgrade"]
    headers += ["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13", "", ""]
    writer.write("\r\n".join(headers).encode())
    line = await reader.readline()
    writer.close()
    await writer.wait_closed()
    return int(line.split()[1])


async def test_all_loopback_names_are_answered_to(frontend: Frontend) -> None:
    for host in ("localhost", "LOCALHOST:80", "127.0.0.1", "[::1]:5000"):
        assert frontend.post_text(PING, Host=host).status_code == 200, host


def test_what_a_form_can_post_is_refused(frontend: Frontend) -> None:
    for media_type in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        assert frontend.post_text(PING, Content_Type=media_type).status_code in (400, 415)


async def test_configured_hosts_and_origins_may_come_in(make_stack: MakeStack) -> None:
    stack = make_stack()
    stack.worker("quiet=served:quiet")
    names: dict[str, Any] = {
        "allowed_hosts": "[lab.example.org]",
        "allowed_origins": "[https://lab.example.org]",
        "base_path": "/lab",
    }
    frontend = stack.frontend(**names)
    async with Client(frontend.websocket_url, origin="https://lab.example.org") as client:
        assert await client.call("quiet.ping") == "pong"
    assert frontend.post_text(PING, Host="lab.example.org").json()["result"] == "pong"
    with pytest.raises(InvalidStatus):
        async with Client(frontend.websocket_url, origin="https://other.example.org"):
            pass


# --- commands that cannot start ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("objects", "said"),
    [
        (["absent_module:Sample"], "absent_module"),
        (["served:Absent"], "Absent"),
        (["broken:thing"], "ZeroDivisionError"),
        (["served"], "MODULE:OBJECT"),
        (["served:not_an_object"], "module"),
        (["rpc=served:Sample"], "rpc"),
        (["a b=served:Sample"], "a b"),
        (["_x=served:Sample"], "_x"),
        (["sample=served:Sample", "sample=served:quiet"], "two objects are named 'sample'"),
    ],
)
def test_objects_that_cannot_be_served_end_a_command(make_stack: MakeStack, objects: Sequence[str], said: str) -> None:
    specs = [part for each in objects for part in ("--object", each)]
    check_refused(make_stack().run([command("wispy-worker"), "--redis", "redis://127.0.0.1:1", *specs]), said)


def test_the_same_holds_all_in_one(make_stack: MakeStack) -> None:
    check_refused(make_stack().run([command("wispy"), "serve", "--object", "served:Absent"]), "Absent")


def check_refused(service: Service, said: str) -> None:
    assert service.wait() == 2, service.output
    last = service.output.strip().splitlines()[-1]
    assert said in service.output
    assert last.strip()
    if "broken" not in service.output:
        assert "Traceback" not in service.output, service.output


@pytest.mark.parametrize("program", ["wispy-frontend", "wispy serve"])
def test_a_port_in_use_ends_a_command(make_stack: MakeStack, valkey_server: EmbeddedServer, program: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        name, *arguments = program.split()
        if arguments:
            arguments += ["--object", "quiet=served:quiet"]
        service = make_stack().run([command(name), *arguments, "--port", port, "--redis", valkey_server.url])
        check_refused(service, port)
        assert "in use" in service.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--port", "http"], "port"),
        (["--set", "prot=5000"], "port"),
        (["--config", "absent.yaml"], "absent.yaml"),
        (["--redis", "http://localhost"], "redis.url"),
        (["--redis", "redis://localhost", "--address", "256.0.0.1"], "256.0.0.1"),
        ([], "--redis"),
    ],
)
def test_settings_that_cannot_be_used_end_a_command(make_stack: MakeStack, arguments: Sequence[str], said: str) -> None:
    check_refused(make_stack().run([command("wispy-frontend"), *arguments]), said)


def test_a_worker_without_objects_says_so(make_stack: MakeStack) -> None:
    service = make_stack().run([command("wispy-worker"), "--redis", "redis://127.0.0.1:1"])
    check_refused(service, "--object")


def test_an_object_whose_code_fails_when_it_is_made_is_named(make_stack: MakeStack) -> None:
    """It may succeed later, as when an instrument is switched on: the worker tries again."""
    stack = make_stack()
    worker = stack.worker("fragile=served:Fragile", wait=False)
    worker.wait_until_says(r"fragile cannot be served.*")
    assert "there is no instrument" in worker.output
    assert worker.stop() == 0
