"""The live plot: an instrument that pushes, and settings that all pages share."""

import pytest

from tests.browser.support import OpenTab, Start, Tab
from tests.support.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="session")

PROGRAM = "examples/live_plot/live_plot.py"

LINE_PIXELS = """() => {
    const canvas = document.getElementById("plot");
    const style = getComputedStyle(document.documentElement).getPropertyValue("--line").trim();
    const wanted = [1, 3, 5].map((at) => parseInt(style.slice(at, at + 2), 16));
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    let found = 0;
    for (let at = 0; at < data.length; at += 4) {
        found += data[at + 3] === 255 && wanted.every((part, index) => Math.abs(data[at + index] - part) < 4);
    }
    return found;
}"""


async def picture(tab: Tab) -> str:
    return await tab.run("document.getElementById('plot').toDataURL()")


async def test_readings_are_drawn_as_they_come(start: Start, open_tab: OpenTab) -> None:
    program = start(PROGRAM)
    tab = await open_tab(f"{program.url}/")
    await tab.page.get_by_text("connected", exact=True).wait_for()

    async def is_drawn() -> bool:
        return await tab.page.evaluate(LINE_PIXELS) > 100

    await wait_until(is_drawn, "the canvas shows a line")
    before = await picture(tab)

    async def has_changed() -> bool:
        return await picture(tab) != before

    await wait_until(has_changed, "the line goes on")
    assert tab.missing == []


async def test_a_setting_reaches_every_page(start: Start, open_tab: OpenTab) -> None:
    program = start(PROGRAM)
    one, other = [await open_tab(f"{program.url}/") for _ in range(2)]
    for tab in (one, other):
        await tab.page.get_by_text("connected", exact=True).wait_for()
        await tab.page.get_by_text("1.00 V").wait_for()

    await one.page.get_by_label("Amplitude").fill("1.5")
    await other.page.get_by_text("1.50 V").wait_for()
    assert await other.page.get_by_label("Amplitude").input_value() == "1.5"

    await other.page.get_by_role("button", name="Pause").click()
    await one.page.get_by_role("button", name="Continue").wait_for()
    await one.page.get_by_role("button", name="Reset").click()
    await other.page.get_by_role("button", name="Pause").wait_for()
    await other.page.get_by_text("1.00 V").wait_for()
