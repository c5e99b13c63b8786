"""One picture from an adapter bundle and a prompt, by the plain pipeline."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from training.adapter import set_strength
from training.base import load_pipeline, locate, weight_dtype
from training.errors import AdapterError, ConfigError
from training.export import FILE, load_adapter
from training.families import Family
from training.recording import sized

BUNDLE_SCHEMA = "lorasmith/adapter-bundle/1"
PLACE = "place.json"  # of this disk
FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Sampling:
    """How a picture is drawn; sides in pixels."""

    steps: int
    guidance_scale: float
    height: int
    width: int


def sample(bundle: Path, prompt: str, *, seed: int, scale: float, out: Path, base: str | None = None) -> Path:
    """Draw `prompt` with the bundle's adapter at strength `scale`, written as its suffix says; `base` stands in for the bundle's.

    Raises ConfigError for an empty prompt or another suffix, AdapterError for a bundle that is none, BaseModelError for a base
    that is not there.
    """
    format_of(out)
    if not prompt.strip():
        raise ConfigError("prompt is empty: say what the picture shall show")
    manifest = read_bundle(bundle)
    found = locate(base or _base_of(bundle, manifest), None if base else manifest["base"]["revision"])
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    pipe = load_pipeline(found, weight_dtype("auto", device))
    load_adapter(pipe, bundle / FILE)
    set_strength(getattr(pipe, found.family.denoiser), scale)
    side = int(manifest["resolution"])
    inference = manifest["inference"]
    how = Sampling(steps=inference["steps"], guidance_scale=inference["guidance_scale"], height=side, width=side)
    return save_picture(draw(pipe.to(device), found.family, prompt, seed=seed, how=how), out)


def draw(pipe: Any, family: Family, prompt: str, *, seed: int, how: Sampling) -> Image.Image:
    """One picture by the pipeline's own call; the noise comes from a CPU generator, so that a seed means the same everywhere."""
    guidance: dict[str, Any] = {**family.options, family.guidance_argument: how.guidance_scale}
    if family.guidance_argument == "true_cfg_scale":
        guidance["negative_prompt"] = " "  # without one these pipelines leave guidance out
    size = {"height": how.height, "width": how.width}
    generator = torch.Generator().manual_seed(seed)
    call = {"prompt": prompt, "num_inference_steps": how.steps, "generator": generator, "return_dict": False}
    with torch.no_grad(), sized(pipe, family, how.height, how.width):
        drawn = pipe(**call, **guidance, **size)
    picture: Image.Image = drawn[0][0]
    return picture.convert("RGB")


def read_bundle(folder: Path) -> Mapping[str, Any]:
    """The manifest of an adapter bundle; AdapterError where the folder is none."""
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise AdapterError(
            f"adapter bundle '{folder}' has no readable manifest.json: give the folder that a training made"
        ) from error
    if not isinstance(manifest, dict) or manifest.get("schema") != BUNDLE_SCHEMA:
        raise AdapterError(f"'{folder / 'manifest.json'}' is no {BUNDLE_SCHEMA}: give the folder that a training made")
    return manifest


def _base_of(bundle: Path, manifest: Mapping[str, Any]) -> str:
    """Where the base lay when the bundle was made; elsewhere only its name is known, which the Hub may know too."""
    place = bundle / PLACE
    ref = json.loads(place.read_text(encoding="utf-8"))["base"] if place.is_file() else manifest["base"]["ref"]
    return str(ref)


def save_picture(picture: Image.Image, path: Path) -> Path:
    """Write PNG, JPEG or WebP as the suffix says, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    picture.save(part, format=format_of(path), quality=95)  # PNG has no quality and ignores it
    os.replace(part, path)
    return path


def format_of(path: Path) -> str:
    """Pillow's name of the format that the suffix means; ConfigError for one that is not written here."""
    if path.suffix.lower() not in FORMATS:
        raise ConfigError(f"'{path}': pictures are written as {', '.join(FORMATS)}: give the file one of these suffixes")
    return FORMATS[path.suffix.lower()]
