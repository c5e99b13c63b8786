"""A waiver and its evidence as files: read strictly, never through a link, never more than a limit."""

import hashlib
import os
import re
import stat
from pathlib import Path

from pydantic import ValidationError

from licenses.card import decoded, read_mapping
from licenses.errors import BadWaiver, SourceFailure, flat
from licenses.publisher import Waiver

WAIVER_LIMIT = 64 << 10
EVIDENCE_LIMIT = 64 << 20
FIELD = re.compile(r"[a-z0-9_]{1,20}")


def read_waiver(path: Path) -> Waiver:
    """The waiver in a file; BadWaiver names the file, what is wrong and what would do."""
    if not path.is_absolute():
        raise BadWaiver(f"{flat(path)}: the path of a waiver is relative to nothing here; give an absolute one")
    name = flat(path.name)
    try:
        return Waiver.model_validate(read_mapping(decoded(regular_bytes(path, WAIVER_LIMIT), name, "waiver"), name))
    except SourceFailure as failure:
        raise BadWaiver(
            f"{name} is no plain YAML of a waiver{_line(str(failure))}; write its fields once each, as plain values"
        ) from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = str(first["loc"][0])
        shown = field if FIELD.fullmatch(field) else "a field that no waiver has"
        raise BadWaiver(f"{name}: {shown}: {flat(first['msg'])}; see `lorasmith waiver --help` for the fields") from None


def evidence_digest(waiver: Waiver, folder: Path | None) -> str:
    """sha256 of the evidence, a file below `folder`; without a folder (an inline waiver) its path has to be absolute."""
    written = Path(waiver.evidence)
    name = flat(waiver.evidence)[:120]
    if {"..", "\0"} & {*written.parts, *waiver.evidence} or (folder is None) != written.is_absolute():
        wanted = "an absolute path" if folder is None else "its path below the folder of the waiver"
        raise BadWaiver(f"evidence {name}: give {wanted}, without ..")
    if folder is not None and os.path.realpath(folder / written) != os.path.join(os.path.realpath(folder), written):
        raise BadWaiver(f"evidence {name} is reached by a link; put the file itself beside the waiver")
    raw = regular_bytes(folder / written if folder is not None else written, EVIDENCE_LIMIT)
    if not raw.strip():
        raise BadWaiver(f"evidence {name} is empty; put the document there that the approval rests on")
    return hashlib.sha256(raw).hexdigest()


def regular_bytes(path: Path, limit: int) -> bytes:
    """All bytes of a plain file; BadWaiver for a link, a folder, a pipe, or more than `limit` bytes."""
    name = flat(path.name)
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        why = "is a link" if path.is_symlink() else f"can not be read ({error.strerror})"
        raise BadWaiver(f"{name} {why}; put a plain file there") from None
    except ValueError:
        raise BadWaiver(f"{name} is not a path; name a plain file") from None
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise BadWaiver(f"{name} is not a plain file; put one there")
        with open(handle, "rb", closefd=False) as file:
            raw = file.read(limit + 1)
    finally:
        os.close(handle)
    if len(raw) > limit:
        raise BadWaiver(f"{name} is larger than {limit} bytes; shorten it")
    return raw


def _line(said: str) -> str:
    """Where a parser stumbled and never what stands there: a report is published, and the path may be of any file."""
    found = re.search(r"line (\d+)", said)
    return f" (line {found[1]})" if found else ""
