"""A package of the embedded base with an adapter of random weights: what it costs to run does not depend on what it draws."""

from __future__ import annotations

import hashlib
import json
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [path for path in (str(ROOT),) if path not in sys.path]

BASE = ROOT / "examples" / "base"
RANK, SIDE, STEPS, GUIDANCE = 16, 64, 8, 0.5
VERDICT: dict[str, Any] = {
    "schema": "lorasmith/license-verdict/1",
    "hash": "0" * 64,
    "uses": {use: {"verdict": "allow", "duties": [], "reasons": []} for use in ("train_adapter", "host_paid_inference")},
    "owed": [],
    "display_lines": [],
}


def make_package(folder: Path, **settings: Any) -> Path:
    """The package in `folder`/package; keywords replace entries of its settings.json."""
    from serving.app.settings import Inference, Limits, Size
    from serving.release.app_toml import AppSettings
    from serving.release.package import build_package

    family = _write_bundle(folder / "bundle")
    _write_notices(folder / "notices")
    limits = Limits(
        min_side=SIDE,
        max_side=SIDE,
        multiple=family.multiple,
        max_area=SIDE * SIDE,
        max_steps=50,
        max_images=4,
        max_prompt_bytes=4096,
        max_work=SIDE * SIDE * 50 * 4,
    )
    package = build_package(
        bundle=folder / "bundle",
        base=BASE,
        base_ref="base",
        base_revision=None,
        verdict=VERDICT,
        notices=folder / "notices",
        settings=AppSettings(
            name="bench",
            machine_type="S",
            limits=limits,
            default_size=Size(width=SIDE, height=SIDE),
            inference=Inference(steps=STEPS, guidance_scale=GUIDANCE),
        ),
        out=folder / "package",
    )
    file = package.folder / "settings.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | settings, indent=1))
    return package.folder


def _write_bundle(folder: Path) -> Any:
    """An AdapterBundle as far as a package reads it; the family's row."""
    import torch
    from safetensors.torch import save_file

    from training.base import load_pipeline, locate

    base = locate(str(BASE))
    denoiser = getattr(load_pipeline(base, torch.float32), base.family.denoiser)
    generator = torch.Generator().manual_seed(0)
    tensors = {}
    for name, layer in denoiser.named_modules():
        if re.fullmatch(base.family.targets, name) and isinstance(layer, torch.nn.Linear):
            key = f"{base.family.denoiser}.{name}"
            tensors[f"{key}.lora_A.weight"] = torch.randn(RANK, layer.in_features, generator=generator) * 0.02
            tensors[f"{key}.lora_B.weight"] = torch.randn(layer.out_features, RANK, generator=generator) * 0.02
    folder.mkdir(parents=True)
    save_file(tensors, folder / "adapter.safetensors")
    manifest = {
        "schema": "lorasmith/adapter-bundle/1",
        "family": base.family.name,
        "adapter_sha256": hashlib.sha256((folder / "adapter.safetensors").read_bytes()).hexdigest(),
        "rank": RANK,
        "scale": 1.0,
        "trigger": None,
        "inference": {"steps": STEPS, "guidance_scale": GUIDANCE},
        "dataset": {"train": 0, "license": "none"},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return base.family


def _write_notices(folder: Path) -> None:
    (folder / "LICENSES").mkdir(parents=True)
    (folder / "NOTICE").write_text("A package that is measured and never deployed anywhere.\n")
    (folder / "bom.json").write_text('{"bomFormat": "CycloneDX", "specVersion": "1.7"}\n')
    (folder / "duties.json").write_text(json.dumps({"schema": "lorasmith/duties/1", "verdict": VERDICT["hash"], "duties": []}))
