"""What lives in the console: channels, and what becomes of it while connections, owners and rights come and go."""

import json
import re
from pathlib import Path

import httpx
import pytest
from playwright.async_api import Locator, expect

from tests.browser.accessibility import serious_findings
from tests.browser.console.looks import HOSTILE, PROGRAM, OpenConsole, channel, opened_form, serve
from tests.browser.support import FOLDER, OpenTab, Start, frontend_of
from tests.support.stack import Stack
from tests.support.waiting import wait_until
from wispy.broker.embedded import EmbeddedServer
from wispy.frontend.auth.verifying import digest_of

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_channel_lives_and_is_plotted(start: Start, open_console: OpenConsole) -> None:
    tab = await open_console(start(PROGRAM))
    value = channel(tab, "temperature").locator("output")
    seen: set[str] = set()

    async def has_changed() -> bool:
        seen.add(await value.inner_text())
        return len(seen) > 5

    await wait_until(has_changed, lambda: f"the temperature changes: {seen}")
    pixels = """element => {
        const { data } = element.getContext("2d").getImageData(0, 0, element.width, element.height);
        let found = 0;
        for (let at = 3; at < data.length; at += 4) found += data[at] > 200;
        return found;
    }"""
    for name in ("temperature", "spectrum", "ramping"):
        canvas = channel(tab, name).locator("canvas")

        async def is_drawn(canvas: Locator = canvas) -> bool:
            return await canvas.evaluate(pixels) > 20

        await wait_until(is_drawn, f"{name} is drawn")
    await expect(channel(tab, "status").locator("canvas")).to_be_hidden()


async def test_messages_of_an_event_channel(start: Start, open_console: OpenConsole) -> None:
    tab = await open_console(start(PROGRAM))
    messages = tab.page.get_by_role("list", name="Messages of alarm")
    await expect(messages).to_contain_text("no message since this page is open")
    form = await opened_form(tab, "warn")
    for text in ("helium is low", "helium is out"):
        await form.get_by_label("text").fill(text)
        await form.get_by_role("button", name="Call").click()
        await expect(messages.get_by_role("listitem").first).to_contain_text(text)
    await expect(messages.get_by_role("listitem")).to_have_count(2)


async def test_a_wide_object_stays_smooth(start: Start, open_in_chromium: OpenConsole, tmp_path: Path) -> None:
    tab = await open_in_chromium(serve(start, tmp_path, ""), "#/wide")
    await expect(tab.page.locator("[data-attribute]")).to_have_count(200)
    await expect(channel(tab, "value_000").locator(".rate")).to_have_text(re.compile(r"\d/s"))
    devtools = await tab.page.context.new_cdp_session(tab.page)
    await devtools.send("Performance.enable", {"timeDomain": "threadTicks"})  # what others do meanwhile is not its own

    async def busy() -> dict[str, float]:
        answer = await devtools.send("Performance.getMetrics")
        return {each["name"]: each["value"] for each in answer["metrics"]}

    before = await busy()
    for index in range(6):  # a person scrolls meanwhile
        await tab.page.mouse.wheel(0, 400 if index % 2 else -200)
        await tab.run("new Promise((resolve) => setTimeout(resolve, 400))")
    after = await busy()
    share = (after["TaskDuration"] - before["TaskDuration"]) / (after["Timestamp"] - before["Timestamp"])
    assert share < 0.6, f"the page is busy for {share:.0%} of the time"
    await tab.page.get_by_label("Filter by name").fill("value_19")
    await expect(tab.page.locator("[data-attribute]:visible")).to_have_count(10)


async def test_a_lost_connection_is_told_and_all_goes_on(start: Start, open_console: OpenConsole) -> None:
    program = start(PROGRAM, expect=["a frontend process ended"])
    tab = await open_console(program)
    form = await opened_form(tab, "ramp")
    await form.get_by_label("to").fill("78")
    state = tab.page.locator("#state")
    await expect(state).to_have_text("connected")
    await tab.run("void (window.states = [], rpc.$on('state', () => window.states.push(state.textContent)))")
    frontend = frontend_of(program)
    assert frontend is not None
    frontend.kill()
    await expect(state).to_have_text("resumed", timeout=20_000)
    assert "connecting…" in await tab.run("window.states")
    await expect(form.get_by_label("to")).to_have_value("78")  # what was filled in stays
    await form.get_by_role("button", name="Call").click()
    await expect(channel(tab, "target").locator("output")).to_have_text("78")


async def test_what_is_filled_in_outlives_the_owner(valkey: EmbeddedServer, open_tab: OpenTab, tmp_path: Path) -> None:
    stack = Stack(valkey.url, folder=FOLDER, logs=tmp_path)
    try:
        worker = stack.worker("hostile=console_objects:Hostile")
        tab = await open_tab(f"{stack.frontend('--set', 'console=true').url}/console/")
        form = await opened_form(tab, "repeat")
        await form.get_by_label("text").fill("kept")
        facts = tab.page.locator(".facts")
        await expect(facts).to_contain_text("owned by")
        worker.kill()
        await expect(facts).to_contain_text("no owner", timeout=20_000)
        looked = "rpc.hostile.$describe().catch((error) => error.retryable)"
        assert await tab.run(looked) is True  # by then the console has had the same answer
        stack.worker("hostile=console_objects:Hostile")
        await expect(facts).to_contain_text("owned by", timeout=20_000)
        await expect(form.get_by_label("text")).to_have_value("kept")
    finally:
        stack.close()


async def test_a_server_with_users_asks_who_looks(start: Start, open_console: OpenConsole, tmp_path: Path) -> None:
    tokens = tmp_path / "tokens.yaml"
    tokens.write_text(json.dumps({"alice": {"sha256": [digest_of("a/token=")], "roles": []}}))
    tab = await open_console(serve(start, tmp_path, f"auth: {{kind: tokens, tokens: {tokens}}}"))
    form = tab.page.get_by_role("region", name="Log in")
    await expect(form.get_by_label("Your token")).to_be_focused()
    assert await serious_findings(tab.page) == []
    await tab.page.keyboard.type("no/token=")
    await tab.page.keyboard.press("Enter")
    await expect(form.get_by_role("alert")).to_have_text("the token is not good")
    await form.get_by_label("Your token").fill("a/token=")
    await tab.page.keyboard.press("Enter")
    await expect(tab.page.get_by_role("heading", level=1)).to_have_text("hostileHostile")
    await expect(form).to_be_hidden()


async def test_the_overview_shows_what_was_denied(start: Start, open_console: OpenConsole) -> None:
    program = start(PROGRAM)
    tab = await open_console(program, "#/")
    main = tab.page.locator("main")
    await expect(main.get_by_role("heading", name="Frontends")).to_be_visible()
    await expect(main.get_by_role("heading", name="Denied of late")).to_have_count(0)
    async with httpx.AsyncClient(timeout=30) as http:
        await http.post(f"{program.url}/rpc", json={"jsonrpc": "2.0", "id": 1, "method": f"cryostat.{HOSTILE}"})
    row = main.get_by_role("region", name="Denied of late").locator("tbody tr")
    await expect(row).to_have_count(1)
    await expect(row.locator("[data-head='Reason']")).to_have_text("absent")
    await expect(row.locator("[data-head='Address']")).to_have_text("127.0.0.1")
    await expect(row.locator("[data-head='What']")).to_have_text(f"cryostat.{HOSTILE}")
    assert await tab.run("window.attacked") is None


async def test_the_overview_goes_on_under_whoever_reads_it(start: Start, open_console: OpenConsole) -> None:
    """It is asked for every two seconds: the focus stays where it is, and only the numbers change."""
    tab = await open_console(start(PROGRAM), "#/")
    await expect(tab.page.get_by_role("heading", level=1)).to_have_text("Overview")
    show = """async ([calls, sessions]) => {
        const { Overview } = await import("./overview.mjs");
        const { ratesOf } = await import("./rates.mjs");
        if (!window.overview) {
            window.overview = new Overview();
            document.getElementById("main").replaceChildren(window.overview.element);
        }
        const owner = { id: "e", host: "lab", pid: 7, generation: 1, since_ms: 0 };
        const counts = { calls, gets: 0, sets: 0, deletes: 0, errors: 2, refused: 1, updates: 9 };
        const session = { id: "0123456789abcdef", address: "127.0.0.1", since_ms: 0, in_flight: 0, subscriptions: 3 };
        const pump = { name: "pump", owner, queue: { length: 4, oldest_ms: 1200 }, counts, busy_ms: 0, running: 1 };
        const status = {
            clock_ms: 60_000 + calls, objects: [pump, { name: "lost", owner: null }],
            sessions: Array(sessions).fill(session), sessions_total: 500,
        };
        window.overview.show(status, ratesOf(null, status));
    }"""
    await tab.page.evaluate(show, [10, 1])
    main = tab.page.get_by_role("main")
    row = main.get_by_role("row", name="pump")
    for text in ("lab · 7", "4 (1.20 s)", "10"):
        await expect(row.get_by_text(text, exact=True)).to_be_visible()
    await expect(main.get_by_role("row", name="lost")).to_contain_text("no owner")
    await expect(main.get_by_role("heading", name="Sessions (1 of 500)")).to_be_visible()
    await row.get_by_role("link").focus()
    await tab.page.evaluate(show, [11, 2])
    await expect(row.get_by_text("11", exact=True)).to_be_visible()
    await expect(main.get_by_role("heading", name="Sessions (2 of 500)")).to_be_visible()
    await expect(row.get_by_role("link")).to_be_focused()
    assert await serious_findings(tab.page) == []
    fits = "[...document.querySelectorAll('html, .scroll')].every((each) => each.scrollWidth <= each.clientWidth)"
    for width in (1300, 360):  # nothing is cut off: on a phone each cell stands below its head
        await tab.page.set_viewport_size({"width": width, "height": 800})
        await wait_until(lambda: tab.run(fits), f"nothing is cut off at {width}")
    await expect(row.get_by_role("cell", name="lab · 7")).to_be_visible()
    assert await serious_findings(tab.page) == []
