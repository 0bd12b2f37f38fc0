"""The step of docs/how-to/secure.md that happens in a browser: its files, served as it says, and its lines."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.browser.support import ROOT, OpenTab, Program, Start
from tests.integration.cli.test_secure import BLOCK, FILE, PAGE
from tests.support.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The newcomer's, with all that the page writes and what its `openssl` lines make."""
    folder = tmp_path / "quickstart"
    shutil.copytree(ROOT / "examples/quickstart", folder)
    for block in BLOCK.finditer(PAGE):
        if (named := FILE.search(block["before"])) is not None:
            (folder / named[1]).write_text(block["text"])
    for line in re.findall(r"^\$ (openssl .*)$", PAGE, re.MULTILINE):
        subprocess.run(line.split(), cwd=folder, check=True, capture_output=True)
    return folder


@pytest.fixture
def program(start: Start, folder: Path) -> Program:
    return start("quickstart.py", folder=folder)


def token_of(folder: Path, *who: str) -> str:
    run = subprocess.run([sys.executable, "sign.py", *who], cwd=folder, check=True, capture_output=True, text=True)
    return run.stdout.strip()


def written(language: str) -> str:
    """The one block of the page in this language."""
    (block,) = (block["text"] for block in BLOCK.finditer(PAGE) if block["language"] == language)
    return block.strip()


async def test_the_lines_for_the_console(folder: Path, program: Program, open_tab: OpenTab) -> None:
    tab = await open_tab(f"{program.url}/wispyjs/rpc.js")
    await tab.page.add_script_tag(url=f"{program.url}/wispyjs/rpc.js")
    login, call = re.findall(r"`await (rpc\.[^`]*)`", PAGE.partition("browser's own console")[2])[:2]
    await tab.run("void (window.codes = [], rpc.$on('error', (error) => window.codes.push(error.code)))")
    await tab.run(f"void (window.first = {call})")

    async def is_asked_who_it_is() -> bool:
        return -32009 in await tab.run("window.codes")

    await wait_until(is_asked_who_it_is, "the page learns that somebody has to log in")
    token = json.dumps(token_of(folder, "alice"))
    assert await tab.run(login.replace('"eyJ..."', token)) == {"user": "alice", "roles": []}
    assert await tab.run(call) == 9
    assert await tab.run("window.first") == 9, "what was asked before has waited"


async def test_the_page_whose_script_logs_in(folder: Path, program: Program, open_tab: OpenTab) -> None:
    page, script = folder / "static/index.html", folder / "static/quickstart.js"
    plain = '<script src="quickstart.js"></script>'
    assert plain in page.read_text()
    page.write_text(page.read_text().replace(plain, written("html")))
    token = json.dumps(token_of(folder, "olga", "operator"))
    script.write_text(written("js").replace("token", token) + "\n" + script.read_text())
    tab = await open_tab(f"{program.url}/")
    for line in ("channelNames= [a, b]", "test_sum returned 9", "a= 2"):
        await tab.wait_for_console(line)
