"""A small bundle, verdict, dataset and release to draft from: pictures are drawn, numbers are computed, nothing is measured."""

import base64
import colorsys
import hashlib
import io
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from serving.listing.draft import draft_listing
from serving.listing.gallery import photographed
from serving.listing.model import Listing, ListingTexts, parsed
from serving.listing.planning import planned

NAMES = ("red fox", "green apple", "slice of cake", "sleepy cat", "blue whale", "paper boat")
SIDE = 48
LICENCE_TEXT = "Permission is granted to test.\n```\nA fence in a licence text.\n```\n"

TEXTS = ListingTexts(
    title="Soft Clay Icons",
    short_description="Small rounded icons with soft light, from a short name.",
    tags=("icons", "clay"),
    sender="Studio <studio@example.org>",
    recipient="Marketplace <marketplace@example.org>",
    support="support@example.org",
)


def drawn(name: str, seed: int, style: str) -> bytes:
    """A disc on white whose colour and place come from name, seed and style; PNG."""
    digest = hashlib.sha256(f"{name} {seed} {style}".encode()).digest()
    red, green, blue = (int(255 * part) for part in colorsys.hsv_to_rgb(digest[0] / 255, 0.4 if style == "base" else 0.8, 0.9))
    picture = Image.new("RGB", (SIDE, SIDE), "white")
    inset = 4 + digest[1] % 8
    ImageDraw.Draw(picture).ellipse((inset, inset, SIDE - inset, SIDE - inset), fill=(red, green, blue), outline="black")
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def evaluation(count: int = 20) -> dict[str, Any]:
    rows = [
        {
            "caption": f"{NAMES[i % len(NAMES)]} {'abcdefgh'[i // len(NAMES)]}",
            "base": 0.4 + i / 100,
            "adapter": (0.4 + i / 100) * (0.8 + i / 80),
        }
        for i in range(count)
    ]
    base, adapter = (sum(row[side] for row in rows) / count for side in ("base", "adapter"))
    return {
        "schema": "lorasmith/evaluation/1",
        "held_out": count,
        "loss": {"base": base, "adapter": adapter, "relative": adapter / base - 1},
        "per_picture": rows,
        "bootstrap": {"low": (adapter - base) * 1.2, "high": (adapter - base) * 0.8, "samples": 100, "seed": 0},
        "strength_zero_equal": True,
        "samples": [
            {"prompt": name, "seed": 7, **{side: f"samples/{side}_{i:02d}.png" for side in ("base", "adapter", "real")}}
            for i, name in enumerate(NAMES[:4])
        ],
        "grid": "samples/grid.png",
        "champion": {
            "loss": base * 0.97,
            "difference": adapter - base * 0.97,
            "relative": adapter / (base * 0.97) - 1,
            "bootstrap": {"low": adapter - base, "high": (adapter - base) * 0.7, "samples": 100, "seed": 0},
        },
        "drift": {"trigger": True, "prompts": ["a lamp"], "pixel": {"own": 0.09, "neutral": 0.04, "ratio": 0.04 / 0.09}},
        "diversity": {"prompt": NAMES[0], "seeds": [1, 2, 3], "pixel": {"base": 0.03, "adapter": 0.05, "ratio": 5 / 3}},
        "memorisation": {
            "hash": {
                "samples": [{"sample": f"samples/adapter_{i:02d}.png", "nearest": "fox.png", "distance": 0.4} for i in range(6)],
                "copies": 0,
                "chance": 0.7,
            },
            "embedding": {"unmeasured": "no model is here"},
        },
        "learned": True,
    }


def manifest() -> dict[str, Any]:
    return {
        "schema": "lorasmith/adapter-bundle/1",
        "base": {"ref": "/home/author/private/tiny-base", "revision": None, "family": "z-image", "weights_sha256": "ab" * 32},
        "family": "z-image",
        "adapter_sha256": "cd" * 32,
        "rank": 8,
        "alpha": 8,
        "scale": 1.0,
        "trigger": "softclay",
        "resolution": SIDE,
        "inference": {"steps": 24, "guidance_scale": 3.5},
    }


def dataset() -> dict[str, Any]:
    pictures = [{"file": f"pictures/{name}.png", "caption": name, "bucket": [SIDE, SIDE], "split": "held_out"} for name in NAMES]
    return {
        "schema": "lorasmith/dataset/1",
        "trigger": "softclay",
        "license": "MIT",
        "source": "https://example.org/clay",
        "counts": {"found": 82, "kept": 80, "dropped": 2, "failed": 0, "train": 60, "held_out": 20},
        "pictures": pictures,
    }


def verdict(paid: str = "duties") -> dict[str, Any]:
    use = {"verdict": paid, "reasons": [], "duties": ["LICENSE_COPY", "STATE_CHANGES"]}
    return {
        "schema": "lorasmith/license-verdict/1",
        "hash": "ef" * 32,
        "verdict": paid,
        "uses": {"train_adapter": use, "host_paid_inference": use},
        "nodes": [
            {
                "id": "/home/author/private/tiny-base",
                "role": "base",
                "revision": None,
                "license": "Apache-2.0",
                "identified_by": "exact text",
            },
            {"id": "clay", "role": "dataset", "revision": None, "license": "MIT", "identified_by": "dataset.yaml"},
        ],
        "notices": [{"file": "LICENSES/tiny-base.txt", "text": LICENCE_TEXT}],
        "notice_lines": ["Changed by training an adapter."],
        "display_lines": ["Built with tiny-base"],
    }


def release() -> dict[str, Any]:
    seen = {
        "unauthenticated_status": 401,
        "images": 2,
        "units": 2,
        "seconds": 1.5,
        "caller": "caller",
        "health": {"status": "ok", "package": "12" * 32},
        "requests": [],
    }
    return {
        "id": "0123456789abcdef",
        "app": "clay",
        "package": "12" * 32,
        "verdict_hash": "ef" * 32,
        "state": "live",
        "revision": "r-main",
        "target": "sandbox",
        "urls": {
            "playground": "https://127.0.0.1:1/p/studio/clay",
            "run": "https://127.0.0.1:1/studio/clay",
            "queue": "https://127.0.0.1:1/q/studio/clay",
        },
        "evidence": {"candidate": seen, "main": seen},
        "created_at": "2026-11-22T05:00:00+00:00",
    }


def settings() -> dict[str, Any]:
    return {
        "schema": "lorasmith/app-settings/1",
        "name": "clay",
        "family": "z-image",
        "base": {"kind": "folder", "ref": "base", "revision": None},
        "adapter": {"sha256": "cd" * 32, "scale": 1.0},
        "trigger": "softclay",
        "inference": {"steps": 24, "guidance_scale": 3.5},
        "limits": {
            "min_side": 32,
            "max_side": 128,
            "multiple": 16,
            "max_area": 16384,
            "max_steps": 50,
            "max_images": 4,
            "max_prompt_bytes": 1000,
            "max_work": 3276800,
        },
        "default_size": {"width": SIDE, "height": SIDE},
        "request_timeout": 300,
        "billing": {"unit": "image"},
        "safety": {"enabled": False},
    }


@dataclass(frozen=True, kw_only=True)
class Answer:
    status: int = 200
    units: str | None = "1"
    body: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.1


def data_uri(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def app(arguments: dict[str, Any]) -> Answer:
    """The deployed app, as far as a draft sees it."""
    picture = drawn(arguments["prompt"], arguments["seed"], "base" if arguments.get("lora_scale") == 0 else "adapter")
    return Answer(
        body={
            "images": [{"url": data_uri(picture), "content_type": "image/png", "width": SIDE, "height": SIDE}],
            "seed": arguments["seed"],
        }
    )


def bundle(folder: Path, evaluated: dict[str, Any] | None = None) -> Path:
    """An AdapterBundle folder, as far as a draft reads it."""
    evaluated = evaluated or evaluation()
    (folder / "samples").mkdir(parents=True)
    for sample in evaluated["samples"]:
        for side in ("base", "adapter", "real"):
            (folder / sample[side]).write_bytes(drawn(sample["prompt"], sample["seed"], side))
    (folder / "evaluation.json").write_text(json.dumps(evaluated))
    (folder / "manifest.json").write_text(json.dumps(manifest()))
    return folder


def drafted(out: Path, **changes: Any) -> dict[str, Any]:
    """A draft in `out`, from the material above with some of it changed."""
    given: dict[str, Any] = {
        "release": release(),
        "verdict": verdict(),
        "dataset": dataset(),
        "texts": TEXTS,
        "settings": settings(),
        "progress": lambda line: None,
    }
    counts = {name: changes.pop(name) for name in ("prompts", "seeds") if name in changes}
    given |= changes
    if "bundle" not in given:
        given["bundle"] = bundle(out.with_name(out.name + "-bundle"))
    if "gallery" not in given:
        given["shots"] = planned(evaluation(), given["dataset"], given["settings"], **counts)
        given["gallery"] = out.with_name(out.name + "-gallery")
        photographed(given["shots"], out=given["gallery"], call=app, progress=given["progress"])
    return draft_listing(out, **given)


def files_in(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def listing_in(folder: Path) -> Listing:
    return parsed((folder / "listing.json").read_text(encoding="utf-8"))


Call = Callable[[dict[str, Any]], Answer]
