"""The quickstart as the README shows it: its program, its page, its script."""

from itertools import groupby

import pytest

from tests.browser.accessibility import serious_findings
from tests.browser.support import QUICKSTART, OpenTab, Program, Start

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_the_page_does_what_its_script_says(quickstart: Program, open_tab: OpenTab) -> None:
    tab = await open_tab(f"{quickstart.url}/")
    await tab.wait_for_console("a= 2")
    for line in (
        "channelNames= [a, b, c, d]",
        "received value for a= 2",  # perhaps 1 before: reading a channel and setting it are not ordered
        "received value for b= test",
        "test_sum returned 9",
    ):
        await tab.wait_for_console(line)
    assert "summing 4 + 5" in quickstart.output


async def test_all_that_the_page_asks_for_is_there(quickstart: Program, open_tab: OpenTab) -> None:
    tab = await open_tab(f"{quickstart.url}/")
    await tab.wait_for_console("a= 2")
    assert tab.page.url == f"{quickstart.url}/static/index.html"
    assert await tab.page.locator("script[src]").count() == 7
    assert tab.missing == []


async def test_two_browsers_see_each_change(quickstart: Program, open_tab: OpenTab) -> None:
    one, other = [await open_tab(f"{quickstart.url}/") for _ in range(2)]
    for tab in (one, other):
        await tab.wait_for_console("a= 2")
    for tab in (one, other):
        await tab.follow("a")
        await tab.wait_for("a", 2)

    await one.run("void (rpc.sample.a = 3)")
    await one.wait_for("a", 3)
    await other.wait_for("a", 3)
    assert await other.run("rpc.sample.a.then(v => v)") == 3

    await other.run("void delete rpc.sample.a")  # the class' own value shows again
    await other.wait_for("a", 1)
    await one.wait_for("a", 1)
    for tab in (one, other):  # each page sets it to 2 when it opens, and may see that of the other
        assert [value for value, _ in groupby(await tab.seen("a"))] == [2, 3, 1]


async def test_a_page_that_comes_later_gets_the_current_value(quickstart: Program, open_tab: OpenTab) -> None:
    one = await open_tab(f"{quickstart.url}/")
    await one.wait_for_console("a= 2")
    await one.run("rpc.sample.$set('a', {deep: [1, NaN]})")
    other = await open_tab(f"{quickstart.url}/wispyjs/rpc.js")  # a page of this origin whose script sets nothing
    await other.page.add_script_tag(url=f"{quickstart.url}/wispyjs/rpc.js")
    assert await other.run("rpc.sample.a.then(v => Number.isNaN(v.deep[1]))") is True


async def test_an_exception_in_object_code_says_what_it_was(start: Start, open_tab: OpenTab) -> None:
    program = start(QUICKSTART, expect=["raised TypeError", "Traceback"])
    tab = await open_tab(f"{program.url}/")
    error = await tab.run(
        """rpc.sample.test_sum(1, "x").catch((error) => ({
            isRpcError: error instanceof wispyjs.RpcError, code: error.code, type: error.data.type,
            executed: error.executed, message: error.message,
        }))"""
    )
    assert error == {
        "isRpcError": True,
        "code": -32000,
        "type": "TypeError",
        "executed": "yes",
        "message": error["message"],
    }
    assert "unsupported operand" in error["message"]
    assert await tab.run("rpc.sample.test_sum(1, 2)") == 3


async def test_a_failed_assignment_does_not_vanish(quickstart: Program, open_tab: OpenTab) -> None:
    tab = await open_tab(f"{quickstart.url}/")
    await tab.run("void rpc.$on('error', (error, what) => (window.reported = [error.code, what]))")
    await tab.run("void (rpc.sample.test_sum = 3)")
    await tab.page.wait_for_function("window.reported")
    code, what = await tab.run("window.reported")
    assert code < 0
    assert "test_sum" in what
    await tab.wait_for_complaints("wispy: setting rpc.sample.test_sum failed")


async def test_the_page_renders_as_the_seed_says(quickstart: Program, open_in_each: OpenTab) -> None:
    tab = await open_in_each(f"{quickstart.url}/")
    await tab.wait_for_console("a= 2")
    forms = await tab.page.locator("template-form").all()
    shown = [
        [
            await form.locator("h5").inner_text(),
            await form.locator("[type=text]").get_attribute("placeholder"),
            await form.locator("[type=number]").input_value(),
            await form.locator("pre").inner_text(),
        ]
        for form in forms
    ]
    assert shown == [
        ["test", "enter value for test", "7", "Inner HTML = TEST"],
        ["test2", "enter value for test2", "5", "Inner HTML = ABC"],
        ["default_name", "enter value for default_name", "17", "Inner HTML = DEF"],
    ]
    columns = tab.page.locator("flexible-el > div > div")
    assert await columns.all_inner_texts() == ["A", "A", "b"]
    assert await columns.locator("button[subID=a][tooltip]").count() == 2
    assert await tab.page.locator("custom-template").first.is_hidden()
    assert not [line for line in tab.console if line.startswith("wispy")]


async def test_its_help_text_shows_on_hover_and_on_focus(quickstart: Program, open_in_each: OpenTab) -> None:
    tab = await open_in_each(f"{quickstart.url}/")
    await tab.wait_for_console("a= 2")
    bubble = tab.page.get_by_role("tooltip")
    await tab.page.get_by_role("button", name="A").first.hover()
    await bubble.wait_for()
    assert await bubble.inner_text() == "this is a button"
    await tab.page.mouse.move(600, 5)
    await bubble.wait_for(state="hidden")
    await tab.page.locator("template-form [type=number]").last.focus()
    await tab.page.keyboard.press("Tab")
    await bubble.wait_for()
    assert await bubble.inner_text() == "this is a button"


async def test_its_favicon_appears(quickstart: Program, open_in_each: OpenTab) -> None:
    tab = await open_in_each(f"{quickstart.url}/")
    await tab.wait_for_console("a= 2")
    pixel = await tab.run(
        """(async () => {
            const image = new Image();
            image.src = document.querySelector("head > link[rel=icon]").href;
            await image.decode();
            const pen = document.createElement("canvas").getContext("2d");
            pen.drawImage(image, 0, 0, 16, 16);
            return [...pen.getImageData(8, 8, 1, 1).data];
        })()"""
    )
    assert pixel == [0, 0, 255, 255]


async def test_it_is_accessible(quickstart: Program, open_in_each: OpenTab) -> None:
    tab = await open_in_each(f"{quickstart.url}/")
    await tab.wait_for_console("a= 2")
    assert await serious_findings(tab.page) == []
