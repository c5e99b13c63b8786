"""The page as people meet it: on a phone and a desk, in the dark and in the light, without a mouse, by a screen reader."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from tests.serving.axe import audited
from tests.serving.listing.browser import Scheme, chromium, looking
from tests.serving.listing.material import TEXTS, dataset, drafted, evaluation, verdict
from tests.serving.listing.screenshots import SCALES, taken

AUDIT = Path(__file__).with_name("audit.js").read_text(encoding="utf-8")
WINDOWS = [(320, 700), (390, 844), (1280, 900)]
# Where the keyboard is: what has the focus, its name, and whether one sees it there (of a radio button: at its label).
FOCUS = """() => {
  const at = document.activeElement, shown = at.type === "radio" ? at.nextElementSibling : at;
  const style = getComputedStyle(shown), box = shown.getBoundingClientRect();
  return {
    tag: at.tagName.toLowerCase(), name: (at.getAttribute("aria-label") ?? at.value ?? at.textContent).trim(),
    ringed: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
    inside: box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth,
  };
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def rich(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A listing that has everything a page can show: terms, restrictions, credit, a trigger, what a champion was."""
    out = tmp_path_factory.mktemp("rich") / "draft"
    owed = {"duty": "FLOWDOWN", "node": "base", "role": "base", "license": "clay", "name": "Clay", "open": ""}
    bound = verdict() | {
        "owed": [owed | {"by": "file", "files": ["TERMS.md"], "lines": ["Callers keep to the Clay Licence."]}],
        "flowdown": [
            {"file": "LICENSES/clay.txt", "text": "Do no harm.\n" * 60, "node": "base", "license": "Clay", "section": "A"}
        ],
        "data": ["Persons: none are shown."],
    }
    captioned = [one | {"caption": f"softclay, {one['caption']}"} for one in dataset()["pictures"]]
    drafted(
        out,
        verdict=bound,
        dataset=dataset() | {"pictures": captioned},
        texts=replace(TEXTS, price_usd=0.03, prompts=("softclay, an owl",)),
    )
    assert evaluation()["champion"]["loss"] > 0
    return out


@pytest.fixture(params=["plain", "rich"])
def file(request: pytest.FixtureRequest, draft: Path, rich: Path) -> Path:
    return {"plain": draft, "rich": rich}[request.param] / "index.html"


@pytest.fixture
def desk(browser: Browser, rich: Path) -> Iterator[Page]:
    with looking(browser, rich / "index.html", width=1280, height=900, scheme="light") as (page, complaints):
        yield page
    assert complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), WINDOWS)
def test_nothing_is_in_anybodys_way(browser: Browser, file: Path, width: int, height: int, scheme: Scheme) -> None:
    with looking(browser, file, width=width, height=height, scheme=scheme) as (page, complaints):
        page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
        for tab in page.locator(".tabs label").all():
            tab.click()
            assert page.evaluate("document.documentElement.scrollWidth") == width
        assert page.evaluate(AUDIT) == []
    assert complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), WINDOWS[1:])
def test_axe_finds_nothing(browser: Browser, rich: Path, width: int, height: int, scheme: Scheme) -> None:
    with looking(browser, rich / "index.html", width=width, height=height, scheme=scheme) as (page, complaints):
        page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
        assert audited(page) == []
    assert complaints == []


def test_dark_and_light_follow_the_reader(browser: Browser, draft: Path) -> None:
    grounds = []
    for scheme in ("light", "dark"):
        with looking(browser, draft / "index.html", width=1280, height=900, scheme=scheme) as (page, _):
            colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
            grounds.append(sum(int(part) for part in re.findall(r"\d+", colour)[:3]))
    assert grounds[0] > 700
    assert grounds[1] < 120


def test_every_picture_is_there(desk: Page) -> None:
    desk.evaluate("for (const image of document.images) image.loading = 'eager'")
    desk.wait_for_function("[...document.images].every(image => image.complete)")
    widths = desk.evaluate("[...document.images].map(image => image.naturalWidth)")
    assert len(widths) > 20
    assert 0 not in widths


def test_the_audit_finds_what_it_is_for(browser: Browser, draft: Path, tmp_path: Path) -> None:
    """A page with one fault of each kind, those of axe and ours."""
    faults = {
        "html-has-lang": ('<html lang="en">', "<html>"),
        "image-alt": ('alt="Made by', 'data-alt="Made by'),
        "heading-order": ('<h3 class="next">Input</h3>', '<h5 class="next">Input</h5>'),
        "color-contrast": ("--soft: #5f594f", "--soft: #b9b4ab"),
        "link-name": ('<a href="#examples">Examples</a>', '<a href="#examples"></a>'),
        "region": ("</main>", "</main><p>lost</p>"),
        "target-size": (
            ".bar ul a {",
            ".bar ul { gap: 0 !important; } .bar ul a { font-size: 4px; padding: 0 !important; min-width: 0 !important;",
        ),
        "label": ('<label for="try-lora_scale">Strength</label>', ""),
        "table-head": ('<th scope="col">Field', "<th>Field"),
        "anchor": ('id="main"', 'id="other"'),
        "duplicate-id": ('id="api-title"', 'id="quick-title"'),
        "region-name": ('<nav class="bar" aria-label="On this page">', '<nav class="bar">'),
    }
    broken = (draft / "index.html").read_text(encoding="utf-8")
    for rule, (right, wrong) in faults.items():
        assert right in broken, rule
        broken = broken.replace(right, wrong)
    (tmp_path / "page.html").write_text(broken, encoding="utf-8")
    with looking(browser, tmp_path / "page.html", width=390, height=844, scheme="light") as (page, _):
        found = {line.split()[1].rstrip(":") for line in audited(page)} | {rule for rule, _ in page.evaluate(AUDIT)}
        assert faults.keys() - found == set()


def test_the_whole_page_goes_by_keyboard(desk: Page) -> None:
    stops = []
    desk.keyboard.press("Tab")
    while (stop := desk.evaluate(FOCUS))["tag"] != "body":
        stops.append(stop)
        desk.keyboard.press("Tab")
        assert len(stops) < 200
    assert stops[0]["name"] == "Skip to the content"
    assert [stop for stop in stops if not (stop["ringed"] and stop["inside"])] == []
    reached = {(stop["tag"], stop["name"]) for stop in stops}
    assert {("a", "Licence"), ("input", "Python"), ("div", "Input fields"), ("summary", "LICENSES/tiny-base.txt")} <= reached


def test_the_skip_link_leads_past_the_navigation(desk: Page) -> None:
    desk.keyboard.press("Tab")
    expect(desk.get_by_role("link", name="Skip to the content")).to_be_in_viewport()
    desk.keyboard.press("Enter")
    desk.keyboard.press("Tab")
    assert desk.evaluate("document.querySelector('main').contains(document.activeElement)")


def test_arrow_keys_turn_the_tabs(desk: Page) -> None:
    desk.get_by_role("radio", name="Python").focus()
    shown = []
    for _ in range(5):
        visible = desk.locator(".tabs pre:visible")
        expect(visible).to_have_count(1)
        shown.append(str(visible.get_attribute("aria-label")))
        desk.keyboard.press("ArrowRight")
    assert shown == [f"Example in {name}" for name in ("Python", "JavaScript", "cURL", "Queue", "Webhook")]
    expect(desk.get_by_role("radio", name="Python")).to_be_checked()  # round and round


def test_papers_open_by_keyboard(desk: Page) -> None:
    paper = desk.locator("details", has_text="LICENSES/tiny-base.txt")
    paper.locator("summary").focus()
    desk.keyboard.press("Enter")
    expect(paper.locator("pre")).to_be_visible()


def test_who_wants_no_motion_gets_none(browser: Browser, draft: Path, desk: Page) -> None:
    assert desk.evaluate("getComputedStyle(document.documentElement).scrollBehavior") == "auto"
    assert desk.evaluate("document.getAnimations().length") == 0


def test_links_lead_to_what_they_name(desk: Page) -> None:
    for link in desk.locator("nav a").all():
        link.click()
        title = desk.locator(f"{link.get_attribute('href')} h2")
        expect(title).to_be_in_viewport()


def test_pictures_of_it_are_of_the_whole_page(browser: Browser, draft: Path, tmp_path: Path) -> None:
    with looking(browser, draft / "index.html", width=390, height=844, scheme="dark") as (page, _):
        taken(page, tmp_path / "page.png")
        tall: Any = page.evaluate("document.documentElement.scrollHeight")
    with Image.open(tmp_path / "page.png") as picture:
        size = picture.size
    assert size in {(round(390 * scale), round(tall * scale)) for scale in (1, *SCALES)}  # smaller where its file would be large
