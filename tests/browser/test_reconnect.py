"""A page outlives the frontend that it talks to."""

import pytest

from tests.browser.support import QUICKSTART, OpenTab, Start, frontend_of
from tests.support.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_page_comes_back_after_its_frontend_was_killed(start: Start, open_tab: OpenTab) -> None:
    program = start(QUICKSTART, expect=["a frontend process ended"])
    tab = await open_tab(f"{program.url}/")
    await tab.wait_for_console("a= 2")
    await tab.follow("a")
    await tab.run("void (window.states = [], rpc.$on('state', (state) => window.states.push(state)))")

    frontend = frontend_of(program)
    assert frontend is not None
    frontend.kill()
    await tab.page.wait_for_function("window.states.includes('connecting')")
    await wait_until(lambda: frontend_of(program) not in (None, frontend), "another frontend is started")

    await tab.page.wait_for_function("window.states.at(-1) === 'resumed'")
    assert await tab.run("rpc.sample.test_sum(20, 22)") == 42
    await tab.run("rpc.sample.$set('a', 'after')")  # its subscription came back by itself
    await tab.wait_for("a", "after")
