"""A second adapter beside the fused one: each call is drawn with either, and neither leaves a trace in the weights."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import SettingsError
from .adapter import read_parts
from .strength import LowRank, moved, strength_added

if TYPE_CHECKING:
    import torch


def load_challenger(denoiser: "torch.nn.Module", path: Path, *, sha256: str, device: Any, dtype: Any) -> list[LowRank]:
    """The low-rank parts of a challenger's file, ready to run; the denoiser is not touched.

    Raises SettingsError where the file is missing, is not the one of this sha256, or does not fit the base.
    """
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise SettingsError(f"challenger {path} can not be read ({error.strerror}): app_files must name it") from error
    if found != sha256:
        raise SettingsError(f"challenger {path} has sha256 {found}, expected {sha256}: build the package anew")
    return moved(read_parts(denoiser, path), device=device, dtype=dtype)


@contextmanager
def drawn_with(champion: Sequence[LowRank], challenger: Sequence[LowRank] | None, *, fused: float, scale: float) -> Iterator[None]:
    """Run the layers with the champion (fused at `fused`) at this scale, or with a challenger in its place."""
    if challenger is None:
        with strength_added(champion, scale - fused):
            yield
        return
    with strength_added(champion, -fused), strength_added(challenger, scale):
        yield
