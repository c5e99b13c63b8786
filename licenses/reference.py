"""A base, component or dataset as written by a person: a folder, a weights file, owner/name, or hf://owner/name@revision."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from licenses.catalogue import Catalogue
from licenses.errors import BadReference
from licenses.hub import REPO, REVISION

WEIGHTS = (".safetensors", ".sft", ".gguf")
HF = re.compile(r"hf://(?P<repo>[^@]+)(?:@(?P<revision>.+))?")


@dataclass(frozen=True, kw_only=True, slots=True)
class Reference:
    """Exactly one of folder, file and repo is set."""

    folder: Path | None = None
    file: Path | None = None
    repo: str | None = None
    revision: str | None = None


def parse(written: str | Path, revision: str | None, catalogue: Catalogue) -> Reference:
    """What was meant; a repository that the catalogue knows wins over a folder of the same name. BadReference otherwise."""
    text = str(written)
    found = HF.fullmatch(text)
    if found:
        text, revision = found["repo"], found["revision"] or revision
    folder = None if found else Path(text)
    if folder is not None and text.strip() and _is(folder, Path.is_dir) and not catalogue.model(text):
        if revision:
            raise BadReference(f"{text!r} is a folder and has no revision {revision!r}; leave the revision out")
        return Reference(folder=folder)
    if folder is not None and folder.suffix.casefold() in WEIGHTS and _is(folder, Path.is_file):
        if revision:
            raise BadReference(f"{text!r} is a file and has no revision {revision!r}; leave the revision out")
        return Reference(file=folder)
    if folder is not None and text.strip() and _is(folder, Path.exists) and not catalogue.model(text):
        raise BadReference(f"{text!r:.120} is a file, neither a folder nor weights ({', '.join(WEIGHTS)}); give the folder")
    if not REPO.fullmatch(text):
        raise BadReference(
            f"{text!r:.120} is neither a folder nor a weights file that exists, nor a Hub id; write a path, or owner/name"
        )
    if revision is not None and not REVISION.fullmatch(revision):
        raise BadReference(f"revision {revision!r:.60} can not be one; name a branch, a tag or a commit")
    return Reference(repo=text, revision=revision)


def _is(path: Path, kind: Callable[[Path], bool]) -> bool:
    """Whether a path is of a kind; what no path can be, such as a name that is too long, is of none."""
    try:
        return kind(path)
    except (OSError, ValueError):
        return False
