"""Looking at a page as those do who cannot see it, cannot use a mouse, or need contrast: by axe-core."""

from typing import Any

from playwright.async_api import Page

from tests.browser.support import ROOT

AXE = ROOT / "node_modules/axe-core/axe.min.js"
SERIOUS = ("serious", "critical")


async def serious_findings(page: Page) -> list[str]:
    """What axe-core finds on the page as it is now, and calls serious or critical: rule, what is wrong, and where."""
    # Evaluated, not added by a tag: a page's Content-Security-Policy is left as it is.
    await page.evaluate(AXE.read_text(encoding="utf-8"))
    report: dict[str, Any] = await page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{found['id']}: {found['help']}: {[node['html'] for node in found['nodes']]}"
        for found in report["violations"]
        if found["impact"] in SERIOUS
    ]
