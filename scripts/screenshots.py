"""Takes the pictures of the documentation: `python -m scripts.screenshots`. Needs Debian's Chromium."""

import os
import re
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from playwright.sync_api import Page, sync_playwright

ROOT: Final = Path(__file__).parents[1]
IMAGES: Final = ROOT / "docs" / "images"
CHROMIUM: Final = "/usr/bin/chromium"
FLAGS: Final = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]

FULL_PLOT: Final = "readings.length > 1 && readings.at(-1)[0] - readings[0][0] > SHOWN_S - 0.2"
"""The live plot's own script: the line reaches across the whole canvas."""


CONSOLE_FILLED: Final = "performance.now() > 32_000"
"""The console's plots reach back for half a minute."""


def main() -> int:
    """Start each program, wait until its page has something to show, and save it as a PNG."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        with served(ROOT / "examples" / "live_plot" / "live_plot.py") as url:
            page = browser.new_page(viewport={"width": 1040, "height": 545}, device_scale_factor=1.25)
            page.goto(url)
            page.wait_for_function(FULL_PLOT, timeout=60_000)
            save(page, "live_plot")
        with served(ROOT / "examples" / "cryostat" / "cryostat.py") as url:
            page = browser.new_page(viewport={"width": 1280, "height": 1000}, device_scale_factor=1.25)
            page.goto(f"{url}console/")
            use_console(page)
            while not page.evaluate(CONSOLE_FILLED):  # its policy lets no function be made of a text
                page.wait_for_timeout(500)
            page.mouse.move(0, 0)
            save(page, "console")
        browser.close()
    return 0


def use_console(page: Page) -> None:
    """Call a few methods, so that the log and the form have something to show."""
    for method, fields in (
        ("calibrate", {"offset": "0.4", "gain": "3"}),
        ("warn", {"text": "helium below 20 %"}),
        ("ramp", {"to": "84", "rate": "2"}),
    ):
        page.locator(f"[data-method={method}] summary").first.click()
        form = page.get_by_role("form", name=f"Call {method}")
        for name, value in fields.items():
            form.locator(f"[name={name}]").fill(value)
        form.get_by_role("button", name="Call").click()
        form.locator(".result").wait_for()
        if method != "ramp":
            page.locator(f"[data-method={method}] summary").first.click()
    page.evaluate("scrollTo(0, 0)")


@contextmanager
def served(program: Path) -> Generator[str]:
    """The address that this program prints, while it runs."""
    environment = {**os.environ, "WISPY_PORT": "0", "WISPY_LAUNCH": "never"}
    command = [sys.executable, str(program)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:  # noqa: S603 -- ours
        assert process.stdout is not None
        try:
            match = next(filter(None, (re.search(r" at (http://\S+)", line) for line in process.stdout)), None)
            if match is None:
                raise SystemExit(f"{program.name} did not start")
            yield match[1]
        finally:
            process.terminate()
            process.communicate()


def save(page: Page, name: str) -> None:
    """The page as it is, into the documentation's images."""
    file = IMAGES / f"{name}.png"
    file.parent.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=file)
    page.close()
    print(f"{file.relative_to(ROOT)}: {file.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    sys.exit(main())
