"""The trained adapter as one file that diffusers loads, and the proof that it does: loaded plainly it is what was trained."""

from __future__ import annotations

import json
import os
import re
import warnings
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from training.adapter import adapter_layout, adapter_state
from training.attach import attach
from training.base import Base, load_pipeline
from training.data.cache import Example
from training.denoise import predict, timesteps_for
from training.errors import AdapterError, ExportError
from training.families import Family
from training.pairs import Lora, Pair

FILE = "adapter.safetensors"
PEFT = "lora_adapter_metadata"  # where diffusers keeps rank and alpha in the header


@dataclass(frozen=True, kw_only=True, slots=True)
class Trained:
    """What the exported file has to reproduce: LoRA tensors by module name, and one answer of the denoiser with them."""

    state: Mapping[str, Tensor]
    answer: Tensor
    exact: bool = True  # whether the file holds the very tensors that were trained, so that it answers bit for bit


def answer_of(pipe: Any, family: Family, example: Example) -> Tensor:
    """The denoiser's prediction for an example at half noise, on the CPU; the noise is fixed."""
    denoiser = getattr(pipe, family.denoiser)
    noise = torch.randn(example.latents.shape, generator=torch.Generator().manual_seed(0))
    latents = (0.5 * (example.latents.float().cpu() + noise))[None].to(denoiser.device)
    timesteps = timesteps_for(pipe.scheduler, torch.tensor([0.5], device=denoiser.device))
    with torch.no_grad():
        return predict(denoiser, family, latents, timesteps, example.conditioning.to(denoiser.device)).float().cpu()


def export(denoiser: nn.Module, family: Family, folder: Path) -> Path:
    """Write adapter.safetensors with diffusers' keys; ranks and alphas travel in its metadata, a clock does not."""
    return export_pairs(pairs_of(denoiser), family, folder)


def pairs_of(denoiser: nn.Module) -> Lora:
    """The adapter inside a denoiser, by module; LoKr as the LoRA that it equals."""
    state, layout = adapter_state(denoiser), adapter_layout(denoiser)
    return {
        name: Pair(down=state[f"{name}.lora_A.weight"], up=state[f"{name}.lora_B.weight"], alpha=alpha)
        for name, (_, alpha) in sorted(layout.items())
    }


def export_pairs(lora: Lora, family: Family, folder: Path) -> Path:
    """Write adapter.safetensors with diffusers' keys for a LoRA by module; ranks and alphas may differ between modules."""
    state = {f"{name}.lora_A.weight": pair.down for name, pair in lora.items()}
    state |= {f"{name}.lora_B.weight": pair.up for name, pair in lora.items()}
    rank, alpha = usual(lora)
    about: dict[str, Any] = {"r": rank, "lora_alpha": alpha, "target_modules": sorted(lora)}
    # peft reads a pattern as a regular expression that a module's name ends with
    about["rank_pattern"] = {f"^{re.escape(name)}": pair.rank for name, pair in lora.items() if pair.rank != rank}
    about["alpha_pattern"] = {f"^{re.escape(name)}": pair.alpha for name, pair in lora.items() if pair.alpha != alpha}
    return _save(state, {key: value for key, value in about.items() if value != {}}, family, folder)


def usual(lora: Lora) -> tuple[int, float]:
    """The rank and alpha that most modules have."""
    return Counter((pair.rank, pair.alpha) for pair in lora.values()).most_common(1)[0][0]


def _save(state: Mapping[str, Tensor], about: Mapping[str, Any], family: Family, folder: Path) -> Path:
    metadata = json.dumps({f"{family.lora_prefix}.{key}": value for key, value in about.items()}, indent=2, sort_keys=True)
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f".{FILE}.part"
    named = {f"{family.lora_prefix}.{name}": tensor for name, tensor in sorted(state.items())}
    save_file(named, part, metadata={PEFT: metadata})  # one key: the order of several is not fixed in the file
    os.replace(part, folder / FILE)
    return folder / FILE


def load_adapter(pipe: Any, path: Path) -> None:
    """Load an exported adapter into a plain pipeline, as anybody would; AdapterError where diffusers or peft refuses it."""
    if not path.is_file():
        raise AdapterError(f"adapter '{path}' is not there: give a folder that holds {FILE}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)  # peft only warns of layers that the file lacks or has too many
            if hasattr(pipe, "load_lora_weights"):
                pipe.load_lora_weights(path.parent, weight_name=path.name, adapter_name="default", local_files_only=True)
            else:  # a family that diffusers has no loader for
                attach(pipe.transformer, path, "transformer")
    except Exception as error:  # diffusers and peft raise many kinds for a file that does not fit
        raise AdapterError(f"adapter '{path}' does not fit this base ({' '.join(str(error).split())[:200]})") from error


def check_reloaded(
    path: Path,
    base: Base,
    dtype: torch.dtype,
    trained: Trained,
    example: Example,
    *,
    device: torch.device,
    precision: str = "auto",
) -> None:
    """Load the file into a fresh pipeline, quantised as in training; ExportError where tensors or an answer differ."""
    pipe = load_pipeline(base, dtype, precision)
    try:
        load_adapter(pipe, path)
    except AdapterError as error:
        raise ExportError(f"{error}: not the trained adapter") from error
    denoiser = getattr(pipe, base.family.denoiser)
    loaded = adapter_state(denoiser)
    different = sorted(
        name
        for name in {*loaded, *trained.state}
        if name not in loaded
        or name not in trained.state
        or not torch.equal(loaded[name], trained.state[name].to(loaded[name].dtype))
    )
    if different:
        raise ExportError(
            f"'{path}': {len(different)} LoRA tensors differ after loading, first {different[0]}: not the trained adapter"
        )
    denoiser.to(device)
    answer = answer_of(pipe, base.family, example)
    whole = denoiser.dtype == torch.float32
    near = 0.0 if whole and trained.exact else 1e-4 if whole else 0.05
    if not torch.allclose(answer, trained.answer, rtol=near, atol=near):
        apart = (answer - trained.answer).abs().max().item()
        raise ExportError(f"'{path}': the denoiser's answer differs by {apart:.2e} after loading: not the trained adapter")
