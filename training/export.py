"""The trained adapter as one file that diffusers loads, and the proof that it does: loaded plainly it is what was trained."""

from __future__ import annotations

import json
import os
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from training.adapter import adapter_state
from training.base import Base, load_pipeline
from training.data.cache import Example
from training.denoise import predict, timesteps_for
from training.errors import AdapterError, ExportError
from training.families import Family

FILE = "adapter.safetensors"


@dataclass(frozen=True, kw_only=True, slots=True)
class Trained:
    """What the exported file has to reproduce: LoRA tensors by module name, and one answer of the denoiser with them."""

    state: Mapping[str, Tensor]
    answer: Tensor


def answer_of(pipe: Any, family: Family, example: Example) -> Tensor:
    """The denoiser's prediction for an example at half noise, on the CPU; the noise is fixed."""
    denoiser = getattr(pipe, family.denoiser)
    noise = torch.randn(example.latents.shape, generator=torch.Generator().manual_seed(0))
    latents = (0.5 * (example.latents.float().cpu() + noise))[None].to(denoiser.device)
    timesteps = timesteps_for(pipe.scheduler, torch.tensor([0.5], device=denoiser.device))
    with torch.no_grad():
        return predict(denoiser, family, latents, timesteps, example.conditioning.to(denoiser.device)).float().cpu()


def export(denoiser: nn.Module, family: Family, folder: Path, *, rank: int, alpha: float) -> Path:
    """Write adapter.safetensors with diffusers' keys; rank and alpha travel in its metadata, a clock does not."""
    state = adapter_state(denoiser)
    modules = sorted({re.sub(r"\.lora_[AB]\.weight$", "", name) for name in state})
    about = {"r": rank, "lora_alpha": alpha, "target_modules": modules}
    metadata = json.dumps({f"{family.lora_prefix}.{key}": value for key, value in about.items()}, indent=2, sort_keys=True)
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f".{FILE}.part"
    named = {f"{family.lora_prefix}.{name}": tensor for name, tensor in sorted(state.items())}
    save_file(named, part, metadata={"lora_adapter_metadata": metadata})  # one key: the order of several is not fixed in the file
    os.replace(part, folder / FILE)
    return folder / FILE


def load_adapter(pipe: Any, path: Path) -> None:
    """Load an exported adapter into a plain pipeline, as anybody would; AdapterError where diffusers refuses it."""
    if not path.is_file():
        raise AdapterError(f"adapter '{path}' is not there: give a folder that holds {FILE}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)  # peft only warns of layers that the file lacks or has too many
            pipe.load_lora_weights(path.parent, weight_name=path.name, adapter_name="default", local_files_only=True)
    except Exception as error:  # diffusers and peft raise many kinds for a file that does not fit
        raise AdapterError(f"adapter '{path}' does not fit this base ({' '.join(str(error).split())[:200]})") from error


def check_reloaded(path: Path, base: Base, dtype: torch.dtype, trained: Trained, example: Example, *, device: torch.device) -> None:
    """Load the file into a fresh plain pipeline and compare tensors and an answer; ExportError where they differ."""
    pipe = load_pipeline(base, dtype)
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
    exact = denoiser.dtype == torch.float32
    if not (torch.equal(answer, trained.answer) if exact else torch.allclose(answer, trained.answer, rtol=0.05, atol=0.05)):
        apart = (answer - trained.answer).abs().max().item()
        raise ExportError(f"'{path}': the denoiser's answer differs by {apart:.2e} after loading: not the trained adapter")
