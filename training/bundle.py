"""The adapter bundle: what training hands over, every file named with its sha256."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from training.base import Base, sha256_of
from training.config import TrainConfig
from training.data.manifest import Dataset
from training.export import FILE
from training.metadata import tensors_sha256
from training.sample import BUNDLE_SCHEMA, PLACE

_ASIDE = ("events.jsonl", PLACE, "manifest.json")  # durations and places: carried along, but no part of the content


def write_bundle(
    out: Path,
    evaluation: Mapping[str, Any],
    *,
    config: TrainConfig,
    base: Base,
    dataset: Dataset,
    formats: Mapping[str, Any] | None = None,
    adopted: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write evaluation.json and, last, manifest.json into a folder that holds adapter and samples; the manifest.

    formats: the files in other keys (`export_formats`). adopted: of an adapter that was trained elsewhere, instead of a training.
    """
    write_json(out / "evaluation.json", evaluation)
    write_json(out / PLACE, {"base": base.ref if base.revision else str(base.folder.resolve())})
    names = sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file())
    files = {name: sha256_of(out / name) for name in names if name not in _ASIDE}
    manifest = {
        "schema": BUNDLE_SCHEMA,
        "base": {"ref": base.name, "revision": base.revision, "family": base.family.name, "weights_sha256": base.weights_sha256},
        "family": base.family.name,
        "adapter_sha256": files[FILE],
        "tensors_sha256": tensors_sha256(out / FILE),
        "formats": {"diffusers": {"file": FILE}, **(formats or {})},
        "rank": adopted["rank"] if adopted else config.rank,
        "alpha": adopted["alpha"] if adopted else config.alpha,
        "scale": 1.0,
        "trigger": dataset.trigger,
        "resolution": dataset.resolution,
        "inference": config.inference.model_dump(),
        "dataset": {
            "hash": dataset.hash,
            "train": len(dataset.split("train")),
            "held_out": len(dataset.split("held_out")),
            "license": dataset.license,
            "source": dataset.source,
        },
        "training": dict(adopted["training"]) if adopted else _trained(config),
        "adopted": {key: value for key, value in adopted.items() if key != "training"} if adopted else None,
        "files": files,
    }
    write_json(out / "manifest.json", manifest)
    return manifest


def _trained(config: TrainConfig) -> dict[str, Any]:
    names = ("steps", "batch_size", "learning_rate", "seed", "optimizer", "schedule", "adapter")
    return {name: getattr(config, name) for name in names}


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON, whole or not at all; NaN is refused."""
    part = path.with_name(f".{path.name}.part")
    part.write_text(json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
    os.replace(part, path)
