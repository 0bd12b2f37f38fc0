"""Elements that repeat for each item of a list or a dict."""

import pytest

from tests.browser.bindings.watching import wait_for_text, wait_for_value
from tests.browser.support import Show
from tests.support.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="session")


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


async def test_the_index_of_an_item_is_a_number(show: Show) -> None:
    tab = await show(
        """<p wy-each="index, row of panel.rows"><button wy-click="panel.add(index, 1)" wy-result="#sum"
        wy-text="row.name"></button></p><output id="sum"></output>"""
    )
    await tab.page.get_by_role("button", name="b").click()
    await wait_for_text(tab, "#sum", "2")
