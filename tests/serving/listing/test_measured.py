"""What the evaluation measured reaches the listing with its receipt; what it did not measure is not claimed."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from serving.listing.advice import prompting, purpose, words_of_a_caption
from serving.listing.figures import at, figure
from serving.listing.lint import linted
from serving.listing.measured import champion, measures, memorisation
from serving.listing.model import Example
from serving.listing.model_values import Picture
from serving.listing.reach import reached
from tests.serving.listing.material import bundle, dataset, drafted, evaluation, files_in, listing_in, manifest

UNMEASURED = {"unmeasured": "no model is here"}
JUDGED = {"samples": [{}] * 16, "copies": 2, "chance": 0.01}
GENERAL = "was not measured in this release"


def measured(**fields: Any) -> dict[str, Any]:
    return {"evaluation": evaluation() | fields}


def test_memorisation_is_told_as_it_was_judged() -> None:
    found = memorisation(measured(memorisation={"hash": JUDGED, "embedding": {"model": "dino", **JUDGED, "copies": 1}}))
    assert found is not None
    assert (found.drawn.value, [one.value for one in found.copies]) == (16, [2, 1])
    assert "Copies: 2 by perceptual hash and 1 by embedding." in found.statement
    assert found.chance.text == "0.01"


@pytest.mark.parametrize(
    ("section", "copies", "says"),
    [
        ({"hash": JUDGED, "embedding": UNMEASURED}, [2], "By embedding it was not measured."),
        ({"hash": UNMEASURED, "embedding": JUDGED}, [2], "2 by embedding"),
    ],
)
def test_one_way_to_compare_is_enough(section: dict[str, Any], copies: list[int], says: str) -> None:
    found = memorisation(measured(memorisation=section))
    assert found is not None
    assert [one.value for one in found.copies] == copies
    assert says in found.statement


@pytest.mark.parametrize("section", [None, {}, {"hash": UNMEASURED, "embedding": UNMEASURED}])
def test_what_was_not_measured_is_a_limit(tmp_path: Path, section: dict[str, Any] | None) -> None:
    material = bundle(tmp_path / "bundle", evaluation() | {"memorisation": section})
    drafted(tmp_path / "draft", bundle=material, prompts=2, seeds=1)
    listing = listing_in(tmp_path / "draft")
    assert listing.facts.evaluation.memorisation is None
    assert [line for line in listing.facts.limits if "training pictures come back" in line and GENERAL in line]
    assert "copies of training pictures" not in (tmp_path / "draft" / "index.html").read_text()


def test_every_new_figure_is_in_its_receipt(draft: Path) -> None:
    listing = listing_in(draft)
    facts, receipts = listing.facts, {name: json.loads((draft / one.path).read_text()) for name, one in listing.receipts.items()}
    assert facts.evaluation.memorisation
    assert facts.evaluation.champion
    assert facts.strengths
    told = [*facts.evaluation.memorisation.copies, facts.evaluation.champion.relative, facts.strengths.low, facts.strengths.high]
    told += [one.adapter for one in facts.evaluation.measures]
    assert len(told) >= 6
    assert [one for one in told if at(receipts, one.receipt, one.pointer) != one.value] == []
    assert not any(GENERAL in line and "training" in line for line in facts.limits)


@pytest.mark.parametrize("name", ["index.html", "MODEL_CARD.md", "llms.txt", "request.eml"])
def test_champion_and_memorisation_stand_in(draft: Path, name: str) -> None:
    text = " ".join((draft / name).read_bytes().decode().replace("=\r\n", "").split())
    assert "was live before" in text
    assert "Copies: 0 by perceptual hash" in text


@pytest.mark.parametrize("found", [None, UNMEASURED, {}])
def test_without_a_champion_nothing_is_compared(found: object) -> None:
    assert champion(measured(champion=found)) is None


def test_scores_count_where_a_model_was_there() -> None:
    scores = {"clip_t": {"model": "clip", "base": 0.2, "adapter": 0.25}, "clip_i": UNMEASURED, "dino": UNMEASURED}
    rows = measures(measured(scores=scores, drift={}, diversity={}))
    assert [(row.name, row.adapter.text, row.base and row.base.text) for row in rows] == [
        ("Likeness to the prompt", "0.250", "0.200")
    ]


def test_an_embedding_is_taken_before_pixels() -> None:
    both = {"pixel": {"base": 0.1, "adapter": 0.2}, "embedding": {"model": "dino", "base": 0.3, "adapter": 0.4}}
    (row,) = measures(measured(scores={}, drift={}, diversity=both))
    assert (row.adapter.value, "by embedding" in row.meaning) == (0.4, True)


def strip(levels: dict[float, int]) -> tuple[list[Example], dict[str, bytes]]:
    """A strip of plain pictures: strength -> brightness."""
    examples, files = [], {}
    for strength, level in levels.items():
        buffer = io.BytesIO()
        Image.fromarray(np.full((8, 8, 3), level, dtype=np.uint8)).save(buffer, "PNG")
        files[name := f"examples/{strength}.png"] = buffer.getvalue()
        picture = Picture(file=name, sha256="0" * 64, width=8, height=8)
        asked = {"prompt": "fox", "lora_scale": strength}
        examples.append(Example(input=asked, output=picture, seed=7, alt="a", role="strength", strength=strength))
    return examples, files


@pytest.mark.parametrize(
    ("levels", "low"),
    [
        ({0.0: 0, 0.5: 60, 1.0: 100, 1.5: 120}, 0.5),
        ({0.0: 0, 0.5: 40, 1.0: 100, 1.5: 120}, 1.0),
        ({0.0: 0, 0.25: 80, 0.5: 40, 1.0: 100}, 1.0),  # what comes and goes is not there yet
        ({0.0: 0, 0.25: 50, 0.5: 90, 1.0: 100}, 0.25),
    ],
)
def test_the_range_begins_where_half_of_the_way_is_gone(levels: dict[float, int], low: float) -> None:
    found = reached(*strip(levels), 1.0)
    assert found is not None
    assert (found["low"], found["high"]) == (low, 1.0)
    assert [step["strength"] for step in found["steps"]] == sorted(levels)


@pytest.mark.parametrize("levels", [{0.5: 60, 1.0: 100}, {0.0: 0, 0.5: 60}, {0.0: 5, 0.5: 5, 1.0: 5}])
def test_without_a_base_or_an_effect_there_is_no_range(levels: dict[float, int]) -> None:
    assert reached(*strip(levels), 1.0) is None


def captioned(*captions: str, trigger: str = "") -> dict[str, Any]:
    pictures = [{"caption": caption, "split": "train"} for caption in captions]
    return {"dataset": {"pictures": pictures}, "bundle": manifest() | {"trigger": trigger}}


@pytest.mark.parametrize(
    ("captions", "says"),
    [
        (("red fox", "owl"), "a few words"),
        (("a fox, red fur, on white, soft light", "an owl, brown, at night, on a branch"), "commas between"),
        (("a red fox is asleep on a large grey stone", "an owl sits on a branch in the night"), "in a sentence"),
    ],
)
def test_tips_are_read_off_the_captions(captions: tuple[str, ...], says: str) -> None:
    documents = captioned(*captions)
    assert says in " ".join(prompting(documents, words_of_a_caption(documents)))


def test_the_trigger_is_told_as_it_was_trained() -> None:
    always, seldom = captioned("zyx fox", "zyx owl", trigger="zyx"), captioned("zyx fox", "owl", trigger="zyx")
    assert "every caption that it learned from has it" in prompting(always, None)[0]
    assert "it calls the style" in prompting(seldom, None)[0]


def test_captions_that_would_read_as_claims_are_not_quoted() -> None:
    assert purpose(captioned("owl", "100 suns", "x" * 70, "a < b")).count("“") == 1
    assert "“" not in purpose(captioned("100 suns"))


def test_a_trigger_with_digits_is_no_claim(tmp_path: Path) -> None:
    pictures = [one | {"caption": f"zyx7 {one['caption']}"} for one in dataset()["pictures"]]
    material = bundle(tmp_path / "bundle")
    (material / "manifest.json").write_text(json.dumps(manifest() | {"trigger": "zyx7"}))
    drafted(tmp_path / "draft", bundle=material, dataset=dataset() | {"trigger": "zyx7", "pictures": pictures})
    listing = listing_in(tmp_path / "draft")
    assert "zyx7" in listing.facts.prompting[0]
    assert [one for one in linted(listing, files_in(tmp_path / "draft")) if one.level == "error"] == []


def test_a_figure_needs_a_number() -> None:
    assert figure({"a": {"b": [1, 0.5]}}, "a", "/b/1", "{:.0%}").text == "50 %"
    assert at({"a": {"b": [1]}}, "a", "/b/7") is None
