"""What a caller sends and gets: the names of fal's own text-to-image endpoints, with this package's bounds enforced."""

from typing import Annotated, Any, ClassVar, Literal

from fal.toolkit import FalBaseModel, Field, Image, ImageSizeField
from fal.toolkit.constraints import ImageSizeConstraints, to_xfal
from pydantic import BaseModel, Discriminator, Tag, ValidationInfo, create_model, field_validator
from pydantic_core import PydanticCustomError

from .pictures import OutputFormat
from .settings import Limits, Settings

MAX_SEED = 2**32 - 1  # what a JavaScript number holds without loss, with room for seed + index

PRESETS: dict[str, tuple[int, int]] = {
    "square_hd": (1024, 1024),
    "square": (512, 512),
    "portrait_4_3": (768, 1024),
    "portrait_16_9": (576, 1024),
    "landscape_4_3": (1024, 768),
    "landscape_16_9": (1024, 576),
}


class ImageSize(BaseModel):
    """Size of the image in pixels."""

    width: int
    height: int


class Input(FalBaseModel):  # type: ignore[misc]
    """A request. What depends on the package (bounds, defaults, sizes) is filled in by `input_model`: its models are served."""

    FIELD_ORDERS: ClassVar[list[str]] = ["prompt", "image_size", "num_inference_steps", "guidance_scale", "seed", "lora_scale"]
    LIMITS: ClassVar[Limits]

    prompt: str = Field(min_length=1, description="What the image shows.", json_schema_extra={"ui": {"important": True}})
    image_size: Any
    num_inference_steps: int
    guidance_scale: float
    seed: int | None = Field(
        default=None,
        ge=0,
        le=MAX_SEED,
        description="The same seed and input give the same image; image i uses seed + i. Drawn at random if absent.",
        examples=[0, 42],
    )
    lora_scale: float
    num_images: int
    enable_safety_checker: bool
    output_format: OutputFormat = Field(default="jpeg", description="File format of the images.")
    sync_mode: bool = Field(
        default=False, description="Answer with the images as data URIs instead of links; they are then kept nowhere."
    )

    @field_validator("prompt")
    @classmethod
    def _prompt_is_text(cls, prompt: str) -> str:
        if not prompt.strip():
            raise PydanticCustomError("string_too_short", "The prompt is empty")
        if any(ord(character) < 32 and character not in "\n\r\t" for character in prompt):
            raise PydanticCustomError("value_error", "The prompt holds control characters")
        size = len(prompt.encode("utf-8", "surrogatepass"))
        if size > cls.LIMITS.max_prompt_bytes:
            message = "The prompt has {size} bytes, at most {limit} are allowed"
            raise PydanticCustomError("string_too_long", message, {"size": size, "limit": cls.LIMITS.max_prompt_bytes})
        return prompt

    @field_validator("image_size")
    @classmethod
    def _area_is_allowed(cls, size: Any) -> Any:
        width, height = pixels(size)
        if width * height > cls.LIMITS.max_area:
            message = "{width} x {height} pixels are more than the {limit} allowed"
            raise PydanticCustomError("image_too_large", message, {"width": width, "height": height, "limit": cls.LIMITS.max_area})
        return size

    @field_validator("num_images")
    @classmethod
    def _work_is_allowed(cls, images: int, info: ValidationInfo) -> int:
        if "image_size" not in info.data or "num_inference_steps" not in info.data:
            return images  # those have errors of their own
        width, height = pixels(info.data["image_size"])
        work = width * height * info.data["num_inference_steps"] * images
        if work > cls.LIMITS.max_work:
            message = "width x height x steps x images is {work}, at most {limit} is allowed: ask for fewer or smaller images"
            raise PydanticCustomError("work_budget_exceeded", message, {"work": work, "limit": cls.LIMITS.max_work})
        return images


class Undelivered(BaseModel):
    """An image that was asked for and is not part of the answer. It is not billed."""

    index: int = Field(description="Its place in the request: it would have used seed + index.", examples=[1])
    reason: Literal["content_policy", "safety_check_failed", "encode_failed", "upload_failed"]


class Output(FalBaseModel):  # type: ignore[misc]
    """An answer. Billed units are the images in `images`, no more."""

    FIELD_ORDERS: ClassVar[list[str]] = ["images", "timings", "seed", "has_nsfw_concepts", "prompt"]

    images: list[Image] = Field(
        description="The delivered images, in the order of the request. What was withheld or failed is not among them.",
    )
    timings: dict[str, float] = Field(description="Seconds spent.", examples=[{"inference": 1.2, "delivery": 0.1}])
    seed: int = Field(description="The seed of the first image asked for.", examples=[42])
    has_nsfw_concepts: list[bool] = Field(
        description="For each image in `images`: whether it was flagged. Flagged images are withheld, so all are false.",
        examples=[[False]],
    )
    prompt: str = Field(description="The prompt that was used.")
    undelivered: list[Undelivered] = Field(
        description="The images that were asked for, not delivered and not billed.", examples=[[]]
    )


def pixels(size: Any) -> tuple[int, int]:
    """Width and height of an `image_size`, preset or not."""
    return PRESETS[size] if isinstance(size, str) else (size.width, size.height)


def input_model(settings: Settings) -> type[Input]:
    """The request as this package allows it: bounds, defaults and examples are those of its settings."""
    limits, inference = settings.limits, settings.inference
    fields: dict[str, Any] = {
        "prompt": (str, _prompt_field(settings)),
        "image_size": _image_size(settings),
        "num_inference_steps": (int, Field(default=inference.steps, ge=1, le=limits.max_steps, description="Denoising steps.")),
        "guidance_scale": (float, _guidance_field(settings)),
        "lora_scale": (float, _lora_scale_field(settings)),
        "num_images": (int, Field(default=1, ge=1, le=limits.max_images, description="How many images to make; each is one unit.")),
        "enable_safety_checker": (bool, Field(default=True, description=safety_note(settings))),
    }
    model = create_model("Input", __base__=Input, __module__=__name__, __doc__=f"A request to {settings.name}.", **fields)
    model.LIMITS = limits
    return model


def safety_note(settings: Settings) -> str:
    """What protects callers here, in one sentence that is true of this package."""
    if settings.safety.enabled:
        return (
            "Images pass a checker unless a request turns it off; what it flags is withheld and not billed. Prompts are filtered."
        )
    return "This app has a prompt filter only, which is always on: images are not checked, and this switch has no effect."


def _prompt_field(settings: Settings) -> Any:
    subject = f"{settings.trigger}, a red fox" if settings.trigger else "a red fox"
    hint = f" Write {settings.trigger!r} to call the trained style." if settings.trigger else ""
    return Field(
        min_length=1,
        max_length=settings.limits.max_prompt_bytes,  # a hint for the form: characters; the validator counts bytes
        description=f"What the image shows.{hint}",
        examples=[subject],
        json_schema_extra={"ui": {"important": True}},
    )


def _guidance_field(settings: Settings) -> Any:
    return Field(
        default=settings.inference.guidance_scale,
        ge=0,
        le=20,
        allow_inf_nan=False,
        description="How closely the image follows the prompt. 0 turns guidance off.",
    )


def _lora_scale_field(settings: Settings) -> Any:
    return Field(
        default=settings.adapter.scale,
        ge=0,
        le=2,
        allow_inf_nan=False,
        description="Strength of the trained style: 0 is the base model, the default is what it was trained and tested for.",
        examples=[settings.adapter.scale],
    )


def _image_size(settings: Settings) -> tuple[Any, Any]:
    """Type and field of `image_size`: explicit sides, or one of fal's presets that fit this package's limits."""
    limits = settings.limits
    side: Any = Field(ge=limits.min_side, le=limits.max_side, multiple_of=limits.multiple)
    size = create_model(
        "ImageSize", __base__=ImageSize, __module__=__name__, __doc__=ImageSize.__doc__, width=(int, side), height=(int, side)
    )
    default = (settings.default_size.width, settings.default_size.height)
    presets = {name: sides for name, sides in PRESETS.items() if limits.allows(*sides)}
    named = next((name for name, sides in presets.items() if sides == default), None)
    kind: Any = size
    if presets:
        literal: Any = Literal[tuple(presets)]
        kind = Annotated[Annotated[size, Tag("size")] | Annotated[literal, Tag("preset")], Discriminator(_size_tag)]
    field = ImageSizeField(
        default=named or size(width=default[0], height=default[1]),
        description=f"Size of the image. Sides from {limits.min_side} to {limits.max_side} in steps of {limits.multiple}.",
        json_schema_extra=_any_of(limits),
    )
    return kind, field


def _size_tag(value: Any) -> str:
    return "preset" if isinstance(value, str) else "size"


def _any_of(limits: Limits) -> Any:
    """Schema changes for the playground: it knows `anyOf` for sizes, and reads limits from `x-fal`."""
    constraints = ImageSizeConstraints(
        min_width=limits.min_side,
        min_height=limits.min_side,
        max_width=limits.max_side,
        max_height=limits.max_side,
        max_area=limits.max_area,
        multiple_of=limits.multiple,
    )

    def change(schema: dict[str, Any]) -> None:
        if "oneOf" in schema:
            schema["anyOf"] = schema.pop("oneOf")
        schema.update({"x-fal": to_xfal(constraints), "ui": {"important": True}})

    return change
