"""Takes the pictures of the documentation: `python -m scripts.screenshots [NAME]...`. Needs Debian's Chromium."""

import dataclasses
import difflib
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from playwright.sync_api import Page, sync_playwright

ROOT: Final = Path(__file__).parents[1]
IMAGES: Final = ROOT / "docs" / "images"
CHROMIUM: Final = "/usr/bin/chromium"
FLAGS: Final = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]


@dataclasses.dataclass(frozen=True)
class Picture:
    """One example's page, when it shows what it is about."""

    name: str
    program: str
    """Below `examples`."""
    size: tuple[int, int]
    """Of the viewport, in CSS pixels: the page's own width and height."""
    is_ready: str
    """A JavaScript condition."""
    path: str = ""
    """Of the page, below the address that the program prints."""
    use: Callable[[Page], None] | None = None
    """What is done on the page before it is ready."""
    hover: str | None = None
    """What the pointer is on, by a CSS selector."""


def _use_console(page: Page) -> None:
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
    page.mouse.move(0, 0)


PICTURES: Final = [
    Picture(
        name="live_plot",
        program="live_plot/live_plot.py",
        size=(1040, 545),
        # The live plot's own script: the line reaches across the whole canvas.
        is_ready="readings.length > 1 && readings.at(-1)[0] - readings[0][0] > SHOWN_S - 0.2",
    ),
    Picture(
        name="quickstart",
        program="quickstart/quickstart.py",
        size=(640, 430),
        is_ready="document.querySelectorAll('template-form hr').length === 3",
        hover="flexible-el button",
    ),
    Picture(
        name="bindings",
        program="bindings/bindings.py",
        size=(1040, 490),
        is_ready="document.querySelectorAll('.card').length === 2 && document.querySelector('.connected')",
    ),
    Picture(
        name="console",
        program="cryostat/cryostat.py",
        path="console/",
        size=(1280, 1000),
        use=_use_console,
        is_ready="performance.now() > 32_000",  # its plots reach back for half a minute
    ),
]


def main() -> int:
    """Take the pictures that are named, or all, of the examples' pages."""
    pictures = {picture.name: picture for picture in PICTURES}
    wanted = sys.argv[1:] or list(pictures)
    for name in wanted:
        if name not in pictures:
            (near,) = difflib.get_close_matches(name, pictures, n=1, cutoff=0)
            print(f"there is no picture {name}: did you mean {near}? All: {', '.join(pictures)}", file=sys.stderr)
            return 2
    return max(_take(pictures[name]) for name in wanted)


def _take(picture: Picture) -> int:
    """Start the program, wait for its page, and save it as a PNG."""
    environment = {**os.environ, "WISPY_PORT": "0", "WISPY_LAUNCH": "never"}
    program = [sys.executable, str(ROOT / "examples" / picture.program)]
    pipe = subprocess.PIPE
    with subprocess.Popen(program, stdout=pipe, text=True, env=environment) as process:  # noqa: S603 -- ours  # nosec B603
        assert process.stdout is not None
        try:
            match = next(filter(None, (re.search(r" at (http://\S+)", line) for line in process.stdout)), None)
            if match is None:
                print(f"{picture.program} did not start", file=sys.stderr)
                return 1
            _save(picture, match[1])
        finally:
            process.terminate()
            process.communicate()
    return 0


def _save(picture: Picture, url: str) -> None:
    file = IMAGES / f"{picture.name}.png"
    width, height = picture.size
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": width, "height": height}, device_scale_factor=1.25)
        page.goto(url + picture.path)
        if picture.use is not None:
            picture.use(page)
        while not page.evaluate(picture.is_ready):  # the console's policy lets `wait_for_function` make no function
            page.wait_for_timeout(200)
        if picture.hover is not None:
            page.hover(picture.hover)
            page.get_by_role("tooltip").wait_for()
        file.parent.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=file)
        browser.close()
    print(f"{file.relative_to(ROOT)}: {file.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    sys.exit(main())
