"""axe, the audit of what is in the way of people who do not see a page, see it badly, or use no mouse; WCAG 2.2 A and AA."""

from typing import Any

from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Page


def audited(page: Page) -> list[str]:
    """What axe (its script is in the package) finds on the page as it stands, of any weight, a line each."""
    page.evaluate(f"{AXE_SCRIPT}; 0")  # not as a script of the page, whose policy allows its own alone
    found: dict[str, Any] = page.evaluate("axe.run(document, { rules: { 'target-size': { enabled: true } } })")
    assert len(found["passes"]) > 10
    return [f"{one['impact']} {one['id']}: {node['html'][:120]}" for one in found["violations"] for node in one["nodes"]]
