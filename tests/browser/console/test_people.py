"""Who uses the console: with the keyboard, on a phone, in the dark."""

import re

import pytest
from playwright.async_api import Locator, expect

from tests.browser.accessibility import serious_findings
from tests.browser.console.looks import FAILED, PROGRAM, OpenConsole, card, opened_form, row
from tests.browser.support import Start, Tab

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_everything_works_by_keyboard(start: Start, open_console: OpenConsole) -> None:
    tab = await open_console(start(PROGRAM))
    keyboard = tab.page.keyboard
    await expect(card(tab, "calibrate")).to_be_visible()

    async def tab_to(target: Locator) -> None:
        for _ in range(60):
            if await target.evaluate("element => element === document.activeElement"):
                return
            await keyboard.press("Tab")
        raise AssertionError(f"60 tabs do not reach {target}")

    await keyboard.press("Tab")
    await expect(tab.page.get_by_role("link", name="Skip to the object")).to_be_focused()
    await keyboard.press("Enter")
    await tab_to(card(tab, "calibrate").locator("summary").first)
    await keyboard.press("Enter")
    form = tab.page.get_by_role("form", name="Call calibrate")
    await tab_to(form.get_by_label("offset"))
    await keyboard.type("0.5")
    await keyboard.press("Enter")
    await expect(form.get_by_label("Result")).to_contain_text('"offset": 0.5')
    await expect(tab.page.locator("#said")).to_contain_text("calibrate returned")

    limit = row(tab, "heater_limit")
    await tab_to(limit.get_by_role("button", name="Set"))
    await keyboard.press("Enter")
    await expect(limit.get_by_label("New value of heater_limit")).to_be_focused()
    await keyboard.press("Control+A")
    await keyboard.type("70")
    await keyboard.press("Enter")
    await expect(limit.locator(".value")).to_have_text("70")
    await limit.get_by_role("button", name="Set").focus()
    await keyboard.press("Enter")
    await expect(limit.get_by_label("New value of heater_limit")).to_be_focused()
    await keyboard.press("Escape")
    await expect(limit.get_by_role("form")).to_have_count(0)
    await expect(limit.get_by_role("button").first).to_be_focused()


@pytest.mark.parametrize("width", [1280, 360])
async def test_anyone_can_use_it(start: Start, open_console: OpenConsole, width: int) -> None:
    tab = await open_console(start(PROGRAM, expect=FAILED), width=width)
    assert await lightness(tab) > 200
    await check_that_anyone_can_use(tab, width)


async def test_anyone_can_use_it_in_the_dark(start: Start, open_in_chromium: OpenConsole) -> None:
    tab = await open_in_chromium(start(PROGRAM, expect=FAILED), dark=True)
    assert await lightness(tab) < 100
    await check_that_anyone_can_use(tab, 1280)


async def lightness(tab: Tab) -> int:
    """Of the background: the red part of its colour."""
    background = await tab.run("getComputedStyle(document.documentElement).backgroundColor")
    return int(re.findall(r"\d+", background)[0])


async def check_that_anyone_can_use(tab: Tab, width: int) -> None:
    """Colours, sizes, names and roles: axe-core finds nothing serious, with everything open; no page is too wide."""
    form = await opened_form(tab, "calibrate")
    await form.get_by_label("offset").fill("1")
    await form.get_by_label("gain").fill("3")
    await form.get_by_role("button", name="Call").click()
    await form.get_by_role("alert").wait_for()
    await card(tab, "calibrate").get_by_text("Source").click()
    await tab.page.get_by_label("Source of calibrate").wait_for()
    await opened_form(tab, "ramp")
    await opened_form(tab, "plan")
    await row(tab, "heater_limit").get_by_role("button", name="Set").click()
    await expect(row(tab, "heater_limit").get_by_label("New value of heater_limit")).to_be_visible()
    too_wide = "[...document.querySelectorAll('.field')].filter((each) => each.scrollWidth > each.clientWidth).length"
    assert await tab.run(too_wide) == 0
    assert await serious_findings(tab.page) == []
    assert await tab.run("document.documentElement.scrollWidth") <= width
    await tab.page.get_by_role("link", name="Overview").click()
    await expect(tab.page.get_by_role("heading", level=1)).to_have_text("Overview")
    assert await serious_findings(tab.page) == []
    assert await tab.run("document.documentElement.scrollWidth") <= width


async def test_the_theme_can_be_chosen_and_is_kept(start: Start, open_console: OpenConsole) -> None:
    tab = await open_console(start(PROGRAM))
    colour = "getComputedStyle(document.documentElement).backgroundColor"
    light = await tab.run(colour)
    button = tab.page.get_by_role("button", name="Theme")
    await button.click()
    assert await tab.run(colour) == light
    await button.click()
    await expect(button).to_have_text("Theme: dark")
    dark = await tab.run(colour)
    assert dark != light
    await tab.page.reload()
    assert await tab.run(colour) == dark
