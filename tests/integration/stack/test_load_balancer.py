"""Two frontends and one worker behind a load balancer."""

import asyncio
import contextlib
import signal
from pathlib import Path

import pytest
from websockets.exceptions import InvalidStatus

import wispy
from tests.integration.stack.conftest import MakeStack
from tests.integration.stack.load import Load
from tests.support.balancers import HAPROXY, NGINX
from tests.support.rpc_client import Client
from tests.support.stack import Frontend, Service, Stack, free_port
from tests.support.waiting import wait_until
from wispy.client import Gap, Rpc

CLIENTS = 4
AT_ONCE = 2
"""Calls that each client has in flight."""
ASKED = "is anybody there?"
CALLS = 20
"""Calls of each before a frontend ends, and before it comes again."""

HAPROXY_CONFIG = """
defaults
    mode http
    timeout connect 2s
    timeout client 60s
    timeout server 60s
    timeout tunnel 1h
    timeout check 5s
listen wispy
    bind 127.0.0.1:{port}
    balance roundrobin
    option httpchk GET /readyz
    http-check send hdr Host localhost
    http-response set-header X-Served-By %s
    default-server inter 200ms fall 1 rise 1
    server first {first} check
    server second {second} check
"""

NGINX_CONFIG = """
daemon off;
pid {folder}/nginx.pid;
error_log stderr;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
    upstream wispy {{ server {first}; server {second}; }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://wispy;
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
            proxy_read_timeout 3600s;
            add_header X-Served-By $upstream_addr always;
        }}
    }}
}}
"""


def start_balancer(stack: Stack, kind: str, folder: Path, frontends: list[Frontend]) -> tuple[str, Service]:
    """Its port as host:port, and its process."""
    port = free_port()
    template = HAPROXY_CONFIG if kind == "haproxy" else NGINX_CONFIG
    first, second = (each.address for each in frontends)
    config = folder / "balancer.conf"
    config.write_text(template.format(port=port, first=first, second=second, folder=folder))
    arguments = [HAPROXY, "-f", str(config)] if kind == "haproxy" else [NGINX, "-c", str(config), "-p", str(folder)]
    assert arguments[0] is not None
    return f"127.0.0.1:{port}", stack.run([part for part in arguments if part is not None])


def served_by(client: Client) -> str:
    response = client.socket.response
    assert response is not None
    return response.headers["X-Served-By"].rpartition(" ")[2]  # nginx names those that it tried in vain before


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param("haproxy", marks=pytest.mark.skipif(HAPROXY is None, reason="there is no haproxy here")),
        pytest.param("nginx", marks=pytest.mark.skipif(NGINX is None, reason="there is no nginx here")),
    ],
)
async def test_calls_and_updates_go_across_both_frontends(make_stack: MakeStack, tmp_path: Path, kind: str) -> None:
    stack = make_stack()
    stack.worker("sample=served:Sample")
    frontends = [stack.frontend(), stack.frontend()]
    address, balancer = start_balancer(stack, kind, tmp_path, frontends)
    url = f"ws://{address}/ws"
    await wait_until(lambda: relays_to(url, 2), lambda: f"the balancer relays to both: {balancer.output}")

    async with Client(url) as one, Client(url) as two:
        assert served_by(one) != served_by(two), "one client at each frontend"
        for client in (one, two):
            await client.hello()
            await client.subscribe("sample.a", "sample.alarm")
        for caller, listener in ((one, two), (two, one)):
            value = f"of the client at {served_by(caller)}"
            await caller.set("sample.a", value)
            await caller.call("sample.alarm", [value])
            assert await listener.get("sample.a") == value
            for client in (one, two):
                await client.wait_for_update("sample.a", value)
                await client.wait_for_update("sample.alarm", {"text": value})
        assert one.updates("sample.alarm") == two.updates("sample.alarm")

        frontends[0].send(signal.SIGTERM)
        await wait_until(lambda: one.close_code or two.close_code, "the client at the first frontend is told")
        gone, left = (one, two) if one.close_code else (two, one)
        assert gone.close_code == 1001
        await wait_until(lambda: relays_to(url, 1), "the balancer relays to the other one")
        async with Client(url) as again:
            assert served_by(again) == served_by(left)
            at = gone.notifications("rpc.update", "sample.alarm")[0]["at"]
            await again.subscribe("sample.alarm", since={"sample.alarm": at})
            await again.call("sample.test_sum", [1, 2])
            assert again.updates("sample.alarm") == left.updates("sample.alarm")[1:], "it goes on where it stopped"


@pytest.mark.skipif(HAPROXY is None, reason="there is no haproxy here")
async def test_frontends_are_rolled_behind_haproxy_and_no_call_fails(make_stack: MakeStack, tmp_path: Path) -> None:
    """As an upgrade does it: one after the other ends and comes again, while clients call and subscribe."""
    stack = make_stack(**{"session.secret": "a secret that the frontends share", "websocket.drain": 1})
    stack.worker("sample=served:Sample")
    frontends = [stack.frontend(port=free_port()), stack.frontend(port=free_port())]
    address, balancer = start_balancer(stack, "haproxy", tmp_path, frontends)
    url = f"ws://{address}/ws"
    await wait_until(lambda: relays_to(url, 2), lambda: f"the balancer relays to both: {balancer.output}")
    load, heard, gaps = Load(CLIENTS, AT_ONCE), list[str](), list[Gap]()

    async def hear(rpc: Rpc) -> None:
        async for value, _at in rpc.subscribe("sample.alarm", on_gap=gaps.append):
            heard.append(value["text"])

    async with contextlib.AsyncExitStack() as open_clients, asyncio.TaskGroup() as group:
        clients = [await open_clients.enter_async_context(wispy.connect(f"http://{address}")) for _ in range(CLIENTS)]
        hearing = group.create_task(hear(clients[0]))
        await wait_until(lambda: is_heard(clients[1], heard), "the subscriber hears")
        for number, client in enumerate(clients):
            group.create_task(load.run(number, client))
        for turn, frontend in enumerate(frontends):
            await load.wait_for_more(CALLS)
            frontend.send(signal.SIGTERM)
            await clients[1].call("sample.alarm", f"while {turn} drains")
            await wait_until(lambda frontend=frontend: not frontend.is_running, lambda: "it ends by itself")
            assert frontend.process.returncode == 0
            await load.wait_for_more(CALLS)
            again = await asyncio.to_thread(stack.frontend, port=int(frontend.address.rpartition(":")[2]))
            await wait_until(lambda: relays_to(url, 2), lambda again=again: f"it is back: {again.output}")
        load.stop()
        await wait_until(lambda: "while 1 drains" in heard, lambda: f"each alarm is heard: {heard}")
        hearing.cancel()
    assert [text for text in heard if text != ASKED] == ["while 0 drains", "while 1 drains"]
    assert not gaps
    async with Client(url) as client:
        assert sorted(await client.get("sample.ran")) == sorted(load.names), "each call ran, and once"


async def is_heard(caller: Rpc, heard: list[str]) -> bool:
    await caller.call("sample.alarm", ASKED)
    return bool(heard)


async def relays_to(url: str, frontends: int) -> bool:
    """Whether two clients in a row are sent to this many frontends."""
    try:
        async with Client(url) as one, Client(url) as two:
            return len({served_by(one), served_by(two)}) == frontends
    except (OSError, InvalidStatus):  # it does not listen yet; it has no server yet
        return False
