"""A page logs in: with the first message, again by itself after its connection was lost, and not with a bad token."""

import json
from pathlib import Path

import pytest

from tests.browser.support import FOLDER, OpenTab, Start, frontend_of
from tests.support.waiting import wait_until
from wispy.frontend.auth.verifying import digest_of

pytestmark = pytest.mark.asyncio(loop_scope="session")

REFUSED = "rpc.$authenticate({}).then(() => 'in', (error) => error.code)"


async def test_a_page_logs_in_and_stays_so(start: Start, open_tab: OpenTab, tmp_path: Path) -> None:
    tokens = tmp_path / "tokens.yaml"
    tokens.write_text(json.dumps({"alice": {"sha256": [digest_of("a/token=")], "roles": ["viewer"]}}))
    config = {"auth": {"kind": "tokens", "tokens": str(tokens)}, "static": {"folders": {"static": str(tmp_path)}}}
    (tmp_path / "config.yaml").write_text(json.dumps(config))
    arguments = ("-m", "wispy", "serve", str(tmp_path / "config.yaml"), "--object", "sample=served:Sample")
    program = start(*arguments, folder=FOLDER, expect=["a frontend process ended"])
    (tmp_path / "login.html").write_text('<!DOCTYPE html><title>t</title><script src="../wispyjs/rpc.js"></script>')
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
