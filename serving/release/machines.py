"""The machine types that fal documents. The client checks none of them, so a typing error would be found by a deploy that fails."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

AS_OF: Final = "2026-11-22"
SOURCE: Final = "https://fal.ai/docs/documentation/deployment/machine-types"
FORMER_SOURCE: Final = "https://docs.fal.ai/serverless/resources"


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """Memory in GiB, of the GPU where there is one; `former`: an older page of fal has it, the present one does not."""

    cores: float
    memory: float
    gpu_memory: float | None = None
    former: bool = False


MACHINES: Final[Mapping[str, Machine]] = {
    "XS": Machine(cores=0.5, memory=0.5),
    "S": Machine(cores=1, memory=1),
    "M": Machine(cores=2, memory=2),
    "L": Machine(cores=4, memory=15),
    "XL": Machine(cores=8, memory=30),
    "GPU-RTX4090": Machine(cores=12, memory=48, gpu_memory=24),
    "GPU-RTX5090": Machine(cores=14, memory=60, gpu_memory=32),
    "GPU-A100": Machine(cores=12, memory=60, gpu_memory=40),
    "GPU-L40": Machine(cores=6, memory=100, gpu_memory=48),
    "GPU-A6000": Machine(cores=10, memory=18, gpu_memory=48, former=True),
    "GPU-H100": Machine(cores=12, memory=112, gpu_memory=80),
    "GPU-H200": Machine(cores=12, memory=112, gpu_memory=141),
    "GPU-B200": Machine(cores=19, memory=210, gpu_memory=192),
}


def near(name: str) -> tuple[str, ...]:
    """Up to three documented machine types that look like `name`, else all of its kind."""
    wanted = name.upper().replace("_", "-").replace(" ", "-")
    found = difflib.get_close_matches(wanted, MACHINES, n=3, cutoff=0.5)
    return tuple(found) or tuple(known for known in MACHINES if known.startswith("GPU") == wanted.startswith("GPU"))
