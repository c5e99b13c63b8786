"""Short ways to write a model, a card or a folder of a case."""

import json
import struct
from collections.abc import Mapping
from typing import Any

from tests.licenses.adversarial.case import Files, Folder, Repo
from tests.licenses.adversarial.texts import APACHE, synthetic

INDEX: Mapping[str, Any] = {
    "_class_name": "ZImagePipeline",
    "_diffusers_version": "0.42.1",
    "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
    "text_encoder": ["transformers", "Qwen3Model"],
    "tokenizer": ["transformers", "Qwen2Tokenizer"],
    "transformer": ["diffusers", "ZImageTransformer2DModel"],
    "vae": ["diffusers", "AutoencoderKL"],
}
DEV = "black-forest-labs/FLUX.1-dev"
FRONT = "license: apache-2.0"


def card(front: str = FRONT, body: str = "A small model that draws leaves.") -> str:
    return f"---\n{front}\n---\n\n# Leaves\n\n{body}\n"


def files(front: str = FRONT, body: str = "A small model that draws leaves.", **more: str | bytes | None) -> Files:
    """A clean pipeline under Apache-2.0; `LICENSE=None` takes the file away, `index={...}` is not a file but a change to INDEX."""
    plain: dict[str, str | bytes | None] = {
        "README.md": card(front, body),
        "LICENSE": APACHE,
        "model_index.json": json.dumps(INDEX),
        "text_encoder/config.json": '{"architectures": ["Qwen3Model"], "model_type": "qwen3"}',
        "scheduler/scheduler_config.json": '{"_class_name": "FlowMatchEulerDiscreteScheduler"}',
        "tokenizer/tokenizer_config.json": '{"tokenizer_class": "Qwen2Tokenizer"}',
        "transformer/config.json": '{"_class_name": "ZImageTransformer2DModel"}',
        "vae/config.json": '{"_class_name": "AutoencoderKL"}',
    }
    return _kept(plain | more)


def with_files(change: Mapping[str, str | bytes | None], front: str = FRONT, body: str = "A small model.") -> Files:
    """The clean pipeline with files put, replaced or (None) taken away."""
    return _kept({**files(front, body), **change})


def bare(front: str = FRONT, text: str | None = APACHE, body: str = "A small model.") -> Files:
    """Card and licence text alone: enough for an ancestor or a component."""
    return _kept({"README.md": card(front, body), "LICENSE": text})


def folder(change: Mapping[str, str | bytes | None] | None = None, front: str = FRONT, body: str = "A small model.") -> Folder:
    return Folder(files=with_files(change or {}, front, body))


def page(body: str) -> Folder:
    """A clean folder of card and text alone, with this body."""
    return Folder(files=bare(body=body))


def child(of: str, front: str = FRONT, text: str | None = APACHE) -> Repo:
    """A repository that names its parent."""
    return Repo(files=bare(f"{front}\nbase_model: {of}", text))


def under(license: str, front: str | None = None) -> Repo:
    """A repository with the made-up text of a licence, and no tag unless one is given."""
    return Repo(files=_kept({"README.md": card(front, "A model.") if front else None, "LICENSE": synthetic(license)}))


def index(**change: Any) -> str:
    return json.dumps({role: value for role, value in {**INDEX, **change}.items() if value is not ...})


def safetensors(header: Mapping[str, str]) -> bytes:
    """A file without tensors whose header carries this metadata."""
    raw = json.dumps({"__metadata__": dict(header)}).encode()
    return struct.pack("<Q", len(raw)) + raw


def _kept(named: Mapping[str, str | bytes | None]) -> Files:
    return {path: content for path, content in named.items() if content is not None}
