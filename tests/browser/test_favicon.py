"""`<svg-favicon>`, in Chromium and in Firefox."""

from urllib.parse import unquote

import pytest

from tests.browser.support import Show, Tab
from tests.support.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="session")

DRAWS = """async (href) => {
    const image = new Image();
    image.src = href;
    await image.decode();
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = 16;
    const pen = canvas.getContext("2d");
    pen.drawImage(image, 0, 0, 16, 16);
    return [...pen.getImageData(8, 8, 1, 1).data];
}"""


async def icon(tab: Tab) -> str | None:
    return await tab.run("[...document.querySelectorAll('link[rel=icon]')].at(-1)?.href ?? null")


async def colour(tab: Tab) -> list[int]:
    """The icon's pixel in its middle, as the browser draws it."""
    return await tab.page.evaluate(DRAWS, await icon(tab))


async def test_the_icon_is_drawn_and_follows_its_attributes(show: Show) -> None:
    tab = await show(
        '<svg-favicon color="blue"><circle r="5" cx="5" cy="5" style="fill:$color;"></circle></svg-favicon>'
    )
    assert await colour(tab) == [0, 0, 255, 255]
    await tab.run("void document.querySelector('svg-favicon').setAttribute('color', 'rgb(255, 0, 0)')")

    async def is_red() -> bool:
        return await colour(tab) == [255, 0, 0, 255]

    await wait_until(is_red, "the icon is red")
    await tab.run("document.querySelector('svg-favicon').remove()")
    assert await icon(tab) is None


async def test_shapes_that_html_nests_an_own_view_box_and_any_attribute(show: Show) -> None:
    tab = await show(
        """<svg-favicon viewBox="0 0 100 100" half="50" back="lime">
        <rect width="100" height="100" fill="$back"/><circle cx="$half" cy="$half" r="20" fill="$unknown"/>
        <linearGradient id="g"/></svg-favicon>"""
    )
    svg = unquote(await icon(tab) or "")
    assert 'viewBox="0 0 100 100"' in svg
    assert "linearGradient" in svg
    assert "</rect><circle" in svg.replace("/>", "></rect>").replace("\n", "").replace("  ", "")
    assert 'cx="50"' in svg
    assert "$unknown" in svg  # as it is written: no attribute has that name


async def test_a_value_is_no_markup(show: Show) -> None:
    tab = await show('<svg-favicon color=""><text title="$color">$color</text></svg-favicon>')
    await tab.run("void document.querySelector('svg-favicon').setAttribute('color', '<b x=\"1\">\\x01&')")

    async def is_text() -> bool:
        return "&lt;b x=" in unquote(await icon(tab) or "")

    await wait_until(is_text, "the value is in the icon, as a text")
    assert "<b" not in unquote(await icon(tab) or "")


async def test_one_that_is_added_later_and_a_script_in_the_head(show: Show) -> None:
    inside = '<circle r="5" cx="5" cy="5" style="fill:$color;"></circle>'
    tab = await show(
        f'<svg-favicon color="blue">{inside}</svg-favicon><p>more</p>',
        head='<script src="../wispyjs/customElements/svg-favicon.js"></script>',
    )
    assert await colour(tab) == [0, 0, 255, 255]
    await tab.page.evaluate(
        "(inside) => document.body.insertAdjacentHTML('beforeend', `<svg-favicon color=red>${inside}</svg-favicon>`)",
        inside,
    )

    async def is_red() -> bool:
        return await colour(tab) == [255, 0, 0, 255]

    await wait_until(is_red, "the later icon is shown")
