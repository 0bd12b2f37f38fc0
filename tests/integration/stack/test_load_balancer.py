"""Two frontends and one worker behind a load balancer."""

import shutil
import signal
from pathlib import Path

import pytest
from websockets.exceptions import InvalidStatus

from tests.integration.stack.conftest import MakeStack
from tests.support.rpc_client import Client
from tests.support.stack import Frontend, Service, Stack, free_port
from tests.support.waiting import wait_until

HAPROXY = shutil.which("haproxy", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")

HAPROXY_CONFIG = """
defaults
    mode http
    timeout connect 2s
    timeout client 60s
    timeout server 60s
    timeout tunnel 1h
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


async def relays_to(url: str, frontends: int) -> bool:
    """Whether two clients in a row are sent to this many frontends."""
    try:
        async with Client(url) as one, Client(url) as two:
            return len({served_by(one), served_by(two)}) == frontends
    except (OSError, InvalidStatus):  # it does not listen yet; it has no server yet
        return False
