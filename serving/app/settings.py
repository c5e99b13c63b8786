"""What the package says about itself: settings.json (written at home) and the package's hash (from package.json)."""

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from .billing import BillingUnit
from .errors import SettingsError

PACKAGE_VARIABLE = "LORASMITH_PACKAGE"
OPENNSFW = "opennsfw"  # the checker by default

Positive = Annotated[int, Field(ge=1)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Limits(_Part):
    """Bounds of one request. Sides in pixels, areas in square pixels, `max_work` in pixels x steps x images."""

    min_side: Positive
    max_side: Positive
    multiple: Positive
    max_area: Positive
    max_steps: Positive
    max_images: Positive
    max_prompt_bytes: Positive
    max_work: Positive

    def allows(self, width: int, height: int) -> bool:
        """Whether an image of this size may be asked for."""
        sides = all(self.min_side <= side <= self.max_side and side % self.multiple == 0 for side in (width, height))
        return sides and width * height <= self.max_area


class Size(_Part):
    """Width and height in pixels."""

    width: Positive
    height: Positive


class Base(_Part):
    """Where the base's weights are: in the package's folder base/, or on the Hub at a pinned revision."""

    kind: Literal["folder", "hub"]
    ref: str
    revision: str | None = None

    @model_validator(mode="after")
    def _hub_is_pinned(self) -> "Base":
        if self.kind == "hub" and not self.revision:
            raise ValueError(f"a base on the Hub needs a pinned revision, got none for {self.ref!r}")
        return self


class Adapter(_Part):
    """An adapter file's sha256 and the strength that is recommended for it; the champion's is fused at it."""

    sha256: str
    scale: float = Field(ge=0, le=2, allow_inf_nan=False)


class Inference(_Part):
    """What a request that says nothing gets."""

    steps: Positive
    guidance_scale: float = Field(ge=0, le=20, allow_inf_nan=False)


class Pipeline(_Part):
    """How the base's diffusers pipeline is called: what guidance is called there, arguments of every call, where its sizes are."""

    guidance_argument: str = "guidance_scale"
    options: dict[str, bool | int | float | str] = {}
    negative_prompt: bool = False  # whether the call takes one
    image_to_image: str | None = None  # diffusers class that starts from a picture and shares all parts; None: no such endpoint
    batches: bool = True  # whether several prompts in one call give what each gives alone
    sized_by: tuple[Literal["resolutions", "default_sample_size"], ...] = ()  # attributes that it rounds sizes to


# of packages that are older than the field `pipeline`; all other families of that time take guidance_scale
_BEFORE = {"qwen-image": Pipeline(guidance_argument="true_cfg_scale", options={"negative_prompt": " "})}


class Billing(_Part):
    """What one billable unit is."""

    unit: BillingUnit = "image"


class Safety(_Part):
    """Which checker must pass every image, and whether a caller may go without it; the prompt filter is always on.

    checker: `opennsfw` (in the app's requirements), or `owner/name@commit`, an image classifier of transformers on the Hub.
    `unsafe` are its labels that withhold a picture, where their scores together reach `threshold`. `deny` are words that refuse a
    prompt beside the app's own.
    """

    enabled: bool = False
    optional: bool = False
    checker: str = Field(OPENNSFW, pattern=rf"^({OPENNSFW}|[A-Za-z0-9][A-Za-z0-9_.-]*/[A-Za-z0-9_.-]+@[0-9a-f]{{40}})$")
    threshold: float = Field(0.8, gt=0, lt=1)
    unsafe: tuple[str, ...] = Field(("nsfw",), min_length=1)
    deny: tuple[str, ...] = ()

    @field_validator("deny")
    @classmethod
    def _denies_something(cls, deny: tuple[str, ...]) -> tuple[str, ...]:
        for phrase in deny:
            if not any(map(str.isalnum, phrase)):
                raise ValueError(f"deny holds {phrase!r}, which has neither letter nor digit and would refuse nothing")
        return deny


class Marking(_Part):
    """The marks that say that a picture was generated: metadata signed with this certificate, and an invisible watermark.

    certificate: `secret` is the publisher's, from the runner's environment; `development` is made when the runner starts.
    """

    enabled: bool = True
    certificate: Literal["development", "secret"] = "development"
    publisher: str | None = None


class Batching(_Part):
    """How requests share the model: images a call, milliseconds that the first waits for others, images that may wait."""

    max_batch: Positive = 4
    window_ms: int = Field(10, ge=0, le=1000)
    max_waiting: Positive = 64


class Quality(_Part):
    """How far the accelerated pictures are from the exact ones: the worst of so many pictures (dB, and 1 at most)."""

    psnr: float
    ssim: float
    pictures: Positive


class Acceleration(_Part):
    """What makes steps cheaper. Whatever changes pictures was measured when the package was made.

    compile: `auto` compiles the repeated blocks on a GPU. first_block_cache: the threshold of diffusers' hook. fp8: the
    denoiser's weights are kept in eight bits.
    """

    compile: Literal["auto", "on", "off"] = "auto"
    first_block_cache: float | None = Field(None, gt=0, lt=1)
    fp8: bool = False
    quality: Quality | None = None

    @model_validator(mode="after")
    def _is_measured(self) -> "Acceleration":
        if (self.first_block_cache or self.fp8) and self.quality is None:
            raise ValueError("acceleration.quality is missing: how far accelerated pictures are from exact ones must be measured")
        return self


class Logs(_Part):
    """What the runner's log may hold of a request beside its id, shape, status and units."""

    prompts: bool = False


class Settings(_Part):
    """settings.json of a package."""

    schema_: Literal["lorasmith/app-settings/1"] = Field(alias="schema")
    name: str
    family: str
    base: Base
    adapter: Adapter
    challenger: Adapter | None = None
    trigger: str | None = None
    inference: Inference
    pipeline: Pipeline | None = None
    limits: Limits
    default_size: Size
    request_timeout: Positive
    termination_grace: Positive = 30
    warm_up: tuple[Size, ...] = ()  # beside default_size
    billing: Billing = Billing()
    safety: Safety = Safety()
    marking: Marking = Marking(enabled=False)  # of packages that are older than the field
    batching: Batching = Batching()
    acceleration: Acceleration = Acceleration()
    logs: Logs = Logs()

    @property
    def called(self) -> Pipeline:
        """How the pipeline is called, also where an old package does not say it."""
        return self.pipeline or _BEFORE.get(self.family, Pipeline())

    @model_validator(mode="after")
    def _defaults_are_allowed(self) -> "Settings":
        size, limits = self.default_size, self.limits
        if not limits.allows(size.width, size.height):
            raise ValueError(f"default_size {size.width}x{size.height} is outside of the limits")
        if self.inference.steps > limits.max_steps:
            raise ValueError(f"inference.steps {self.inference.steps} is above limits.max_steps {limits.max_steps}")
        if size.width * size.height * self.inference.steps > limits.max_work:
            raise ValueError(f"limits.max_work {limits.max_work} does not allow one image of default size and steps")
        return self


@dataclass(frozen=True, kw_only=True, slots=True)
class Installed:
    """The package that this process runs from."""

    folder: Path
    hash: str
    settings: Settings

    @property
    def adapter(self) -> Path:
        """The adapter's file."""
        return self.folder / "adapter.safetensors"

    @property
    def challenger(self) -> Path:
        """The second adapter's file, where settings.challenger is set."""
        return self.folder / "challenger.safetensors"

    @property
    def base(self) -> str:
        """What from_pretrained is given: the packed folder or the Hub's name."""
        return str(self.folder / "base") if self.settings.base.kind == "folder" else self.settings.base.ref


def installed() -> Installed:
    """The package beside this folder, or the one that LORASMITH_PACKAGE names. Raises SettingsError."""
    folder = Path(os.environ.get(PACKAGE_VARIABLE) or Path(__file__).resolve().parent.parent)
    settings, package = _read(folder / "settings.json"), _read(folder / "package.json")
    try:
        return Installed(folder=folder, hash=str(json.loads(package)["hash"]), settings=Settings.model_validate_json(settings))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the whole file"
        raise SettingsError(f"{folder / 'settings.json'}: {where}: {first['msg']}: build the package anew") from error
    except (KeyError, ValueError) as error:
        raise SettingsError(f"{folder / 'package.json'} holds no package hash: build the package anew") from error


def verify_adapter(package: Installed) -> None:
    """Raise SettingsError unless the adapter file is the one that was packed."""
    if not package.adapter.is_file():
        raise SettingsError(f"adapter file {package.adapter} is missing: app_files must name it")
    with package.adapter.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != package.settings.adapter.sha256:
        raise SettingsError(
            f"adapter file {package.adapter} has sha256 {found}, settings.json says {package.settings.adapter.sha256}"
        )


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise SettingsError(
            f"{path} can not be read ({error.strerror}): run from a package or set {PACKAGE_VARIABLE} to one"
        ) from error
