"""Compiled code of the runners before this one: the platform keeps it on the disk that all runners of the account share."""

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ..runner.logs import told
from ..settings import Base


def cache_key(base: Base, *, kind: str) -> str:
    """Names the code by what it was compiled from: base, versions and precision, not the package; fal adds the GPU's type."""
    import diffusers
    import torch

    made_from = [base.kind, base.ref, base.revision, kind, torch.__version__, diffusers.__version__]
    return f"lorasmith/{hashlib.sha256(json.dumps(made_from).encode()).hexdigest()[:24]}"


@contextmanager
def platform_cache(key: str) -> Iterator[None]:
    """Load what was compiled under this key, and keep what is compiled inside of the block; a disk that fails is a line in the log.

    Outside of the platform, where its disk is not there, this does nothing. What fails inside of the block is not kept.
    """
    from fal.toolkit import compilation

    if not compilation.GLOBAL_INDUCTOR_CACHES_DIR.parent.is_dir():
        yield
        return
    found = _attempted("load", lambda: str(compilation.load_inductor_cache(key)))
    yield
    _attempted("save", lambda: compilation.sync_inductor_cache(key, found))


def _attempted(what: str, action: Callable[[], str | None]) -> str:
    try:
        return action() or ""
    except OSError as error:
        told("compile_cache", failed=what, error=f"{type(error).__name__}: {error}")
        return ""
