"""The developer's loop: a page that is open sees the new source, and nobody reloads it."""

from pathlib import Path

import pytest

from tests.browser.support import OpenTab, Program, Start
from wispy.cli import main

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.fixture
def project(start: Start, tmp_path: Path) -> tuple[Program, Path]:
    """What `wispy new my-lab` writes, as its README starts it."""
    folder = tmp_path / "my-lab"
    assert main(["new", str(folder)]) == 0
    return start("my_lab.py", folder=folder, expect=["Traceback", "SyntaxError"]), folder / "my_lab.py"


async def test_a_new_project_runs_at_once(project: tuple[Program, Path], open_tab: OpenTab) -> None:
    program, _ = project
    one, other = [await open_tab(f"{program.url}/") for _ in range(2)]
    for tab in (one, other):
        await tab.page.get_by_text("connected", exact=True).wait_for()
        await tab.page.get_by_label("Count").get_by_text("0", exact=True).wait_for()
    await one.page.get_by_role("button", name="Count").click()
    for tab in (one, other):
        await tab.page.get_by_label("Count").get_by_text("1", exact=True).wait_for()
        assert tab.missing == []


async def test_an_open_page_sees_the_new_source(project: tuple[Program, Path], open_tab: OpenTab) -> None:
    program, source = project
    tab = await open_tab(f"{program.url}/")
    count = tab.page.get_by_label("Count")
    button = tab.page.get_by_role("button", name="Count")
    await count.get_by_text("0", exact=True).wait_for()
    await tab.run("window.neverReloaded = true")

    text = source.read_text()
    source.write_text(text + "def broken(")
    program.wait_until_says("SyntaxError: '\\(' was never closed")
    program.wait_until_says("started again when a source file changes")
    source.write_text(text.replace("+= by", "+= 10 * by").replace("count: int = 0", "count: int = 5"))

    await tab.page.get_by_text("resumed", exact=True).wait_for()
    await count.get_by_text("5", exact=True).wait_for()
    await button.click()
    await count.get_by_text("15", exact=True).wait_for()
    assert "+= 10 * by" in await tab.run("rpc.my_lab.$source('step')")
    assert await tab.run("window.neverReloaded"), "by its own session"
