"""What the tests of the console share: the objects that are looked at, and where they are on the page."""

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from playwright.async_api import Locator

from tests.browser.support import FOLDER, Program, Start, Tab

PROGRAM = "examples/cryostat/cryostat.py"
FAILED = ["raised ValueError", "Traceback"]  # in the log, of a method that is made to fail
HOSTILE = "<img src=x onerror='window.attacked = 1'><b>bold</b>"

OpenConsole = Callable[..., Awaitable[Tab]]


def serve(start: Start, tmp_path: Path, yaml: str, expect: Sequence[str] = ()) -> Program:
    """The objects of the tests' own, with this YAML."""
    file = tmp_path / "config.yaml"
    file.write_text(f"static: {{folders: {{}}}}\n{yaml}\n")
    objects = ["hostile=console_objects:Hostile", "wide=console_objects:Wide"]
    flags = [flag for each in objects for flag in ("--object", each)]
    return start("-m", "wispy", "serve", str(file), *flags, folder=FOLDER, expect=expect)


def card(tab: Tab, method: str) -> Locator:
    return tab.page.locator(f"[data-method={method}]")


async def opened_form(tab: Tab, method: str) -> Locator:
    await card(tab, method).locator("summary").first.click()
    return tab.page.get_by_role("form", name=f"Call {method}")


def row(tab: Tab, attribute: str) -> Locator:
    return tab.page.locator(f"[data-attribute={attribute}]")


def channel(tab: Tab, name: str) -> Locator:
    return tab.page.locator(f"[data-channel={name}]")
