"""Golden prompts: the candidate draws pictures that the evaluation drew before, and they must be the same ones.

Same prompt, seed, size, steps, guidance and strength; the file is asked for without loss (PNG), so that what may differ is the
watermark, other hardware and acceleration, whose loss the package states.
"""

from __future__ import annotations

import io
import json
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from serving.app.billing import BillingUnit, Delivered, units_for
from serving.release.errors import GoldenFailed, PlatformTimeout, PlatformUnreachable
from serving.release.platform import Called, Caller, Platform
from serving.release.smoke import picture_bytes

LIKENESS_DB: Final = 30.0  # an untouched path gave 43 dB and more, a missing adapter 27 dB and less: docs/reliability.md
_NOISE_DB = 3.0  # what a watermark moves either figure by, where base and adapter draw almost the same
_SMALLEST = 11  # pixels: SSIM looks through a window of this side


@dataclass(frozen=True, kw_only=True, slots=True)
class Golden:
    """One request, the picture that the evaluation has for it, and the base's picture for the same request, if there is one."""

    arguments: Mapping[str, Any]
    expected: bytes
    base: bytes | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class GoldenPlan:
    """Golden requests; `likeness_db` is what each picture must reach (PSNR); `said` tells why there are fewer than wished."""

    requests: Sequence[Golden] = ()
    likeness_db: float = LIKENESS_DB
    unit: BillingUnit = "image"
    said: tuple[str, ...] = ("no samples of an evaluation were given, so no picture is compared",)


NO_SAMPLES: Final = GoldenPlan()


@dataclass(frozen=True, kw_only=True, slots=True)
class Shot:
    """What came back for one golden request. `withheld` says why there is no picture where the app chose not to deliver it."""

    request_id: str | None
    status: int
    seconds: float
    units: str | None
    picture: bytes | None = field(repr=False)
    withheld: str | None = None

    @property
    def failed(self) -> bool:
        """A fault of the app; a refusal (4xx) is a decision of it."""
        return self.status >= 500


def golden_plan(bundle: Path, settings: Mapping[str, Any], *, number: int = 3, likeness_db: float = LIKENESS_DB) -> GoldenPlan:
    """Golden requests from the samples that an adapter bundle keeps, as the app of these settings (settings.json) can be asked."""
    from serving.app.settings import Settings

    app = Settings.model_validate(settings)
    manifest = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))
    samples = json.loads((bundle / "evaluation.json").read_text(encoding="utf-8")).get("samples", [])
    inference = manifest["inference"]
    requests: list[Golden] = []
    said: list[str] = []
    for sample in samples:
        if len(requests) == number:
            break
        expected = _bytes(bundle, sample.get("adapter"))
        if expected is None:
            said.append(f"seed {sample['seed']}: its sample is not in the bundle")
            continue
        width, height = _pixels(expected).shape[1::-1]
        if not app.limits.allows(width, height) or inference["steps"] > app.limits.max_steps:
            said.append(f"seed {sample['seed']}: the app does not draw {width} x {height} in {inference['steps']} steps")
            continue
        arguments = {
            "prompt": sample["prompt"],
            "seed": sample["seed"],
            "image_size": {"width": width, "height": height},
            "num_inference_steps": inference["steps"],
            "guidance_scale": inference["guidance_scale"],
            "lora_scale": 1.0,  # the strength that the evaluation draws at
            "num_images": 1,
            "output_format": "png",
            "sync_mode": True,
        }
        requests.append(Golden(arguments=arguments, expected=expected, base=_bytes(bundle, sample.get("base"))))
    if len(requests) < number and not said:
        said.append(f"the evaluation has {len(samples)} samples, {number} were wished for")
    quality = app.acceleration.quality
    least = widened(likeness_db, quality.psnr) if quality else likeness_db
    return GoldenPlan(requests=requests, likeness_db=least, unit=app.billing.unit, said=tuple(said))


def widened(tolerance_db: float, quality_db: float) -> float:
    """PSNR demanded of pictures that may be off by both: amplitudes of errors add at worst."""
    return -20 * math.log10(10 ** (-tolerance_db / 20) + 10 ** (-quality_db / 20))


def drawn(
    platform: Platform,
    plan: GoldenPlan,
    *,
    app: str,
    environment: str | None,
    caller: Caller,
    progress: Callable[[str], None],
) -> list[Shot]:
    """Every golden request, sent once. Raises PlatformUnreachable and PlatformTimeout, which say nothing about the app."""
    shots = []
    for number, golden in enumerate(plan.requests, start=1):
        progress(f"app {app!r} in {environment or 'main'} on {platform.name}: golden prompt {number} of {len(plan.requests)}")
        answer = platform.call(app, golden.arguments, environment=environment, key=caller)
        shots.append(_shot(platform, answer))
    return shots


def compared(plan: GoldenPlan, shots: Sequence[Shot]) -> dict[str, Any]:
    """Evidence that the pictures are those of the evaluation. Raises GoldenFailed with the same evidence.

    {"asked", "compared", "likeness_db", "pictures": [{"seed", "psnr", "ssim", "base_psnr", "seconds"}], "images", "units", "said"};
    `base_psnr` is how near the delivered picture is to the base's.
    """
    pictures = [
        _likeness(golden, shot) for golden, shot in zip(plan.requests, shots, strict=True) if shot.picture and not shot.failed
    ]
    said = [*plan.said, *(f"seed {seed}: withheld ({why})" for seed, why in _withheld(plan, shots))]
    evidence = {
        "asked": len(plan.requests),
        "compared": len(pictures),
        "likeness_db": round(plan.likeness_db, 1),
        "pictures": pictures,
        "images": len(pictures),
        "units": sum(_whole(shot.units) for shot in shots),
        "said": said,
    }
    if fault := _fault(plan, shots, pictures):
        raise GoldenFailed(fault, evidence={"golden": evidence | {"fault": fault}})
    return evidence


def _fault(plan: GoldenPlan, shots: Sequence[Shot], pictures: Sequence[Mapping[str, Any]]) -> str | None:
    """What is wrong with the pictures, in one line."""
    owed = sum(_owed(shot, plan.unit) for shot in shots)
    billed = sum(_whole(shot.units) for shot in shots)
    if billed != owed:
        return f"golden prompts: {billed} units were billed for pictures worth {owed}"
    if plan.requests and not pictures and not any(shot.failed for shot in shots):
        return (
            f"golden prompts: none of {len(shots)} pictures was delivered ({shots[0].withheld}): the app withholds what it is for"
        )
    for picture in pictures:
        if picture["psnr"] < plan.likeness_db:
            return (
                f"golden prompts: the picture of seed {picture['seed']} is at {picture['psnr']:.1f} dB (SSIM {picture['ssim']}) "
                f"from the evaluation's, {plan.likeness_db:.1f} dB are demanded: the app does not draw what was evaluated"
            )
    beside = [picture for picture in pictures if picture["base_psnr"] is not None]
    mine = statistics.fmean(picture["psnr"] for picture in beside) if beside else 0.0
    bases = statistics.fmean(picture["base_psnr"] for picture in beside) if beside else 0.0
    if bases > mine + _NOISE_DB:
        return f"golden prompts: pictures are nearer to the base's ({bases:.1f} dB) than to the adapter's ({mine:.1f} dB)"
    return None


def _shot(platform: Platform, answer: Called) -> Shot:
    images = answer.body.get("images") if answer.status == 200 else None
    picture, withheld = None, None
    if isinstance(images, list) and images:
        picture = _delivered(platform, images[0])
        withheld = None if picture else "it does not decode"
    elif answer.status == 200:
        withheld = str(next((one.get("reason") for one in answer.body.get("undelivered") or ()), "nothing is said about it"))
    elif answer.status < 500:
        withheld = f"answered {answer.status}: {' '.join(str(answer.body.get('detail', answer.body)).split())[:200]}"
    return Shot(
        request_id=answer.request_id,
        status=answer.status,
        seconds=answer.seconds,
        units=answer.units,
        picture=picture,
        withheld=withheld,
    )


def _delivered(platform: Platform, image: Mapping[str, Any]) -> bytes | None:
    """The file of an image that decodes, else None."""
    try:
        data = picture_bytes(platform, image)
        _pixels(data)
    except (PlatformUnreachable, PlatformTimeout):
        raise
    except (ValueError, OSError, SyntaxError):  # the last is what the PNG reader says of broken files
        return None
    return data


def _likeness(golden: Golden, shot: Shot) -> dict[str, Any]:
    from serving.release.likeness import psnr, ssim

    assert shot.picture
    got, expected = _pixels(shot.picture), _pixels(golden.expected)
    base = _pixels(golden.base) if golden.base else None
    alike = got.shape == expected.shape
    return {
        "seed": golden.arguments["seed"],
        "psnr": round(psnr(got, expected), 1) if alike else 0.0,
        "ssim": round(ssim(got, expected), 3) if alike and min(got.shape[:2]) >= _SMALLEST else None,
        "base_psnr": round(psnr(got, base), 1) if base is not None and base.shape == got.shape else None,
        "seconds": round(shot.seconds, 3),
    }


def _withheld(plan: GoldenPlan, shots: Sequence[Shot]) -> list[tuple[Any, str]]:
    return [(golden.arguments["seed"], shot.withheld) for golden, shot in zip(plan.requests, shots, strict=True) if shot.withheld]


def _owed(shot: Shot, unit: BillingUnit) -> int:
    if shot.picture is None:
        return 0
    height, width = _pixels(shot.picture).shape[:2]
    return units_for([Delivered(index=0, width=width, height=height)], unit)


def _whole(units: str | None) -> int:
    try:
        return int(float(units or 0))
    except ValueError:
        return -1  # no count of anything, so never what is owed


def _bytes(bundle: Path, name: str | None) -> bytes | None:
    path = bundle / name if name else None
    return path.read_bytes() if path and path.is_file() else None


def _pixels(data: bytes) -> Any:
    """[height, width, 3] of a picture that decodes to the last pixel."""
    import numpy as np
    from PIL import Image  # here, so that looking at a platform does not load an imaging library

    with Image.open(io.BytesIO(data)) as picture:
        return np.asarray(picture.convert("RGB"))
