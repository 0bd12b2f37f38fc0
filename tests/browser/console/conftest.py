"""The console in both browsers."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

import pytest_asyncio
from playwright.async_api import Browser

from tests.browser.console.looks import OpenConsole
from tests.browser.support import Program, Tab, tabs_of


@asynccontextmanager
async def consoles_in(browser: Browser) -> AsyncGenerator[OpenConsole]:
    """`await open_console(program, "#/sample", width=360)`: the console in a browser context of its own. Nothing on it
    may fail, be refused by its own policy, or be missing."""
    tabs: list[Tab] = []
    async with tabs_of(browser) as open_tab:

        async def open_console(program: Program, place: str = "", *, width: int = 1280, dark: bool = False) -> Tab:
            looks = {"viewport": {"width": width, "height": 800}, "color_scheme": "dark" if dark else "light"}
            tabs.append(await open_tab(f"{program.url}/console/{place}", **looks))
            return tabs[-1]

        yield open_console
    for tab in tabs:
        assert tab.missing == []
        assert [text for text in tab.console if "Content Security Policy" in text or "Trusted" in text] == []


@pytest_asyncio.fixture(loop_scope="session")
async def open_console(each_browser: Browser) -> AsyncIterator[OpenConsole]:
    """In Chromium, and then in Firefox."""
    async with consoles_in(each_browser) as open_console:
        yield open_console


@pytest_asyncio.fixture(loop_scope="session")
async def open_in_chromium(browser: Browser) -> AsyncIterator[OpenConsole]:
    """For what Firefox cannot be told: to be dark, and to say how busy it is."""
    async with consoles_in(browser) as open_console:
        yield open_console
