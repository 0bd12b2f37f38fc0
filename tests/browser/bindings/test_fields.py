"""Fields that set an object's values, and follow them."""

import pytest

from tests.browser.bindings.watching import enter, value_is, wait_for_text, wait_for_value
from tests.browser.support import Show
from tests.support.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_fields_set_values_and_follow_them(show: Show) -> None:
    tab = await show(
        """<input id="level" type="number" step="any" min="0" max="9" aria-label="l" wy-value="panel.level">
        <input id="slider" type="range" min="0" max="9" step="0.25" aria-label="s" wy-value="panel.level">
        <input id="on" type="checkbox" aria-label="o" wy-checked="panel.on">
        <select id="mode" aria-label="m" wy-value="panel.mode"><option>auto</option><option>hand</option></select>
        <label><input type="radio" name="m" value="auto" wy-value="panel.mode">a</label>
        <label><input type="radio" name="m" value="hand" wy-value="panel.mode">h</label>
        <input id="low" aria-label="low" wy-value="panel.limits.low">"""
    )
    page = tab.page
    await wait_until(lambda: page.locator("#level[type=number]").is_visible(), "it is there")

    async def is_filled() -> bool:
        return await tab.run("[page.value('level'), page.value('slider'), page.value('mode'), page.value('low')]") == [
            0.5, 0.5, "auto", "1",
        ]  # fmt: skip

    await wait_until(is_filled, "the fields show the values")
    await enter(tab, "#level", "2.5")
    await wait_for_value(tab, "level", 2.5)
    await wait_until(lambda: value_is(tab, "slider", 2.5), "the slider follows the field")
    await page.fill("#slider", "4")
    await wait_for_value(tab, "level", 4)
    await wait_until(lambda: value_is(tab, "level", 4), "the field follows the slider")
    await page.check("#on")
    await wait_for_value(tab, "on", True)
    await page.select_option("#mode", "hand")
    await wait_for_value(tab, "mode", "hand")
    await wait_until(lambda: page.locator("[value=hand]").is_checked(), "the radio buttons follow")
    await page.check("[type=radio][value=auto]")
    await wait_for_value(tab, "mode", "auto")


async def test_what_is_chosen_while_a_value_is_refused_is_sent_all_the_same(show: Show) -> None:
    tab = await show('<input id="a" type="range" min="0" max="9" aria-label="a" wy-value="panel.power">')
    await wait_until(lambda: value_is(tab, "a", 1), "the field shows the value")
    await tab.run(
        """void [7, 3].forEach((value) => {
            page.value("a", value);
            page.element("a").dispatchEvent(new Event("input"));
        })"""
    )
    await wait_for_value(tab, "power", 3)
    await tab.wait_for_complaints("that is too much")


@pytest.mark.parametrize("kind", ["text", "number"])
async def test_a_long_integer_keeps_its_digits(show: Show, kind: str) -> None:
    tab = await show(f'<input id="a" type="{kind}" aria-label="a" wy-value="panel.serial">')
    await wait_until(lambda: tab.run(f"page.element('a').value === '{2**60 + 1}'"), "the field shows the value")
    await enter(tab, "#a", str(2**60 + 3))
    await wait_for_value(tab, "serial", 2**60 + 3)


async def test_dates_and_times_are_pythons(show: Show) -> None:
    tab = await show(
        """<input id="start" type="datetime-local" step="0.001" wy-value="panel.start" aria-label="start">
        <input id="noon" type="time" wy-value="panel.noon" aria-label="noon">"""
    )
    await wait_until(lambda: tab.run("page.value('start') === '2026-03-01T12:30:05.123'"), "the start is shown")
    await wait_until(lambda: tab.run("page.value('noon') === '12:30:00'"), "noon is shown")
    for field, value in {"start": "2027-01-31T08:15", "noon": "08:15"}.items():
        await tab.run(
            f"""(() => {{
                const field = page.element({field!r});
                field.value = {value!r};
                field.dispatchEvent(new Event('input', {{bubbles: true}}));
                field.dispatchEvent(new Event('change', {{bubbles: true}}));
            }})()"""
        )
        await wait_for_value(tab, field, f"{value}:00")
    assert not [line for line in tab.console if "wy-value" in line]


async def test_what_is_being_typed_is_not_overwritten(show: Show) -> None:
    tab = await show('<input id="a" aria-label="a" wy-value="panel.mode"><p wy-text="panel.mode"></p>')
    await wait_until(lambda: value_is(tab, "a", "auto"), "the field shows the value")
    await tab.page.press("#a", "End")
    await tab.page.keyboard.type("matic")
    await tab.run("rpc.panel.$set('mode', 'other')")
    await wait_for_text(tab, "p", "other")
    assert await value_is(tab, "a", "automatic")
    await tab.page.keyboard.press("Enter")
    await wait_for_value(tab, "mode", "automatic")


async def test_a_value_that_is_refused_is_told_and_the_field_shows_the_true_one(show: Show) -> None:
    tab = await show(
        """<input id="a" type="number" max="9" step="any" aria-label="a" wy-value="panel.level">
        <input id="b" aria-label="b" wy-value="panel.on"><p role="alert" wy-errors></p>"""
    )
    await tab.run("void addEventListener('wispy-error', ({detail}) => { window.told = detail.attribute; })")
    await wait_until(lambda: value_is(tab, "a", 0.5), "the field shows the value")
    await enter(tab, "#a", "10")
    await wait_until(lambda: tab.run("window.told === 'wy-value'"), "the page is told")
    await wait_until(lambda: value_is(tab, "a", 0.5), "the field shows what is true")
    assert await tab.page.locator("[wy-errors]").inner_text() != ""
    assert await tab.run("rpc.panel.level.$get()") == 0.5


async def test_a_selection_whose_options_come_later_than_its_value(show: Show) -> None:
    tab = await show(
        """<select id="a" aria-label="a" wy-value="panel.mode"><template wy-each="row of panel.rows">
        <option wy-text="row.name" wy-attr="value: row.name"></option></template></select>
        <p wy-text="panel.mode"></p>"""
    )
    await tab.run("rpc.panel.$set('mode', 'b')")
    await wait_for_text(tab, "p", "b")
    await wait_until(lambda: value_is(tab, "a", "b"), "the second option is chosen")


async def test_a_field_that_was_changed_back_by_hand_follows_again(show: Show) -> None:
    tab = await show('<input id="a" aria-label="a" wy-value="panel.mode">')
    await wait_until(lambda: value_is(tab, "a", "auto"), "the field shows the value")
    await tab.page.press("#a", "End")
    await tab.page.keyboard.type("x")
    await tab.page.keyboard.press("Backspace")
    await tab.page.keyboard.press("Tab")
    await tab.run("rpc.panel.$set('mode', 'other')")
    await wait_until(lambda: value_is(tab, "a", "other"), "the field follows")
