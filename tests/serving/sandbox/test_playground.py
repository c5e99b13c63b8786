"""A browser at work: a link followed, a form filled, a picture seen; errors in words at their field; nothing from elsewhere."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from playwright.sync_api import Browser, expect

from serving.sandbox import control
from serving.sandbox.control import Running
from serving.sandbox.web.notice import NOTICE
from tests.serving.axe import audited
from tests.serving.sandbox.browsing import PIXELS, Watched, chromium, field, playground, sent
from tests.serving.sandbox.deployer import Deployer, client_of, until
from tests.serving.sandbox.painted import deploy_pictures, priced

LORA = json.loads((Path(__file__).resolve().parents[1] / "app" / "openapi.json").read_text())["whole"]


@pytest.fixture(scope="module")
def browser(sandbox: Running, owner: Deployer, home: Path) -> Iterator[Browser]:
    """Beside it three apps: one that paints, the same with the OpenAPI of a real one, and a private one."""
    deploy_pictures(owner, "gallery")
    deploy_pictures(owner, "lora", openapi=LORA)
    deploy_pictures(owner, "own", auth="PRIVATE")
    priced(home, sandbox, "gallery", "0.035")
    with chromium(home) as opened:
        yield opened


@pytest.fixture(scope="module")
def state(browser: Browser, home: Path) -> Any:
    """Cookie and storage of a browser that followed a link."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(control.link(home))
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    return context.storage_state()


@pytest.fixture
def watched(browser: Browser, state: Any, sandbox: Running) -> Iterator[Watched]:
    """A page of that session, which may complain of nothing and ask nobody else."""
    context = browser.new_context(storage_state=state)
    watched = Watched(context.new_page())
    yield watched
    assert watched.complaints == []
    assert watched.elsewhere(sandbox.address) == []
    context.close()


def test_a_page_without_a_session_says_how_to_get_one_and_the_link_leads_back(
    browser: Browser, sandbox: Running, home: Path
) -> None:
    watched = Watched(browser.new_page())
    page = watched.page
    page.goto(f"https://{sandbox.address}/models/{sandbox.owner}/gallery/playground")
    expect(page.get_by_text("lorasmith sandbox open")).to_be_visible()
    expect(page.get_by_text(NOTICE)).to_be_visible()
    link = control.link(home)
    page.goto(link)
    expect(page.get_by_role("heading", name=f"{sandbox.owner}/gallery")).to_be_visible()
    assert "#" not in page.url
    other = browser.new_page()
    other.goto(link)
    expect(other.get_by_role("alert")).to_contain_text("it works once")
    other.close()
    page.goto(f"https://{sandbox.address}/")
    page.get_by_role("button", name="End session").click()
    expect(page.get_by_text("This page needs a session")).to_be_visible()
    assert (watched.complaints, watched.elsewhere(sandbox.address)) == ([], [])
    page.close()


def test_a_session_that_ends_elsewhere_locks_the_page(browser: Browser, sandbox: Running, home: Path) -> None:
    context = browser.new_context()
    page, other = context.new_page(), context.new_page()
    page.goto(control.link(home))
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    other.goto(f"https://{sandbox.address}/")
    other.get_by_role("button", name="End session").click()
    page.bring_to_front()
    expect(page.get_by_text("This page needs a session")).to_be_visible()
    expect(page.get_by_role("heading", name="Overview")).to_be_hidden()
    context.close()


def test_a_stored_page_runs_nothing_on_the_origin_of_the_pages(browser: Browser, state: Any, sandbox: Running) -> None:
    attack = b"<title>calm</title><script>document.title = localStorage.length + fetch('/sandbox/overview.json')</script>"
    with client_of(sandbox, key=sandbox.owner_key) as client:
        wanted = {"file_name": "x.html", "content_type": "text/html"}
        made = client.post("/storage/upload/initiate", json=wanted).json()
        client.put(made["upload_url"], content=attack)
    context = browser.new_context(storage_state=state)
    watched = Watched(context.new_page())
    watched.page.goto(made["file_url"])
    until(lambda: any("sandboxed" in complaint for complaint in watched.complaints))
    assert watched.page.title() == "calm"
    assert watched.asked == [made["file_url"]]
    context.close()


def test_requests_appear_while_one_looks(watched: Watched, sandbox: Running) -> None:
    page = watched.page
    page.goto(f"https://{sandbox.address}/")
    expect(page.get_by_role("link", name=f"{sandbox.owner}/gallery")).to_be_visible()
    with client_of(sandbox, key=sandbox.caller_key) as caller:
        ticket = caller.post(f"/queue/{sandbox.owner}/gallery", json={"prompt": "slow river", "num_images": 2}).json()
        caller.post(f"/queue/{sandbox.owner}/gallery", json={"prompt": "slow tide"})
        requests = page.locator("#requests tbody tr")
        expect(requests.filter(has_text="at work").first).to_be_visible()
        expect(requests.filter(has_text="waits").first).to_be_visible()
        expect(page.locator("#runners tr", has_text="gallery")).to_contain_text("1 of 1")
        row = requests.filter(has_text=ticket["request_id"][:8])
        expect(row).to_contain_text("200 done")
        expect(row).to_contain_text("sandbox-caller")
        expect(row).to_contain_text("$0.070")
    expect(page.locator("#apps tr", has_text="gallery")).to_contain_text("$0.035 per image")
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("status")).to_have_text("paused")


def test_a_form_is_filled_and_its_pictures_are_shown_with_their_price(watched: Watched, sandbox: Running) -> None:
    form = playground(watched, sandbox, "gallery")
    page = watched.page
    assert sent(page) == {"prompt": "hills at dusk"}
    form.get_by_text("More (7)").click()
    form.get_by_label("Prompt prompt", exact=True).fill("hills <b>&</b> 'moons'")
    form.get_by_label("Num images num_images").fill("2")
    field(form, "seed").get_by_role("button", name="42").click()
    form.get_by_label("Image size image_size").select_option("square_hd")
    form.get_by_label("Enable safety checker").uncheck()
    wanted = {"prompt": "hills <b>&</b> 'moons'", "num_images": 2, "seed": 42}
    assert sent(page) == wanted | {"image_size": "square_hd", "enable_safety_checker": False}
    form.get_by_role("button", name="Send").click()
    until(lambda: page.evaluate(PIXELS) == [512, 512])
    answer = page.get_by_role("region", name="Answer", exact=True).locator("visible=true")
    expect(answer.get_by_role("status")).to_contain_text("Done in")
    expect(answer).to_contain_text("2 × $0.035 per image = $0.070")
    expect(answer).to_contain_text("no real money moves")
    expect(answer).to_contain_text("inference 0.42 s")
    expect(answer.get_by_label("Log of the request")).to_contain_text("painting 2 of 2: 512 x 512, seed 43")
    assert page.get_by_role("img", name="Picture 1: hills <b>&</b> 'moons'").count() == 1


def test_the_same_call_is_given_for_other_programs(watched: Watched, sandbox: Running) -> None:
    form = playground(watched, sandbox, "gallery")
    form.get_by_label("Prompt prompt", exact=True).fill('it\'s "dusk"')
    code = watched.page.locator(".snippet pre:visible")
    watched.page.get_by_role("tab", name="Python").click()
    text = code.inner_text()
    compile(text, "snippet", "exec")
    assert 'fal_client.subscribe("sandbox-owner/gallery", arguments={' in text
    watched.page.get_by_role("tab", name="Python").press("ArrowRight")
    assert f"curl https://{sandbox.address}/sandbox-owner/gallery" in code.inner_text()
    assert "it'\\''s \\\"dusk\\\"" in code.inner_text()


def test_a_caller_waits_its_turn_and_may_cancel(watched: Watched, sandbox: Running) -> None:
    with client_of(sandbox, key=sandbox.caller_key) as caller:
        for _ in range(2):
            caller.post(f"/queue/{sandbox.owner}/gallery", json={"prompt": "slow"})
        form = playground(watched, sandbox, "gallery")
        form.get_by_role("button", name="Send").click()
        status = watched.page.get_by_role("status").locator("visible=true")
        expect(status).to_contain_text("ahead of it")
        form.get_by_role("button", name="Cancel").click()
        expect(status).to_have_text("The request was cancelled.")


@pytest.mark.parametrize(
    ("prompt", "name", "where"),
    [
        ("", "prompt", "String should have at least 1 character"),
        ("forbidden", "prompt", "against the content policy"),
    ],
)
def test_what_is_wrong_stands_at_its_field(watched: Watched, sandbox: Running, prompt: str, name: str, where: str) -> None:
    form = playground(watched, sandbox, "gallery")
    form.get_by_label("Prompt prompt", exact=True).fill(prompt)
    form.get_by_role("button", name="Send").click()
    expect(field(form, name).locator(".error")).to_contain_text(where)
    expect(form.get_by_label("Prompt prompt", exact=True)).to_have_attribute("aria-invalid", "true")
    expect(form.get_by_label("Prompt prompt", exact=True)).to_be_focused()
    assert watched.faint() == []
    form.get_by_label("Prompt prompt", exact=True).fill("a lake")
    form.get_by_role("button", name="Send").click()
    until(lambda: watched.page.evaluate(PIXELS) == [512])
    expect(field(form, name).locator(".error")).to_be_hidden()


def test_a_fault_deep_inside_is_found_too(watched: Watched, sandbox: Running) -> None:
    form = playground(watched, sandbox, "gallery")
    form.get_by_label("Image size image_size").select_option(label="custom: width and height")
    form.get_by_label("Width width").fill("99")
    assert sent(watched.page)["image_size"] == {"width": 99, "height": 544}
    form.get_by_text("More (7)").click()
    form.get_by_label("Num inference steps num_inference_steps").fill("99")
    form.get_by_text("More (7)").click()
    form.get_by_role("button", name="Send").click()
    expect(field(form, "width").locator(".error")).to_contain_text("multiple of 16")
    expect(field(form, "num_inference_steps").locator(".error")).to_contain_text("less than or equal to 50")


@pytest.mark.parametrize(
    ("prompt", "words", "again"),
    [
        ("busy street", "The app is well: send it again in a moment. It asks to wait 2 s.", True),
        ("broken brush", "The app failed on this request.", True),
        ("partly there", "1 not delivered and not billed: content policy.", False),
    ],
)
def test_what_went_wrong_is_said_in_words(watched: Watched, sandbox: Running, prompt: str, words: str, again: bool) -> None:
    form = playground(watched, sandbox, "gallery")
    form.get_by_label("Prompt prompt", exact=True).fill(prompt)
    form.get_by_role("button", name="Send").click()
    expect(watched.page.locator(".result:visible")).to_contain_text(words)
    assert watched.page.get_by_role("button", name="Send again").count() == int(again)


def test_every_failure_has_words(watched: Watched, sandbox: Running) -> None:
    watched.page.goto(f"https://{sandbox.address}/")
    asked = """async ([status, body, headers]) => {
      const { failure } = await import("/sandbox/static/failures.js");
      return failure(status, body, new Headers(headers));
    }"""
    cases = {
        401: "lorasmith sandbox open",
        403: "may not call",
        404: "no such app",
        413: "larger",
        499: "cancelled",
        503: "No runner",
        504: "longer than",
        418: "status 418",
    }
    for status, words in cases.items():
        found = watched.page.evaluate(asked, [status, {"detail": "why"}, {}])
        assert words in found["title"]
        assert found["rest"] == ["why"]
    typed = watched.page.evaluate(asked, [503, None, {"x-fal-error-type": "runner_scheduling_failure"}])
    assert "its setup failed" in typed["title"]


@pytest.mark.parametrize("way", ["as data URI", "by storage link"])
def test_a_file_is_chosen_and_comes_back(watched: Watched, sandbox: Running, tmp_path: Path, way: str) -> None:
    from PIL import Image

    Image.new("RGB", (48, 32), "teal").save(tmp_path / "teal.png")
    form = playground(watched, sandbox, "gallery", endpoint="#/image-to-image")
    form.get_by_label("How the file is sent").select_option(way)
    form.get_by_label("Choose a file").set_input_files(tmp_path / "teal.png")
    expect(form.locator(".chosen")).to_contain_text("teal.png")
    start = "data:image/png" if way == "as data URI" else f"https://{sandbox.address}/storage/files/"
    until(lambda: sent(watched.page).get("image_url", "").startswith(start))
    form.get_by_role("button", name="Send").click()
    until(lambda: watched.page.evaluate(PIXELS) == [48])


def test_lists_objects_and_anything_else_can_be_filled(watched: Watched, sandbox: Running) -> None:
    form = playground(watched, sandbox, "gallery", endpoint="#/sketch")
    shapes = field(form, "shapes")
    for _ in range(2):
        shapes.locator("> .list > button").click()
    shapes.get_by_label("Name name").nth(1).select_option("square")
    shapes.locator(".list .list > button").nth(1).click()
    shapes.get_by_label("Item sides").fill("4")
    shapes.get_by_role("button", name="Remove item 1").first.click()
    form.get_by_text("More (3)").click()
    form.get_by_label("Options options").fill('{"dotted": true}')
    assert sent(watched.page) == {"shapes": [{"name": "square", "sides": [4]}], "options": {"dotted": True}}
    form.get_by_role("button", name="Send").click()
    expect(watched.page.locator(".tree:visible").first).to_contain_text("square")


@pytest.mark.parametrize(("endpoint", "model"), [("", "Input"), ("#/image-to-image", "ImageInput"), ("#/verify", "VerifyInput")])
def test_the_form_of_a_real_app_sends_what_its_schema_allows(watched: Watched, sandbox: Running, endpoint: str, model: str) -> None:
    schemas = LORA["components"]["schemas"]
    form = playground(watched, sandbox, "lora", endpoint=endpoint)
    validator = jsonschema.Draft202012Validator({"$ref": f"#/components/schemas/{model}", "components": {"schemas": schemas}})
    validator.validate(sent(watched.page))
    names = [name for name, field in schemas[model]["properties"].items() if not field.get("ui", {}).get("hidden")]
    shown = form.locator("label code, .label code").all_text_contents()
    assert sorted(shown) == sorted(names)
    for name in names:
        for button in field(form, name).locator("button.example").all():
            if button.is_visible():
                button.click()
                validator.validate(sent(watched.page))
    if model != "VerifyInput":
        form.get_by_label("Image size image_size").select_option(label="custom: width and height")
        validator.validate(sent(watched.page))


def test_a_private_app_is_called_as_its_owner(watched: Watched, sandbox: Running) -> None:
    form = playground(watched, sandbox, "own")
    expect(watched.page.locator("main")).to_contain_text("Called here as sandbox-owner")
    form.get_by_role("button", name="Send").click()
    until(lambda: watched.page.evaluate(PIXELS) == [512])
    expect(watched.page.locator(".result:visible")).to_contain_text("the owner of the app pays the machine")
    watched.page.get_by_text("Log of the runner").click()
    expect(watched.page.get_by_label("Last lines of the runner")).to_contain_text("painting 1 of 1")


@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (1280, "dark")])
def test_pages_are_narrow_enough_and_readable(browser: Browser, state: Any, sandbox: Running, width: int, scheme: Any) -> None:
    context = browser.new_context(storage_state=state, viewport={"width": width, "height": 800}, color_scheme=scheme)
    watched = Watched(context.new_page())
    page = watched.page
    page.goto(f"https://{sandbox.address}/")
    expect(page.get_by_role("link", name=f"{sandbox.owner}/gallery")).to_be_visible()
    assert (watched.sideways(), watched.faint()) == (0, [])
    assert audited(page) == []
    for endpoint in ("", "#/image-to-image", "#/verify"):
        form = playground(watched, sandbox, "lora", endpoint=endpoint)
        for more in form.locator("summary").all():
            more.click()
        assert (watched.sideways(), watched.faint()) == (0, [])
        assert audited(page) == []
        page.goto("about:blank")  # so that the next address is another page, not another place in this one
    assert watched.complaints == []
    context.close()


def test_it_can_be_used_without_a_mouse(watched: Watched, sandbox: Running) -> None:
    playground(watched, sandbox, "gallery")
    page = watched.page
    page.get_by_role("tab", name="Generate").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", name="Image To Image")).to_be_focused()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Tab")
    expect(page.get_by_label("Prompt prompt", exact=True).locator("visible=true")).to_be_focused()
    unnamed = """[...document.querySelectorAll("input, select, textarea, button, meter, progress, [role=tab]")]
      .filter(element => element.checkVisibility() && !element.labels?.length && !element.ariaLabel && !element.textContent.trim())
      .map(element => element.outerHTML.slice(0, 80))"""
    assert page.evaluate(unnamed) == []
    page.keyboard.press("Control+Enter")
    page.get_by_role("button", name="Send").locator("visible=true").press("Enter")
    until(lambda: page.evaluate(PIXELS) == [512])
