"""Captions: the trigger, the template, generic captions, and what is wrong with them."""

from pathlib import Path
from typing import Any

import pytest

from tests.licenses.loopback_hub import LoopbackHub
from tests.training.conftest import paint, saved_base
from tests.training.tiny import tiny_pipeline
from training.config import DatasetOptions
from training.data.captions import Rules, captions_of, check_rules, has_word, leak_remark, with_trigger, without_trigger
from training.data.lint import lint
from training.data.prepare import prepare
from training.data.windows import SHORT, long_remarks, window_of
from training.errors import DatasetError


def options(**changes: Any) -> DatasetOptions:
    return DatasetOptions(**{"resolution": 32, "held_out": 0, **changes})


@pytest.mark.parametrize(
    ("template", "caption", "text"),
    [
        ("{trigger}, {caption}", "a dog", "sks, a dog"),
        ("a photo of {trigger}: {caption}", "a dog", "a photo of sks: a dog"),
        ("{caption} in {trigger} style", "a dog", "a dog in sks style"),
        ("{caption} in {trigger} style", "a sks dog", "a sks dog"),
        ("{caption} in {trigger} style", "", "sks"),
    ],
)
def test_the_template_says_where_trigger_and_caption_go(template: str, caption: str, text: str) -> None:
    assert with_trigger(caption, "sks", template) == text


@pytest.mark.parametrize(
    "template", ["{caption}", "{trigger}", "{trigger} {caption} {0}", "{trigger} {caption", "{trigger.x}{caption}"]
)
def test_a_template_that_loses_something_is_refused(template: str) -> None:
    with pytest.raises(DatasetError, match="template: got"):
        check_rules(Rules(trigger="sks", template=template))
    check_rules(Rules(template="{caption}, flat"))


@pytest.mark.parametrize(
    ("caption", "generic", "without"),
    [
        ("sks, a dog", None, "a dog"),
        ("a photo of SKS dog", None, "a photo of dog"),
        ("a hat, sks, on a chair", None, "a hat, on a chair"),
        ("a photo of sks on a chair", "dog", "a photo of dog on a chair"),
        ("sks", None, ""),
        ("sks", r"a \1 dog", r"a \1 dog"),
    ],
)
def test_a_generic_caption_is_the_caption_without_its_trigger(caption: str, generic: str | None, without: str) -> None:
    assert without_trigger(caption, "sks", generic) == without
    assert not has_word(without, "sks")


@pytest.mark.parametrize(
    ("caption", "leaks"),
    [
        ("a dog", False),
        ("a sks dog", False),  # taken out as a word
        ("two skss on a chair", True),
        ("an sks_dog", True),
        ("an s-k-s dog", True),
        ("a śks dog", True),
        ("masks on a chair", False),
        ("risks, a game", False),
    ],
)
def test_a_trigger_that_stays_in_a_generic_caption_is_a_leak(caption: str, leaks: bool, tmp_path: Path) -> None:
    path = paint(tmp_path / "a.png", 1, caption=caption)
    (given,) = captions_of({path: "a.png"}, {}, Rules(trigger="sks")).values()
    assert (leak_remark("a.png", given, "sks") is not None) == leaks


def test_generic_captions_stand_in_the_manifest_and_make_another_dataset(tmp_path: Path) -> None:
    paint(tmp_path / "in" / "a.png", 1, caption="on a chair")
    plain = prepare(tmp_path / "in", tmp_path / "one", options(trigger="sks"))
    named = prepare(tmp_path / "in", tmp_path / "two", options(trigger="sks", generic="a dog"))
    row, other = plain["pictures"][0], named["pictures"][0]  # type: ignore[index]
    assert (row["caption"], row["generic"]) == ("sks, on a chair", "on a chair")
    assert (other["caption"], other["generic"]) == ("sks, on a chair", "a dog, on a chair")
    assert plain["hash"] != named["hash"]
    with pytest.raises(DatasetError, match="holds the trigger 'sks': say it in ordinary words"):
        prepare(tmp_path / "in", tmp_path / "two", options(trigger="sks", generic="an SKS dog"))


@pytest.fixture(scope="module")
def clip_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved_base("sd15", tmp_path_factory.mktemp("sd15"))


def test_a_caption_longer_than_the_encoder_reads_is_remarked(clip_base: Path) -> None:
    limit = window_of(clip_base).tokens
    long, short = "a dog on a chair " * limit, "a dog"
    (remark,) = long_remarks([("a.png", long), ("b.png", short)], clip_base)
    assert (remark.file, remark.code) == ("a.png", "long_caption")
    assert f"reads {limit}" in remark.message


def test_the_widest_encoder_of_a_base_decides(base_folder: Path) -> None:
    tokenizer = tiny_pipeline("z-image").tokenizer
    window = window_of(base_folder)
    assert window.tokens == min(tokenizer.model_max_length, 512)  # what the pipeline asks its tokenizer for
    assert window.count("a dog") == len(tokenizer("a dog").input_ids)


def test_the_tokenizers_of_a_base_on_the_hub_are_fetched_without_its_weights(hub: LoopbackHub, clip_base: Path) -> None:
    wanted = [clip_base / "model_index.json", *(clip_base / "tokenizer").iterdir(), *(clip_base / "unet").iterdir()]
    files: dict[str, str | bytes] = {path.relative_to(clip_base).as_posix(): path.read_bytes() for path in wanted}
    hub.add("owner/base", files)
    (remark,) = long_remarks([("a.png", "a dog on a chair " * 40)], "hf://owner/base@main")
    assert remark.code == "long_caption"
    assert not any("unet" in path for _, path in hub.requests if "/resolve/" in path)
    (remark,) = long_remarks([("a.png", "a dog on a chair " * 40)], "hf://owner/nothing")
    assert (remark.code, remark.file) == ("unmeasured", ".")


@pytest.mark.parametrize("base", [None, Path("/nowhere")])
def test_captions_that_nobody_could_count_are_unmeasured_and_short_ones_need_no_counting(base: Path | None) -> None:
    (remark,) = long_remarks([("a.png", "x" * (SHORT + 1))], base)
    assert (remark.file, remark.code) == (".", "unmeasured")
    assert long_remarks([("a.png", "x" * SHORT)], base) == []


def test_the_lint_finds_what_preparing_finds_without_decoding(tmp_path: Path) -> None:
    for name, caption in (("a", "a dog"), ("b", "A dog"), ("c", None), ("d", "two skss")):
        paint(tmp_path / "in" / f"{name}.png", ord(name), caption=caption)
    (tmp_path / "in" / "d.png").write_text("no picture")
    found = lint(tmp_path / "in", options(trigger="sks"))
    assert [(finding.file, finding.code) for finding in found.findings] == [
        ("b.png", "duplicate_caption"),
        ("c.png", "missing_caption"),
        ("d.png", "trigger_leak"),
    ]
    assert found.errors == 1
    assert found.captions["a.png"] == "sks, a dog"
    assert lint(tmp_path / "in", options(trigger="sks", policy={"missing_caption": "warning"})).errors == 0
