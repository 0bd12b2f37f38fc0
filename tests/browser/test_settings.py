"""The same page under settings that change how it is reached and what carries its websocket."""

from typing import Any

import pytest
from playwright.async_api import Browser

from tests.browser.support import OpenTab, Serve, Tab
from tests.support.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def check_page(tab: Tab) -> None:
    for line in ("a= 2", "test_sum returned 9", "received value for b= test"):
        await tab.wait_for_console(line)
    assert tab.missing == []


async def test_base_path_from_a_file(serve: Serve, open_tab: OpenTab) -> None:
    program = serve("base_path: /test")
    assert program.url.endswith("/test")
    tab = await open_tab(f"{program.url}/")
    await check_page(tab)
    assert tab.page.url == f"{program.url}/static/index.html"


async def test_the_scripts_find_the_websocket_from_folders_of_several_levels(serve: Serve, open_tab: OpenTab) -> None:
    program = serve("base_path: /lab/two\nwispy_static_path: scripts/of/wispy")
    tab = await open_tab(f"{program.url}/scripts/of/wispy/rpc.js")  # shown as a text
    await tab.page.add_script_tag(url="/lab/two/scripts/of/wispy/rpc.js")
    assert await tab.run("rpc.sample.test_sum(4, 5)") == 9


@pytest.mark.parametrize(
    ("websocket", "is_compressed"),
    [("{shell: detached}", False), ("{shell: tornado}", False), ("{shell: tornado, compression: true}", True)],
)
async def test_each_shell_carries_the_page(
    serve: Serve, open_tab: OpenTab, browser: Browser, websocket: str, is_compressed: bool
) -> None:
    program = serve(f"websocket: {websocket}")
    tab = await open_tab("about:blank")
    handshakes: list[dict[str, Any]] = []
    devtools = await tab.page.context.new_cdp_session(tab.page)
    devtools.on("Network.webSocketHandshakeResponseReceived", lambda event: handshakes.append(event["response"]))
    await devtools.send("Network.enable")
    await tab.page.goto(f"{program.url}/")
    await check_page(tab)
    await wait_until(lambda: handshakes, "the browser tells of the handshake")
    headers = {name.lower(): value for name, value in handshakes[0]["headers"].items()}
    assert ("permessage-deflate" in headers.get("sec-websocket-extensions", "")) is is_compressed

    await tab.run("rpc.sample.$set('a', 'x'.repeat(200_000))")  # more than one read of the socket
    assert await tab.run("rpc.sample.a.then(v => v.length)") == 200_000
