"""The binding attributes of page.js, in Chromium and in Firefox, against a served object."""

from pathlib import Path

import pytest

from tests.browser.support import OpenTab, Program, Show, Tab
from tests.support.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def wait_for_text(tab: Tab, selector: str, text: str) -> None:
    found: list[str] = []

    async def shows() -> bool:
        found[:] = [await tab.page.locator(selector).inner_text()]
        return found == [text]

    await wait_until(shows, lambda: f"{selector} shows {text!r}: {found} {tab.console}")


async def wait_for_value(tab: Tab, path: str, value: object) -> None:
    found: list[object] = []

    async def has() -> bool:
        found[:] = [await tab.run(f"rpc.panel.{path}.$get()")]
        return found == [value]

    await wait_until(has, lambda: f"{path} is {value!r}: {found} {tab.console}")


async def enter(tab: Tab, selector: str, text: str) -> None:
    """As a person does: a browser tells of a change that a script made differently."""
    await tab.page.focus(selector)
    await tab.page.keyboard.press("Control+a")
    await tab.page.keyboard.type(text)
    await tab.page.keyboard.press("Tab")


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
    await wait_until(lambda: _value_is(tab, "slider", 2.5), "the slider follows the field")
    await page.fill("#slider", "4")
    await wait_for_value(tab, "level", 4)
    await wait_until(lambda: _value_is(tab, "level", 4), "the field follows the slider")
    await page.check("#on")
    await wait_for_value(tab, "on", True)
    await page.select_option("#mode", "hand")
    await wait_for_value(tab, "mode", "hand")
    await wait_until(lambda: page.locator("[value=hand]").is_checked(), "the radio buttons follow")
    await page.check("[type=radio][value=auto]")
    await wait_for_value(tab, "mode", "auto")


async def _value_is(tab: Tab, name: str, value: object) -> bool:
    return await tab.run(f"page.value('{name}')") == value


async def test_what_is_chosen_while_a_value_is_refused_is_sent_all_the_same(show: Show) -> None:
    tab = await show('<input id="a" type="range" min="0" max="9" aria-label="a" wy-value="panel.power">')
    await wait_until(lambda: _value_is(tab, "a", 1), "the field shows the value")
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
    await wait_until(lambda: _value_is(tab, "a", "auto"), "the field shows the value")
    await tab.page.press("#a", "End")
    await tab.page.keyboard.type("matic")
    await tab.run("rpc.panel.$set('mode', 'other')")
    await wait_for_text(tab, "p", "other")
    assert await _value_is(tab, "a", "automatic")
    await tab.page.keyboard.press("Enter")
    await wait_for_value(tab, "mode", "automatic")


async def test_a_value_that_is_refused_is_told_and_the_field_shows_the_true_one(show: Show) -> None:
    tab = await show(
        """<input id="a" type="number" max="9" step="any" aria-label="a" wy-value="panel.level">
        <input id="b" aria-label="b" wy-value="panel.on"><p role="alert" wy-errors></p>"""
    )
    await tab.run("void addEventListener('wispy-error', ({detail}) => { window.told = detail.attribute; })")
    await wait_until(lambda: _value_is(tab, "a", 0.5), "the field shows the value")
    await enter(tab, "#a", "10")
    await wait_until(lambda: tab.run("window.told === 'wy-value'"), "the page is told")
    await wait_until(lambda: _value_is(tab, "a", 0.5), "the field shows what is true")
    assert await tab.page.locator("[wy-errors]").inner_text() != ""
    assert await tab.run("rpc.panel.level.$get()") == 0.5


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


async def test_lists_and_dicts_repeat(show: Show) -> None:
    tab = await show(
        """<ul><li wy-each="row of panel.rows"><b wy-text="row.name"></b>
          <input type="checkbox" aria-label="done" wy-checked="row.done"></li></ul>
        <table><tbody><template wy-each="key, limit of panel.limits">
          <tr><td wy-text="key"></td><td wy-text="limit | fixed 1"></td></tr></template></tbody></table>
        <ol><li wy-each="entry of panel.log" wy-text="entry"></li></ol>"""
    )
    await wait_for_text(tab, "table", "low\t1.0\nhigh\t9.0")
    await wait_until(lambda: tab.run("document.querySelectorAll('ul li b').length === 2"), "there are two rows")
    await wait_until(lambda: tab.page.locator("ul li:nth-child(2) input").is_checked(), "the second one is done")
    await wait_for_text(tab, "ol", "started")
    await tab.run("rpc.panel.note('more')")
    await wait_for_text(tab, "ol", "started\nmore")
    await tab.page.check("ul li:nth-child(1) input")
    await wait_for_value(tab, "rows", [{"name": "a", "done": True}, {"name": "b", "done": True}])
    await tab.run("rpc.panel.forget()")
    await wait_until(lambda: tab.run("document.querySelectorAll('ol li').length === 0"), "the list is empty")
    await tab.run("rpc.panel.fill(1200)")
    await wait_until(lambda: tab.run("document.querySelectorAll('ol li').length === 1000"), "there are no more rows")
    await wait_until(lambda: any("1200 items" in line for line in tab.console), "that there are more is said")


async def test_lists_within_lists(show: Show) -> None:
    tab = await show(
        """<p id="a"><template wy-each="row of panel.rows"><template wy-each="part of row.parts"><b wy-text="part"></b>
        </template></template></p>
        <p id="b"><template wy-each="row of panel.rows"><i wy-each="part of row.parts" wy-text="part"></i></template>
        </p>"""
    )

    async def shown(*lists: str) -> None:
        await tab.run(f"rpc.panel.$set('rows', {[{'parts': list(parts)} for parts in lists]})")
        for selector in ("#a", "#b"):
            text = "".join(lists)
            await wait_until(
                lambda selector=selector, text=text: tab.run(
                    f"document.querySelector('{selector}').textContent.replaceAll(/\\s/g, '') === '{text}'"
                ),
                f"{selector} shows {text}",
            )

    await shown("xy", "z")
    await shown("xy", "zz", "q")
    await shown("y")
    await shown()
    await shown("n", "m")


@pytest.mark.parametrize(
    "loop",
    [
        '<b wy-each="value of $path"><i wy-text="value"></i>$unit </b>',
        '<template wy-each="value of $path"><b><i wy-text="value"></i>$unit </b></template>',
    ],
)
async def test_a_loop_in_a_template_follows_its_parameters(show: Show, loop: str) -> None:
    tab = await show(
        f"""<custom-template type="x-list" title="" path="" unit=""><h4>$title</h4><p>{loop}</p></custom-template>
        <x-list title="all" path="panel.limits" unit="V"></x-list>"""
    )

    async def shows(text: str) -> None:
        script = f"document.querySelector('x-list').textContent.trim() === '{text}'"
        await wait_until(lambda: tab.run(script), f"it shows {text}")

    await shows("all1V 9V")
    for name, value, text in (
        ("title", "both", "both1V 9V"),
        ("unit", "A", "both1A 9A"),
        ("path", "panel.log", "bothstartedA"),
        ("title", "log", "logstartedA"),
    ):
        await tab.run(f"document.querySelector('x-list').setAttribute('{name}', '{value}')")
        await shows(text)
    await tab.run("rpc.panel.note('more')")
    await shows("logstartedA moreA")


async def test_a_list_that_is_too_long_is_told_of_once_until_it_fits_again(show: Show) -> None:
    tab = await show(
        """<ol><li wy-each="entry of panel.log" wy-text="entry"></li></ol>
        <p id="more" wy-text="panel.log.1001 | or 'none'">...</p>"""
    )

    def told() -> list[str]:
        return [line[line.index("it has") :].split(";")[0] for line in tab.console if "items; the first" in line]

    await tab.run("rpc.panel.fill(1001)")
    await wait_until(lambda: told() == ["it has 1001 items"], lambda: f"it is told: {tab.console}")
    await tab.run("rpc.panel.note('more')")
    await wait_for_text(tab, "#more", "more")  # in the frame in which the list is shown again
    await tab.run("rpc.panel.fill(3)")
    await wait_until(lambda: tab.run("document.querySelectorAll('ol li').length === 3"), "it fits again")
    await tab.run("rpc.panel.fill(1005)")
    await wait_until(lambda: len(told()) > 1, "it is told again")
    assert told() == ["it has 1001 items", "it has 1005 items"]


async def test_a_click_calls_and_shows_the_result(show: Show) -> None:
    tab = await show(
        """<input id="first" type="number" value="4" required aria-label="f">
        <input id="second" type="number" value="5" aria-label="s">
        <button id="add" wy-click="panel.add(#first, b=#second)" wy-result="#sum | as 'it is {}'">add</button>
        <button id="set" wy-click="panel.on = panel.on | not">toggle</button>
        <form wy-submit="panel.note('sent')"><button id="send">send</button></form><output id="sum"></output>
        <p id="log" wy-text="panel.log | length"></p><p id="on" wy-text="panel.on"></p>"""
    )
    await wait_for_text(tab, "#log", "1")
    await wait_for_text(tab, "#on", "false")
    await tab.page.click("#add")
    await wait_for_text(tab, "#sum", "it is 9")
    await tab.page.click("#set")
    await wait_for_text(tab, "#on", "true")
    await tab.page.click("#set")
    await wait_for_text(tab, "#on", "false")
    await tab.page.click("#send")
    await wait_for_text(tab, "#log", "2")
    assert "?" not in tab.page.url  # the form was not sent
    await tab.page.fill("#first", "")
    await tab.page.click("#add")
    await wait_until(lambda: any("first: " in line for line in tab.console), "an empty field is not sent")


async def test_a_click_in_a_form_that_goes_nowhere_does_not_load_the_page_again(show: Show) -> None:
    tab = await show(
        """<form><input name="q" aria-label="q"><button wy-click="panel.note('clicked')">note</button></form>
        <p wy-text="panel.log | join"></p>"""
    )
    await wait_for_text(tab, "p", "started")
    await tab.run("window.isTheSame = true")
    await tab.page.click("button")
    await wait_for_text(tab, "p", "started, clicked")
    assert await tab.run("window.isTheSame")
    assert "?" not in tab.page.url


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


async def test_the_index_of_an_item_is_a_number(show: Show) -> None:
    tab = await show(
        """<p wy-each="index, row of panel.rows"><button wy-click="panel.add(index, 1)" wy-result="#sum"
        wy-text="row.name"></button></p><output id="sum"></output>"""
    )
    await tab.page.get_by_role("button", name="b").click()
    await wait_for_text(tab, "#sum", "2")


async def test_a_call_that_fails_is_told_and_a_good_one_takes_it_back(show: Show) -> None:
    tab = await show(
        """<button id="bad" wy-click="panel.divide(1, 0)">bad</button><p role="alert" wy-errors></p>
        <button id="good" wy-click="panel.divide(1, 1)">good</button>"""
    )
    await tab.page.click("#bad")
    await wait_for_text(tab, "[wy-errors]", "ZeroDivisionError: division by zero")
    await tab.wait_for_complaints('wispy: wy-click="panel.divide(1, 0)" of <button#bad>')
    await tab.page.click("#good")
    await wait_for_text(tab, "[wy-errors]", "")


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


async def test_a_selection_whose_options_come_later_than_its_value(show: Show) -> None:
    tab = await show(
        """<select id="a" aria-label="a" wy-value="panel.mode"><template wy-each="row of panel.rows">
        <option wy-text="row.name" wy-attr="value: row.name"></option></template></select>
        <p wy-text="panel.mode"></p>"""
    )
    await tab.run("rpc.panel.$set('mode', 'b')")
    await wait_for_text(tab, "p", "b")
    await wait_until(lambda: _value_is(tab, "a", "b"), "the second option is chosen")


async def test_a_field_that_was_changed_back_by_hand_follows_again(show: Show) -> None:
    tab = await show('<input id="a" aria-label="a" wy-value="panel.mode">')
    await wait_until(lambda: _value_is(tab, "a", "auto"), "the field shows the value")
    await tab.page.press("#a", "End")
    await tab.page.keyboard.type("x")
    await tab.page.keyboard.press("Backspace")
    await tab.page.keyboard.press("Tab")
    await tab.run("rpc.panel.$set('mode', 'other')")
    await wait_until(lambda: _value_is(tab, "a", "other"), "the field follows")


async def test_elements_by_id(show: Show) -> None:
    tab = await show(
        """<p id="a" class="x">text</p><input id="b" type="number" value="3"><a id="c" href="#">c</a>
        <script id="d"></script>"""
    )
    assert await tab.run("[page.text('a'), page.value('b'), page.element('#a').className]") == ["text", 3, "x"]
    await tab.run("page.text('a', '<b>'); page.value('b', 4); page.hide('c'); page.setClass('a', 'y')")
    assert await tab.run("page.element('a').outerHTML") == '<p id="a" class="x y">&lt;b&gt;</p>'
    assert await tab.run("[page.value('b'), page.element('c').hidden]") == [4, True]
    assert await tab.run("(() => { try { page.text('nobody') } catch (e) { return e.message } })()") == (
        'there is no element with id="nobody" on this page'
    )
    code = {"onclick": "x", "style": "x", "srcdoc": "x", "href": "javascript:x", "values": "#;javascript:x"}
    refused = "([id, name, value]) => { try { page.attribute(id, name, value) } catch (e) { return e.name } }"
    for name, value in code.items():
        assert await tab.page.evaluate(refused, ["c", name, value]) == "TypeError"
    assert await tab.page.evaluate(refused, ["d", "src", "/elsewhere.js"]) == "TypeError"
    assert await tab.run("page.attribute('c', 'href', 'mailto:a@b')") == "mailto:a@b"


async def test_elements_may_be_called_as_the_globals_are(show: Show) -> None:
    names = ("rpc", "wispyjs", "page", "httpReq", "tooltip")
    elements = "".join(f'<p id="{name}"></p>' for name in names)
    tab = await show(f"""{elements}<b wy-text="panel.limits.high"></b><script src="../wispyjs/httpReq.js"></script>""")
    await wait_for_text(tab, "b", "9")
    script = f"{list(names)}.filter((name) => globalThis[name] instanceof Element)"
    assert await tab.run(script) == []


async def test_a_format_of_the_pages_own(show: Show) -> None:
    head = '<script src="../wispyjs/page.js"></script><script>page.formats.twice = (value) => 2 * value;</script>'
    tab = await show('<p id="a" wy-text="panel.level | twice"></p>', head=head)
    await wait_for_text(tab, "#a", "1")


async def test_each_script_is_a_module_too(pages: tuple[Program, Path], open_in_each: OpenTab) -> None:
    program, folder = pages
    (folder / "modules.html").write_text(
        """<!DOCTYPE html><title>t</title><p id="a" wy-text="panel.limits.high"></p><script type="module">
        import { page } from "/wispyjs/page.mjs";
        import { tooltip } from "/wispyjs/tooltip.mjs";
        import { SvgFavicon } from "/wispyjs/customElements/svg-favicon.mjs";
        import { CustomTemplate } from "/wispyjs/customElements/custom-element.mjs";
        import "/wispyjs/rpc.mjs";
        window.loaded = [page === window.page, tooltip === window.tooltip, SvgFavicon.name, CustomTemplate.name];
        </script>"""
    )
    tab = await open_in_each(f"{program.url}/static/modules.html")
    await wait_until(lambda: tab.run("window.loaded !== undefined"), "the modules are loaded")
    assert await tab.run("window.loaded") == [True, True, "SvgFavicon", "CustomTemplate"]
    await wait_for_text(tab, "#a", "9")
