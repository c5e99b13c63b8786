"""An adapter that peft trained outside of us, in kohya's keys, goes through licences, evaluation, gate and sandbox to a listing."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from diffusers import DiffusionPipeline
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from tests.end_to_end.conftest import ROOT, Run

BASE, EMOJI = ROOT / "examples" / "base", ROOT / "examples" / "emoji"


@pytest.fixture(scope="module")
def kohya_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four steps of plain peft on one picture, in the keys and metadata of sd-scripts."""
    from peft import LoraConfig
    from peft.utils import get_peft_model_state_dict

    torch.manual_seed(0)
    pipe = DiffusionPipeline.from_pretrained(BASE, use_safetensors=True)
    pipe.transformer.requires_grad_(False)
    pipe.transformer.add_adapter(LoraConfig(r=4, lora_alpha=8, target_modules=["to_q", "to_k", "to_v", "to_out.0"]))
    with Image.open(EMOJI / "held_out" / "banana.webp") as file:
        pixels = torch.tensor(list(file.convert("RGB").resize((64, 64)).tobytes()), dtype=torch.float32)
    pixels = pixels.view(1, 64, 64, 3).permute(0, 3, 1, 2) / 127.5 - 1
    with torch.no_grad():
        clean = (pipe.vae.encode(pixels).latent_dist.mode() - pipe.vae.config.shift_factor) * pipe.vae.config.scaling_factor
        caption = pipe.encode_prompt("banana", do_classifier_free_guidance=False)[0]
    optimizer = torch.optim.AdamW([one for one in pipe.transformer.parameters() if one.requires_grad], lr=1e-3)
    for _ in range(4):
        noise = torch.randn_like(clean)
        (answer,) = pipe.transformer([(0.5 * (clean + noise))[0][:, None]], torch.tensor([0.5]), caption, return_dict=False)[0]
        torch.nn.functional.mse_loss(-answer[:, 0], (noise - clean)[0]).backward()
        optimizer.step()
        optimizer.zero_grad()
    path = tmp_path_factory.mktemp("elsewhere") / "their-style.safetensors"
    save_file(
        kohya_keys(get_peft_model_state_dict(pipe.transformer), alpha=8.0), path, metadata={"ss_network_dim": "4", "ss_steps": "4"}
    )
    return path


def kohya_keys(state: dict[str, torch.Tensor], alpha: float) -> dict[str, torch.Tensor]:
    named = {}
    for key, tensor in state.items():
        module, side = re.fullmatch(r"(.+)\.lora_([AB])\.weight", key).groups()  # type: ignore[union-attr]
        flat = "lora_unet_" + module.replace(".", "_")
        named[f"{flat}.lora_{'down' if side == 'A' else 'up'}.weight"] = tensor.detach().contiguous()
        named[f"{flat}.alpha"] = torch.tensor(alpha)
    return named


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six pictures to measure on; the gate is asked for their number only, since four steps teach nothing."""
    folder = tmp_path_factory.mktemp("adopt")
    pictures = folder / "pictures"
    pictures.mkdir()
    shutil.copy(EMOJI / "pictures" / "dataset.yaml", pictures)
    for name in sorted(path.stem for path in (EMOJI / "held_out").glob("*.webp"))[:6]:
        for suffix in (".webp", ".txt"):
            shutil.copy(EMOJI / "held_out" / f"{name}{suffix}", pictures)
    raw: dict[str, Any] = yaml.safe_load((EMOJI / "job.yaml").read_text())
    raw |= {
        "name": "their-style",
        "dataset": {"path": "./pictures"},
        "adapter": {"path": "replaced-by-the-option", "license": "own"},
    }
    raw["inference"]["steps"] = 2
    raw["serving"] |= {"app": "their-style"}
    raw["gate"] = {"require_learned": False, "min_diversity": None, "max_copies": None}
    (folder / "job.yaml").write_text(yaml.safe_dump(raw))
    return folder / "job.yaml"


@pytest.fixture(scope="module")
def run(kohya_file: Path, job: Path, lorasmith: Run) -> dict[str, Any]:
    result = lorasmith("publish", str(job), "--adapter", str(kohya_file), "--base", str(BASE))
    assert result.returncode == 0, result.stderr[-3000:]
    found: dict[str, Any] = json.loads(lorasmith("status", "--json").stdout)["last_run"]
    return found


def test_the_listing_is_drafted_and_every_unit_is_an_image(run: dict[str, Any]) -> None:
    assert run["app"] == "their-style"
    assert run["units"] == run["images"] > 0
    assert (Path(run["listing"]) / "request.eml").stat().st_size > 0


def test_what_is_served_has_the_tensors_of_the_file_and_says_where_it_came_from(run: dict[str, Any], kohya_file: Path) -> None:
    bundle = Path(run["bundle"])
    manifest = json.loads((bundle / "manifest.json").read_text())
    theirs, ours = load_file(kohya_file), load_file(bundle / "adapter.safetensors")
    for key, tensor in ours.items():
        module, side = re.fullmatch(r"transformer\.(.+)\.lora_([AB])\.weight", key).groups()  # type: ignore[union-attr]
        assert torch.equal(tensor, theirs[f"lora_unet_{module.replace('.', '_')}.lora_{'down' if side == 'A' else 'up'}.weight"])
    assert len(ours) * 3 == len(theirs) * 2
    adopted = manifest["adopted"]
    assert (adopted["format"], adopted["rank"], adopted["alpha"]) == ("kohya", 4, 8.0)
    assert (manifest["rank"], manifest["training"]["steps"]) == (4, 4)


def test_the_gates_word_is_in_the_file_that_the_package_and_the_release_are_named_by(run: dict[str, Any], home: Path) -> None:
    bundle = Path(run["bundle"])
    manifest = json.loads((bundle / "manifest.json").read_text())
    (settings,) = (
        found
        for path in (home / "store" / "package").glob("*/content/settings.json")
        if (found := json.loads(path.read_text()))["name"] == "their-style"
    )
    assert settings["adapter"]["sha256"] == manifest["adapter_sha256"]
    for file in ("adapter.safetensors", "adapter.kohya.safetensors", "adapter.comfyui.safetensors"):
        with safe_open(bundle / file, framework="pt") as opened:
            said = opened.metadata()
        assert json.loads(said["lorasmith.gate"])["outcome"] == manifest["sealed"]["gate"]["outcome"] == "reject"
        assert said["lorasmith.license_verdict_sha256"] == manifest["sealed"]["license_verdict_sha256"]
        assert said["modelspec.sai_model_spec"] == "1.0.1"


def test_a_second_time_everything_is_found(run: dict[str, Any], kohya_file: Path, job: Path, lorasmith: Run) -> None:
    again = lorasmith("publish", str(job), "--adapter", str(kohya_file), "--base", str(BASE))
    assert again.returncode == 0, again.stderr[-3000:]
    for step in ("adapter", "evaluation", "bundle", "package", "listing"):
        assert f"= {step:<11} found" in again.stderr


def pickled(file: Path, job: Path) -> Path:
    torch.save({}, copy := file.with_suffix(".ckpt"))
    return copy


def from_flux_dev(file: Path, job: Path) -> Path:
    save_file(load_file(file), copy := file.with_name("dev.safetensors"), metadata={"ss_sd_model_name": "flux1-dev.safetensors"})
    return copy


@pytest.mark.parametrize(
    ("spoil", "code", "says"),
    [(pickled, 2, "is a pickle"), (from_flux_dev, 3, "FLUX.1")],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_file_that_may_not_or_can_not_be_taken_over_ends_in_one_line(
    spoil: Callable[[Path, Path], Path], code: int, says: str, kohya_file: Path, job: Path, lorasmith: Run
) -> None:
    result = lorasmith("publish", str(job), "--adapter", str(spoil(kohya_file, job)), "--base", str(BASE))
    last = result.stderr.strip().splitlines()[-1]
    assert result.returncode == code, result.stderr
    assert last.startswith("lorasmith: ")
    assert says in last
    assert "Traceback" not in result.stderr
