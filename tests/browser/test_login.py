"""A page logs in: with the first message, again by itself after its connection was lost, and not with a bad token."""

import json
from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.browser.support import FOLDER, OpenTab, Program, Start, frontend_of
from tests.support.waiting import wait_until
from wispy.frontend.auth.verifying import digest_of

pytestmark = pytest.mark.asyncio(loop_scope="session")

REFUSED = "rpc.$authenticate({}).then(() => 'in', (error) => error.code)"


def serve(start: Start, folder: Path, objects: str, page: str) -> Program:
    """Serve objects and `/static/login.html` to alice, a viewer, and to olga, an operator."""
    users = {"alice": ("a/token=", "viewer"), "olga": ("o/token=", "operator")}
    tokens = {user: {"sha256": [digest_of(token)], "roles": [role]} for user, (token, role) in users.items()}
    (folder / "tokens.yaml").write_text(json.dumps(tokens))
    auth = {"kind": "tokens", "tokens": str(folder / "tokens.yaml")}
    config = {"auth": auth, "static": {"folders": {"static": str(folder)}}}
    (folder / "config.yaml").write_text(json.dumps(config))
    script = '<script src="../wispyjs/rpc.js"></script><script src="../wispyjs/page.js"></script>'
    (folder / "login.html").write_text(f"<!DOCTYPE html><title>t</title>{page}{script}")
    arguments = ("-m", "wispy", "serve", str(folder / "config.yaml"), "--object", objects)
    return start(*arguments, folder=FOLDER, expect=["a frontend process ended"])


async def test_a_page_logs_in_and_stays_so(start: Start, open_tab: OpenTab, tmp_path: Path) -> None:
    program = serve(start, tmp_path, "sample=served:Sample", "")
    tab = await open_tab(f"{program.url}/static/login.html")

    await tab.run("void (window.codes = [], rpc.$on('error', (error) => window.codes.push(error.code)))")
    assert await tab.run(REFUSED.format("'nobody'")) == -32009
    assert await tab.run("rpc.$authenticate('a/token=')") == {"user": "alice", "roles": ["viewer"]}
    assert await tab.run("rpc.sample.test_sum(4, 5)") == 9
    assert -32009 in await tab.run("window.codes")

    frontend = frontend_of(program)
    assert frontend is not None
    frontend.kill()
    await wait_until(lambda: frontend_of(program) not in (None, frontend), "another frontend is started")
    assert await tab.run("rpc.sample.test_sum(20, 22)") == 42
    assert await tab.run("rpc.$authenticate('a/token=')") == {"user": "alice", "roles": ["viewer"]}


async def test_another_user_of_the_page_follows_what_he_may_see(
    start: Start, open_tab: OpenTab, tmp_path: Path
) -> None:
    program = serve(start, tmp_path, "guarded=served:Guarded", "<p wy-text='guarded.level'>none</p>")
    tab = await open_tab(f"{program.url}/static/login.html")
    await tab.run("rpc.$authenticate('a/token=')")
    await wait_until(lambda: any("guarded.level" in line for line in tab.console), "the page is told that it sees none")
    await tab.run("(async () => { rpc.$close(); rpc.$connect(); await rpc.$authenticate('o/token='); })()")
    await expect(tab.page.locator("p")).to_have_text("1")
    await tab.run("rpc.guarded.lift()")
    await expect(tab.page.locator("p")).to_have_text("2")
