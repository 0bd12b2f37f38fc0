"""What a person does with an object: calls by their forms, and attributes that are set and deleted."""

import re
from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.browser.console.looks import FAILED, PROGRAM, OpenConsole, channel, opened_form, row, serve
from tests.browser.support import Start

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_call_by_its_form(start: Start, open_console: OpenConsole) -> None:
    tab = await open_console(start(PROGRAM))
    form = await opened_form(tab, "ramp")
    await form.get_by_label("to").fill("78")
    await form.get_by_label("rate").fill("50")
    await form.get_by_label("shape").select_option("smooth")
    await form.get_by_role("button", name="Call").click()
    await expect(form.get_by_label("Result")).to_have_text('"at 78 K after 0.0 s"')
    entry = tab.page.get_by_role("complementary").get_by_role("listitem").first
    await expect(entry).to_contain_text('cryostat.ramp(78, 50, "smooth")')
    await expect(entry).to_contain_text(re.compile(r"done.*\d ms"))
    await expect(entry).to_contain_text("at 78 K")


async def test_each_type_has_its_field(start: Start, open_console: OpenConsole) -> None:
    tab = await open_console(start(PROGRAM))
    form = await opened_form(tab, "set_valve")
    await form.get_by_label("valve").select_option("open")
    await form.get_by_role("button", name="Call").click()
    await expect(form.get_by_label("Result")).to_have_text('"open"')

    form = await opened_form(tab, "plan")
    await form.get_by_label("at").fill("2026-12-24T18:30")
    await form.locator("[name=to]").fill("4.2")
    await form.get_by_role("button", name="Call").click()
    await expect(form.get_by_label("Result")).to_have_text('"24 December, 18:30: 4.2 K"')

    form = await opened_form(tab, "annotate")
    await form.get_by_label("*lines", exact=True).fill('["cold", "dry"]')
    await form.get_by_label("**fields", exact=True).fill('{"run": 7}')
    await form.get_by_role("button", name="Call").click()
    await expect(form.get_by_label("Result")).to_contain_text('"run": 7')
    await expect(form.get_by_label("Result")).to_contain_text('"lines": ["cold", "dry"]')


async def test_what_is_filled_in_wrongly_is_not_sent(start: Start, open_console: OpenConsole) -> None:
    tab = await open_console(start(PROGRAM))
    form = await opened_form(tab, "ramp")
    for text, problem in [("", "must be filled in"), ("warm", "must be a number"), ("1000", "not be above 320")]:
        await form.get_by_label("to").fill(text)
        await form.get_by_role("button", name="Call").click()
        await expect(form.get_by_text(problem)).to_be_visible()
        await expect(form.get_by_label("to")).to_be_focused()
        await expect(form.get_by_label("to")).to_have_attribute("aria-invalid", "true")
    await form.get_by_label("to").fill("90")
    await form.get_by_label("rate").fill("0")
    await form.get_by_role("button", name="Call").click()
    await expect(form.get_by_text("must be above 0")).to_be_visible()
    await expect(tab.page.get_by_text("What you call, read and set is listed here")).to_be_visible()


async def test_an_error_of_the_object_is_shown(start: Start, open_console: OpenConsole) -> None:
    tab = await open_console(start(PROGRAM, expect=FAILED))
    form = await opened_form(tab, "calibrate")
    await form.get_by_label("offset").fill("0")
    await form.get_by_label("gain").fill("3")
    await form.get_by_role("button", name="Call").click()
    alert = form.get_by_role("alert")
    await expect(alert).to_contain_text("ValueError: a gain of 3 is no calibration")
    await expect(alert).to_contain_text("It ran.")
    await expect(tab.page.get_by_role("complementary")).to_contain_text("failed")


async def test_a_running_call_can_be_cancelled(start: Start, open_console: OpenConsole) -> None:
    tab = await open_console(start(PROGRAM))
    form = await opened_form(tab, "ramp")
    await form.get_by_label("to").fill("300")
    await form.get_by_label("rate").fill("0.1")
    await form.get_by_role("button", name="Call").click()
    await expect(channel(tab, "status").locator("output")).to_have_text("ramping to 300 K")
    await form.get_by_role("button", name="Cancel").click()
    await expect(form.get_by_role("alert")).to_contain_text("cancelled here")
    await expect(channel(tab, "status").locator("output")).to_have_text("holding")


async def test_an_attribute_is_set_and_deleted(start: Start, open_console: OpenConsole) -> None:
    program = start(PROGRAM)
    tab, other = [await open_console(program) for _ in range(2)]
    target = row(tab, "target")
    await target.get_by_role("button", name="Set").click()
    await expect(target.get_by_label("New value of target")).to_have_value("77")
    await target.get_by_label("New value of target").fill("81.5")
    await target.get_by_role("button", name="Set", exact=True).click()
    await expect(target.locator(".value")).to_have_text("81.5")
    await expect(channel(other, "target").locator("output")).to_have_text("81.5")

    sample = row(tab, "sample")
    await expect(sample.locator(".value")).to_have_text('"Nb3Sn film, batch 7"')
    await sample.get_by_role("button", name="Set").click()
    await sample.get_by_label("New value of sample").fill("lead")
    await sample.get_by_role("button", name="Set", exact=True).click()
    await expect(sample.locator(".value")).to_have_text('"lead"')
    await sample.get_by_role("button", name="Set").click()
    await sample.get_by_role("button", name="Delete…").click()
    await sample.get_by_role("button", name="Delete sample").click()
    # What the class says shows again.
    await expect(sample.locator(".value")).to_have_text('"Nb3Sn film, batch 7"')
    await expect(tab.page.get_by_role("complementary")).to_contain_text("del cryostat.sample")


async def test_a_time_with_microseconds_is_set_from_what_it_is(
    start: Start, open_console: OpenConsole, tmp_path: Path
) -> None:
    tab = await open_console(serve(start, tmp_path, ""), "#/hostile")
    seen = row(tab, "seen")
    await seen.get_by_role("button", name="Set").click()
    await expect(seen.get_by_label("New value of seen")).to_have_value("2026-03-01T12:30:05.123")
    await seen.get_by_label("New value of seen").fill("2027-01-31T08:15")
    await seen.get_by_role("button", name="Set", exact=True).click()
    await expect(seen.locator(".value")).to_have_text('"2027-01-31T08:15:00"')
