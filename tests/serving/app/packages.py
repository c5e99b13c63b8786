"""Small real packages: a random Z-Image base, a random LoRA for it, and the engine that tests of the outcomes use instead."""

import hashlib
import json
from base64 import b64decode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from io import BytesIO
from itertools import cycle
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
from serving.app.drawing.engine import Engine, Shape, Wanted
from serving.app.errors import Stopped
from serving.app.pictures import OutputFormat, hand_out
from serving.app.requests.schema import Input
from serving.app.runner.lifecycle import Lifecycle
from serving.app.safety.checker import Checker
from serving.app.settings import PACKAGE_VARIABLE, Installed
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
    """Does what the first word of each prompt says: it ends in one of RAISES or WITHHELD, or is painted in its seed."""

    def __init__(self) -> None:
        self.calls: list[list[Wanted]] = []

    def draw(self, shape: Shape, wanted: Sequence[Wanted], *, go_on: Callable[[], bool]) -> list[PIL.Image]:
        self.calls.append(list(wanted))
        if not go_on():
            raise Stopped("nobody waits any more")
        outcomes = [one.prompt.partition(" ")[0] for one in wanted]
        for outcome in outcomes:
            if outcome in RAISES:
                raise RAISES[outcome].with_traceback(None)
        return [_painted(outcome, one.seed, (shape.width, shape.height)) for outcome, one in zip(outcomes, wanted, strict=True)]


class ScriptedChecker:
    """Flags, or fails over, what the engine was told to make."""

    def flags(self, picture: PIL.Image) -> bool:
        if picture.info["outcome"] == "check-fails":
            raise OSError("the checker lost its model")
        return bool(picture.info["outcome"] == "flagged")


def built(app: type[LoraApp], folder: Path) -> Any:
    """The ASGI app of a package; the environment names the package only while the app reads it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(PACKAGE_VARIABLE, str(folder))
        return app(_allow_init=True)._build_app()


def pictures_of(answer: Mapping[str, Any]) -> list[PIL.Image]:
    """The images of an answer that holds them as data URIs."""
    return [PIL.open(BytesIO(b64decode(image["url"].partition("base64,")[2]))) for image in answer["images"]]


def only_settings(package: Installed, folder: Path, **changes: Any) -> Path:
    """A package without weights and with other settings, for apps that load none."""
    folder.mkdir(exist_ok=True)
    (folder / "package.json").write_text((package.folder / "package.json").read_text())
    change_settings(package.folder, folder, **changes)
    return folder


def change_settings(source: Path, folder: Path, **changes: Any) -> None:
    path = source / "settings.json"
    (folder / "settings.json").write_text(json.dumps({**json.loads(path.read_text()), **changes}))


class Replaced(Lifecycle):
    """A runner that the platform replaces as soon as its GPU is lost."""

    def lose(self) -> bool:
        return True


class ScriptedApp(LoraApp):
    """The app with everything real but the pictures, and with images in the answer since there is no storage.

    Picture i of a request gets word i of its prompt, from the first again after the last. A lost GPU is replaced at once.
    """

    @cached_property
    def lifecycle(self) -> Lifecycle:
        return Replaced(grace=self.package.settings.termination_grace)

    def make_engine(self) -> Engine:
        self.scripted = ScriptedEngine()
        return self.scripted

    def make_checker(self) -> Checker | None:
        return ScriptedChecker()

    def wanted(self, body: Input, seed: int) -> list[Wanted]:
        if self.batcher.broken:  # a runner with a lost CUDA context is replaced by the platform
            self.batcher = self.make_batcher()
        return [
            replace(one, prompt=word) for one, word in zip(super().wanted(body, seed), cycle(body.prompt.split()), strict=False)
        ]

    def hand_out(self, data: bytes, output_format: OutputFormat, size: tuple[int, int], *, inline: bool) -> Image:
        if PIL.open(BytesIO(data)).convert("RGB").getpixel((0, 0))[2] > _NOT_STORED // 2:  # type: ignore[index]
            raise ConnectionError("the storage does not answer")
        return hand_out(data, output_format, size, inline=True)


_NOT_STORED = 255  # as much blue as marks and compression do not take away


def _painted(outcome: str, seed: int, size: tuple[int, int]) -> PIL.Image:
    blue = _NOT_STORED if outcome == "upload-fails" else 7
    picture = _Unencodable(size) if outcome == "encode-fails" else PIL.new("RGB", size, (seed % 256, 0, blue))
    picture.info["outcome"] = outcome
    return picture


class _Unencodable(PIL.Image):
    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        self._size = size

    def convert(self, *_: Any, **__: Any) -> PIL.Image:
        raise OSError("encoder error -2")
