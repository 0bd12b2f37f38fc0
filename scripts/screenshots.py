"""Takes the pictures of the documentation: `python -m scripts.screenshots`. Needs Debian's Chromium."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

from playwright.sync_api import sync_playwright

ROOT: Final = Path(__file__).parents[1]
IMAGES: Final = ROOT / "docs" / "images"
CHROMIUM: Final = "/usr/bin/chromium"
FLAGS: Final = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]

FULL_PLOT: Final = "readings.length > 1 && readings.at(-1)[0] - readings[0][0] > SHOWN_S - 0.2"
"""The live plot's own script: the line reaches across the whole canvas."""


def main() -> int:
    """Start the live plot, wait for a full line, and save the page as a PNG."""
    environment = {**os.environ, "WISPY_PORT": "0", "WISPY_LAUNCH": "never"}
    program = [sys.executable, str(ROOT / "examples" / "live_plot" / "live_plot.py")]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True, env=environment) as process:  # noqa: S603 -- ours
        assert process.stdout is not None
        try:
            match = next(filter(None, (re.search(r" at (http://\S+)", line) for line in process.stdout)), None)
            if match is None:
                print("the live plot did not start", file=sys.stderr)
                return 1
            _take(match[1], IMAGES / "live_plot.png")
        finally:
            process.terminate()
            process.communicate()
    return 0


def _take(url: str, file: Path) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1040, "height": 545}, device_scale_factor=1.25)
        page.goto(url)
        page.wait_for_function(FULL_PLOT, timeout=60_000)
        file.parent.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=file)
        browser.close()
    print(f"{file.relative_to(ROOT)}: {file.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    sys.exit(main())
