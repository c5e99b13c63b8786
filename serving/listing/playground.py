"""The page's playground: an input for each field of a request, the one script, and the policy that allows it alone. Pure."""

import base64
import hashlib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any
from urllib.parse import urlsplit

from serving.listing.model import Control, Listing

SCRIPT = "playground.js"
# Whom a page may ask, whatever is typed into it: the platform, and this very computer, where a sandbox answers.
REACHED = ("https://fal.run", "https://127.0.0.1:*", "https://localhost:*")
SEED_BELOW = 2**32
FORMATS = ("jpeg", "png", "webp")


def controls(documents: Mapping[str, Any]) -> dict[str, Control]:
    """Inputs by field, with the bounds that the app enforces; none where the settings of the package are not known."""
    settings = documents.get("settings")
    if not settings:
        return {}
    inference, limit, size = (
        settings.get("inference") or documents["bundle"]["inference"],
        settings["limits"],
        settings["default_size"],
    )
    scale = (settings.get("adapter") or {}).get("scale", documents["bundle"]["scale"])
    sides = {"least": limit["min_side"], "most": limit["max_side"], "step": limit["multiple"]}
    optional = bool((settings.get("safety") or {}).get("optional"))
    return {
        "prompt": Control(kind="text", most=limit["max_prompt_bytes"]),
        "negative_prompt": Control(kind="line", most=limit["max_prompt_bytes"]),
        "num_images": Control(kind="integer", default=1, least=1, most=limit["max_images"]),
        "seed": Control(kind="integer", least=0, most=SEED_BELOW - 1),
        "lora_scale": Control(kind="number", default=scale, least=0, most=2, step=0.05),
        "image_size": Control(kind="size", default=size["width"], second=size["height"], **sides),
        "num_inference_steps": Control(kind="integer", default=inference["steps"], least=1, most=limit["max_steps"]),
        "guidance_scale": Control(kind="number", default=inference["guidance_scale"], least=0, most=20, step=0.1),
        "output_format": Control(kind="choice", default=FORMATS[0], options=FORMATS),
    } | ({"enable_safety_checker": Control(kind="flag", default=True)} if optional else {})


def address(listing: Listing) -> str:
    """Where the playground asks: the platform's address once the release is on fal, else where the release answers."""
    found = listing.release.address
    return found if found and listing.release.target != "fal" else listing.metadata.model_url


def policy(listing: Listing) -> str:
    """Content Security Policy of the page: this script and no other, pictures inside of answers, nobody else asked."""
    named = urlsplit(address(listing))
    own = f"https://{named.netloc}"
    reached = [*REACHED, *(() if own in REACHED or named.hostname in ("127.0.0.1", "localhost") else (own,))]
    digest = base64.b64encode(hashlib.sha256(script().encode()).digest()).decode()
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src 'sha256-{digest}'",
            f"connect-src {' '.join(reached)}",
            "img-src data:",
            "style-src 'unsafe-inline'",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


@cache
def script() -> str:
    """As it stands on the page, between its tags."""
    return files("serving.listing").joinpath("templates", SCRIPT).read_text(encoding="utf-8")
