"""What the tests of bindings share: they wait for what a page shows and an object has, and type as a person does."""

from tests.browser.support import Tab
from tests.support.waiting import wait_until


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


async def value_is(tab: Tab, name: str, value: object) -> bool:
    return await tab.run(f"page.value('{name}')") == value
