"""How many tokens of a caption the text encoders of a base read."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.data.policy import WHOLE, Remark
from training.errors import TrainingError

SHORT = 60  # bytes; no tokenizer makes more tokens than bytes, and no family reads less than 77 tokens
_NO_LIMIT = 1_000_000  # what tokenizers say that have none is larger
_FILES = ["model_index.json", "tokenizer*/*.json", "tokenizer*/*.txt", "tokenizer*/*.model", "tokenizer*/*.jinja"]


class NoWindow(TrainingError):
    """The tokenizers of the base are not at hand."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """The widest text encoder of a base: its tokenizer's folder name, how many tokens it reads, and the counter."""

    name: str
    tokens: int
    count: Callable[[str], int]


def long_remarks(captions: Iterable[tuple[str, str]], base: Path | str | None) -> list[Remark]:
    """long_caption for each (file, caption) that even the widest encoder of the base cuts off; unmeasured without a tokenizer."""
    doubtful = [(name, text) for name, text in captions if len(text.encode()) > SHORT]
    if not doubtful:
        return []
    try:
        window = window_of(base)
    except NoWindow as error:
        return [Remark(file=WHOLE, code="unmeasured", message=f"length of {len(doubtful)} captions: {error}")]
    counted = [(name, window.count(text)) for name, text in doubtful]
    return [
        Remark(
            file=name,
            code="long_caption",
            message=f"{tokens} tokens, the base's {window.name} reads {window.tokens}: say the important things first, or less",
        )
        for name, tokens in counted
        if tokens > window.tokens
    ]


def window_of(base: Path | str | None) -> Window:
    """The widest window of a base's tokenizers; NoWindow where they are not at hand, which is no fault of the captions."""
    if base is None:
        raise NoWindow("no base given, so nobody counted their tokens: name a base")
    folder = base if isinstance(base, Path) else _fetched(base)
    windows = [_window(place, _asked(folder)) for place in sorted(folder.glob("tokenizer*")) if place.is_dir()]
    if not windows:
        raise NoWindow(f"base '{base}' has no tokenizer: look at the captions yourself")
    return max(windows, key=lambda window: window.tokens)


def _window(folder: Path, asked: int) -> Window:
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise NoWindow(
            f"tokenizer '{folder.name}' cannot be loaded ({' '.join(str(error).split())[:99]}): fetch it again"
        ) from error
    own = int(tokenizer.model_max_length)
    return Window(
        name=folder.name, tokens=min(own, asked) if own < _NO_LIMIT else asked, count=lambda text: len(tokenizer(text).input_ids)
    )


def _asked(folder: Path) -> int:
    """The `max_sequence_length` that the base's pipeline gives its tokenizers; no limit where it has none."""
    import json

    import diffusers

    try:
        name = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))["_class_name"]
        pipeline: Any = getattr(diffusers, name)
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise NoWindow(f"base '{folder.name}' names no pipeline ({type(error).__name__}): give a diffusers base") from error
    asked = inspect.signature(pipeline.__call__).parameters.get("max_sequence_length")
    return asked.default if asked and isinstance(asked.default, int) else _NO_LIMIT


def _fetched(base: str) -> Path:
    """The tokenizers alone: the weights come when training starts."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    repository, _, revision = base.removeprefix("hf://").partition("@")
    try:
        endpoint = os.environ.get("HF_ENDPOINT")
        return Path(snapshot_download(repository, revision=revision or None, allow_patterns=_FILES, endpoint=endpoint))
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        raise NoWindow(f"the tokenizers of '{base}' cannot be had ({type(error).__name__}): try again, or give a folder") from error
