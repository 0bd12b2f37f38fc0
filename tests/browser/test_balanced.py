"""Two frontends and a worker as processes of their own, and a load balancer in front: pages lose nothing."""

import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.browser.support import FOLDER, ROOT, OpenTab, Tab
from tests.support.balancers import HAPROXY
from tests.support.stack import Frontend, Stack
from tests.support.waiting import wait_until, wait_until_blocking
from wispy.broker.embedded import EmbeddedServer

pytestmark = pytest.mark.asyncio(loop_scope="session")

SERVED_BY = "x-served-by"

CONFIG = """
global
    maxconn 200
defaults
    mode http
    timeout connect 5s
    timeout client 1h
    timeout server 1h
    timeout tunnel 1h
    timeout check 5s
    balance leastconn
    option httpchk GET /readyz
    option redispatch 1
    default-server check inter 200ms fall 1 rise 1
frontend pages
    bind fd@{fd}
    use_backend sockets if {{ path_end /ws }}
    default_backend files
backend files
    http-response set-header x-served-by %s
{servers}
# Counted for themselves, so that of two pages each frontend gets one.
backend sockets
    http-response set-header x-served-by %s
{servers}
"""


class Balanced:
    """The whole of it; `url` is the balancer's."""

    def __init__(self, stack: Stack, folder: Path) -> None:
        self.stack = stack
        stack.worker("sample=served:Sample", "counter=served:Counter")
        self.frontends: list[Frontend] = [self._frontend() for _ in range(2)]
        self.balancer, self.url = self._balance(folder)

    def _frontend(self, port: int = 0) -> Frontend:
        return self.stack.frontend("--set", f"static.folders={ROOT}/examples/quickstart/static", port=port)

    def replace(self, number: int) -> None:
        """Start a killed frontend again, at its address."""
        self.frontends[number] = self._frontend(int(self.frontends[number].address.rpartition(":")[2]))
        wait_until_blocking(self.is_ready, "the balancer reaches both again")

    def _balance(self, folder: Path) -> tuple[subprocess.Popen[bytes], str]:
        """Start haproxy on a socket that is open already, so that its port is certainly free."""
        if HAPROXY is None:
            pytest.skip("there is no haproxy (apt-get install haproxy)")
        with socket.create_server(("127.0.0.1", 0)) as listener:
            host, port = listener.getsockname()
            servers = "\n".join(f"    server f{n} {each.address}" for n, each in enumerate(self.frontends))
            file = folder / "haproxy.cfg"
            file.write_text(CONFIG.format(fd=listener.fileno(), servers=servers))
            command = [HAPROXY, "-db", "-f", str(file)]
            with (folder / "haproxy.log").open("wb") as log:
                balancer = subprocess.Popen(command, pass_fds=[listener.fileno()], stdout=log, stderr=log)
        return balancer, f"http://{host}:{port}"

    def is_ready(self) -> bool:
        try:
            answers = [httpx.get(f"{self.url}/readyz", trust_env=False, timeout=15) for _ in self.frontends]
        except httpx.TransportError:
            return False
        return {answer.headers.get(SERVED_BY) for answer in answers} == {"f0", "f1"}

    def close(self) -> None:
        self.balancer.terminate()
        self.balancer.wait()


@pytest.fixture
def balanced(valkey: EmbeddedServer, tmp_path: Path) -> Iterator[Balanced]:
    # What a killed frontend had not passed on may start as long as the page may take to come back on a busy machine.
    config = {"session.secret": "a secret that the frontends share", "func_caller.max_start_delay_default": 10}
    stack = Stack(valkey.url, folder=FOLDER, logs=tmp_path, **config)
    try:
        balanced = Balanced(stack, tmp_path)
        try:
            log = tmp_path / "haproxy.log"
            wait_until_blocking(balanced.is_ready, lambda: f"the balancer reaches both: {log.read_text()}")
            yield balanced
        finally:
            balanced.close()
    finally:
        stack.close()


async def open_watched(balanced: Balanced, open_tab: OpenTab) -> tuple[Tab, list[str]]:
    """A tab with the quickstart, and the frontends that its websockets went to, the present one last."""
    tab = await open_tab("about:blank")
    frontends: list[str] = []

    def take(event: dict[str, Any]) -> None:
        frontends.append(
            next(value for name, value in event["response"]["headers"].items() if name.lower() == SERVED_BY)
        )

    devtools = await tab.page.context.new_cdp_session(tab.page)
    devtools.on("Network.webSocketHandshakeResponseReceived", take)
    await devtools.send("Network.enable")
    await tab.page.goto(f"{balanced.url}/")
    await tab.wait_for_console("a= 2")
    await tab.wait_for_console("test_sum returned 9")
    await wait_until(lambda: frontends, "the browser tells of the handshake")
    return tab, frontends


async def test_calls_and_updates_across_both_frontends(balanced: Balanced, open_tab: OpenTab) -> None:
    one, frontend_of_one = await open_watched(balanced, open_tab)
    other, frontend_of_other = await open_watched(balanced, open_tab)
    assert {frontend_of_one[-1], frontend_of_other[-1]} == {"f0", "f1"}

    for tab in (one, other):
        await tab.follow("a")
    await one.run("rpc.sample.$set('a', 'from one')")
    await other.wait_for("a", "from one")
    assert await other.run("rpc.sample.a.then(v => v)") == "from one"
    await other.run("rpc.sample.$delete('a')")
    await one.wait_for("a", 1)


async def test_a_page_goes_on_at_the_other_frontend(balanced: Balanced, open_tab: OpenTab) -> None:
    tab, frontends = await open_watched(balanced, open_tab)
    await tab.follow("a")
    first = frontends[-1]
    balanced.frontends[int(first.removeprefix("f"))].kill()
    await wait_until(lambda: frontends[-1] != first, "the page connects to the other frontend")
    assert await tab.run("rpc.sample.test_sum(20, 22)") == 42
    await tab.run("rpc.sample.$set('a', 'elsewhere')")
    await tab.wait_for("a", "elsewhere")


LOAD = """
window.load = {sent: 0, answered: [], failed: [], states: [], goOn: true};
rpc.$on("state", (state) => load.states.push(state));
rpc.counter.$channel("total").subscribe((total) => void (load.total = total));
async function lane() {
  while (load.goOn) {
    const number = load.sent++;
    try {
      load.answered.push(await rpc.counter.count(number));
    } catch (error) {
      load.failed.push(`${number}: ${error.message} (executed: ${error.executed})`);
    }
  }
}
load.lanes = Promise.all(Array.from({length: 20}, lane));
"""


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
async def test_a_frontend_that_ends_loses_nothing_that_the_page_asked_for(
    balanced: Balanced, open_tab: OpenTab, end: signal.Signals
) -> None:
    tab, frontends = await open_watched(balanced, open_tab)
    await tab.run(f"void (() => {{ {LOAD} }})()")

    async def wait_for_answers(more: int) -> None:
        goal = await tab.run("load.answered.length") + more

        async def are_there() -> bool:
            return await tab.run("load.answered.length + load.failed.length") >= goal

        await wait_until(are_there, f"{goal} answers come", 30)

    for _ in range(2):
        await wait_for_answers(200)
        first = frontends[-1]
        number = int(first.removeprefix("f"))
        balanced.frontends[number].send(end)
        await wait_until(lambda first=first: frontends[-1] != first, "the page connects to the other frontend")
        await wait_for_answers(200)
        await wait_until(lambda number=number: not balanced.frontends[number].is_running, "the frontend ends")
        balanced.replace(number)

    await tab.run("load.goOn = false, load.lanes.then(() => 0)")
    assert await tab.run("load.failed") == []
    sent = await tab.run("load.sent")
    assert sorted(await tab.run("load.answered")) == list(range(sent))
    assert await tab.run("rpc.counter.runs.then((runs) => runs)") == {str(number): 1 for number in range(sent)}
    await tab.page.wait_for_function(f"load.total === {sent}")
    states = await tab.run("load.states")
    assert set(states) == {"connecting", "resumed"}
    assert states.count("resumed") == 2
