"""Small real packages: a random Z-Image base, a random LoRA for it, and the engine that tests of the outcomes use instead."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from fal.exceptions import AppException, FieldException, RequestCancelledException
from fal.toolkit import Image
from fastapi import HTTPException
from PIL import Image as PIL
from safetensors.torch import save_file

from serving.app.app import LoraApp
from serving.app.engine import Engine, Work
from serving.app.pictures import OutputFormat, hand_out
from serving.app.safety import Checker
from serving.app.settings import PACKAGE_VARIABLE
from serving.release.package import AppSettings, Limits, Size
from tests.training.tiny import tiny_pipeline

LIMITS = Limits(
    min_side=16, max_side=64, multiple=8, max_area=48 * 64, max_steps=8, max_images=4, max_prompt_bytes=200, max_work=32 * 32 * 16
)
VERDICT: dict[str, Any] = {
    "schema": "lorasmith/license-verdict/1",
    "hash": "12" * 32,
    "as_of": "2026-11-01",
    "uses": {"host_paid_inference": {"verdict": "duties", "duties": ["LICENSE_COPY", "STATE_CHANGES", "DISPLAY"]}},
    "display_lines": ["Built with tiny"],
    "expression": "LicenseRef-tiny",
    "owed": [
        {"duty": duty, "node": "tiny", "role": "base", "license": "tiny", "name": "Tiny Licence", "by": by, "open": ""}
        | {"files": [file], "lines": lines}
        for duty, by, file, lines in (
            ("LICENSE_COPY", "file", "LICENSES/base.txt", []),
            ("STATE_CHANGES", "file", "MODIFICATIONS.md", ["tiny was changed"]),
            ("DISPLAY", "listing", "NOTICE", ["Built with tiny"]),
        )
    ],
}
RECOMMENDED = 0.75


def settings(**changes: Any) -> AppSettings:
    return AppSettings(
        **{"name": "tiny-style", "machine_type": "XS", "limits": LIMITS, "default_size": Size(width=32, height=32), **changes}
    )


def write_base(folder: Path) -> Path:
    tiny_pipeline("z-image").save_pretrained(folder)
    (folder / "LICENSE").write_text("Do as you like.\n")
    return folder


def write_bundle(folder: Path) -> Path:
    """An AdapterBundle with a random adapter that is strong enough to be seen."""
    folder.mkdir(parents=True)
    save_file(random_adapter("z-image"), folder / "adapter.safetensors")
    manifest = {
        "schema": "lorasmith/adapter-bundle/1",
        "family": "z-image",
        "adapter_sha256": sha256(folder / "adapter.safetensors"),
        "rank": 2,
        "scale": RECOMMENDED,
        "trigger": "tiny-style",
        "inference": {"steps": 2, "guidance_scale": 2.0},
        "dataset": {"train": 60, "license": "MIT"},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def random_adapter(family: str, *, size: float = 0.2) -> dict[str, torch.Tensor]:
    """Low-rank factors for the attention of the family's denoiser, as diffusers names them."""
    pipe, generator = tiny_pipeline(family), torch.Generator().manual_seed(3)
    prefix = "unet" if hasattr(pipe, "unet") else "transformer"
    tensors: dict[str, torch.Tensor] = {}
    for name, layer in getattr(pipe, prefix).named_modules():
        if name.endswith((".to_q", ".to_v")):
            tensors[f"{prefix}.{name}.lora_A.weight"] = torch.randn(2, layer.in_features, generator=generator) * size
            tensors[f"{prefix}.{name}.lora_B.weight"] = torch.randn(layer.out_features, 2, generator=generator) * size
    return tensors


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_notices(folder: Path, verdict: Mapping[str, Any] = VERDICT) -> Path:
    """What the licence room writes for a package: the texts, the record of duties, and a bill of materials."""
    (folder / "LICENSES").mkdir(parents=True)
    (folder / "LICENSES" / "base.txt").write_text("Do as you like.\n")
    (folder / "NOTICE").write_text("This app contains a tiny base.\nBuilt with tiny\n")
    (folder / "MODIFICATIONS.md").write_text("tiny was changed\n")
    (folder / "bom.json").write_text('{"bomFormat": "CycloneDX", "specVersion": "1.7"}\n')
    rows = [row | {"files": [{"path": file, "sha256": sha256(folder / file)} for file in row["files"]]} for row in verdict["owed"]]
    record = {"schema": "lorasmith/duties/1", "verdict": verdict["hash"], "duties": rows}
    (folder / "duties.json").write_text(json.dumps(record))
    return folder


RAISES: dict[str, Exception] = {
    "crash": KeyError("an error with a secret in it"),
    "oom": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
    "oom-cpu": RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
    "memory": MemoryError(),
    "cuda": RuntimeError("CUDA error: device-side assert triggered"),
    "timeout": TimeoutError("too slow"),
    "cancel": RequestCancelledException(),
    "field": FieldException("prompt", "no"),
    "field-billed": FieldException("prompt", "no", billable_units=3),
    "app-error": AppException("no", 400),
    "http-billed": HTTPException(402, "no", headers={"x-fal-billable-units": "7"}),
}
WITHHELD = {
    "flagged": "content_policy",
    "check-fails": "safety_check_failed",
    "encode-fails": "encode_failed",
    "upload-fails": "upload_failed",
}


class ScriptedEngine:
    """Does what the words of the prompt say, a word an image: it ends in one of RAISES or WITHHELD, or is painted."""

    def __init__(self) -> None:
        self.outcome = ""

    def generate(self, work: Work) -> Iterator[PIL.Image]:
        for index, self.outcome in zip(range(work.images), work.prompt.split() * work.images, strict=False):
            if self.outcome in RAISES:
                raise RAISES[self.outcome]
            size = (work.width, work.height)
            yield _Unencodable(size) if self.outcome == "encode-fails" else PIL.new("RGB", size, (work.seed % 256, index, 7))


class ScriptedChecker:
    """Flags, or fails over, what the engine was told to make."""

    def __init__(self, engine: ScriptedEngine) -> None:
        self.engine = engine

    def flags(self, picture: PIL.Image) -> bool:
        if self.engine.outcome == "check-fails":
            raise OSError("the checker lost its model")
        return self.engine.outcome == "flagged"


def built(app: type[LoraApp], folder: Path) -> Any:
    """The ASGI app of a package; the environment names the package only while the app reads it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(PACKAGE_VARIABLE, str(folder))
        return app(_allow_init=True)._build_app()


class ScriptedApp(LoraApp):
    """The app with everything real but the pictures, and with images in the answer since there is no storage."""

    def make_engine(self) -> Engine:
        self.scripted = ScriptedEngine()
        self.checker = ScriptedChecker(self.scripted)
        return self.scripted

    def make_checker(self) -> Checker | None:
        return None  # make_engine comes later and sets the one that knows the engine

    def hand_out(self, data: bytes, output_format: OutputFormat, size: tuple[int, int], *, inline: bool) -> Image:
        if self.scripted.outcome == "upload-fails":
            raise ConnectionError("the storage does not answer")
        return hand_out(data, output_format, size, inline=True)


class _Unencodable(PIL.Image):
    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        self._size = size

    def convert(self, *_: Any, **__: Any) -> PIL.Image:
        raise OSError("encoder error -2")
