"""The checkers of pictures: what they flag, from several threads, of any size and mode; starts that fail; what is said of them."""

import re
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image as PIL

from serving.app.errors import SettingsError
from serving.app.safety.checker import Checker, checker_for, safety_statement, statement_of
from serving.app.safety.classifier import Classifier
from serving.app.safety.opennsfw import OpenNsfw
from serving.app.settings import Installed, Safety
from tests.licenses.loopback_hub import COMMIT, LoopbackHub
from tests.serving.app.classifiers import NAME, files_of, hub_with
from tests.serving.app.packages import ScriptedApp, built

ROOT = Path(__file__).resolve().parents[3]
SURE = {"normal": 0.1, "nsfw": 0.6, "porn": 0.3}
SHAPES = [((16, 16), "RGB"), ((1, 1), "RGB"), ((2000, 16), "RGB"), ((16, 1500), "L"), ((40, 30), "RGBA"), ((8, 8), "CMYK")]


@pytest.fixture(scope="module")
def open_nsfw() -> OpenNsfw:
    return OpenNsfw(threshold=0.8)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A classifier that finds white pictures unsafe: nsfw 0.6 and porn 0.3; black ones are as much of each label."""
    return files_of(tmp_path_factory.mktemp("classifier"), SURE)


@pytest.fixture
def hub(files: dict[str, bytes], tmp_path: Path) -> Iterator[LoopbackHub]:
    with hub_with(files, tmp_path / "cache") as hub:
        yield hub


def white(size: tuple[int, int] = (64, 64), mode: str = "RGB") -> PIL.Image:
    return PIL.new("RGB", size, "white").convert(mode)


def with_safety(package: Installed, **fields: Any) -> Installed:
    return replace(package, settings=package.settings.model_copy(update={"safety": Safety(**fields)}))


def test_the_demos_pictures_are_far_below_the_threshold(open_nsfw: OpenNsfw) -> None:
    pictures = [PIL.open(path).convert("RGB") for path in sorted(ROOT.glob("examples/emoji/*/*.webp"))[:8]]
    assert len(pictures) == 8
    scores = [open_nsfw.score(picture) for picture in pictures]
    assert max(scores) < 0.6 < open_nsfw.threshold
    assert not any(open_nsfw.flags(picture) for picture in pictures)


def test_a_score_at_the_threshold_flags_and_repeats(open_nsfw: OpenNsfw) -> None:
    picture = PIL.fromarray(np.random.default_rng(1).integers(0, 255, (64, 64, 3), dtype=np.uint8))
    score = open_nsfw.score(picture)
    assert 0 < score < 1
    assert [OpenNsfw(threshold=at).flags(picture) for at in (score, score + 1e-9)] == [True, False]


@pytest.mark.parametrize(("size", "mode"), SHAPES)
def test_any_size_and_mode_is_judged(open_nsfw: OpenNsfw, hub: LoopbackHub, size: tuple[int, int], mode: str) -> None:
    assert 0 <= open_nsfw.score(white(size, mode)) <= 1
    assert Classifier(NAME, unsafe=("nsfw", "porn"), threshold=0.8).flags(white(size, mode))


@pytest.mark.parametrize("kind", ["opennsfw", "classifier"])
def test_several_threads_get_what_one_gets(open_nsfw: OpenNsfw, hub: LoopbackHub, kind: str) -> None:
    checker = open_nsfw if kind == "opennsfw" else Classifier(NAME, unsafe=("nsfw",), threshold=0.5)
    noise = np.random.default_rng(2).integers(0, 255, (12, 32, 32, 3), dtype=np.uint8)
    pictures = [PIL.fromarray(one) for one in noise]
    alone = [checker.score(picture) for picture in pictures]
    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(checker.score, pictures)) == alone
    assert len(set(alone)) > 1 or kind == "classifier"


def test_a_score_that_is_no_number_flags(open_nsfw: OpenNsfw, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OpenNsfw, "score", lambda self, picture: float("nan"))
    assert open_nsfw.flags(white())


def test_one_thread_a_call_on_the_cpu(open_nsfw: OpenNsfw) -> None:
    session = open_nsfw._classifier._session
    assert session.get_session_options().intra_op_num_threads == 1
    assert session.get_providers() == ["CPUExecutionProvider"]


@pytest.mark.parametrize("break_it", ["changed", "gone"])
def test_other_weights_than_the_published_ones_stop_the_start(
    package: Installed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, break_it: str
) -> None:
    if break_it == "changed":
        (tmp_path / "open-nsfw.onnx").write_bytes(b"other weights")
    monkeypatch.setattr("serving.app.safety.opennsfw.resources.files", lambda name: tmp_path)
    with pytest.raises(SettingsError, match=r"weights are not usable .*: install it anew") as refused:
        checker_for(with_safety(package, enabled=True).settings)
    assert "\n" not in str(refused.value)


def test_the_settings_choose_the_checker(package: Installed, hub: LoopbackHub) -> None:
    assert checker_for(with_safety(package, enabled=False).settings) is None
    default, named = (
        checker_for(with_safety(package, enabled=True, threshold=0.7, **fields).settings)
        for fields in ({}, {"checker": NAME, "unsafe": ("porn",)})
    )
    assert isinstance(default, OpenNsfw)
    assert isinstance(named, Classifier)
    assert default.threshold == named.threshold == 0.7


@pytest.mark.parametrize(
    "checker", ["nsfw", "owner/name", "owner/name@main", "owner/name@" + "a" * 39, "../x@" + "a" * 40, "a/b/c@" + "a" * 40, ""]
)
def test_a_checker_that_is_not_pinned_is_no_setting(checker: str) -> None:
    with pytest.raises(ValueError, match="should match pattern"):
        Safety(checker=checker)


@pytest.mark.parametrize(
    ("unsafe", "threshold", "of_white", "of_black"),
    [
        (("nsfw", "porn"), 0.89, True, False),  # together 0.9 of white
        (("nsfw", "porn"), 0.91, False, False),
        (("porn",), 0.32, False, True),  # a third of black
        (("nsfw",), 0.3, True, True),
    ],
)
def test_unsafe_labels_count_together(
    hub: LoopbackHub, unsafe: tuple[str, ...], threshold: float, of_white: bool, of_black: bool
) -> None:
    checker: Checker = Classifier(NAME, unsafe=unsafe, threshold=threshold)
    assert (checker.flags(white()), checker.flags(PIL.new("RGB", (64, 64)))) == (of_white, of_black)


def test_of_labels_that_exclude_no_other_the_highest_counts(tmp_path: Path) -> None:
    files = files_of(tmp_path / "model", {"a": 0.6, "b": 0.7, "c": 0.99}, problem="multi_label_classification")
    with hub_with(files, tmp_path / "cache"):
        checker = Classifier(NAME, unsafe=("a", "b"), threshold=0.8)
    assert checker.score(white()) == pytest.approx(0.7, abs=0.01)


def test_nothing_but_safetensors_and_settings_is_fetched(hub: LoopbackHub, files: dict[str, bytes]) -> None:
    hub.add("owner/checker", files | {"pytorch_model.bin": b"pickle", "modeling_own.py": b"boom", "training_args.bin": b"pickle"})
    Classifier(NAME, unsafe=("nsfw",), threshold=0.8)
    asked = {path.rpartition("/")[2] for method, path in hub.requests if "/resolve/" in path}
    assert asked == {"config.json", "preprocessor_config.json", "model.safetensors"}


NO_WEIGHTS = {"model.safetensors": None, "pytorch_model.bin": b"\x80\x04pickle"}


@pytest.mark.parametrize(
    ("change", "name", "unsafe", "says"),
    [
        ({}, f"owner/absent@{COMMIT}", ("nsfw",), "can not be had from the Hub"),
        ({}, "owner/checker@" + "9" * 40, ("nsfw",), "can not be had from the Hub"),
        ({}, NAME, ("nsfw", "gore"), "has no label 'gore': name some of 'normal', 'nsfw', 'porn' in safety.unsafe"),
        (NO_WEIGHTS, NAME, ("nsfw",), "can not be loaded"),
        ({"config.json": None}, NAME, ("nsfw",), "can not be loaded"),
        ({"preprocessor_config.json": None}, NAME, ("nsfw",), "can not be loaded"),
        ({"config.json": b'{"model_type": "own", "auto_map": {"AutoConfig": "own.Config"}}'}, NAME, ("nsfw",), "can not be loaded"),
        ({"model.safetensors": b"\x00" * 64}, NAME, ("nsfw",), "can not be loaded"),
        ({"model.safetensors": "headless"}, NAME, ("nsfw",), "is no trained classifier: its weights lack classifier"),
    ],
)
def test_a_checker_that_can_not_judge_stops_the_start_in_one_line(
    hub: LoopbackHub, files: dict[str, bytes], change: dict[str, Any], name: str, unsafe: tuple[str, ...], says: str
) -> None:
    if change.get("model.safetensors") == "headless":
        change = {"model.safetensors": _without_head(files["model.safetensors"])}
    hub.add("owner/checker", {path: raw for path, raw in (files | change).items() if raw is not None})
    with pytest.raises(SettingsError, match=re.escape(says)) as refused:
        Classifier(name, unsafe=unsafe, threshold=0.8)
    assert "\n" not in str(refused.value)
    assert name in str(refused.value)


def test_a_runner_whose_checker_is_missing_explains_itself(
    package: Installed, hub: LoopbackHub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    app = _app(package, tmp_path, enabled=True, checker=f"owner/absent@{COMMIT}")
    with pytest.raises(SettingsError), TestClient(app):
        raise AssertionError("setup() did not fail")
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "setup failed" in line]
    assert "owner/absent" in line


@pytest.mark.parametrize(
    ("safety", "body", "images"),
    [
        ({"enabled": True}, {}, 0),
        ({"enabled": True}, {"enable_safety_checker": False}, 0),  # no caller can turn it off
        ({"enabled": True, "optional": True}, {}, 0),
        ({"enabled": True, "optional": True}, {"enable_safety_checker": False}, 1),
        ({"enabled": False}, {}, 1),
        ({"enabled": False, "optional": True}, {"enable_safety_checker": True}, 1),
    ],
)
def test_only_what_passed_is_delivered_and_billed(
    package: Installed, hub: LoopbackHub, tmp_path: Path, safety: dict[str, Any], body: dict[str, Any], images: int
) -> None:
    """The engine's pictures are dark, of which this classifier is a third sure."""
    with TestClient(_app(package, tmp_path, checker=NAME, threshold=0.3, **safety)) as client:
        response = client.post("/", json={"prompt": "ok", **body})
    assert response.headers["x-fal-billable-units"] == str(images)
    if images:
        assert (len(response.json()["images"]), response.json()["has_nsfw_concepts"]) == (1, [False])
    else:
        assert (response.status_code, response.json()["detail"][0]["type"]) == (422, "content_policy_violation")


def test_a_picture_that_can_not_be_checked_is_withheld_and_not_billed(
    package: Installed, hub: LoopbackHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with TestClient(_app(package, tmp_path, enabled=True, checker=NAME)) as client:
        monkeypatch.setattr(Classifier, "score", _lost)
        response = client.post("/", json={"prompt": "ok", "num_images": 2})
    assert (response.status_code, response.headers["x-fal-billable-units"]) == (500, "0")
    assert "safety_check_failed" in response.json()["detail"][0]["msg"]


def test_the_prompt_is_judged_before_anything_is_drawn(scripted: TestClient) -> None:
    for prompt in ("a nude child", "n.u.d.e c.h.i.l.d", "ｎｕｄｅ ｃｈｉｌｄ"):
        response = scripted.post("/", json={"prompt": prompt})
        assert (response.status_code, response.headers["x-fal-billable-units"]) == (422, "0")
        assert response.json()["detail"][0]["type"] == "content_policy_violation"


@pytest.mark.parametrize(
    ("safety", "says", "not_said"),
    [
        ({"enabled": False}, ["Pictures are not checked"], ["open_nsfw", "turn it off for a request"]),
        (
            {"enabled": True},
            ["open_nsfw", "of 2016", "nudity alone", "no violence", "likeness", "minors", "No caller can turn it off."],
            ["A caller may"],
        ),
        (
            {"enabled": True, "optional": True},
            ["open_nsfw", "A caller may turn it off for a request"],
            ["No caller can turn it off."],
        ),
        (
            {"enabled": True, "checker": NAME, "unsafe": ("porn", "hentai")},
            [f"owner/checker at commit {COMMIT[:12]}", "porn, hentai"],
            ["open_nsfw"],
        ),
    ],
)
def test_the_statement_says_what_is_covered_and_what_is_not(
    package: Installed, safety: dict[str, Any], says: list[str], not_said: list[str]
) -> None:
    statement = safety_statement(with_safety(package, **safety).settings)
    assert statement == statement_of(Safety(**safety))
    for part in (*says, "prompt filter", "no caller can turn it off", "negative prompts", "no context"):
        assert part in statement
    assert [part for part in not_said if part in statement] == []


def _app(package: Installed, tmp_path: Path, **safety: Any) -> Any:
    class Checked(ScriptedApp):
        def make_checker(self) -> Checker | None:
            return checker_for(self.package.settings)

    folder = tmp_path / "package"
    folder.mkdir()
    for name in ("adapter.safetensors", "package.json"):
        shutil.copy(package.folder / name, folder / name)
    settings = with_safety(package, **safety).settings
    (folder / "settings.json").write_text(settings.model_dump_json(by_alias=True))
    return built(Checked, folder)


def _lost(self: Classifier, picture: PIL.Image) -> float:
    raise RuntimeError("the checker lost its model")


def _without_head(raw: bytes) -> bytes:
    from safetensors.torch import load, save

    return save({name: tensor for name, tensor in load(raw).items() if not name.startswith("classifier.")})
