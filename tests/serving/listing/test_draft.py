"""From a release to a folder: all of it, the same bytes each time, and nothing where it is refused."""

import hashlib
import html
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from serving.listing.api import fields
from serving.listing.draft import endpoint_of
from serving.listing.errors import GalleryError, ListingError
from serving.listing.facts import marking, safety
from serving.listing.lint import linted
from serving.listing.planning import planned
from serving.listing.render import mail_body
from tests.serving.listing.material import TEXTS, bundle, dataset, drafted, evaluation, files_in, listing_in, release, settings


def test_everything_is_there(draft: Path) -> None:
    names = set(files_in(draft))
    assert {
        "listing.json",
        "index.html",
        "MODEL_CARD.md",
        "about.md",
        "llms.txt",
        "request.eml",
        "thumbnail.png",
        "social.png",
    } <= names
    receipts = ("evaluation", "bundle", "dataset", "verdict", "release", "settings", "gallery", "strengths")
    assert {name for name in names if name.startswith("receipts/")} == {f"receipts/{name}.json" for name in receipts}
    made = [name for name in names if name.startswith("examples/")]
    assert len(made) == 12 + 8 + 4 + 4 + 4  # pairs, their bases by the app, strengths; the evaluation's bases and real pictures


def test_second_draft_is_byte_identical(draft: Path, tmp_path: Path) -> None:
    drafted(tmp_path / "again")
    assert files_in(tmp_path / "again") == files_in(draft)


def test_summary_counts_what_was_called(tmp_path: Path) -> None:
    lines: list[str] = []
    summary = drafted(tmp_path / "draft", prompts=3, seeds=1, progress=lines.append)
    assert (summary["images"], summary["units"], summary["calls"]) == (7, 7, 7)  # three pairs and four strengths
    assert summary["endpoint_id"] == "studio/clay"
    assert summary["listing_sha256"] == hashlib.sha256((tmp_path / "draft" / "listing.json").read_bytes()).hexdigest()
    assert lines[0].startswith("example 1 of 7: ")


def test_receipts_are_files_beside_the_listing(draft: Path) -> None:
    for receipt in listing_in(draft).receipts.values():
        assert hashlib.sha256((draft / receipt.path).read_bytes()).hexdigest() == receipt.sha256


def test_the_author_s_price_reaches_the_page(tmp_path: Path) -> None:
    drafted(tmp_path / "draft", texts=replace(TEXTS, price_usd=0.03))
    assert "$0.03" in (tmp_path / "draft" / "index.html").read_text(encoding="utf-8")


def test_without_settings_bounds_and_safety_are_not_guessed(tmp_path: Path) -> None:
    drafted(tmp_path / "draft", settings=None)
    listing = listing_in(tmp_path / "draft")
    assert {row.bounds for row in listing.api.input} == {None}
    assert "not stated" in listing.facts.safety


@pytest.mark.parametrize(
    ("safety", "says"),
    [
        ({"enabled": False}, ["Pictures are not checked", "prompt filter is always on", "a list of words"]),
        (
            {"enabled": True},
            ["of 2016", "nudity alone", "no violence", "likeness of persons", "minors", "No caller can turn it off."],
        ),
        ({"enabled": True, "optional": True}, ["nudity alone", "A caller may turn it off for a request."]),
        ({"enabled": True, "checker": f"owner/name@{'7' * 40}", "unsafe": ["gore"]}, ["owner/name at commit 7777", "labels gore"]),
        ({"enabled": True, "deny": ["acme"]}, ["The publisher's own words add to it."]),
    ],
)
def test_the_listing_says_what_is_not_covered_and_who_may_turn_it_off(
    tmp_path: Path, safety: dict[str, object], says: list[str]
) -> None:
    drafted(tmp_path / "draft", settings=settings() | {"safety": safety})
    listing = listing_in(tmp_path / "draft")
    assert [part for part in says if part not in listing.facts.safety] == []
    assert [finding for finding in linted(listing, files_in(tmp_path / "draft")) if finding.where == "facts.safety"] == []
    page, card = ((tmp_path / "draft" / name).read_text(encoding="utf-8") for name in ("index.html", "MODEL_CARD.md"))
    assert listing.facts.safety in html.unescape(page)
    assert listing.facts.safety in card.replace("\\", "")  # Markdown escapes underscores


def test_trigger_limit_is_stated_only_where_it_is_true(draft: Path, tmp_path: Path) -> None:
    rows = [row | {"caption": f"softclay, {row['caption']}"} for row in evaluation()["per_picture"]]
    with_trigger = evaluation() | {"per_picture": rows}
    drafted(tmp_path / "draft", bundle=bundle(tmp_path / "bundle", with_trigger))
    said = "Every evaluated prompt holds the trigger word"
    assert [any(said in line for line in listing_in(folder).facts.limits) for folder in (tmp_path / "draft", draft)] == [
        True,
        False,
    ]


def test_other_texts_are_rendered_over_the_same_pictures(draft: Path, tmp_path: Path) -> None:
    gallery, shots = draft.with_name("draft-gallery"), planned(evaluation(), dataset(), settings())
    drafted(tmp_path / "draft", texts=replace(TEXTS, title="Other Clay"), gallery=gallery, shots=shots)
    assert "Other Clay" in (tmp_path / "draft" / "index.html").read_text(encoding="utf-8")
    before, after = (
        {name: content for name, content in files_in(folder).items() if name.startswith("examples/")}
        for folder in (draft, tmp_path / "draft")
    )
    assert before == after


def test_pictures_of_other_prompts_are_refused(draft: Path, tmp_path: Path) -> None:
    shots = planned(evaluation(), dataset(), settings(), seeds=1)
    with pytest.raises(GalleryError, match="made for other prompts"):
        drafted(tmp_path / "draft", gallery=draft.with_name("draft-gallery"), shots=shots)
    assert not (tmp_path / "draft").exists()


def test_folder_with_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("mine")
    with pytest.raises(ListingError, match="written into an empty one"):
        drafted(tmp_path, bundle=tmp_path / "nowhere")
    assert (tmp_path / "note.txt").read_text() == "mine"


@pytest.mark.parametrize("content", [None, "{", "\x00"])
def test_unreadable_evaluation_is_one_clear_line(tmp_path: Path, content: str | None) -> None:
    folder = bundle(tmp_path / "bundle")
    (folder / "evaluation.json").unlink()
    if content is not None:
        (folder / "evaluation.json").write_text(content)
    with pytest.raises(ListingError, match=r"evaluation.json: not readable") as caught:
        drafted(tmp_path / "draft", bundle=folder)
    assert "\n" not in str(caught.value)


def test_unmeasured_loss_is_one_clear_line(tmp_path: Path) -> None:
    unmeasured = evaluation() | {"loss": {"base": None, "adapter": None, "relative": None}}
    with pytest.raises(ListingError, match=r"evaluation/loss/relative: got None, a number is needed"):
        drafted(tmp_path / "draft", bundle=bundle(tmp_path / "bundle", unmeasured))


@pytest.mark.parametrize(
    ("marking", "says"),
    [
        (None, "without a machine-readable mark"),
        ({"enabled": True}, "a development certificate"),
        ({"enabled": True, "certificate": "secret", "publisher": "Studio 54"}, "the certificate of Studio 54"),
    ],
)
def test_the_listing_says_how_pictures_are_marked(tmp_path: Path, marking: dict[str, object] | None, says: str) -> None:
    drafted(tmp_path / "draft", settings=settings() | ({"marking": marking} if marking else {}))
    listing = listing_in(tmp_path / "draft")
    assert says in listing.facts.marking
    assert [finding for finding in linted(listing, files_in(tmp_path / "draft")) if finding.where == "facts.marking"] == []
    assert listing.facts.marking in html.unescape((tmp_path / "draft" / "index.html").read_text(encoding="utf-8"))


def test_api_table_has_what_the_pipeline_of_the_package_takes() -> None:
    from serving.app.requests.schema import image_input_model, input_model
    from serving.app.settings import Settings

    pipeline = {"negative_prompt": True, "image_to_image": "ZImageImg2ImgPipeline"}
    package = Settings.model_validate(settings() | {"pipeline": pipeline})
    served = {name for model in (input_model, image_input_model) for name in model(package).model_json_schema()["properties"]}
    assert {name for name, _, _ in fields(settings() | {"pipeline": pipeline})} == served


@pytest.mark.parametrize(
    ("app", "run", "expected"),
    [
        ("clay", "https://fal.run/studio/clay", "studio/clay"),
        ("studio/clay", "https://fal.run/studio/clay", "studio/clay"),
        ("clay", "https://127.0.0.1:9/studio/clay/", "studio/clay"),
        ("clay", "", "clay"),
        ("clay", "https://fal.run/studio/other", "clay"),
    ],
)
def test_endpoint_id(app: str, run: str, expected: str) -> None:
    assert endpoint_of({"app": app, "urls": {"run": run}}) == expected
    assert endpoint_of(release()) == "studio/clay"


def test_api_table_is_the_schema_that_the_app_serves(draft: Path) -> None:
    from serving.app.requests.schema import Output, input_model
    from serving.app.settings import Settings

    served = input_model(Settings.model_validate_json(json.dumps(settings())))
    schema = served.model_json_schema()
    table = {row.name: row for row in listing_in(draft).api.input}
    assert set(table) == set(schema["properties"])
    assert [name for name, row in table.items() if row.required] == schema["required"]
    for name in ("num_inference_steps", "guidance_scale", "lora_scale", "num_images", "output_format"):
        default = served.model_fields[name].default
        assert table[name].default == (default if isinstance(default, str) else f"{default:g}"), name
    for name in ("guidance_scale", "lora_scale", "num_images", "seed"):
        given = schema["properties"][name]
        given = given if "minimum" in given else given["anyOf"][0]
        assert table[name].bounds == f"{given['minimum']:g} to {given['maximum']:.10g}", name
    assert {row.name for row in listing_in(draft).api.output} == set(Output.model_fields)


@pytest.mark.parametrize(
    ("change", "name", "says"),
    [
        ({"billing": {"unit": "request"}}, "num_images", "a request that delivers any is one billable unit"),
        ({"billing": {"unit": "megapixel"}}, "num_images", "megapixels of those that are delivered"),
        ({"safety": {"enabled": False}}, "enable_safety_checker", "No effect: pictures are not checked"),
        ({"safety": {"enabled": True, "optional": True}}, "enable_safety_checker", "Whether pictures are checked"),
        ({"safety": {"enabled": True}}, "enable_safety_checker", "No effect: every picture is checked"),
    ],
)
def test_the_api_table_says_what_this_package_does(change: dict[str, Any], name: str, says: str) -> None:
    (text,) = [text for field, _, text in fields(settings() | change) if field == name]
    assert says in text


def test_safety_and_marking_are_told_once(tmp_path: Path) -> None:
    told = release()
    told["evidence"]["main"]["health"] |= {"safety": safety(settings()), "marking": marking(settings())}  # as the app's health does
    drafted(tmp_path / "draft", release=told)
    listing = listing_in(tmp_path / "draft")
    texts = {"page": html.unescape((tmp_path / "draft" / "index.html").read_text(encoding="utf-8")), "mail": mail_body(listing)}
    for name, text in texts.items():
        for said in (listing.facts.safety, listing.facts.marking):
            assert " ".join(text.split()).count(said) == 1, name


def test_every_text_says_what_a_unit_is(tmp_path: Path) -> None:
    drafted(tmp_path / "draft", settings=settings() | {"billing": {"unit": "megapixel"}})
    meaning = listing_in(tmp_path / "draft").pricing.meaning
    assert meaning.startswith("one megapixel")
    for name in ("index.html", "MODEL_CARD.md", "about.md", "llms.txt"):
        assert meaning in html.unescape((tmp_path / "draft" / name).read_text(encoding="utf-8")), name
