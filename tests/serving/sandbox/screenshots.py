"""`python -m tests.serving.sandbox.screenshots [FOLDER]`: the sandbox's pages as they are, for docs/images."""

import random
import sys
import tempfile
import threading
from pathlib import Path

from playwright.sync_api import Page

from serving.sandbox import control
from tests.serving.sandbox.browsing import chromium
from tests.serving.sandbox.deployer import Deployer, client_of, until
from tests.serving.sandbox.painted import deploy_pictures, priced

PROMPTS = ("a valley", "ridges by moonlight", "a lake", "forbidden things", "partly cloudy", "broken brush", "busy street")
WEIGHTS = (8, 6, 6, 2, 2, 1, 1)
CALLS = 60
WIDTH = 1280


def main(folder: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="lorasmith-", ignore_cleanup_errors=True) as made:
        home = Path(made)
        deployer = Deployer(control.up(home))
        try:
            served(home, deployer)
            with chromium(home) as browser:
                page = browser.new_page(viewport={"width": WIDTH, "height": 900}, device_scale_factor=1.5)
                page.goto(control.link(home))
                playground(page, deployer, folder)
                requests(page, deployer, folder)
        finally:
            deployer.close()
            control.down(home)


def served(home: Path, deployer: Deployer) -> None:
    """Two apps, and a little traffic of either outcome."""
    deploy_pictures(deployer, "landscapes")
    deploy_pictures(deployer, "sketches", auth="PRIVATE")
    priced(home, deployer.running, "landscapes", "0.035")
    priced(home, deployer.running, "sketches", "0.01")
    chance = random.Random(4)
    with client_of(deployer.running, key=deployer.running.caller_key) as caller:
        for seed in range(CALLS):
            body = {"prompt": chance.choices(PROMPTS, WEIGHTS)[0], "num_images": chance.randint(1, 3), "seed": seed}
            caller.post(f"/{deployer.running.owner}/landscapes", json=body)
            if seed % 5 == 4:
                deployer.call("sketches", {"prompt": "a house", "num_images": 2})
            threading.Event().wait(chance.expovariate(2))


def playground(page: Page, deployer: Deployer, folder: Path) -> None:
    page.wait_for_selector("table")
    page.goto(f"https://{deployer.running.address}/models/{deployer.running.owner}/landscapes/playground")
    page.get_by_label("Prompt", exact=False).first.fill("hills at dusk")
    page.get_by_text("More (").first.click()
    page.get_by_label("Num images", exact=False).first.fill("2")
    page.get_by_label("Seed", exact=False).first.fill("42")
    page.get_by_role("button", name="Send").first.click()
    page.locator(".pictures img").nth(1).wait_for()
    until(lambda: page.evaluate("[...document.querySelectorAll('.pictures img')].every(image => image.naturalWidth > 0)"))
    page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
    page.screenshot(path=folder / "sandbox-playground.png")


def requests(page: Page, deployer: Deployer, folder: Path) -> None:
    """While one is at work."""
    url = f"/queue/{deployer.running.owner}/landscapes"
    with client_of(deployer.running, key=deployer.running.caller_key) as caller:
        for prompt in ("slow river", "slow tide"):
            caller.post(url, json={"prompt": prompt})
        page.goto(f"https://{deployer.running.address}/")
        until(lambda: page.get_by_text("at work", exact=True).count() > 0)
        page.screenshot(path=folder / "sandbox-requests.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[3] / "docs" / "images")
