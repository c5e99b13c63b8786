"""pyproject.toml of a package: in python_entry_point mode it is the only place that fal reads settings from."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import metadata

import tomli_w

from serving.app.settings import Inference, Limits, Pipeline, Size
from serving.release.errors import PackageError

HEALTH_PATH = "/health"
IGNORED_FILES = (r"\.pyc$", r"__pycache__/")

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_CPU_MACHINES = frozenset({"XS", "S", "M", "L"})
_GPU_MACHINE = re.compile(r"GPU(-[A-Z0-9]+)*")
_REQUIRED = ("fal", "torch", "diffusers", "transformers", "peft", "accelerate", "safetensors", "pillow")
_IF_INSTALLED = ("sentencepiece", "torchvision", "ftfy")  # of tokenizers, processors and captions, as in the training


@dataclass(frozen=True, kw_only=True, slots=True)
class AppSettings:
    """What a job and its base's family decide about the app. `inference` and `scale` left out are those of the adapter bundle.

    Times in seconds. The limits' defaults are for bases of about one megapixel.
    """

    name: str
    machine_type: str = "GPU-H100"
    num_gpus: int = 1
    keep_alive: int = 60
    min_concurrency: int = 0
    max_concurrency: int = 2
    request_timeout: int = 300
    startup_timeout: int = 600
    termination_grace: int = 30
    limits: Limits = field(
        default_factory=lambda: Limits(
            min_side=256,
            max_side=1536,
            multiple=16,
            max_area=1024 * 1024,
            max_steps=50,
            max_images=4,
            max_prompt_bytes=4096,
            max_work=1024 * 1024 * 50 * 4,
        )
    )
    default_size: Size = field(default_factory=lambda: Size(width=1024, height=1024))
    inference: Inference | None = None
    pipeline: Pipeline | None = None
    scale: float | None = None
    secrets: tuple[str, ...] = ()
    python_version: str = f"{sys.version_info.major}.{sys.version_info.minor}"

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or len(self.name) > 63:
            raise PackageError(f"app name must be small letters, digits and single hyphens, at most 63, got {self.name!r}")
        if self.machine_type not in _CPU_MACHINES and not _GPU_MACHINE.fullmatch(self.machine_type):
            raise PackageError(f"machine_type must be XS, S, M, L or GPU-..., got {self.machine_type!r}")
        if not 0 <= self.min_concurrency <= self.max_concurrency:
            raise PackageError(
                f"need 0 <= min_concurrency <= max_concurrency, got {self.min_concurrency} and {self.max_concurrency}"
            )
        for name in ("num_gpus", "max_concurrency", "request_timeout", "startup_timeout"):
            if getattr(self, name) < 1:
                raise PackageError(f"{name} must be at least 1, got {getattr(self, name)}")

    @property
    def on_gpu(self) -> bool:
        """Whether the machine has GPUs."""
        return self.machine_type not in _CPU_MACHINES


def app_toml(settings: AppSettings, *, entry_point: str, files: Sequence[str]) -> str:
    """The toml with which `fal deploy NAME`, run in the package, deploys it in shared mode."""
    app = {
        "python_entry_point": entry_point,
        "auth": "shared",
        "deployment_strategy": "rolling",
        "app_scale_settings": True,  # else an app that exists keeps the scaling it has
        "python_version": settings.python_version,
        "requirements": requirements(),
        "machine_type": settings.machine_type,
        **({"num_gpus": settings.num_gpus} if settings.on_gpu else {}),
        "keep_alive": settings.keep_alive,
        "min_concurrency": settings.min_concurrency,
        "max_concurrency": settings.max_concurrency,
        "max_multiplexing": 1,
        "request_timeout": settings.request_timeout,
        "startup_timeout": settings.startup_timeout,
        "termination_grace_period_seconds": settings.termination_grace,
        "secrets": list(settings.secrets),
        "app_files": list(files),
        "app_files_ignore": list(IGNORED_FILES),
        "health_check": {"path": HEALTH_PATH, "start_period_seconds": 30, "timeout_seconds": 5, "failure_threshold": 3},
    }
    return tomli_w.dumps({"tool": {"fal": {"apps": {settings.name: app}}}}, multiline_strings=True)


def requirements() -> list[str]:
    """What the runner installs: the versions that this environment was tested with."""
    return [f"{name}=={_version(name)}" for name in _REQUIRED] + [
        f"{name}=={_version(name)}" for name in _IF_INSTALLED if _has(name)
    ]


def _version(name: str) -> str:
    """The public version: a local part such as +cpu names a build that the runner's index does not have."""
    return metadata.version(name).partition("+")[0]


def _has(name: str) -> bool:
    return any(True for _ in metadata.distributions(name=name))
