"""Whether the console is there, where, and under which policy."""

import re
from pathlib import Path

import httpx
import pytest
from playwright.async_api import expect

from tests.browser.console.looks import PROGRAM, OpenConsole, serve
from tests.browser.support import Start

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def fetch(url: str) -> httpx.Response:
    async with httpx.AsyncClient(follow_redirects=True, timeout=30) as client:
        return await client.get(url)


async def test_under_a_base_path_and_another_name_of_wispyjs(
    start: Start, open_console: OpenConsole, tmp_path: Path
) -> None:
    program = serve(start, tmp_path, "base_path: /lab/two\nwispy_static_path: scripts/of/wispy")
    tab = await open_console(program)
    await expect(tab.page.get_by_role("status").first).to_have_text("connected")
    assert (await fetch(f"{program.url}/console")).url == f"{program.url}/console/"
    assert "/lab/two/console/" in (await fetch(f"{program.url}/")).text


async def test_where_it_is_off_nothing_of_it_is_there(start: Start, tmp_path: Path) -> None:
    program = serve(start, tmp_path, "console: false")
    unknown = await fetch(f"{program.url}/no-such-page")
    for path in ("console", "console/", "console/index.html", "console/main.mjs", "wispyjs/console/index.html"):
        answer = await fetch(f"{program.url}/{path}")
        assert (answer.status_code, answer.text) == (404, unknown.text), path
    assert "console/" not in (await fetch(f"{program.url}/")).text
    assert "the console:" not in program.output


async def test_its_policy_lets_no_other_script_in(start: Start) -> None:
    answer = await fetch(f"{start(PROGRAM).url}/console/")
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "require-trusted-types-for 'script'" in policy
    assert not re.search(r"<script>|\son\w+=|\sstyle=", answer.text)
