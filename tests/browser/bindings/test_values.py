"""What a page shows of an object by its bindings, and what becomes of bindings that come, go or cannot be."""

import pytest

from tests.browser.bindings.watching import enter, wait_for_text
from tests.browser.support import Show
from tests.support.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_text_follows_a_channel_and_a_part_of_its_value(show: Show) -> None:
    tab = await show(
        """<p id="a" wy-text="panel.level | fixed 2 | as '{} V'">...</p><p id="b" wy-text="panel.limits.high"></p>
        <p id="c" wy-text="panel.log.0 | upper"></p><p id="d" wy-text="panel.limits.none | or 'none'"></p>
        <p id="e" wy-text="$state"></p>"""
    )
    for selector, text in {"#a": "0.50 V", "#b": "9", "#c": "STARTED", "#d": "none", "#e": "connected"}.items():
        await wait_for_text(tab, selector, text)
    await tab.run("rpc.panel.$set('level', 0.75)")
    await wait_for_text(tab, "#a", "0.75 V")


async def test_an_attribute_that_is_no_channel_is_read_again_after_a_call(show: Show) -> None:
    tab = await show(
        """<p id="a" wy-text="panel.label"></p><input id="name" aria-label="name">
        <button wy-click="panel.rename(#name)">rename</button>"""
    )
    await wait_for_text(tab, "#a", "first")
    await tab.page.fill("#name", "second")
    await tab.page.click("button")
    await wait_for_text(tab, "#a", "second")


async def test_markup_in_a_value_is_shown_as_it_is(show: Show) -> None:
    tab = await show('<p id="a" wy-text="panel.mode"></p>')
    await tab.run("rpc.panel.$set('mode', '<img src=x onerror=window.hit=1>')")
    await wait_for_text(tab, "#a", "<img src=x onerror=window.hit=1>")
    assert await tab.run("window.hit ?? 0") == 0


async def test_classes_visibility_and_attributes(show: Show) -> None:
    tab = await show(
        """<p id="a" class="own" wy-class="is-lit: panel.on; hand: panel.mode | is hand">a</p>
        <p id="b" style="display: flex" wy-show="panel.on">b</p><p id="c" wy-hide="panel.on">c</p>
        <meter id="d" max="1" aria-label="d" wy-attr="value: panel.level; data-on: panel.on"></meter>
        <button id="f" wy-attr="aria-pressed: panel.on">f</button>
        <a id="e" wy-attr="href: panel.link; title: panel.mode">link</a>"""
    )
    page = tab.page
    await wait_until(lambda: page.locator("#b[hidden]").count(), "b is hidden")
    assert not await page.locator("#b").is_visible()  # whatever its style says
    assert await page.locator("#c").is_visible()
    await wait_until(lambda: page.locator('#d[value="0.5"]:not([data-on])').count(), "the attribute is there")
    await wait_until(lambda: page.locator('#e[href="../x"][title=auto]').count(), "the link leads somewhere")
    await wait_until(lambda: page.locator("#f[aria-pressed=false]").count(), "a state is told when it is off, too")
    await tab.run("(async () => { await rpc.panel.$set('on', true); await rpc.panel.$set('mode', 'hand'); })()")
    await wait_until(lambda: page.locator("#a.own.is-lit.hand").count(), "the classes are there")
    await wait_until(lambda: page.locator("#b:not([hidden])").is_visible(), "b is shown")
    await wait_until(lambda: page.locator("#f[aria-pressed=true]").count(), "the state has changed")
    await wait_until(lambda: page.locator("#d[data-on='']").count(), "true is an empty attribute")
    await tab.run("rpc.panel.lead('javascript:window.hit=1')")
    await wait_until(lambda: any("is refused" in line for line in tab.console), "the address is refused")
    assert await page.locator("#e").get_attribute("href") == "../x"


async def test_parts_of_a_drawing_are_bound(show: Show) -> None:
    tab = await show(
        """<svg viewBox="0 0 10 10" width="100"><g id="needle" wy-attr="transform: panel.level | as 'rotate({})'">
        <circle id="lamp" r="4" cx="5" cy="5" wy-show="panel.on"></circle></g>
        <rect id="frame" width="4" height="4"></rect></svg>"""
    )
    page = tab.page
    await wait_until(lambda: page.locator("#needle[transform='rotate(0.5)']").count(), "the needle is turned")
    await wait_until(lambda: page.locator("#lamp").is_hidden(), "the lamp is off")
    await tab.run("rpc.panel.$set('on', true)")
    await wait_until(lambda: page.locator("#lamp").is_visible(), "the lamp is on")
    await tab.run("page.hide('frame')")
    assert await page.locator("#frame").is_hidden()


async def test_names_that_mean_something_to_javascript_are_the_objects(show: Show) -> None:
    tab = await show(
        """<button wy-click="panel.then()" wy-result="#next">next</button><output id="next"></output>
        <input wy-value="panel.constructor" aria-label="maker"><p wy-text="panel.constructor | upper"></p>"""
    )
    await wait_for_text(tab, "p", "ACME")
    await tab.page.click("button")
    await wait_for_text(tab, "#next", "next")
    await enter(tab, "input", "mill")
    await wait_for_text(tab, "p", "MILL")


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ('<p wy-text="panel.">x</p>', "expected"),
        ('<p wy-text="alert(1)">x</p>', "expected the end"),
        ('<p wy-text="panel.level | nonsense">x</p>', "there is no format nonsense; there are above, as"),
        ('<p wy-text="panel.no_such_thing">x</p>', "no_such_thing"),
        ('<p wy-text="nobody.level">x</p>', 'wy-text="nobody.level" of <p>'),
        ('<p wy-value="panel.level">x</p>', "for fields of a form"),
        ('<button wy-click="panel.add(#nowhere)">x</button>', 'no element with id="nowhere"'),
    ],
)
async def test_a_binding_that_cannot_be_says_why(show: Show, body: str, complaint: str) -> None:
    tab = await show(body)
    if "button" in body:
        await tab.page.click("button")
    await wait_until(lambda: any(complaint in line for line in tab.console), lambda: f"{complaint}: {tab.console}")


async def test_elements_that_come_and_go_are_bound_and_let_go(show: Show) -> None:
    tab = await show(
        """<custom-template type="my-shown" path="panel.level"><b wy-text="$path"></b></custom-template>
        <my-shown></my-shown><div id="place"></div>"""
    )
    await wait_for_text(tab, "my-shown", "0.5")
    await tab.run("void document.querySelector('my-shown').setAttribute('path', 'panel.mode')")
    await wait_for_text(tab, "my-shown", "auto")
    await tab.run("void page.element('place').insertAdjacentHTML('beforeend', '<p wy-text=panel.level></p>')")
    await wait_for_text(tab, "#place p", "0.5")
    await tab.run("void (window.gone = document.querySelector('#place p'), gone.remove())")
    await tab.run("rpc.panel.$set('level', 1)")
    await tab.run("void page.element('place').insertAdjacentHTML('beforeend', '<i wy-text=panel.level></i>')")
    await wait_for_text(tab, "#place i", "1")
    assert await tab.run("gone.textContent") == "0.5"


async def test_what_leaves_and_comes_back_is_bound_again(show: Show) -> None:
    tab = await show('<div id="place"><ol><li wy-each="entry of panel.log" wy-text="entry"></li></ol></div>')
    await wait_for_text(tab, "ol", "started")
    await tab.run("void (window.list = document.querySelector('ol'), list.remove())")
    await tab.run("rpc.panel.note('more')")
    await tab.run("void page.element('place').append(list)")
    await wait_for_text(tab, "ol", "started\nmore")
