"""The table of request and answer fields, with the package's defaults and bounds; a test holds it to the app's own schema. Pure."""

from collections.abc import Mapping
from typing import Any

from serving.listing.model import Api, Endpoint, Parameter
from serving.listing.playground import controls

OUTPUT = (
    ("images", "list of {url, content_type, width, height}", "The delivered pictures; these are billed, no others."),
    ("seed", "integer", "Seed of the first picture."),
    ("has_nsfw_concepts", "list of boolean", "One for each delivered picture."),
    ("timings", "object", "Seconds spent, by stage: queue, inference, delivery."),
    ("prompt", "string", "The prompt that was used."),
    ("undelivered", "list of {index, reason}", "What was asked for, not delivered and not billed."),
)
# name, type, what it is; the first is the only one that a caller must send
INPUT = (
    ("prompt", "string", "What the picture shows."),
    ("image_size", "preset or {width, height}", "Size of the picture in pixels; at /image-to-image that of image_url if absent."),
    ("num_inference_steps", "integer", "Denoising steps."),
    ("guidance_scale", "number", "How closely the picture follows the prompt."),
    ("seed", "integer", "The same seed and input give the same picture; drawn at random if absent."),
    ("lora_scale", "number", "Strength of the trained style; zero is the base."),
    ("num_images", "integer", "How many pictures"),
    ("enable_safety_checker", "boolean", ""),
    ("output_format", "jpeg, png or webp", "File format."),
    ("sync_mode", "boolean", "Answer with data URIs instead of links."),
)
BILLED = {
    "image": "each one that is delivered is one billable unit.",
    "megapixel": "what is billed are the megapixels of those that are delivered.",
    "request": "a request that delivers any is one billable unit.",
}
CHECKED = {
    "off": "No effect: pictures are not checked, the prompt filter is always on.",
    "optional": "Whether pictures are checked; what the checker flags is withheld and not billed.",
    "required": "No effect: every picture is checked; what the checker flags is withheld and not billed.",
}
# path, what it does, whether callers pay for it; a test holds the first words to the app's own OpenAPI
PATHS = (
    ("/", "Make images from a prompt. Billed is what is delivered; whatever fails or is withheld costs nothing.", True),
    (
        "/image-to-image",
        "Make images from a prompt and a picture. Billed is what is delivered; whatever fails or is withheld costs nothing.",
        True,
    ),
    ("/verify", "Look for the marks that say that an image was generated, here or elsewhere. Costs nothing.", False),
    ("/health", "How the runner is and what it runs.", False),
)
NEGATIVE = ("negative_prompt", "string", "What the picture should not show.")
FROM_A_PICTURE = (
    ("image_url", "https link or data URI", "At /image-to-image, where it is needed: the picture to start from."),
    ("strength", "number", "At /image-to-image: how far from that picture the result may go."),
)


def api_of(documents: Mapping[str, Any]) -> Api:
    """Request and answer of the endpoint from `bundle` and, for sizes and bounds, the optional `settings` of its package."""
    given, within, asked = defaults(documents), bounds(documents.get("settings")), controls(documents)
    rows = tuple(
        Parameter(
            name=name,
            type=kind,
            description=text,
            required=name == "prompt",
            default=given.get(name),
            bounds=within.get(name),
            control=asked.get(name),
        )
        for name, kind, text in fields(documents.get("settings"))
    )
    answered = tuple(Parameter(name=name, type=kind, description=text) for name, kind, text in OUTPUT)
    return Api(input=rows, output=answered, endpoints=endpoints(documents.get("settings")))


def endpoints(settings: Mapping[str, Any] | None) -> tuple[Endpoint, ...]:
    """What can be called below the app's address; POST, all of it."""
    pictures = bool(((settings or {}).get("pipeline") or {}).get("image_to_image"))
    return tuple(
        Endpoint(path=path, description=text, billed=billed)
        for path, text, billed in PATHS
        if pictures or path != "/image-to-image"
    )


def fields(settings: Mapping[str, Any] | None) -> tuple[tuple[str, str, str], ...]:
    """Those that every package has, and those of this package's pipeline."""
    pipeline = (settings or {}).get("pipeline") or {}
    negative = (NEGATIVE,) if pipeline.get("negative_prompt") else ()
    known = {"num_images": f"How many pictures; {BILLED[unit(settings)]}", "enable_safety_checker": CHECKED[checking(settings)]}
    always = tuple((name, kind, known.get(name, text)) for name, kind, text in INPUT)
    return (always[0], *negative, *always[1:], *(FROM_A_PICTURE if pipeline.get("image_to_image") else ()))


def unit(settings: Mapping[str, Any] | None) -> str:
    """What one billable unit is: image, megapixel or request."""
    return str(((settings or {}).get("billing") or {}).get("unit", "image"))


def checking(settings: Mapping[str, Any] | None) -> str:
    """off, optional or required, as a job says it."""
    safety = (settings or {}).get("safety") or {}
    return "off" if not safety.get("enabled") else "optional" if safety.get("optional") else "required"


def defaults(documents: Mapping[str, Any]) -> dict[str, str]:
    """What a request that says nothing gets; the app's settings win over the bundle's recommendation."""
    bundle, settings = documents["bundle"], documents.get("settings") or {}
    inference, size = settings.get("inference") or bundle["inference"], settings.get("default_size")
    shown = {
        "num_inference_steps": f"{inference['steps']}",
        "guidance_scale": f"{inference['guidance_scale']:g}",
        "lora_scale": f"{settings.get('adapter', {}).get('scale', bundle['scale']):g}",
        "num_images": "1",
        "enable_safety_checker": "true",
        "output_format": "jpeg",
        "sync_mode": "false",
        "strength": "0.85",
    }
    return shown | ({"image_size": f"{size['width']} x {size['height']}"} if size else {})


def bounds(settings: Mapping[str, Any] | None) -> dict[str, str]:
    """What the app enforces; nothing where its settings are not known."""
    if not settings:
        return {}
    limit = settings["limits"]
    sides = f"sides {limit['min_side']} to {limit['max_side']}, in steps of {limit['multiple']}"
    return {
        "prompt": f"up to {limit['max_prompt_bytes']} bytes",
        "image_size": f"{sides}; area up to {limit['max_area']} pixels",
        "num_inference_steps": f"1 to {limit['max_steps']}",
        "num_images": f"1 to {limit['max_images']}",
        "guidance_scale": "0 to 20",
        "lora_scale": "0 to 2",
        "seed": "0 to 4294967295",
        "strength": "0.01 to 1",
    }
