"""What a run is asked to do: the training configuration (JSON) and the options of dataset preparation."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator

from training.errors import ConfigError

OptimizerName = Literal[
    "adamw", "adam", "radam", "sgd", "adafactor", "adamw8bit", "paged-adamw8bit", "lion8bit", "prodigy", "schedulefree", "came"
]
# What a preset says of fields that a job leaves out; `training.presets` chooses the layers.
PRESETS: Mapping[str, Mapping[str, object]] = {
    "subject": {"rank": 16, "alpha": 16},
    "style": {"rank": 32, "alpha": 32},
    "likeness-free": {"rank": 8, "alpha": 8},
}


@dataclass(frozen=True, kw_only=True, slots=True)
class DatasetOptions:
    """How a folder of pictures becomes a dataset; sides and distances in pixels and bits."""

    resolution: int
    trigger: str | None = None
    template: str = "{trigger}, {caption}"
    generic: str | None = None  # what the trigger stands for in ordinary words; takes its place in generic captions
    policy: Mapping[str, str] = field(default_factory=dict)  # finding -> error, warning or ignore, where not the default
    blur: float = 25.0  # least variance of the Laplacian in the sharpest part of a picture, at training size
    masks: Literal["none", "files", "alpha"] = "files"  # alpha: where no NAME.mask.png is
    mask_background: float = 0.1  # weight of black, 0 to 1
    symmetric: bool = False  # the subject may be mirrored
    base: Path | str | None = None  # whose tokenizers say how long a caption may be: a folder or hf://owner/name@revision
    detectors: Mapping[str, Path] = field(default_factory=dict)  # faces, nsfw: folder of a local model, not the installed one
    min_side: int | None = None  # None: half of the resolution
    held_out: Path | str | int | float = 0.2  # a folder, a number of pictures, or a fraction below 1
    max_pixels: int = 64_000_000
    near_duplicate: int = 28  # differing bits of a perceptual hash of 144
    minimum: int = 1  # training pictures
    multiple: int = 16  # what picture sides must be divisible by
    on_error: Literal["stop", "drop"] = "stop"


class InferenceConfig(BaseModel):
    """How pictures are sampled with the adapter."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    steps: int = Field(default=28, ge=1, le=1000)
    guidance_scale: float = Field(default=3.5, ge=0, le=50, allow_inf_nan=False)


CLIP, DINO = "openai/clip-vit-large-patch14", "facebook/dinov2-base"


class EvaluationConfig(BaseModel):
    """Which models score the pictures: folders, or names in the Hub's cache on this disk; nothing is downloaded."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    clip: str = Field(CLIP, min_length=1, description="CLIP that reads prompts and sees pictures")
    dino: str = Field(DINO, min_length=1, description="DINO that sees whether the subject is the same")


class Recipe(BaseModel):
    """How an adapter is trained: what a job file may say and a training configuration holds. docs/training.md tells of each."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    preset: Literal["none", "subject", "style", "likeness-free"] = Field(
        "none", description="Fills rank, alpha and the layers trained where the job says nothing of them"
    )
    resolution: int = Field(ge=16, le=4096, description="Side of a square bucket, in pixels")
    steps: int = Field(ge=1, le=1_000_000, description="Optimizer steps")
    batch_size: int = Field(ge=1, le=4096, description="Pictures a step, over all processes and parts")
    gradient_accumulation: int = Field(1, ge=1, le=4096, description="Parts that a step's pictures are taken in, one after another")
    rank: int = Field(ge=1, le=1024, description="Rank of the adapter's matrices")
    alpha: float = Field(gt=0, le=4096, allow_inf_nan=False, description="Strength of the adapter: alpha / rank")
    adapter: Literal["lora", "lokr"] = Field("lora", description="Kind of adapter; LoKr is exported as the LoRA that it equals")
    rslora: bool = Field(False, description="Strength alpha / sqrt(rank) instead (rank-stabilised LoRA)")
    learning_rate: float = Field(gt=0, le=1, allow_inf_nan=False, description="At the end of the warm-up")
    optimizer: OptimizerName = Field(
        "adamw", description="By name from torch, bitsandbytes, prodigyopt, schedulefree, came-pytorch"
    )
    weight_decay: float = Field(0.01, ge=0, le=1, description="Of the adapter's weights")
    schedule: Literal["linear", "constant", "cosine", "cosine-restarts", "polynomial"] = Field(
        "linear", description="Course of the learning rate after the warm-up", validate_default=True
    )
    schedule_cycles: int = Field(4, ge=1, le=1000, description="Descents of the schedule cosine-restarts")
    warmup: int = Field(20, ge=0, description="Steps in which the learning rate rises from zero")
    seed: int = Field(0, ge=0, lt=2**31, description="Of initial weights, data order, noise and dropout")
    loss: Literal["mse", "huber"] = Field("mse", description="Error of a prediction; huber gives outliers less weight")
    min_snr_gamma: float | None = Field(None, gt=0, le=1000, description="Caps the weight of low noise levels; 5 is usual")
    caption_dropout: float = Field(0.0, ge=0, lt=1, description="Share of pictures trained without their caption")
    prior_weight: float = Field(
        0.0, ge=0, le=100, description="Pull towards the base's own answers to captions without the trigger"
    )
    posterior: Literal["auto", "sample", "mode"] = Field(
        "auto", description="Fresh noise of the VAE's posterior each step, or its mode"
    )
    precision: Literal["auto", "fp32", "bf16", "nf4", "fp8", "int8"] = Field("auto", description="Of the frozen base's weights")
    gradient_checkpointing: Literal["auto", "on", "off"] = Field("auto", description="Compute activations twice to keep fewer")
    compile: Literal["auto", "on", "off"] = Field("auto", description="Compile the denoiser's repeated blocks; auto on a GPU only")
    deterministic: bool = Field(False, description="Bit-equal reruns on a GPU too, by slower kernels")
    train_distilled: bool = Field(False, description="Train on step-distilled weights although a LoRA undoes the distillation")
    validate_every: int | None = Field(
        None, ge=1, description="Steps between measurements of the held-out loss; the best adapter is kept"
    )
    patience: int | None = Field(None, ge=1, description="Measurements without a better one after which training ends")

    @model_validator(mode="before")
    @classmethod
    def _filled(cls, values: object) -> object:
        """What the preset says of fields that are not given."""
        return {**PRESETS.get(str(values.get("preset")), {}), **values} if isinstance(values, dict) else values

    @field_validator("adapter", mode="before")
    @classmethod
    def _no_dora(cls, kind: object) -> object:
        if kind == "dora":
            raise ValueError(
                "a DoRA would not be served as trained, since the loaders of diffusers drop its dora_scale: use lora or lokr"
            )
        return kind

    @field_validator("rslora")
    @classmethod
    def _of_lora(cls, wanted: bool, info: ValidationInfo) -> bool:
        if wanted and info.data.get("adapter") == "lokr":
            raise ValueError("rank-stabilised strength is for the adapter lora: leave one of them out")
        return wanted

    @field_validator("gradient_accumulation")
    @classmethod
    def _no_empty_part(cls, parts: int, info: ValidationInfo) -> int:
        if parts > info.data.get("batch_size", parts):
            raise ValueError(f"a batch of {info.data['batch_size']} has no {parts} parts: use fewer or a larger batch_size")
        return parts

    @field_validator("optimizer")
    @classmethod
    def _rate_fits(cls, name: str, info: ValidationInfo) -> str:
        if name == "prodigy" and info.data.get("learning_rate", 1) < 0.01:
            raise ValueError("prodigy finds its own rate and takes learning_rate as a factor of it: set learning_rate: 1")
        return name

    @field_validator("schedule")
    @classmethod
    def _schedule_fits(cls, name: str, info: ValidationInfo) -> str:
        if name != "constant" and info.data.get("optimizer") == "schedulefree":
            raise ValueError("the optimizer schedulefree does without a schedule: set schedule: constant")
        return name

    @field_validator("patience")
    @classmethod
    def _measured(cls, patience: int | None, info: ValidationInfo) -> int | None:
        if patience is not None and info.data.get("validate_every") is None:
            raise ValueError("patience counts measurements: set validate_every too")
        return patience


class TrainConfig(Recipe):
    """One LoRA run; paths are used as they stand, relative ones from the working directory."""

    base: str = Field(min_length=1)
    revision: str | None = None
    dataset: Path
    cache: Path
    trigger: str | None = None
    inference: InferenceConfig = InferenceConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    threads: int | None = Field(default=None, ge=1)
    checkpoint_every: int = Field(default=100, ge=1)
    log_every: int = Field(default=10, ge=1)

    def terms(self) -> dict[str, object]:
        """What decides the weights that come out; a checkpoint may only be continued under the same terms."""
        return self.model_dump(mode="json", exclude=_FREE)


_FREE = {"cache", "dataset", "base", "inference", "evaluation", "threads", "checkpoint_every", "log_every", "train_distilled"}


def load_config(path: Path) -> TrainConfig:
    """The configuration in a JSON file; ConfigError names the field, what was got and what would do."""
    try:
        return TrainConfig.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"config '{path}' cannot be read ({error.strerror}): give the path of a JSON file") from error
    except ValidationError as error:
        raise ConfigError(f"config '{path}': {_first_complaint(error)}") from error


def identity(terms: object) -> str:
    """sha256 over canonical JSON."""
    return hashlib.sha256(json.dumps(terms, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()).hexdigest()


def _first_complaint(error: ValidationError) -> str:
    first, *others = error.errors(include_url=False)
    field = ".".join(str(part) for part in first["loc"]) or "the file"
    got = "" if first["type"] in ("missing", "json_invalid") else f", got {first['input']!r:.80}"
    return f"{field}: {first['msg']}{got}" + (f" (and {len(others)} more)" if others else "")
