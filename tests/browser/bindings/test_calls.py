"""Elements that call methods when they are clicked."""

import pytest

from tests.browser.bindings.watching import wait_for_text
from tests.browser.support import Show
from tests.support.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="session")


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
