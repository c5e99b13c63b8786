"""Fields of a request that differ from package to package: their bounds, defaults, examples and what the form says of them."""

from functools import cache
from typing import Annotated, Any, Literal, TypeAlias

from fal.toolkit import Field, Hidden, ImageSizeField
from fal.toolkit.constraints import ImageSizeConstraints, to_xfal
from pydantic import BaseModel, BeforeValidator, Discriminator, Tag, create_model
from pydantic.json_schema import SkipJsonSchema

from ..settings import Limits, Settings
from .sizes import PRESETS

_Typed = tuple[Any, Any]  # type and field, as pydantic's create_model takes them
_Unseen: TypeAlias = SkipJsonSchema[Any]
_IMPORTANT = {"ui": {"important": True}}  # shown at once, without opening the form's further settings
_ONE_IS_BILLED = {
    "image": "each one that is delivered is one billable unit",
    "megapixel": "what is billed are the megapixels of those that are delivered",
    "request": "a request that delivers any is one billable unit",
}


class ImageSize(BaseModel):
    """Size of the image in pixels."""

    width: int
    height: int


def package_fields(settings: Settings) -> dict[str, _Typed]:
    """All of them but the size, by name."""
    steps, limits = settings.inference.steps, settings.limits
    images = f"How many images to make; {_ONE_IS_BILLED[settings.billing.unit]}."
    return {
        "prompt": (str, _prompt_field(settings)),
        "negative_prompt": _negative_prompt(settings),
        "num_inference_steps": (
            int,
            Field(default=steps, ge=1, le=limits.max_steps, description="Denoising steps.", examples=[steps]),
        ),
        "guidance_scale": (float, _guidance_field(settings)),
        "lora_scale": (float, _lora_scale_field(settings)),
        "num_images": (int, Field(default=1, ge=1, le=limits.max_images, description=images, examples=[1])),
        "enable_safety_checker": (bool, Field(default=True, description=_switch_note(settings))),
        "adapter": _adapter(settings),
    }


def unoffered(value: Any) -> _Typed:
    """A field that this package does not have: it is in no form, and what a caller sends for it is ignored like any unknown one."""
    return Annotated[_Unseen, BeforeValidator(lambda _: value)], value


def size_field(settings: Settings, *, own: bool = False) -> _Typed:
    """`image_size`: explicit sides, or one of fal's presets that fit this package's limits. own: absent is the picture's own."""
    limits = settings.limits
    size = _sides(limits)
    default = (settings.default_size.width, settings.default_size.height)
    presets = {name: sides for name, sides in PRESETS.items() if limits.allows(*sides)}
    named = next((name for name, sides in presets.items() if sides == default), None)
    kind: Any = size
    if presets:
        literal: Any = Literal[tuple(presets)]
        kind = Annotated[Annotated[size, Tag("size")] | Annotated[literal, Tag("preset")], Discriminator(_size_tag)]
    otherwise = " If absent, that of the picture, brought into these bounds." if own else ""
    field = ImageSizeField(
        title="Image Size",
        default=None if own else named or size(width=default[0], height=default[1]),
        description=f"Size of the image. Sides from {limits.min_side} to {limits.max_side} in steps of {limits.multiple}."
        + otherwise,
        examples=[named or {"width": default[0], "height": default[1]}],
        json_schema_extra=_as_the_form_knows_it(limits),
    )
    return kind | None if own else kind, field


@cache  # one class for both endpoints: OpenAPI would have two of the same name
def _sides(limits: Limits) -> type[ImageSize]:
    def side(name: str) -> Any:
        description = f"{name} of the image in pixels."
        return Field(ge=limits.min_side, le=limits.max_side, multiple_of=limits.multiple, description=description)

    return create_model(
        "ImageSize",
        __base__=ImageSize,
        __module__=__name__,
        __doc__=ImageSize.__doc__,
        width=(int, side("Width")),
        height=(int, side("Height")),
    )


def _size_tag(value: Any) -> str:
    return "preset" if isinstance(value, str) else "size"


def _as_the_form_knows_it(limits: Limits) -> Any:
    """Schema changes for the playground: it knows a flat `anyOf` for sizes, and reads limits from `x-fal`."""
    constraints = ImageSizeConstraints(
        min_width=limits.min_side,
        min_height=limits.min_side,
        max_width=limits.max_side,
        max_height=limits.max_side,
        max_area=limits.max_area,
        multiple_of=limits.multiple,
    )

    def change(schema: dict[str, Any]) -> None:
        kinds = schema.pop("oneOf", None) or schema.pop("anyOf", None) or [{"$ref": schema.pop("$ref")}]
        schema["anyOf"] = [kind for one in kinds for kind in one.get("oneOf", [one])]
        schema.update({"x-fal": to_xfal(constraints), **_IMPORTANT})

    return change


def _prompt_field(settings: Settings) -> Any:
    subject = f"{settings.trigger}, a red fox" if settings.trigger else "a red fox"
    hint = f" Write {settings.trigger!r} to call the trained style." if settings.trigger else ""
    return Field(
        min_length=1,
        max_length=settings.limits.max_prompt_bytes,  # a hint for the form: characters; the validator counts bytes
        description=f"What the image shows.{hint}",
        examples=[subject],
        json_schema_extra=_IMPORTANT,
    )


def _negative_prompt(settings: Settings) -> _Typed:
    if not settings.called.negative_prompt:
        return unoffered("")
    field = Field(
        default="",
        max_length=settings.limits.max_prompt_bytes,
        description="What the image should not show.",
        examples=["blurry, text"],
    )
    return str, field


def _guidance_field(settings: Settings) -> Any:
    return Field(
        default=settings.inference.guidance_scale,
        ge=0,
        le=20,
        allow_inf_nan=False,
        description="How closely the image follows the prompt. 0 turns guidance off.",
        examples=[settings.inference.guidance_scale],
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


def _switch_note(settings: Settings) -> str:
    """What `enable_safety_checker` does in this package, in words that are true of it."""
    if not settings.safety.enabled:
        return "No effect here: this app has a prompt filter only, which is always on, and images are not checked."
    if not settings.safety.optional:
        return "No effect here: every image is checked. What the checker flags is withheld and not billed."
    return "Whether images are checked. What the checker flags is withheld and not billed. The prompt filter is always on."


def _adapter(settings: Settings) -> _Typed:
    if settings.challenger is None:
        return unoffered("champion")
    field = Hidden(Field(default="champion", description="Which of the two adapters of this app draws.", examples=["champion"]))
    return Literal["champion", "challenger"], field
