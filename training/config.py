"""What a run is asked to do: the training configuration (JSON) and the options of dataset preparation."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from training.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class DatasetOptions:
    """How a folder of pictures becomes a dataset; sides and distances in pixels and bits."""

    resolution: int
    trigger: str | None = None
    min_side: int | None = None  # None: half of the resolution
    held_out: Path | str | int | float = 0.2  # a folder, a number of pictures, or a fraction below 1
    max_pixels: int = 64_000_000
    near_duplicate: int = 3  # differing bits of a 64-bit difference hash
    minimum: int = 1  # training pictures
    multiple: int = 16  # what picture sides must be divisible by
    on_error: Literal["stop", "drop"] = "stop"


class InferenceConfig(BaseModel):
    """How pictures are sampled with the adapter."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    steps: int = Field(default=28, ge=1, le=1000)
    guidance_scale: float = Field(default=3.5, ge=0, le=50, allow_inf_nan=False)


class TrainConfig(BaseModel):
    """One LoRA run; paths are used as they stand, relative ones from the working directory."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    base: str = Field(min_length=1)
    revision: str | None = None
    dataset: Path
    cache: Path
    resolution: int = Field(ge=16, le=4096)
    steps: int = Field(ge=1, le=1_000_000)
    batch_size: int = Field(ge=1, le=4096)
    rank: int = Field(ge=1, le=1024)
    alpha: float = Field(gt=0, le=4096, allow_inf_nan=False)
    learning_rate: float = Field(gt=0, le=1, allow_inf_nan=False)
    seed: int = Field(default=0, ge=0, lt=2**31)
    trigger: str | None = None
    inference: InferenceConfig = InferenceConfig()
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    threads: int | None = Field(default=None, ge=1)
    schedule: Literal["cosine", "linear"] = "linear"
    warmup: int = Field(default=20, ge=0)
    weight_decay: float = Field(default=0.01, ge=0, le=1)
    checkpoint_every: int = Field(default=100, ge=1)
    log_every: int = Field(default=10, ge=1)

    def terms(self) -> dict[str, object]:
        """What decides the weights that come out; a checkpoint may only be continued under the same terms."""
        free = {"cache", "dataset", "base", "inference", "threads", "checkpoint_every", "log_every"}
        return self.model_dump(mode="json", exclude=free)


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
