"""`tooltip="text#name"`, in Chromium and in Firefox: by pointer, by keyboard, within the viewport."""

from typing import Any

import pytest

from tests.browser.accessibility import serious_findings
from tests.browser.support import Show, Tab
from tests.support.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="session")

CENTRE = "position: fixed; left: 45%; top: 45%"


async def box(tab: Tab, selector: str) -> dict[str, float]:
    found = await tab.page.locator(selector).bounding_box()
    assert found is not None
    return {"x": found["x"], "y": found["y"], "width": found["width"], "height": found["height"]}


async def wait_for_text(tab: Tab, text: str) -> None:
    bubble = tab.page.get_by_role("tooltip")

    async def shows() -> bool:
        return await bubble.is_visible() and await bubble.inner_text() == text

    await wait_until(shows, f"the tooltip says {text!r}")


async def wait_until_hidden(tab: Tab) -> None:
    await wait_until(lambda: tab.page.locator("#wispy-tooltip").is_hidden(), "the tooltip is hidden")


async def test_it_shows_on_hover_and_hides_when_the_pointer_leaves(show: Show) -> None:
    tab = await show(f'<button style="{CENTRE}" tooltip="what it does">B</button>')
    await tab.page.hover("button")
    await wait_for_text(tab, "what it does")
    await tab.page.mouse.move(1, 1)
    await wait_until_hidden(tab)


async def test_it_shows_on_focus_describes_its_element_and_escape_hides_it(show: Show) -> None:
    tab = await show(
        '<p id="more">more</p><button tooltip="what it does" aria-describedby="more">B</button><a href="#">a</a>'
    )
    await tab.page.keyboard.press("Tab")
    await wait_for_text(tab, "what it does")
    assert await tab.page.locator("button").get_attribute("aria-describedby") == "more wispy-tooltip"
    assert await serious_findings(tab.page) == []
    await tab.page.keyboard.press("Escape")
    await wait_until_hidden(tab)
    assert await tab.page.locator("button").get_attribute("aria-describedby") == "more"
    await tab.page.keyboard.press("Tab")
    await tab.page.keyboard.press("Shift+Tab")
    await wait_for_text(tab, "what it does")
    await tab.page.keyboard.press("Tab")
    await wait_until_hidden(tab)


async def test_the_pointer_may_go_onto_the_bubble(show: Show) -> None:
    tab = await show(f'<button style="{CENTRE}" tooltip="what it does">B</button>')
    await tab.page.hover("button")
    await wait_for_text(tab, "what it does")
    await tab.page.hover("#wispy-tooltip")
    still = await tab.run("new Promise((done) => setTimeout(() => done(tooltip.target !== null), 400))")
    assert still  # twice the time that hides it elsewhere
    await tab.page.mouse.move(1, 1)
    await wait_until_hidden(tab)


@pytest.mark.parametrize("side", ["top", "bottom", "left", "right", "def"])
async def test_the_side_is_the_wanted_one(show: Show, side: str) -> None:
    tab = await show(f'<button style="{CENTRE}" tooltip="text#{side}">B</button>')
    await tab.page.hover("button")
    await wait_for_text(tab, "text")
    bubble, target = await box(tab, "#wispy-tooltip"), await box(tab, "button")
    assert {
        "top": bubble["y"] + bubble["height"] <= target["y"],
        "bottom": bubble["y"] >= target["y"] + target["height"],
        "left": bubble["x"] + bubble["width"] <= target["x"],
        "right": bubble["x"] >= target["x"] + target["width"],
        "def": bubble["y"] + bubble["height"] <= target["y"],
    }[side]


@pytest.mark.parametrize("place", ["left: 0; top: 0", "right: 0; top: 0", "left: 0; bottom: 0", "right: 0; bottom: 0"])
@pytest.mark.parametrize("side", ["top", "left", "right"])
async def test_it_stays_within_the_viewport(show: Show, place: str, side: str) -> None:
    body = f'<button style="position: fixed; {place}" tooltip="{"a long text " * 12}#{side}">B</button>'
    tab = await show(body, viewport={"width": 320, "height": 480})
    await tab.page.hover("button")
    await wait_until(lambda: tab.page.locator("#wispy-tooltip").is_visible(), "it shows")
    bubble = await box(tab, "#wispy-tooltip")
    assert bubble["x"] >= 0
    assert bubble["y"] >= 0
    assert bubble["x"] + bubble["width"] <= 320
    assert bubble["y"] + bubble["height"] <= 480


async def test_another_name_is_a_class_and_the_text_is_text(show: Show) -> None:
    head = "<style>.tooltip-warning { background: rgb(1, 2, 3) }</style>"
    tab = await show(f'<button style="{CENTRE}" tooltip="<b>C# & co</b>#warning">B</button>', head=head)
    await tab.page.hover("button")
    await wait_for_text(tab, "<b>C# & co</b>")
    style = "getComputedStyle(document.getElementById('wispy-tooltip')).backgroundColor"
    assert await tab.run(style) == "rgb(1, 2, 3)"


async def test_what_an_attribute_asks_for(show: Show) -> None:
    tab = await show("")
    cases: dict[str, tuple[str, str, str]] = {
        "text": ("text", "top", "tooltip"),
        "text#bottom": ("text", "bottom", "tooltip"),
        "C# is fun": ("C# is fun", "top", "tooltip"),
        "see #5": ("see #5", "top", "tooltip"),
        "#fff#def": ("#fff", "top", "tooltip"),
        "a\nb#left": ("a\nb", "left", "tooltip"),
        "a#toString": ("a", "top", "tooltip tooltip-toString"),
    }
    found: dict[str, Any] = await tab.page.evaluate(
        "(all) => Object.fromEntries(all.map((each) => [each, tooltip.parse(each)]))", list(cases)
    )
    expected = {key: {"text": text, "side": side, "className": name} for key, (text, side, name) in cases.items()}
    assert found == expected


async def test_what_takes_no_focus_can_be_reached_all_the_same(show: Show) -> None:
    tab = await show(
        """<span id="a" tooltip="A">a</span><span id="b" tabindex="-1" tooltip="B">b</span>
        <button><i id="c" tooltip="C">c</i></button><label tooltip="D" id="d">d <input></label>"""
    )
    await tab.run("void document.body.insertAdjacentHTML('beforeend', '<span id=e tooltip=E>e</span>')")
    await wait_until(lambda: tab.page.locator("#e[tabindex='0']").is_visible(), "what comes later is seen to")
    assert await tab.run("[...'abcde'].map((id) => page.attribute(id, 'tabindex'))") == ["0", "-1", None, None, "0"]
    await tab.page.keyboard.press("Tab")
    await wait_for_text(tab, "A")


async def test_the_text_follows_and_goes_with_its_element(show: Show) -> None:
    tab = await show(f'<button style="{CENTRE}" tooltip="one">B</button>')
    await tab.page.hover("button")
    await wait_for_text(tab, "one")
    await tab.run("void document.querySelector('button').setAttribute('tooltip', 'two')")
    await wait_for_text(tab, "two")
    await tab.run("document.querySelector('button').remove()")
    await wait_until_hidden(tab)


async def test_it_is_seen_above_a_dialog(show: Show) -> None:
    tab = await show('<dialog><button tooltip="above">B</button></dialog>')
    await tab.run("document.querySelector('dialog').showModal()")
    await tab.page.hover("dialog button")
    await wait_for_text(tab, "above")
    at = await box(tab, "#wispy-tooltip")
    point = [at["x"] + at["width"] / 2, at["y"] + at["height"] / 2]
    assert await tab.page.evaluate("([x, y]) => document.elementFromPoint(x, y)?.id", point) in ("wispy-tooltip", "")
