"""The base from its parts is the base as diffusers loads it: every family, from a package and from the Hub, safetensors only."""

import gc
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from PIL import Image

from serving.app.drawing.engine import DiffusersEngine, Shape, Wanted
from serving.app.drawing.fused import DATA_VARIABLE
from serving.app.drawing.loading import denoiser_name, fetched, import_libraries, load_pipeline
from serving.app.errors import SettingsError
from serving.app.settings import Base, Installed
from tests.licenses.loopback_hub import LoopbackHub, serving
from tests.serving.app.packages import RECOMMENDED
from tests.serving.app.served import NEAR, apart, pixels_of
from tests.training.tiny import tiny_pipeline
from training.families import FAMILIES

pytestmark = pytest.mark.filterwarnings("ignore:.FluxPosEmbed. is deprecated:FutureWarning")  # said when Chroma is loaded
REVISION = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize("family", list(FAMILIES))
def test_every_family_is_loaded_as_diffusers_loads_it(tmp_path: Path, family: str) -> None:
    tiny_pipeline(family).save_pretrained(tmp_path)
    expected = diffusers.DiffusionPipeline.from_pretrained(tmp_path, dtype=torch.float32)
    found = load_pipeline(tmp_path, dtype=torch.float32)
    assert type(found) is type(expected)
    assert {name: type(part) for name, part in found.components.items()} == {
        name: type(part) for name, part in expected.components.items()
    }
    assert _plain(found) == _plain(expected)
    for name, part in expected.components.items():
        if isinstance(part, torch.nn.Module):
            _require_same(part, found.components[name])


def test_halves_keep_what_diffusers_keeps_whole(tmp_path: Path) -> None:
    tiny_pipeline("flux.2").save_pretrained(tmp_path)
    expected = diffusers.DiffusionPipeline.from_pretrained(tmp_path, dtype=torch.bfloat16)
    found = load_pipeline(tmp_path, dtype=torch.bfloat16)
    for name in ("transformer", "vae", "text_encoder"):
        _require_same(expected.components[name], found.components[name])


def test_the_bases_own_checker_stays_out_since_it_paints_over_what_would_be_billed(tmp_path: Path) -> None:
    tiny_pipeline("sd15").save_pretrained(tmp_path)
    index = json.loads((tmp_path / "model_index.json").read_text())
    index |= {"safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"], "requires_safety_checker": True}
    index |= {"feature_extractor": ["transformers", "CLIPImageProcessor"]}
    (tmp_path / "model_index.json").write_text(json.dumps(index))
    pipe = load_pipeline(tmp_path, dtype=torch.float32)
    assert pipe.safety_checker is None
    assert pipe.config["requires_safety_checker"] is False


@pytest.mark.parametrize("index", [None, "no json", "[]"])
def test_a_folder_that_is_no_pipeline_is_told_in_one_line(tmp_path: Path, index: str | None) -> None:
    if index is not None:
        (tmp_path / "model_index.json").write_text(index)
    with pytest.raises(SettingsError, match="is no diffusers pipeline") as error:
        load_pipeline(tmp_path, dtype=torch.float32)
    assert "\n" not in str(error.value)


def test_pickled_weights_are_not_read(tmp_path: Path) -> None:
    tiny_pipeline("z-image").save_pretrained(tmp_path)
    weights = tmp_path / "vae" / "diffusion_pytorch_model.safetensors"
    torch.save({}, weights.with_suffix(".bin"))
    weights.unlink()
    with pytest.raises(OSError, match="safetensors"):
        load_pipeline(tmp_path, dtype=torch.float32)


def test_a_fresh_process_imports_no_more_than_it_needs_and_draws_the_same_picture(package: Installed, tmp_path: Path) -> None:
    """Neither ways to train adapters nor other pipelines than the base's; what came in is out of the collector's way."""
    env = {"LORASMITH_PACKAGE": str(package.folder), "OMP_NUM_THREADS": "1", DATA_VARIABLE: str(tmp_path / "none")}
    run = subprocess.run(
        [sys.executable, "-c", _FRESH, str(tmp_path / "picture.png")],
        env=env,
        cwd=_ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    said = json.loads(run.stdout.splitlines()[-1])
    assert said["frozen"] > 100_000
    assert said["collector"] is True
    assert "diffusers.pipelines.z_image" in said["pipelines"]
    assert {"diffusers.pipelines.auto_pipeline", "diffusers.pipelines.flux"}.isdisjoint(said["pipelines"])
    (here,) = DiffusersEngine(package).draw(_SHAPE, [_WANTED], go_on=lambda: True)
    with Image.open(tmp_path / "picture.png") as there:
        assert apart(pixels_of(here), pixels_of(there)) <= NEAR


_ROOT = Path(__file__).resolve().parents[3]
_SHAPE = Shape(width=32, height=32, steps=2, guidance_scale=2.0, lora_scale=RECOMMENDED)
_WANTED = Wanted(prompt="a red dog", seed=5)
_FRESH = """
import gc, json, sys
from serving.app.drawing.engine import DiffusersEngine, Shape, Wanted
from serving.app.settings import installed
engine = DiffusersEngine(installed())
shape = Shape(width=32, height=32, steps=2, guidance_scale=2.0, lora_scale=0.75)
engine.draw(shape, [Wanted(prompt="a red dog", seed=5)], go_on=lambda: True)[0].save(sys.argv[1])
pipelines = [name for name in sys.modules if name.startswith("diffusers.pipelines.") and name.count(".") == 2]
print(json.dumps({"frozen": gc.get_freeze_count(), "collector": gc.isenabled(), "pipelines": pipelines}))
"""


def test_a_collector_that_was_off_stays_off(package: Installed) -> None:
    gc.disable()
    try:
        import_libraries(package)
        assert not gc.isenabled()
    finally:
        gc.enable()
    import_libraries(package)
    assert gc.isenabled()


def test_a_base_on_the_hub_is_fetched_at_its_revision_and_without_what_is_not_read(
    hub: LoopbackHub, package: Installed, tmp_path: Path
) -> None:
    tiny_pipeline("z-image").save_pretrained(tmp_path / "base")
    files = {path.relative_to(tmp_path / "base").as_posix(): path.read_bytes() for path in _files(tmp_path / "base")}
    unread = {"README.md": b"#", "z_image.safetensors": b"0", "vae/diffusion_pytorch_model.bin": b"0", "onnx/model.onnx": b"0"}
    unread |= {"vae/diffusion_pytorch_model.fp16.safetensors": b"0", "transformer/code.py": b"raise SystemExit"}
    hub.add("someone/base", files | unread, commit=REVISION)
    base = Base(kind="hub", ref="someone/base", revision=REVISION)
    on_hub = Installed(folder=tmp_path, hash="0", settings=package.settings.model_copy(update={"base": base}))

    assert denoiser_name(on_hub) == "transformer"
    without = fetched(on_hub, leaving="transformer")
    assert {path.relative_to(without).as_posix() for path in _files(without)} == {
        name for name in files if name != "transformer/diffusion_pytorch_model.safetensors"
    }
    whole = fetched(on_hub)
    assert {path.relative_to(whole).as_posix() for path in _files(whole)} == set(files)
    assert whole.name == REVISION
    _require_same(tiny_pipeline("z-image").transformer, load_pipeline(whole, dtype=torch.float32).transformer)
    elsewhere = shutil.copytree(whole / "transformer", tmp_path / "elsewhere")
    _require_same(
        tiny_pipeline("z-image").transformer,
        load_pipeline(without, dtype=torch.float32, elsewhere={"transformer": elsewhere}).transformer,
    )


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[LoopbackHub]:
    with serving() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.address)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
        yield hub


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _plain(pipe: Any) -> dict[str, Any]:
    """What the pipeline was given beside its parts."""
    return {name: value for name, value in pipe.config.items() if name not in pipe.components and not name.startswith("_")}


def _require_same(one: torch.nn.Module, other: Any) -> None:
    assert type(one) is type(other)
    assert not other.training
    expected, found = (dict([*model.named_parameters(), *model.named_buffers()]) for model in (one, other))
    assert expected.keys() == found.keys()
    for name, tensor in expected.items():
        assert tensor.dtype == found[name].dtype, name
        assert torch.equal(tensor, found[name]), name
