"""What page.js gives to scripts, and what is there beside it."""

from pathlib import Path

import pytest

from tests.browser.bindings.watching import wait_for_text
from tests.browser.support import OpenTab, Program, Show
from tests.support.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="session")


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
