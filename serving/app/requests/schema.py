"""What a caller sends and gets: the names of fal's own LoRA endpoints, with this package's bounds enforced.

Values are read as fal's endpoints read them: "3" and 3.0 are the integer 3, true is 1, unknown fields are ignored.
"""

from typing import Any, ClassVar, Literal, TypeVar

from fal.toolkit import FalBaseModel, Field, Image, ImageField
from fal.toolkit.constraints import ImageValidationConfig, to_xfal
from pydantic import BaseModel, ValidationInfo, create_model, field_validator
from pydantic_core import PydanticCustomError

from ..pictures import OutputFormat
from ..safety.checker import safety_statement
from ..settings import Limits, Settings
from .fields import package_fields, size_field, unoffered
from .inputs import MAX_BYTES
from .sizes import pixels, work_of

_GENERATED = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"

MAX_SEED = 2**32 - 1  # a number of JavaScript holds it without loss

_EXAMPLE_BYTES = (
    "UklGRmoAAABXRUJQVlA4IF4AAACQAwCdASogACAAPtForU+/prw0KAqr8BoJagCdMoR5aB+RgBigAP7mTy986F+yLyUItFitZXkPvXbSO9YNJM+/7b8l43l5rdbRXS6d"
    "X2rXquvEByXgGeXYIzEYAAAA"
)
EXAMPLE_PICTURE = f"data:image/webp;base64,{_EXAMPLE_BYTES}"  # a 32 x 32 gradient: what the form shows before the first run


class Input(FalBaseModel):  # type: ignore[misc]
    """A request. What depends on the package (bounds, defaults, sizes) is filled in by `input_model`: its models are served."""

    FIELD_ORDERS: ClassVar[list[str]] = [
        "prompt",
        "negative_prompt",
        "image_size",
        "num_inference_steps",
        "guidance_scale",
        "seed",
        "num_images",
        "lora_scale",
        "enable_safety_checker",
        "output_format",
        "sync_mode",
        "adapter",
    ]
    LIMITS: ClassVar[Limits]

    prompt: str
    negative_prompt: str
    image_size: Any
    num_inference_steps: int
    image_url: str | None = None  # both None where there is no picture to start from
    strength: float | None = None
    guidance_scale: float
    seed: int | None = Field(
        default=None,
        ge=0,
        le=MAX_SEED,
        description=(
            "The same seed and input give the same image. Image i uses seed + i, which goes on at 0 after 4294967295. "
            "Drawn at random if absent."
        ),
        examples=[0, 42],
    )
    lora_scale: float
    num_images: int
    enable_safety_checker: bool
    output_format: OutputFormat = Field(default="jpeg", description="File format of the images.")
    sync_mode: bool = Field(
        default=False, description="Answer with the images as data URIs instead of links; they are then kept nowhere."
    )
    adapter: Literal["champion", "challenger"]

    @field_validator("prompt")
    @classmethod
    def _says_something(cls, prompt: str) -> str:
        if not prompt.strip():
            raise PydanticCustomError("string_too_short", "The prompt is empty")
        return prompt

    @field_validator("prompt", "negative_prompt")
    @classmethod
    def _is_text(cls, text: str) -> str:
        if any(ord(character) < 32 and character not in "\n\r\t" for character in text):
            raise PydanticCustomError("value_error", "The text holds control characters")
        size = len(text.encode("utf-8", "surrogatepass"))
        if size > cls.LIMITS.max_prompt_bytes:
            message = "The text has {size} bytes, at most {limit} are allowed"
            raise PydanticCustomError("string_too_long", message, {"size": size, "limit": cls.LIMITS.max_prompt_bytes})
        return text

    @field_validator("image_size")
    @classmethod
    def _area_is_allowed(cls, size: Any) -> Any:
        width, height = pixels(size) if size is not None else (0, 0)
        if width * height > cls.LIMITS.max_area:
            message = "{width} x {height} pixels are more than the {limit} allowed"
            raise PydanticCustomError("image_too_large", message, {"width": width, "height": height, "limit": cls.LIMITS.max_area})
        return size

    @field_validator("num_images")
    @classmethod
    def _work_is_allowed(cls, images: int, info: ValidationInfo) -> int:
        size, steps = info.data.get("image_size"), info.data.get("num_inference_steps")
        if size is None or steps is None:
            return images  # those have errors of their own, or the size is that of a picture that nobody has seen yet
        work = work_of(*pixels(size), steps, images, change=info.data.get("strength"))
        if work > cls.LIMITS.max_work:
            message = "width x height x steps x images is {work}, at most {limit} is allowed: ask for fewer or smaller images"
            raise PydanticCustomError("work_budget_exceeded", message, {"work": work, "limit": cls.LIMITS.max_work})
        return images


class ImageInput(Input):
    """A request that starts from a picture."""

    FIELD_ORDERS: ClassVar[list[str]] = ["prompt", "image_url", "strength", *Input.FIELD_ORDERS[1:]]

    image_url: str
    strength: float


_Request = TypeVar("_Request", bound=Input)


class Undelivered(BaseModel):
    """An image that was asked for and is not part of the answer. It is not billed."""

    index: int = Field(description="Its place in the request: it would have used seed + index.", examples=[1])
    reason: Literal[
        "content_policy", "safety_check_failed", "drawing_failed", "marking_failed", "encode_failed", "upload_failed"
    ] = Field(description="Why it is not there.", examples=["content_policy"])


class Output(FalBaseModel):  # type: ignore[misc]
    """An answer. Billed is what `images` holds, no more."""

    FIELD_ORDERS: ClassVar[list[str]] = ["images", "timings", "seed", "has_nsfw_concepts", "prompt", "undelivered"]

    images: list[Image] = Field(
        description="The delivered images, in the order of the request. What was withheld or failed is not among them.",
        examples=[[{"url": EXAMPLE_PICTURE, "content_type": "image/webp", "width": 32, "height": 32}]],
    )
    timings: dict[str, float] = Field(
        description="Seconds spent, by stage: waiting in this runner, drawing, and checking, marking and storing.",
        examples=[{"queue": 0.0, "inference": 1.2, "delivery": 0.1}],
    )
    seed: int = Field(description="The seed of the first image asked for.", examples=[42])
    has_nsfw_concepts: list[bool] = Field(
        description="For each image in `images`: whether it was flagged. Flagged images are withheld, so all are false.",
        examples=[[False]],
    )
    prompt: str = Field(description="The prompt that was used.", examples=["a red fox"])
    undelivered: list[Undelivered] = Field(
        description="The images that were asked for, not delivered and not billed.", examples=[[]]
    )


def picture_field(description: str) -> Any:
    """`image_url` as the form knows it: a place to drop a file, with the limits that are told before an upload."""
    return ImageField(
        description=f"{description} A link (https) or a data URI of a JPEG, PNG or WebP file of at most {MAX_BYTES >> 20} MiB.",
        examples=[EXAMPLE_PICTURE],
        json_schema_extra={"ui": {"important": True}, "x-fal": to_xfal(ImageValidationConfig(max_file_size=MAX_BYTES))},
    )


class VerifyInput(FalBaseModel):  # type: ignore[misc]
    """A picture to be looked at for the marks that this app puts into its own."""

    FIELD_ORDERS: ClassVar[list[str]] = ["image_url"]

    image_url: str = picture_field("The picture to look at. It is not kept.")


class Credentials(BaseModel):
    """The signed manifest (C2PA) of a picture."""

    present: bool = Field(description="Whether there is a manifest.", examples=[True])
    valid: bool = Field(description="Whether its signature holds and the picture is the one that was signed.", examples=[True])
    trusted: bool | None = Field(
        description="Whether the signer is on a list of trust; null where none was asked.", examples=[None]
    )
    certificate: Literal["development", "other"] | None = Field(
        description="development: made for tests, it vouches for nobody.", examples=["other"]
    )
    signer: str | None = Field(description="Who signed, as the certificate says.", examples=["a publisher"])
    source_type: str | None = Field(description="How the manifest says that the picture came about.", examples=[_GENERATED])
    package: str | None = Field(description="Hash of the package of this app that drew it.", examples=[None])
    problems: list[str] = Field(description="What does not hold, one line each.", examples=[[]])


class Watermark(BaseModel):
    """The invisible watermark of a picture."""

    present: bool = Field(description="Whether the watermark was found.", examples=[True])
    score: float = Field(description="How clearly it was found.", examples=[5.9])
    threshold: float = Field(description="The score from which on it counts as found.", examples=[5.6])
    package: str | None = Field(description="First digits of the hash of the package that drew it.", examples=[None])


class Metadata(BaseModel):
    """What the picture's own metadata (IPTC) says."""

    present: bool = Field(description="Whether there is a statement.", examples=[True])
    source_type: str | None = Field(description="How it says that the picture came about.", examples=[_GENERATED])


class VerifyOutput(FalBaseModel):  # type: ignore[misc]
    """Which marks a picture holds. No mark found is no proof that a picture was not generated."""

    FIELD_ORDERS: ClassVar[list[str]] = ["generated", "c2pa", "watermark", "iptc"]

    generated: bool = Field(description="Whether any of the marks says that the picture was generated.", examples=[True])
    c2pa: Credentials = Field(title="C2PA", description="The signed manifest.")
    watermark: Watermark = Field(title="Invisible Watermark", description="The invisible watermark.")
    iptc: Metadata = Field(title="IPTC", description="The statement in the metadata.")


def seed_of(seed: int, index: int) -> int:
    """The seed of image `index` of a request: asked for alone with it, the image is the same."""
    return (seed + index) % (MAX_SEED + 1)


def input_model(settings: Settings) -> type[Input]:
    """The request for text-to-image as this package allows it: bounds, defaults and examples are those of its settings."""
    return _bounded(
        Input, settings, {"image_size": size_field(settings), "image_url": unoffered(None), "strength": unoffered(None)}
    )


def image_input_model(settings: Settings) -> type[ImageInput]:
    """The request for image-to-image as this package allows it; a size that is left out is the picture's own."""
    strength: Any = Field(
        default=0.85,
        ge=0.01,
        le=1,
        allow_inf_nan=False,
        description="How much of the picture is drawn anew: 1 leaves nothing of it, 0.01 nearly all.",
        examples=[0.85],
    )
    image_url = picture_field("The picture to start from. It is cut at the middle where image_size has another shape.")
    fields = {"image_size": size_field(settings, own=True), "image_url": (str, image_url), "strength": (float, strength)}
    return _bounded(ImageInput, settings, fields)


def _bounded(base: type[_Request], settings: Settings, fields: dict[str, Any]) -> type[_Request]:
    doc = f"A request to {settings.name}. {safety_statement(settings)}"
    all_fields: dict[str, Any] = package_fields(settings) | fields
    model = create_model(base.__name__, __base__=base, __module__=__name__, __doc__=doc, **all_fields)
    model.LIMITS = settings.limits
    return model
