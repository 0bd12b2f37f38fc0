"""What the console shows of an object, and that no value of it becomes markup."""

from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.browser.console.looks import FAILED, HOSTILE, PROGRAM, OpenConsole, card, channel, opened_form, row, serve
from tests.browser.support import Start

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_an_object_says_what_it_is_and_does(start: Start, open_console: OpenConsole) -> None:
    tab = await open_console(start(PROGRAM))
    page = tab.page
    await expect(page.get_by_role("heading", level=1)).to_have_text("cryostatCryostat")
    await expect(page.get_by_text("A helium cryostat: it cools a sample")).to_be_visible()
    await expect(page.get_by_role("status").first).to_have_text("connected")
    await expect(card(tab, "ramp")).to_contain_text("ramp(to: float, rate: float = 5.0")
    await expect(card(tab, "ramp")).to_contain_text("Move the target to a temperature")
    await expect(row(tab, "heater_limit")).to_contain_text("int")
    await expect(row(tab, "heater_limit").locator(".value")).to_have_text("60")
    await expect(row(tab, "valve").locator(".value")).to_have_text('"throttled"')
    assert page.url.endswith("/console/#/cryostat")


async def test_an_object_within_an_object(start: Start, open_console: OpenConsole) -> None:
    tab = await open_console(start(PROGRAM))
    await tab.page.get_by_role("link", name="pump").click()
    await expect(tab.page.get_by_role("heading", level=1)).to_have_text("cryostat.pumpPump")
    form = await opened_form(tab, "start")
    await form.get_by_label("speed_rpm").fill("4500")
    await form.get_by_role("button", name="Call").click()
    await expect(form.get_by_label("Result")).to_have_text("null")
    await row(tab, "speed_rpm").get_by_role("button", name="Read").click()
    await expect(row(tab, "speed_rpm").locator(".value")).to_have_text("4500")
    await tab.page.go_back()
    await expect(tab.page.get_by_role("heading", level=1)).to_have_text("cryostatCryostat")


async def test_the_source_of_a_method(start: Start, open_console: OpenConsole) -> None:
    tab = await open_console(start(PROGRAM))
    await opened_form(tab, "calibrate")
    await card(tab, "calibrate").get_by_text("Source").click()
    await expect(tab.page.get_by_label("Source of calibrate")).to_contain_text("def calibrate(self, offset: float")


async def test_a_source_that_is_not_allowed_is_not_shown(
    start: Start, open_console: OpenConsole, tmp_path: Path
) -> None:
    tab = await open_console(serve(start, tmp_path, "interface: {source_access: false}"))
    await opened_form(tab, "fail")
    await card(tab, "fail").get_by_text("Source").click()
    await expect(card(tab, "fail")).to_contain_text("The source is not shown")
    assert "def fail" not in await tab.page.content()


async def test_values_never_become_markup(start: Start, open_console: OpenConsole, tmp_path: Path) -> None:
    tab = await open_console(serve(start, tmp_path, "", expect=FAILED))
    await expect(channel(tab, "text").locator("output")).to_contain_text("<b>bold</b>")
    for method in ("repeat", "fail"):
        form = await opened_form(tab, method)
        await form.get_by_label("text").fill(HOSTILE)
        await form.get_by_role("button", name="Call").click()
        await expect(form.locator(".result")).to_contain_text("<b>bold</b>")
    assert await tab.run("document.querySelectorAll('main b, aside b').length") == await tab.run(
        "document.querySelectorAll('main .name > b, main .signature > b, main .result p > b').length"
    )
    assert await tab.run("document.querySelectorAll('script').length") == 3
    assert await tab.run("window.attacked") is None
