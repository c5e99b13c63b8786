"""The step in place of training: an adapter file from elsewhere becomes the folder that a training leaves."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from training.adopt import Foreign, Modules, modules_of, read_lora
from training.base import Base, locate, sha256_of
from training.bundle import write_json
from training.config import TrainConfig
from training.data.manifest import read_dataset
from training.errors import BaseModelError, ExportError
from training.events import Events
from training.export import export_pairs, usual
from training.pairs import different

SCHEMA = "lorasmith/training/1"
_TRAINING = {  # what kohya's metadata calls the terms of a training
    "steps": ("ss_steps", int),
    "batch_size": ("ss_total_batch_size", int),
    "learning_rate": ("ss_learning_rate", float),
    "seed": ("ss_seed", int),
    "optimizer": ("ss_optimizer", str),
}
_SAID = re.compile(
    r"modelspec\.(?!thumbnail|date|hash)\w+|ss_(sd_model_name|sd_model_hash|base_model_version|network_module|v2)|lorasmith\.base"
)
_LONGEST = 200  # characters of a value that is kept


def adopt_adapter(config: TrainConfig, file: Path, out: Path, *, events: Events) -> dict[str, Any]:
    """Read a LoRA in diffusers', kohya's or ComfyUI's keys, write adapter.safetensors and training.json into `out`; the record.

    AdapterError for a file that is no LoRA or not for this base; the base's weights are not loaded for that.
    """
    dataset, base = read_dataset(config.dataset), locate(config.base, config.revision)
    events.emit("stage", stage="adopt", total=1)
    modules = _modules(base)
    foreign = read_lora(file, base.family, modules)
    out.mkdir(parents=True, exist_ok=True)
    path = export_pairs(foreign.lora, base.family, out)
    if different(read_lora(path, base.family, modules).lora, foreign.lora):
        raise ExportError(f"'{path}' is not the adapter that was read from '{file}': check the disk and run again")
    record: dict[str, Any] = {
        "schema": SCHEMA,
        "terms": {**config.terms(), "dataset": dataset.hash, "base": base.weights_sha256},
        "config": config.model_dump(mode="json"),
        "adopted": described(file, foreign),
        "adapter_sha256": sha256_of(path),
    }
    write_json(out / "training.json", record)
    events.emit("step", stage="adopt", step=1, total=1)
    return record


def described(file: Path, foreign: Foreign) -> dict[str, Any]:
    """What is known of a file: its hash and keys, rank and alpha, and what its metadata says, which is evidence and no proof."""
    rank, alpha = usual(foreign.lora)
    said = {key: _plain(value) for key, value in sorted(foreign.metadata.items()) if _SAID.fullmatch(key)}
    return {
        "file": file.name,
        "sha256": sha256_of(file),
        "format": foreign.format,
        "modules": len(foreign.lora),
        "rank": rank,
        "alpha": alpha,
        "said": said,
        "training": {name: _number(foreign.metadata.get(key), kind) for name, (key, kind) in _TRAINING.items()},
    }


def _modules(base: Base) -> Modules:
    """The layers of the base's denoiser, from its configuration alone."""
    import diffusers
    from accelerate import init_empty_weights

    folder = base.folder / base.family.denoiser
    try:
        kind = json.loads((folder / "config.json").read_text(encoding="utf-8"))["_class_name"]
        with init_empty_weights():
            return modules_of(getattr(diffusers, kind).from_config(getattr(diffusers, kind).load_config(folder)))
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        message = (
            f"base '{base.ref}': its {base.family.denoiser} cannot be built ({' '.join(str(error).split())[:120]}): fetch it again"
        )
        raise BaseModelError(message) from error


def _plain(value: str) -> str:
    """One line, without the folders of somebody's disk."""
    name = re.split(r"[\\/]", value)[-1] if re.match(r"([A-Za-z]:)?[\\/]|~|\.{1,2}[\\/]", value) else value
    return " ".join(name.split())[:_LONGEST]


def _number(value: str | None, kind: type[Any]) -> Any:
    try:
        return None if value in (None, "None") else kind(value)
    except ValueError:
        return None
