"""Text metadata in the head of a weights file: safetensors `__metadata__` and the strings of a GGUF file."""

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from licenses.errors import SourceFailure, flat

LIMIT = 32 << 20
STRING_LIMIT = 1 << 20
POINTER = b"version https://git-lfs"
GGUF_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
GGUF_STRING, GGUF_ARRAY = 8, 9


def metadata_of(file: Path, name: str) -> Mapping[str, str]:
    """Strings in the head of a .safetensors or .gguf file, {} for other kinds; SourceFailure header_invalid where it is broken.

    A large-file pointer in the place of the weights has no head; it tells as little as a repository that is not downloaded.
    """
    kind = file.suffix.casefold()
    if kind not in (".safetensors", ".sft", ".gguf"):
        return {}
    try:
        with file.open("rb") as handle:
            if handle.read(len(POINTER)) == POINTER:
                return {}
            handle.seek(0)
            return _gguf(handle) if kind == ".gguf" else _safetensors(handle)
    except OSError as error:
        raise SourceFailure("file_unreadable", f"{flat(name)} can not be read ({error.strerror}); mend its rights") from None
    except (ValueError, struct.error, RecursionError) as error:
        text = f"the head of {flat(name)} does not hold ({_why(error)}); get the file again"
        raise SourceFailure("header_invalid", text) from None


def _why(error: Exception) -> str:
    if isinstance(error, struct.error):
        return "the file ends in the midst of it"
    if isinstance(error, json.JSONDecodeError | UnicodeDecodeError | RecursionError):
        return "it holds no JSON or text that could be read"
    return flat(error)[:80]


def _safetensors(handle: BinaryIO) -> Mapping[str, str]:
    (length,) = struct.unpack("<Q", handle.read(8))
    if length > LIMIT:
        raise ValueError(f"{length} bytes long, at most {LIMIT} are read")
    raw = handle.read(length)
    if len(raw) != length:
        raise ValueError(f"{len(raw)} of {length} bytes are there")
    value = json.loads(raw)
    fields = value.get("__metadata__", {}) if isinstance(value, dict) else None
    if not isinstance(fields, dict) or not all(isinstance(one, str) for one in fields.values()):
        raise ValueError("its metadata is not a table of texts")
    return fields


def _gguf(handle: BinaryIO) -> Mapping[str, str]:
    """Strings of the key-value block in file order, up to LIMIT bytes (GGUF specification, versions 2 and 3)."""
    magic, version, _, count = struct.unpack("<4sIQQ", handle.read(24))
    if magic != b"GGUF" or version not in (2, 3):
        raise ValueError("not a GGUF file of version 2 or 3")
    found: dict[str, str] = {}
    for _ in range(count):
        key = _string(handle)
        (kind,) = struct.unpack("<I", handle.read(4))
        if kind == GGUF_STRING:
            found[key] = _string(handle)
        else:
            _skip(handle, kind)
        if handle.tell() > LIMIT:
            raise ValueError(f"longer than the {LIMIT} bytes that are read")
    return found


def _string(handle: BinaryIO) -> str:
    (length,) = struct.unpack("<Q", handle.read(8))
    if length > STRING_LIMIT:
        raise ValueError(f"a text of {length} bytes")
    return handle.read(length).decode("utf-8")


def _skip(handle: BinaryIO, kind: int) -> None:
    if kind in GGUF_SIZES:
        handle.seek(GGUF_SIZES[kind], 1)
        return
    if kind != GGUF_ARRAY:
        raise ValueError(f"a value of kind {kind}")
    inner, count = struct.unpack("<IQ", handle.read(12))
    if inner in GGUF_SIZES:
        handle.seek(GGUF_SIZES[inner] * count, 1)
        return
    for _ in range(count):
        if handle.tell() > LIMIT:
            raise ValueError(f"longer than the {LIMIT} bytes that are read")
        if inner == GGUF_STRING:
            _string(handle)
        else:
            _skip(handle, inner)
