"""`<custom-template>`, in Chromium and in Firefox: what it renders, what follows, what never becomes code."""

import pytest

from tests.browser.support import Show, Tab
from tests.support.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="session")

FIELD = """<custom-template type="my-field" name="a field" value="5">
    <label>$name <input type="number" value="$value"></label><p title="of $name">$innerHTML</p>
</custom-template>"""
LINK = '<custom-template type="my-link" to="#"><a href="$to">go</a></custom-template>'


async def html(tab: Tab, selector: str) -> str:
    return await tab.run(f"document.querySelector('{selector}').innerHTML.trim()")


async def test_parameters_have_defaults_and_follow_the_attributes(show: Show) -> None:
    tab = await show(f'{FIELD}<my-field id="one" name="speed">x</my-field><my-field id="two" value="7"></my-field>')
    assert await html(tab, "#one label") == 'speed <input type="number" value="5">'
    assert await html(tab, "#two label") == 'a field <input type="number" value="7">'
    await tab.run("void document.getElementById('one').setAttribute('name', 'mass')")
    assert await html(tab, "#one label") == 'mass <input type="number" value="5">'
    assert await tab.run("document.querySelector('#one p').title") == "of mass"
    await tab.run("void document.getElementById('one').removeAttribute('name')")
    assert await html(tab, "#one label") == 'a field <input type="number" value="5">'


async def test_the_content_keeps_its_nodes(show: Show) -> None:
    tab = await show(f'{FIELD}<my-field id="one"><b onclick="this.title = 7">bold</b></my-field>')
    await tab.page.locator("#one b").click()
    assert await tab.page.locator("#one p b").get_attribute("title") == "7"


async def test_the_first_slot_gets_the_element_and_further_ones_copies(show: Show) -> None:
    tab = await show(
        """<custom-template type="my-slots"><i>$#a</i><b>$#a</b><u>$#none</u><p>$innerHTML</p></custom-template>
        <my-slots><button subID="a" id="only" title="t">A</button>rest</my-slots>"""
    )
    assert await html(tab, "my-slots > i") == '<button subid="a" id="only" title="t">A</button>'
    assert await html(tab, "my-slots > b") == '<button subid="a" title="t">A</button>'  # an id is on a page once
    assert await html(tab, "my-slots > u") == ""
    assert await html(tab, "my-slots > p") == "rest"


@pytest.mark.parametrize("value", ["<img src=x onerror=window.hit=1>", '"><script>window.hit=1</script>', "$name"])
async def test_a_value_is_text(show: Show, value: str) -> None:
    tab = await show(f'{FIELD}<my-field id="one"></my-field>')
    await tab.page.evaluate("(value) => document.getElementById('one').setAttribute('name', value)", value)
    assert await tab.run("document.querySelector('#one label').firstChild.data.trim()") == value
    assert await tab.run("document.querySelector('#one p').title") == f"of {value}"
    assert await tab.run("document.querySelectorAll('#one img, #one script').length + 10 * (window.hit ?? 0)") == 0


@pytest.mark.parametrize(
    "address",
    ["javascript:window.hit=1", " java\nscript:window.hit=1", "\x01JAVASCRIPT:1", "data:text/html,x", "vbscript:x"],
    ids=ascii,
)
async def test_an_address_that_is_code_is_refused(show: Show, address: str) -> None:
    tab = await show(f'{LINK}<my-link id="one"></my-link>')
    await tab.page.evaluate("(value) => document.getElementById('one').setAttribute('to', value)", address)
    assert await tab.page.locator("#one a").get_attribute("href") is None
    await tab.wait_for_complaints("is refused")
    await tab.run("void document.getElementById('one').setAttribute('to', '../x?javascript:')")
    assert await tab.page.locator("#one a").get_attribute("href") == "../x?javascript:"


async def test_no_value_becomes_code_or_other_style(show: Show) -> None:
    tab = await show(
        """<custom-template type="my-code" x="1"><p onclick="f('$x')" style="color: $x; top: 0">$x</p>
        <iframe srcdoc="$x"></iframe><style>p { color: $x }</style></custom-template>
        <my-code id="good" x="red"></my-code><my-code id="bad" x="red; background: url(//evil)"></my-code>"""
    )
    assert await tab.page.locator("#good p").get_attribute("style") == "color: red; top: 0"
    assert await tab.page.locator("#bad p").get_attribute("style") is None
    for name in ("onclick", "srcdoc"):
        assert await tab.page.locator(f"#good [{name}]").count() == 0
    assert await html(tab, "#good style") == "p { color: $x }"
    await tab.wait_for_complaints("custom-template type=", 4)


async def test_names_braces_dollars_and_attributes_that_only_some_uses_have(show: Show) -> None:
    tab = await show(
        """<custom-template type="my-names" size="3" unit-name="m"><p>$size-px ${size}px $$size $5 $unit-name $other</p>
        <input disabled="$disabled" aria-label="x"></custom-template>
        <my-names id="one"></my-names><my-names id="two" disabled></my-names>"""
    )
    assert await html(tab, "#one p") == "3-px 3px $size $5 m $other"
    assert await tab.page.locator("#one input").is_enabled()
    assert await tab.page.locator("#two input").is_disabled()


async def test_templates_nest(show: Show) -> None:
    tab = await show(
        """<custom-template type="my-outer"
            name="o"><my-inner name="in $name"><b>$innerHTML</b></my-inner></custom-template>
        <custom-template type="my-inner" name="i"><i>$name</i> $innerHTML</custom-template>
        <my-outer id="one" name="x">text</my-outer><my-outer id="two"><my-inner name="z">deep</my-inner></my-outer>"""
    )
    assert await tab.page.locator("#one").inner_text() == "in x text"
    assert await tab.page.locator("#two").inner_text() == "in o z deep"
    await tab.run("void document.getElementById('one').setAttribute('name', 'y')")
    assert await tab.page.locator("#one").inner_text() == "in y text"


async def test_defining_twice_is_harmless(show: Show) -> None:
    other = FIELD.replace("<label>", "<label>other")
    again = '<script src="../wispyjs/customElements/custom-element.js"></script>'
    tab = await show(f'{FIELD}{FIELD}{other}<my-field id="one" name="speed"></my-field>{again}')
    assert await html(tab, "#one label") == 'speed <input type="number" value="5">'
    await tab.wait_for_complaints("defined twice, differently")


@pytest.mark.parametrize(
    ("template", "complaint"),
    [
        ('<custom-template type="nohyphen">x</custom-template>', "with a hyphen"),
        ("<custom-template>x</custom-template>", "with a hyphen"),
        ('<custom-template type="my-loop"><my-loop></my-loop></custom-template><my-loop></my-loop>', "uses itself"),
    ],
)
async def test_a_template_that_cannot_be_says_why(show: Show, template: str, complaint: str) -> None:
    tab = await show(template)
    await tab.wait_for_complaints(complaint)


async def test_uses_that_come_later_move_and_are_copied(show: Show) -> None:
    tab = await show(f'{FIELD}<div id="place"></div><my-field id="one" name="n"><b>x</b></my-field>')
    await tab.run("void page.element('place').insertAdjacentHTML('beforeend', '<my-field name=late>y</my-field>')")
    assert await html(tab, "#place label") == 'late <input type="number" value="5">'
    before = await html(tab, "#one")
    await tab.run("void page.element('place').append(page.element('one'))")
    assert await html(tab, "#one") == before
    await tab.run(
        """void (() => {
            const copy = document.querySelector('#place').cloneNode(true);
            copy.id = 'copy';
            document.body.append(copy);
            copy.querySelector('#one').setAttribute('name', 'copied');
        })()"""
    )
    assert await html(tab, "#copy #one label") == 'copied <input type="number" value="5">'
    assert await html(tab, "#copy #one p") == "<b>x</b>"
    assert await html(tab, "#place #one label") == 'n <input type="number" value="5">'


async def test_the_script_may_stand_in_the_head(show: Show) -> None:
    head = '<script src="../wispyjs/customElements/custom-element.js"></script>'
    tab = await show(f'{FIELD}<my-field id="one" name="speed">x</my-field>', head=head)
    assert await html(tab, "#one label") == 'speed <input type="number" value="5">'
    assert await html(tab, "#one p") == "x"


async def test_nothing_in_a_content_that_is_a_template_is_loaded_before_its_time(show: Show) -> None:
    tab = await show('<p id="place"></p>')
    # By a script: Firefox looks ahead of its parser, and asks for whatever stands in a page, also in a <template>.
    await tab.run(
        """void page.element('place').insertAdjacentHTML('beforeend',
            `<custom-template type="my-img"><template><img alt="$name" src="$src"></template></custom-template>
            <my-img id="one" name="n" src="data:,"></my-img>`)"""
    )
    assert await html(tab, "#one") == '<img alt="n" src="data:,"><template data-custom-template-content=""></template>'
    assert tab.missing == []  # nothing has asked for "$src"


async def test_the_module_is_the_same(show: Show) -> None:
    tab = await show('<p id="place"></p>')
    await tab.run(
        """(async () => {
            const { CustomTemplate } = await import("/wispyjs/customElements/custom-element.mjs");
            const content = document.createRange().createContextualFragment("<b>$who</b>");
            CustomTemplate.define("my-made", content, {who: "me"});
            page.element("place").append(document.createElement("my-made"));
        })()"""
    )
    await wait_until(lambda: tab.page.locator("my-made b").is_visible(), "it is rendered")
    assert await tab.page.locator("my-made b").inner_text() == "me"
