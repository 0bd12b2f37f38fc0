"""Real browsers, and the programs whose pages they open.

All tests here share one Chromium (and one Firefox), and so one event loop; each opens its pages in contexts of its
own, which know nothing of each other, as two people's browsers do.
"""

import re
import shutil
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright, expect

from tests.browser.support import FOLDER, QUICKSTART, ROOT, OpenTab, Program, Serve, Show, Start, Tab, tabs_of
from tests.support.leaks import child_processes, programs
from tests.support.waiting import DEFAULT_TIMEOUT_S, wait_until_blocking

CHROMIUM = "/usr/bin/chromium"
FIREFOX = "/usr/bin/firefox-esr"

# It asks nobody for updates, and works as root in a container without a graphics card and with a small /dev/shm.
FLAGS = [
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
CLOSING_TIMEOUT_S = 10.0
# Nothing here is about what starts too late. An assignment of a page that did would be refused for good, and the
# default of 3 s is little on a busy machine with browsers on it.
SERVED = {"WISPY_PORT": "0", "WISPY_LAUNCH": "never", "WISPY_FUNC_CALLER__MAX_START_DELAY_DEFAULT": "15"}
expect.set_options(timeout=DEFAULT_TIMEOUT_S * 1000)
SCRIPTS = ["rpc.js", "page.js", "tooltip.js", "customElements/svg-favicon.js", "customElements/custom-element.js"]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    if shutil.which(CHROMIUM) is None:
        pytest.skip("there is no /usr/bin/chromium (apt-get install chromium)")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session", params=["chromium", "firefox"])
async def each_browser(request: pytest.FixtureRequest, browser: Browser) -> AsyncIterator[Browser]:
    """Chromium, then Firefox as Debian builds it, driven by WebDriver BiDi."""
    if request.param == "chromium":
        yield browser
        return
    if shutil.which(FIREFOX) is None:
        pytest.skip(f"there is no {FIREFOX} (apt-get install firefox-esr)")
    async with async_playwright() as playwright:
        firefox = await playwright.firefox.launch(channel="moz-firefox", executable_path=FIREFOX)
        yield firefox
        await firefox.close()


@pytest.fixture
def clean_loop(browser: Browser) -> Iterator[None]:
    """No program is left; the browser's own processes come and go."""

    before = child_processes()

    def new() -> dict[int, str]:
        return programs(child_processes() - before)

    yield
    wait_until_blocking(lambda: not new(), lambda: f"the test cleans up: {new()}", CLOSING_TIMEOUT_S)


@pytest_asyncio.fixture(loop_scope="session")
async def open_tab(browser: Browser) -> AsyncIterator[OpenTab]:
    """A page in Chromium."""
    async with tabs_of(browser) as open_tab:
        yield open_tab


@pytest_asyncio.fixture(loop_scope="session")
async def open_in_each(each_browser: Browser) -> AsyncIterator[OpenTab]:
    """A page in Chromium, and then in Firefox."""
    async with tabs_of(each_browser) as open_tab:
        yield open_tab


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """`start("examples/x.py")`: a program on a free port, started from the repository's root.

    It must end well, and complain of nothing but what is `expect`ed.
    """
    programs: list[Program] = []
    complaints = re.compile("Traceback|WARNING|ERROR")
    expected: list[str] = []

    def start(*arguments: str, folder: Path = ROOT, env: Mapping[str, str] = {}, expect: Sequence[str] = ()) -> Program:
        expected.extend(expect)
        log = tmp_path / f"program{len(programs)}.log"
        program = Program([sys.executable, *arguments], folder=folder, log=log, env={**SERVED, **env})
        programs.append(program)
        return program.wait_until_serving()

    yield start
    for program in programs:
        try:
            assert program.stop() == 0, program.output
            lines = [line for line in program.output.splitlines() if complaints.search(line)]
            assert [line for line in lines if not any(text in line for text in expected)] == [], program.output
        finally:
            program.kill()


@pytest.fixture
def quickstart(start: Start) -> Program:
    """The quickstart, as its README starts it."""
    return start(QUICKSTART)


@pytest.fixture
def serve(start: Start, tmp_path: Path) -> Serve:
    """`serve("base_path: /test")`: the quickstart's page and object by `wispy serve`, with this YAML file."""

    def serve(yaml: str) -> Program:
        file = tmp_path / "config.yaml"
        file.write_text(f"static: {{folders: {{static: {ROOT}/examples/quickstart/static}}}}\n{yaml}\n")
        return start("-m", "wispy", "serve", str(file), "--object", "sample=served:Sample", folder=FOLDER)

    return serve


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Program, Path]]:
    """One program for all tests of the HTML tools, which are many: it serves `Panel`, and the folder that is named."""
    place = tmp_path_factory.mktemp("pages")
    folder = place / "static"
    folder.mkdir()
    file = place / "config.yaml"
    file.write_text(f"static: {{folders: {{static: {folder}}}}}\n")
    command = [sys.executable, "-m", "wispy", "serve", str(file), "--object", "panel=served:Panel"]
    program = Program(command, folder=FOLDER, log=place / "log", env=SERVED)
    try:
        yield program.wait_until_serving(), folder
        assert program.stop() == 0, program.output
    finally:
        program.kill()


@pytest.fixture
def show(pages: tuple[Program, Path], open_in_each: OpenTab) -> Show:
    """`await show(body)`: a page of this body with all of wispy's scripts, in each browser; `rpc.panel` is as new."""
    program, folder = pages
    scripts = "".join(f'<script src="../wispyjs/{name}"></script>' for name in SCRIPTS)

    async def show(body: str, head: str = "", **options: Any) -> Tab:
        reset = {"jsonrpc": "2.0", "id": 1, "method": "panel.reset", "params": []}
        async with httpx.AsyncClient(timeout=30) as client:
            answer = await client.post(f"{program.url}/rpc", json=reset)
        assert "result" in answer.json(), answer.text
        page = f'<!DOCTYPE html><html lang="en"><head><title>t</title>{head}</head><body>{body}{scripts}</body></html>'
        (folder / "page.html").write_text(page, encoding="utf-8")
        tab = await open_in_each(f"{program.url}/static/page.html", **options)
        await tab.run("page.ready")
        return tab

    return show
