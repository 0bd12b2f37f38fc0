"""The example page without JavaScript of its own, in Chromium and in Firefox."""

import pytest

from tests.browser.accessibility import serious_findings
from tests.browser.support import ROOT, OpenTab, Start
from tests.support.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="session")

PROGRAM = "examples/bindings/bindings.py"


async def test_what_one_page_sets_another_shows(start: Start, open_in_each: OpenTab) -> None:
    program = start(PROGRAM)
    one, other = [await open_in_each(f"{program.url}/") for _ in range(2)]
    for tab in (one, other):
        await tab.page.get_by_text("21.0 °C").wait_for()
    await one.page.get_by_label("Target").fill("26.5")
    await other.page.locator(".big.warm", has_text="26.5 °C").wait_for()
    await other.page.get_by_label("Mode").select_option("night")
    await one.page.get_by_text("in night mode").wait_for()
    await one.page.get_by_text("Toggle the heating").click()
    await other.page.get_by_text("The heating is off.").wait_for()
    await one.page.get_by_text("In Fahrenheit").click()
    await one.page.get_by_text("79.7 °F").wait_for()
    await one.page.get_by_label("watered").nth(1).check()
    await wait_until(lambda: other.page.get_by_label("watered").nth(1).is_checked(), "the plant is watered")
    await other.page.get_by_label("New entry").fill("<b>It rains.</b>")
    await other.page.keyboard.press("Enter")
    await one.page.get_by_text("<b>It rains.</b>").wait_for()
    assert one.missing == other.missing == []


async def test_the_page_is_accessible_and_has_no_script_of_its_own(start: Start, open_in_each: OpenTab) -> None:
    program = start(PROGRAM)
    tab = await open_in_each(f"{program.url}/")
    await tab.page.get_by_text("21.0 °C").wait_for()
    assert await serious_findings(tab.page) == []
    assert "<script>" not in (ROOT / "examples/bindings/static/index.html").read_text()
    assert await tab.run("[...document.scripts].every(({src}) => src.includes('/wispyjs/'))")
