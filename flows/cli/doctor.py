"""What a machine lacks for training or for fal, and how to mend it. Nothing here calls the network."""

import os
import shutil
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from flows.home import home

GIBIBYTE = 2**30


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One thing looked at; `mend` says what to do where it is not ok."""

    name: str
    ok: bool
    found: str
    mend: str = ""


def examine() -> list[Finding]:
    """Python, packages, GPU, keys, disk, in the order in which they are needed."""
    return [python(), *packages(), gpu(), fal_key(), smoke_key(), hub_token(), disk()]


def python() -> Finding:
    here = ".".join(map(str, sys.version_info[:3]))
    return Finding(name="python", ok=(3, 11) <= sys.version_info[:2] <= (3, 12), found=here, mend="use Python 3.11 or 3.12")


def packages() -> list[Finding]:
    found = []
    for name in ("torch", "diffusers", "peft", "fal", "prefect"):
        try:
            found.append(Finding(name=name, ok=True, found=version(name)))
        except PackageNotFoundError:
            found.append(Finding(name=name, ok=False, found="not installed", mend="pip install -r requirements/cpu.lock"))
    return found


def gpu() -> Finding:
    names = sorted(path.name for path in Path("/dev").glob("nvidia[0-9]*"))
    return Finding(
        name="gpu",
        ok=bool(names),
        found=", ".join(names) or "none",
        mend="the demo needs none; real bases train on an NVIDIA GPU with 16 GB or more: use one, or rent one",
    )


def fal_key() -> Finding:
    key = os.environ.get("FAL_KEY", "")
    shaped = ":" in key
    return Finding(
        name="fal key",
        ok=shaped,
        found="set" if shaped else ("set, but not of the form id:secret" if key else "not set"),
        mend="make a key with deploy rights in fal's dashboard, then export FAL_KEY=id:secret",
    )


def smoke_key() -> Finding:
    is_set = bool(os.environ.get("LORASMITH_SMOKE_KEY"))
    mend = "a second account's key lets the smoke test call as somebody else; without it your own is used and the report says so"
    return Finding(name="smoke key", ok=is_set, found="set" if is_set else "not set", mend=mend)


def hub_token() -> Finding:
    folder = Path(os.environ.get("HF_HOME", Path.home() / ".cache" / "huggingface"))
    is_set = bool(os.environ.get("HF_TOKEN")) or (folder / "token").is_file()
    mend = "needed for gated bases only: export HF_TOKEN=..., or run `hf auth login`"
    return Finding(name="hf token", ok=is_set, found="set" if is_set else "not set", mend=mend)


def disk() -> Finding:
    free = shutil.disk_usage(home()).free / GIBIBYTE
    mend = "the demo needs 2 GiB; a base of 12 billion parameters and its cache take 60 GiB"
    return Finding(name="disk", ok=free > 60, found=f"{free:.0f} GiB free in {home()}", mend=mend)
