"""How far accelerated pictures are from exact ones: drawn both ways by the app's engine, in a process of its own."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from serving.app.drawing.first_block import why_not
from serving.app.settings import Acceleration, Quality, Settings
from serving.release.errors import PackageError

Level = Literal["none", "regular", "high"]

# What the levels of a job mean. The threshold is where the first block's answer may differ from the step before by a tenth.
LEVELS: Mapping[Level, Mapping[str, Any]] = {
    "none": {},
    "regular": {"first_block_cache": 0.1},
    "high": {"first_block_cache": 0.1, "fp8": True},
}
PICTURES = 4
_SCHEMA = "lorasmith/quality/1"
_ROOT = Path(__file__).resolve().parents[2]
_SECRETS = ("FAL_", "LORASMITH_SMOKE", "LORASMITH_C2PA", "HF_TOKEN")


@dataclass(frozen=True, kw_only=True, slots=True)
class Bound:
    """What the worst picture must reach: PSNR in dB, and SSIM (1 for equal pictures)."""

    psnr: float = 25.0
    ssim: float = 0.85


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """acceleration: for settings.json, with the worst picture's quality. report: quality.json, the same for the same inputs.

    speed: seconds a picture and the machine they were taken on; of no part of the package, since they are never twice the same.
    """

    acceleration: Acceleration
    report: Mapping[str, Any]
    speed: Mapping[str, Any]


def measured(
    level: Level, *, base: Path, adapter: Path, exact: Settings, evaluation: Mapping[str, Any], bound: Bound = Bound(), log: Path
) -> Measured:
    """Measure a level on the samples of an evaluation, at the package's default size and steps.

    base: folder of the base. exact: the package's settings without acceleration. log: file for what the engines say. Raises
    PackageError for a base whose denoiser can not be accelerated so, where drawing fails, and where the bound is not met.
    """
    require_possible(level, base)
    samples = [{"prompt": str(one["prompt"]), "seed": int(one["seed"])} for one in evaluation.get("samples", ())][:PICTURES]
    if not samples:
        raise PackageError(f"acceleration {level!r} is measured on the samples of the evaluation, which has none: evaluate again")
    answer = _drawn_both_ways(base, adapter, exact, LEVELS[level], samples, log)
    figures = [{"seed": one["seed"], "psnr": _down(one["psnr"], 1), "ssim": _down(one["ssim"], 3)} for one in answer["pictures"]]
    worst = judged(level, figures, bound)
    report = {
        "schema": _SCHEMA,
        "level": level,
        **LEVELS[level],
        "size": exact.default_size.model_dump(),
        "steps": exact.inference.steps,
        "guidance_scale": exact.inference.guidance_scale,
        "device": answer["device"],
        "bound": asdict(bound),
        "worst": worst.model_dump(),
        "pictures": figures,
    }
    return Measured(acceleration=Acceleration(**LEVELS[level], quality=worst), report=report, speed=answer["speed"])


def judged(level: Level, figures: Sequence[Mapping[str, float]], bound: Bound) -> Quality:
    """The worst of the pictures. Raises PackageError where it does not reach the bound."""
    worst = Quality(psnr=min(one["psnr"] for one in figures), ssim=min(one["ssim"] for one in figures), pictures=len(figures))
    if worst.psnr >= bound.psnr and worst.ssim >= bound.ssim:
        return worst
    others = " or ".join(f"acceleration: {name}" for name in ("none", "regular") if name != level)
    raise PackageError(
        f"acceleration {level!r} moves pictures too far: the worst of {worst.pictures} has PSNR {worst.psnr:g} dB and SSIM "
        f"{worst.ssim:g}, the bound is {bound.psnr:g} dB and {bound.ssim:g}: choose {others}"
    )


def require_possible(level: Level, base: Path | None, *, ref: str = "") -> None:
    """Raise PackageError unless the base's denoiser can be accelerated so, and the base is here to measure it on."""
    if level == "none":
        return
    if base is None:
        raise PackageError(
            f"acceleration {level!r} needs base {ref!r} on this machine to measure how far pictures move, and it is only on the "
            "Hub: fetch it into the cache, or choose acceleration: none"
        )
    try:
        index = json.loads((base / "model_index.json").read_text(encoding="utf-8"))
        denoiser = str((index.get("unet") or index["transformer"])[1])
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise PackageError(f"base {base} is no diffusers pipeline: model_index.json can not be read ({error})") from error
    if reason := why_not(denoiser):
        raise PackageError(f"acceleration {level!r} does not fit this base: {reason}; choose acceleration: none")


def cached_base(ref: str, revision: str) -> Path | None:
    """The folder of a Hub base in this machine's cache, if it is there at this revision; nothing is fetched."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(snapshot_download(ref, revision=revision, local_files_only=True))
    except LocalEntryNotFoundError:
        return None


def _drawn_both_ways(
    base: Path, adapter: Path, exact: Settings, level: Mapping[str, Any], samples: Sequence[Mapping[str, Any]], log: Path
) -> dict[str, Any]:
    """The answer of the child. It ends with us: its stdin is a pipe that closes when we are gone."""
    with tempfile.TemporaryDirectory(prefix="lorasmith-quality-") as name:
        folder = Path(name)
        (folder / "base").symlink_to(base.resolve(), target_is_directory=True)
        (folder / "adapter.safetensors").symlink_to(adapter.resolve())
        request = {"settings": exact.model_dump(mode="json", by_alias=True), "level": dict(level), "samples": list(samples)}
        (folder / "request.json").write_text(json.dumps(request), encoding="utf-8")
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            command = [sys.executable, "-m", "serving.release.quality_child", str(folder)]
            child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=output, stderr=output, env=_environment(folder))
            assert child.stdin
            try:
                code = child.wait()
            finally:
                child.stdin.close()
                child.wait()
        return _answer(folder / "answer.json", code, log)


def _answer(path: Path, code: int, log: Path) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if "pictures" in answer:
        return answer
    reason = answer.get("error", f"it ended with code {code} and said nothing")
    raise PackageError(f"acceleration could not be measured ({reason}): see {log}, or choose acceleration: none")


def _environment(folder: Path) -> dict[str, str]:
    """Ours, less all secrets, with nothing fetched and nothing kept."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_SECRETS)}
    paths = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    python = {"PYTHONPATH": os.pathsep.join(paths), "PYTHONSAFEPATH": "1", "PYTHONUNBUFFERED": "1"}
    return kept | python | {"HF_HUB_OFFLINE": "1", "LORASMITH_DATA": str(folder / "data")}


def _down(value: float, digits: int) -> float:
    """Rounded towards the worse, so that what is told holds."""
    scale = 10.0**digits
    return math.floor(value * scale) / scale
