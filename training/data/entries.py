"""Files of the cache: tensors and a layout under one name, whole or not there, written by any number of processes."""

import json
import os
from pathlib import Path
from secrets import token_hex
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

Entry = tuple[dict[str, Tensor], dict[str, Any]]


def read(place: Path) -> Entry | None:
    """Tensors and layout, or None where there is nothing whole."""
    try:
        with safe_open(place, framework="pt") as file:
            layout = json.loads((file.metadata() or {})["layout"])
            return {name: file.get_tensor(name) for name in file.keys()}, layout  # noqa: SIM118 (not a dict)
    except FileNotFoundError:
        return None
    except (SafetensorError, KeyError, ValueError):
        return None  # damaged by a full disk or by hand: encoded again, and written over


def write(place: Path, tensors: dict[str, Tensor], layout: dict[str, Any]) -> Entry:
    """Put an entry in place in one rename and return what a reader will see.

    Two writers of one name write the same content, each into a file of its own: whoever comes last replaces like by like.
    """
    place.parent.mkdir(parents=True, exist_ok=True)
    here = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    part = place.with_name(f".{place.name}.{os.getpid()}.{token_hex(4)}.part")
    try:
        save_file(here, part, metadata={"layout": json.dumps(layout, sort_keys=True)})
        os.replace(part, place)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    return here, layout
