"""Why a runner does not start, in one line that names what and what to do about it."""

import errno
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from ..errors import OutOfMemory, SettingsError, failure_of

_LONGEST = 300
_SECRET_NAMES = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|CERTIFICATE")
_NO_GPU = re.compile(
    r"not compiled with CUDA|no NVIDIA driver|No CUDA GPUs|driver version is insufficient|no kernel image", re.IGNORECASE
)
_DISK_FULL = re.compile(r"No space left on device|Disk quota exceeded", re.IGNORECASE)
_HUB_SAYS_NO = frozenset(
    {"GatedRepoError", "RepositoryNotFoundError", "RevisionNotFoundError", "EntryNotFoundError", "HfHubHTTPError"}
)
_HUB_IS_SILENT = frozenset(
    {"LocalEntryNotFoundError", "OfflineModeIsEnabled", "ConnectError", "ConnectTimeout", "ReadTimeout", "ConnectionError"}
)

_GPU = "the GPU can not be used: choose a GPU machine_type whose driver fits the torch in requirements"
_MEMORY = "the model does not fit into memory: choose a machine_type with more, or fp8 in acceleration"
_DISK = "the disk is full: delete what is not needed under /data, or choose a machine_type with more space"
_HUB_REFUSES = "the Hub does not give the base: set the secret HF_TOKEN to one whose account has accepted its terms"
_HUB_UNREACHED = "the Hub can not be reached: try again, or pack the base into the package"
_MODULE = "a library is missing: build the package anew, which pins its requirements"


def explained(error: BaseException, environ: Mapping[str, str] = os.environ) -> str:
    """One line: what kept setup() from finishing, and the remedy where there is a known one. No secret of `environ` is in it."""
    remedy = next((found for one in _causes(error) if (found := _remedy(one))), None)
    what = _without_secrets(" ".join(f"{type(error).__name__}: {error}".split()), environ)[:_LONGEST]
    return f"setup failed: {remedy} ({what})" if remedy else f"setup failed: {what}"


def require_gpu(devices: Path = Path("/dev")) -> None:
    """Raise SettingsError where the machine has an NVIDIA GPU that torch can not use; it would draw on the CPU, for minutes."""
    import torch

    if (devices / "nvidia0").exists() and not torch.cuda.is_available():
        raise SettingsError(f"torch {torch.__version__} finds no GPU on a machine that has one: {_GPU}")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _remedy(error: BaseException) -> str | None:
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if isinstance(error, SettingsError):
        return None  # its own words say what to do
    if (isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)) or _DISK_FULL.search(str(error)):
        return _DISK
    if isinstance(failure_of(error), OutOfMemory):
        return _MEMORY
    if isinstance(error, (RuntimeError, AssertionError)) and _NO_GPU.search(str(error)):
        return _GPU
    if kinds & _HUB_IS_SILENT:
        return _HUB_UNREACHED
    if kinds & _HUB_SAYS_NO:
        return _HUB_REFUSES
    return _MODULE if isinstance(error, ImportError) else None


def _without_secrets(text: str, environ: Mapping[str, str]) -> str:
    values = [value for name, value in environ.items() if _SECRET_NAMES.search(name.upper()) and len(value) >= 8]
    for value in sorted(values, key=len, reverse=True):
        text = text.replace(" ".join(value.split()), f"({len(value)} secret characters)")
    return text
