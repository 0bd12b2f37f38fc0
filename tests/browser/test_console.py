"""The console: what a person sees of an object, and does with it, with the mouse, with the keyboard, on a phone."""

import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Locator, expect

from tests.browser.accessibility import serious_findings
from tests.browser.support import FOLDER, OpenTab, Program, Start, Tab, frontend_of, tabs_of
from tests.support.stack import Stack
from tests.support.waiting import wait_until
from wispy.broker.embedded import EmbeddedServer
from wispy.frontend.auth.verifying import digest_of

pytestmark = pytest.mark.asyncio(loop_scope="session")

PROGRAM = "examples/cryostat/cryostat.py"
FAILED = ["raised ValueError", "Traceback"]  # in the log, of a method that is made to fail
HOSTILE = "<img src=x onerror='window.attacked = 1'><b>bold</b>"

OpenConsole = Callable[..., Awaitable[Tab]]


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


# --- what is shown ----------------------------------------------------------------------------------------------------


async def test_an_object_says_what_it_is_and_does(start: Start, open_console: OpenConsole) -> None:
    tab = await open_console(start(PROGRAM))
    page = tab.page
    await expect(page.get_by_role("heading", level=1)).to_have_text("cryostatCryostat")
    await expect(page.get_by_text("A helium cryostat: it cools a sample")).to_be_visible()
    await expect(page.get_by_role("status").first).to_have_text("connected")
    await expect(card(tab, "ramp")).to_contain_text("ramp(to: float, rate: float = 5.0")
    await expect(card(tab, "ramp")).to_contain_text("Move the target to a temperature")
    await expect(row(tab, "heater_limit")).to_contain_text("int")
    await expect(row(tab, "heater_limit").locator(".value")).to_have_text("60")
    await expect(row(tab, "valve").locator(".value")).to_have_text('"throttled"')
    assert page.url.endswith("/console/#/cryostat")


async def test_an_object_within_an_object(start: Start, open_console: OpenConsole) -> None:
    tab = await open_console(start(PROGRAM))
    await tab.page.get_by_role("link", name="pump").click()
    await expect(tab.page.get_by_role("heading", level=1)).to_have_text("cryostat.pumpPump")
    form = await opened_form(tab, "start")
    await form.get_by_label("speed_rpm").fill("4500")
    await form.get_by_role("button", name="Call").click()
    await expect(form.get_by_label("Result")).to_have_text("null")
    await row(tab, "speed_rpm").get_by_role("button", name="Read").click()
    await expect(row(tab, "speed_rpm").locator(".value")).to_have_text("4500")
    await tab.page.go_back()
    await expect(tab.page.get_by_role("heading", level=1)).to_have_text("cryostatCryostat")


async def test_the_source_of_a_method(start: Start, open_console: OpenConsole) -> None:
    tab = await open_console(start(PROGRAM))
    await opened_form(tab, "calibrate")
    await card(tab, "calibrate").get_by_text("Source").click()
    await expect(tab.page.get_by_label("Source of calibrate")).to_contain_text("def calibrate(self, offset: float")


async def test_a_source_that_is_not_allowed_is_not_shown(
    start: Start, open_console: OpenConsole, tmp_path: Path
) -> None:
    tab = await open_console(serve(start, tmp_path, "interface: {source_access: false}"))
    await opened_form(tab, "fail")
    await card(tab, "fail").get_by_text("Source").click()
    await expect(card(tab, "fail")).to_contain_text("The source is not shown")
    assert "def fail" not in await tab.page.content()


async def test_values_never_become_markup(start: Start, open_console: OpenConsole, tmp_path: Path) -> None:
    tab = await open_console(serve(start, tmp_path, "", expect=FAILED))
    await expect(channel(tab, "text").locator("output")).to_contain_text("<b>bold</b>")
    for method in ("repeat", "fail"):
        form = await opened_form(tab, method)
        await form.get_by_label("text").fill(HOSTILE)
        await form.get_by_role("button", name="Call").click()
        await expect(form.locator(".result")).to_contain_text("<b>bold</b>")
    assert await tab.run("document.querySelectorAll('main b, aside b').length") == await tab.run(
        "document.querySelectorAll('main .name > b, main .signature > b, main .result p > b').length"
    )
    assert await tab.run("document.querySelectorAll('script').length") == 3
    assert await tab.run("window.attacked") is None


# --- what can be done -------------------------------------------------------------------------------------------------


async def test_a_call_by_its_form(start: Start, open_console: OpenConsole) -> None:
    tab = await open_console(start(PROGRAM))
    form = await opened_form(tab, "ramp")
    await form.get_by_label("to").fill("78")
    await form.get_by_label("rate").fill("50")
    await form.get_by_label("shape").select_option("smooth")
    await form.get_by_role("button", name="Call").click()
    await expect(form.get_by_label("Result")).to_have_text('"at 78 K after 0.0 s"')
    entry = tab.page.get_by_role("complementary").get_by_role("listitem").first
    await expect(entry).to_contain_text('cryostat.ramp(78, 50, "smooth")')
    await expect(entry).to_contain_text(re.compile(r"done.*\d ms"))
    await expect(entry).to_contain_text("at 78 K")


async def test_each_type_has_its_field(start: Start, open_console: OpenConsole) -> None:
    tab = await open_console(start(PROGRAM))
    form = await opened_form(tab, "set_valve")
    await form.get_by_label("valve").select_option("open")
    await form.get_by_role("button", name="Call").click()
    await expect(form.get_by_label("Result")).to_have_text('"open"')

    form = await opened_form(tab, "plan")
    await form.get_by_label("at").fill("2026-12-24T18:30")
    await form.locator("[name=to]").fill("4.2")
    await form.get_by_role("button", name="Call").click()
    await expect(form.get_by_label("Result")).to_have_text('"24 December, 18:30: 4.2 K"')

    form = await opened_form(tab, "annotate")
    await form.get_by_label("*lines", exact=True).fill('["cold", "dry"]')
    await form.get_by_label("**fields", exact=True).fill('{"run": 7}')
    await form.get_by_role("button", name="Call").click()
    await expect(form.get_by_label("Result")).to_contain_text('"run": 7')
    await expect(form.get_by_label("Result")).to_contain_text('"lines": ["cold", "dry"]')


async def test_what_is_filled_in_wrongly_is_not_sent(start: Start, open_console: OpenConsole) -> None:
    tab = await open_console(start(PROGRAM))
    form = await opened_form(tab, "ramp")
    for text, problem in [("", "must be filled in"), ("warm", "must be a number"), ("1000", "not be above 320")]:
        await form.get_by_label("to").fill(text)
        await form.get_by_role("button", name="Call").click()
        await expect(form.get_by_text(problem)).to_be_visible()
        await expect(form.get_by_label("to")).to_be_focused()
        await expect(form.get_by_label("to")).to_have_attribute("aria-invalid", "true")
    await form.get_by_label("to").fill("90")
    await form.get_by_label("rate").fill("0")
    await form.get_by_role("button", name="Call").click()
    await expect(form.get_by_text("must be above 0")).to_be_visible()
    await expect(tab.page.get_by_text("What you call, read and set is listed here")).to_be_visible()


async def test_an_error_of_the_object_is_shown(start: Start, open_console: OpenConsole) -> None:
    tab = await open_console(start(PROGRAM, expect=FAILED))
    form = await opened_form(tab, "calibrate")
    await form.get_by_label("offset").fill("0")
    await form.get_by_label("gain").fill("3")
    await form.get_by_role("button", name="Call").click()
    alert = form.get_by_role("alert")
    await expect(alert).to_contain_text("ValueError: a gain of 3 is no calibration")
    await expect(alert).to_contain_text("It ran.")
    await expect(tab.page.get_by_role("complementary")).to_contain_text("failed")


async def test_a_running_call_can_be_cancelled(start: Start, open_console: OpenConsole) -> None:
    tab = await open_console(start(PROGRAM))
    form = await opened_form(tab, "ramp")
    await form.get_by_label("to").fill("300")
    await form.get_by_label("rate").fill("0.1")
    await form.get_by_role("button", name="Call").click()
    await expect(channel(tab, "status").locator("output")).to_have_text("ramping to 300 K")
    await form.get_by_role("button", name="Cancel").click()
    await expect(form.get_by_role("alert")).to_contain_text("cancelled here")
    await expect(channel(tab, "status").locator("output")).to_have_text("holding")


async def test_an_attribute_is_set_and_deleted(start: Start, open_console: OpenConsole) -> None:
    program = start(PROGRAM)
    tab, other = [await open_console(program) for _ in range(2)]
    target = row(tab, "target")
    await target.get_by_role("button", name="Set").click()
    await expect(target.get_by_label("New value of target")).to_have_value("77")
    await target.get_by_label("New value of target").fill("81.5")
    await target.get_by_role("button", name="Set", exact=True).click()
    await expect(target.locator(".value")).to_have_text("81.5")
    await expect(channel(other, "target").locator("output")).to_have_text("81.5")

    sample = row(tab, "sample")
    await expect(sample.locator(".value")).to_have_text('"Nb3Sn film, batch 7"')
    await sample.get_by_role("button", name="Set").click()
    await sample.get_by_label("New value of sample").fill("lead")
    await sample.get_by_role("button", name="Set", exact=True).click()
    await expect(sample.locator(".value")).to_have_text('"lead"')
    await sample.get_by_role("button", name="Set").click()
    await sample.get_by_role("button", name="Delete…").click()
    await sample.get_by_role("button", name="Delete sample").click()
    # What the class says shows again.
    await expect(sample.locator(".value")).to_have_text('"Nb3Sn film, batch 7"')
    await expect(tab.page.get_by_role("complementary")).to_contain_text("del cryostat.sample")


async def test_a_time_with_microseconds_is_set_from_what_it_is(
    start: Start, open_console: OpenConsole, tmp_path: Path
) -> None:
    tab = await open_console(serve(start, tmp_path, ""), "#/hostile")
    seen = row(tab, "seen")
    await seen.get_by_role("button", name="Set").click()
    await expect(seen.get_by_label("New value of seen")).to_have_value("2026-03-01T12:30:05.123")
    await seen.get_by_label("New value of seen").fill("2027-01-31T08:15")
    await seen.get_by_role("button", name="Set", exact=True).click()
    await expect(seen.locator(".value")).to_have_text('"2027-01-31T08:15:00"')


# --- what lives -------------------------------------------------------------------------------------------------------


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


# --- who looks --------------------------------------------------------------------------------------------------------


async def test_everything_works_by_keyboard(start: Start, open_console: OpenConsole) -> None:
    tab = await open_console(start(PROGRAM))
    keyboard = tab.page.keyboard
    await expect(card(tab, "calibrate")).to_be_visible()

    async def tab_to(target: Locator) -> None:
        for _ in range(60):
            if await target.evaluate("element => element === document.activeElement"):
                return
            await keyboard.press("Tab")
        raise AssertionError(f"60 tabs do not reach {target}")

    await keyboard.press("Tab")
    await expect(tab.page.get_by_role("link", name="Skip to the object")).to_be_focused()
    await keyboard.press("Enter")
    await tab_to(card(tab, "calibrate").locator("summary").first)
    await keyboard.press("Enter")
    form = tab.page.get_by_role("form", name="Call calibrate")
    await tab_to(form.get_by_label("offset"))
    await keyboard.type("0.5")
    await keyboard.press("Enter")
    await expect(form.get_by_label("Result")).to_contain_text('"offset": 0.5')
    await expect(tab.page.locator("#said")).to_contain_text("calibrate returned")

    limit = row(tab, "heater_limit")
    await tab_to(limit.get_by_role("button", name="Set"))
    await keyboard.press("Enter")
    await expect(limit.get_by_label("New value of heater_limit")).to_be_focused()
    await keyboard.press("Control+A")
    await keyboard.type("70")
    await keyboard.press("Enter")
    await expect(limit.locator(".value")).to_have_text("70")
    await limit.get_by_role("button", name="Set").focus()
    await keyboard.press("Enter")
    await expect(limit.get_by_label("New value of heater_limit")).to_be_focused()
    await keyboard.press("Escape")
    await expect(limit.get_by_role("form")).to_have_count(0)
    await expect(limit.get_by_role("button").first).to_be_focused()


@pytest.mark.parametrize("width", [1280, 360])
async def test_anyone_can_use_it(start: Start, open_console: OpenConsole, width: int) -> None:
    tab = await open_console(start(PROGRAM, expect=FAILED), width=width)
    assert await lightness(tab) > 200
    await check_that_anyone_can_use(tab, width)


async def test_anyone_can_use_it_in_the_dark(start: Start, open_in_chromium: OpenConsole) -> None:
    tab = await open_in_chromium(start(PROGRAM, expect=FAILED), dark=True)
    assert await lightness(tab) < 100
    await check_that_anyone_can_use(tab, 1280)


async def lightness(tab: Tab) -> int:
    """Of the background: the red part of its colour."""
    background = await tab.run("getComputedStyle(document.documentElement).backgroundColor")
    return int(re.findall(r"\d+", background)[0])


async def check_that_anyone_can_use(tab: Tab, width: int) -> None:
    """Colours, sizes, names and roles: axe-core finds nothing serious, with everything open; no page is too wide."""
    form = await opened_form(tab, "calibrate")
    await form.get_by_label("offset").fill("1")
    await form.get_by_label("gain").fill("3")
    await form.get_by_role("button", name="Call").click()
    await form.get_by_role("alert").wait_for()
    await card(tab, "calibrate").get_by_text("Source").click()
    await tab.page.get_by_label("Source of calibrate").wait_for()
    await opened_form(tab, "ramp")
    await opened_form(tab, "plan")
    await row(tab, "heater_limit").get_by_role("button", name="Set").click()
    await expect(row(tab, "heater_limit").get_by_label("New value of heater_limit")).to_be_visible()
    too_wide = "[...document.querySelectorAll('.field')].filter((each) => each.scrollWidth > each.clientWidth).length"
    assert await tab.run(too_wide) == 0
    assert await serious_findings(tab.page) == []
    assert await tab.run("document.documentElement.scrollWidth") <= width
    await tab.page.get_by_role("link", name="Overview").click()
    await expect(tab.page.get_by_role("heading", level=1)).to_have_text("Overview")
    assert await serious_findings(tab.page) == []
    assert await tab.run("document.documentElement.scrollWidth") <= width


async def test_the_theme_can_be_chosen_and_is_kept(start: Start, open_console: OpenConsole) -> None:
    tab = await open_console(start(PROGRAM))
    colour = "getComputedStyle(document.documentElement).backgroundColor"
    light = await tab.run(colour)
    button = tab.page.get_by_role("button", name="Theme")
    await button.click()
    assert await tab.run(colour) == light
    await button.click()
    await expect(button).to_have_text("Theme: dark")
    dark = await tab.run(colour)
    assert dark != light
    await tab.page.reload()
    assert await tab.run(colour) == dark


# --- whether it is there ----------------------------------------------------------------------------------------------


async def fetch(url: str) -> httpx.Response:
    async with httpx.AsyncClient(follow_redirects=True, timeout=30) as client:
        return await client.get(url)


async def test_under_a_base_path_and_another_name_of_wispyjs(
    start: Start, open_console: OpenConsole, tmp_path: Path
) -> None:
    program = serve(start, tmp_path, "base_path: /lab/two\nwispy_static_path: scripts/of/wispy")
    tab = await open_console(program)
    await expect(tab.page.get_by_role("status").first).to_have_text("connected")
    assert (await fetch(f"{program.url}/console")).url == f"{program.url}/console/"
    assert "/lab/two/console/" in (await fetch(f"{program.url}/")).text


async def test_where_it_is_off_nothing_of_it_is_there(start: Start, tmp_path: Path) -> None:
    program = serve(start, tmp_path, "console: false")
    unknown = await fetch(f"{program.url}/no-such-page")
    for path in ("console", "console/", "console/index.html", "console/main.mjs", "wispyjs/console/index.html"):
        answer = await fetch(f"{program.url}/{path}")
        assert (answer.status_code, answer.text) == (404, unknown.text), path
    assert "console/" not in (await fetch(f"{program.url}/")).text
    assert "the console:" not in program.output


async def test_its_policy_lets_no_other_script_in(start: Start) -> None:
    answer = await fetch(f"{start(PROGRAM).url}/console/")
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "require-trusted-types-for 'script'" in policy
    assert not re.search(r"<script>|\son\w+=|\sstyle=", answer.text)
