"""What an adapter file says of itself: model specification 1.0.1, kohya's ss_ keys, our own. No clock: equal input, equal bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from training.keys import formats_of

SPECIFICATION = "1.0.1"
_KOHYA_BASES = {
    "sd15": "sd_v1",
    "sdxl": "sdxl_base_v1-0",
    "sd3.5": "sd3",
    "flux.1": "flux1",
    "chroma": "chroma",
    "lumina2": "lumina2",
}
_KOHYA_MODULES = {"sd3.5": "lora_sd3", "flux.1": "lora_flux", "chroma": "lora_flux", "lumina-2": "lora_lumina"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Provenance:
    """What is known only once the gate has decided, and what the job says: hashes, the gate's outcome, name and licence."""

    job: str  # sha256 over what decides the adapter
    license_verdict: str  # the verdict's own hash
    gate: Mapping[str, Any]  # outcome, sentence, waived
    title: str
    license: str | None = None


def described(manifest: Mapping[str, Any], said: Provenance, *, tensors_sha256: str) -> dict[str, str]:
    """The header's text for one file of a bundle, from the bundle's manifest. Pure; what is not known is left out."""
    text = {**_specification(manifest, said, tensors_sha256), **_kohya(manifest, said, tensors_sha256), **_own(manifest, said)}
    return {key: str(value) for key, value in text.items() if value not in (None, "")}


def _specification(manifest: Mapping[str, Any], said: Provenance, tensors_sha256: str) -> dict[str, Any]:
    side = manifest["resolution"]
    return {
        "modelspec.sai_model_spec": SPECIFICATION,
        "modelspec.architecture": f"{formats_of(manifest['family']).architecture}/lora",
        "modelspec.implementation": "diffusers",
        "modelspec.title": said.title,
        "modelspec.description": f"LoRA of rank {manifest['rank']} for {manifest['base']['ref']}",
        "modelspec.license": said.license,
        "modelspec.trigger_phrase": manifest["trigger"],
        "modelspec.resolution": f"{side}x{side}",
        "modelspec.hash_sha256": f"0x{tensors_sha256}",
    }


def _kohya(manifest: Mapping[str, Any], said: Provenance, tensors_sha256: str) -> dict[str, Any]:
    family, training, base = manifest["family"], manifest["training"], manifest["base"]
    return {
        "ss_output_name": said.title,
        "ss_base_model_version": _KOHYA_BASES.get(family, formats_of(family).architecture),
        "ss_sd_model_name": base["ref"],
        "ss_network_module": f"networks.{_KOHYA_MODULES.get(family, 'lora')}",
        "ss_network_dim": manifest["rank"],
        "ss_network_alpha": manifest["alpha"],
        "ss_learning_rate": training.get("learning_rate"),
        "ss_unet_lr": training.get("learning_rate"),
        "ss_optimizer": training.get("optimizer"),
        "ss_lr_scheduler": training.get("schedule"),
        "ss_max_train_steps": training.get("steps"),
        "ss_steps": training.get("steps"),
        "ss_total_batch_size": training.get("batch_size"),
        "ss_seed": training.get("seed"),
        "ss_num_train_images": manifest["dataset"].get("train") or None,
        "ss_resolution": f"({manifest['resolution']}, {manifest['resolution']})",
        "sshs_model_hash": tensors_sha256,
    }


def _own(manifest: Mapping[str, Any], said: Provenance) -> dict[str, Any]:
    base = manifest["base"]
    return {
        "lorasmith.base": base["ref"] + (f"@{base['revision']}" if base["revision"] else ""),
        "lorasmith.base_weights_sha256": base["weights_sha256"],
        "lorasmith.dataset_sha256": manifest["dataset"].get("hash"),
        "lorasmith.license_verdict_sha256": said.license_verdict,
        "lorasmith.job_sha256": said.job,
        "lorasmith.gate": json.dumps(said.gate, sort_keys=True, ensure_ascii=False),
        "lorasmith.adopted": json.dumps(manifest["adopted"], sort_keys=True, ensure_ascii=False)
        if manifest.get("adopted")
        else None,
    }
