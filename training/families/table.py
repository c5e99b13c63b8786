"""The rows in words, for `lorasmith families` and docs/families.md."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from training.families import FAMILIES, Family

COLUMNS = (
    "family",
    "pipeline",
    "without guidance",
    "codec",
    "packing",
    "text encoders",
    "LoRA layers",
    "shift",
    "memory",
    "loaded by",
    "distilled",
)


def rows() -> list[Mapping[str, str]]:
    """One mapping a family, its keys COLUMNS; imports diffusers, which says what encoders and loaders there are."""
    import transformers.utils.logging

    transformers.utils.logging.set_verbosity_error()
    return [_row(family) for family in FAMILIES.values()]


def _row(family: Family) -> Mapping[str, str]:
    pipeline = _pipeline(family)
    cells = (
        family.name,
        family.pipeline,
        _arguments({**family.call, **family.options}),
        family.codec + (", one frame" if family.frames else ""),
        family.packing,
        _encoders(pipeline),
        f"`{family.targets}`",
        f"{family.shift:g}" if family.shift != 1 else "the base's",
        f"{family.memory:g} GiB" if family.memory else "not known here",
        "diffusers" if hasattr(pipeline, "load_lora_weights") else "training.attach",
        _distilled(family),
    )
    return dict(zip(COLUMNS, cells, strict=True))


def _pipeline(family: Family) -> Any:
    import diffusers

    return getattr(diffusers, family.pipeline, None)


def _arguments(call: Mapping[str, Any]) -> str:
    return ", ".join(f"`{name}={value}`" for name, value in call.items())


def _encoders(pipeline: Any) -> str:
    """The classes that the pipeline's constructor asks for."""
    if pipeline is None:
        return "not in this diffusers"
    asked = inspect.signature(pipeline.__init__).parameters.values()
    kinds = [
        parameter.annotation for parameter in asked if parameter.name.startswith("text_encoder") and "layers" not in parameter.name
    ]
    return ", ".join(kind if isinstance(kind, str) else kind.__name__ for kind in kinds)


def _distilled(family: Family) -> str:
    """By what part of their name distilled weights are known, and what to train in their place."""
    return f"`{family.distilled}`: {family.train_instead}" if family.train_instead else "none known"
