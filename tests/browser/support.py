"""A page with what happened on it, and a program that serves one."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, Response

from tests.support.stack import Service
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[2]
FOLDER = Path(__file__).parent
QUICKSTART = "examples/quickstart/quickstart.py"


class Tab:
    """A page, and what happened on it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.console: list[str] = []
        self.errors: list[str] = []
        """Exceptions that no script caught."""
        self.missing: list[str] = []
        """What the page asked for and did not get."""
        page.on("console", self._take_console)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("response", self._take_response)

    def _take_console(self, message: ConsoleMessage) -> None:
        self.console.append(message.text)

    def _take_response(self, response: Response) -> None:
        if response.status >= 400 and not response.url.endswith("/favicon.ico"):
            self.missing.append(f"{response.status} {response.url}")

    async def run(self, script: str) -> Any:
        """The value of an expression on the page; a promise is awaited."""
        return await self.page.evaluate(script)

    async def wait_for_console(self, text: str) -> None:
        await wait_until(lambda: text in self.console, lambda: f"the console says {text!r}: {self.console}")

    async def wait_for_complaints(self, text: str, count: int = 1) -> None:
        """Wait until so many lines of the console hold a text: a browser tells of a line some time after its script."""
        await wait_until(
            lambda: sum(text in line for line in self.console) == count,
            lambda: f"the console says {text!r} {count} times: {self.console}",
        )

    async def follow(self, channel: str) -> None:
        """Collect the values of a channel of `sample`, from the current one on; `seen` has them."""
        await self.run(
            f"""(async () => {{
                window.seen ??= {{}};
                window.seen.{channel} = [];
                const handlers = {{{channel}: (value) => window.seen.{channel}.push(value)}};
                await rpc.sample.rpcWebsocket.addChannelHandlers(handlers, true);
            }})()"""
        )

    async def seen(self, channel: str) -> list[Any]:
        return await self.run(f"window.seen.{channel}")

    async def wait_for(self, channel: str, value: Any) -> None:
        """Wait until the newest value of a followed channel is this one."""
        values: list[Any] = []

        async def is_newest() -> bool:
            values[:] = await self.seen(channel)
            return values[-1:] == [value]

        await wait_until(is_newest, lambda: f"{channel} becomes {value!r}: {values[-20:]}")


class Program(Service):
    """A program that serves objects and pages, all in one."""

    url = ""
    """Without a slash at the end."""

    def wait_until_serving(self) -> "Program":
        self.url = self.wait_until_says(r"serves .* at (http://\S+)/")[1]
        self.wait_until_says("is served here")
        return self


def frontend_of(program: Program) -> psutil.Process | None:
    """The child process that serves the pages."""
    return next((child for child in psutil.Process(program.pid).children() if is_frontend(child)), None)


def is_frontend(process: psutil.Process) -> bool:
    try:
        return "wispy.frontend" in process.cmdline()
    except psutil.NoSuchProcess:  # it has ended, or waits to be reaped
        return False


OpenTab = Callable[..., Awaitable[Tab]]
Start = Callable[..., Program]
Serve = Callable[[str], Program]
Show = Callable[..., Awaitable[Tab]]


@asynccontextmanager
async def tabs_of(browser: Browser) -> AsyncGenerator[OpenTab]:
    """`await open_tab(url)`: a page in a browser context of its own. No script on it may fail unnoticed."""
    contexts: list[BrowserContext] = []
    tabs: list[Tab] = []

    async def open_tab(url: str, **options: Any) -> Tab:
        context = await browser.new_context(**options)
        contexts.append(context)
        tab = Tab(await context.new_page())
        tabs.append(tab)
        await tab.page.goto(url)
        return tab

    yield open_tab
    for context in contexts:
        await context.close()
    assert [tab.errors for tab in tabs if tab.errors] == []
