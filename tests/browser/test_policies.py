"""What browsers make of the policies that answers carry: wispy's own pages keep them, and so can an author's."""

import json
from pathlib import Path

import pytest

from tests.browser.support import FOLDER, OpenTab, Start
from tests.support.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="session")

SERVE = ("-m", "wispy", "serve")


async def test_the_landing_page_looks_and_works_as_it_should(start: Start, open_tab: OpenTab, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(json.dumps({"static": {"folders": {}}}))
    program = start(*SERVE, str(tmp_path / "config.yaml"), "--object", "sample=served:Sample", folder=FOLDER)
    tab = await open_tab(f"{program.url}/")
    assert await tab.run("getComputedStyle(document.querySelector('pre')).borderRadius") == "6px"
    assert await tab.run("rpc.sample.test_sum(4, 5)") == 9
    assert "Content Security Policy" not in "".join(tab.console)


PAGE = """<!DOCTYPE html><title>t</title>
<script src="../wispyjs/rpc.js"></script><script src="page.js"></script><script>window.inline = true;</script>
"""


async def test_a_page_without_scripts_inside_can_be_strict(start: Start, open_tab: OpenTab, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(PAGE)
    (tmp_path / "page.js").write_text("rpc.sample.test_sum(4, 5).then((sum) => { window.sum = sum; });")
    strict = {"policy": "default-src 'self'; frame-ancestors 'none'"}
    config = {"static": {"folders": {"static": str(tmp_path)}}, "headers": strict}
    (tmp_path / "config.yaml").write_text(json.dumps(config))
    program = start(*SERVE, str(tmp_path / "config.yaml"), "--object", "sample=served:Sample", folder=FOLDER)
    tab = await open_tab(f"{program.url}/static/page.html")

    async def has_sum() -> bool:
        return await tab.run("window.sum") == 9

    await wait_until(has_sum, "the page's own script has called the object")
    assert await tab.run("window.inline") is None
    await wait_until(lambda: "Content Security Policy" in "".join(tab.console), "the browser says what it refuses")
