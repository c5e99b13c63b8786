"""Where pictures come from: a folder, a zip, `datasets` on disk, the Hub; each becomes a folder of pictures and captions."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from training.data import rows, scan
from training.data.archive import unpack
from training.errors import DatasetError, HubError

HUB = re.compile(r"hf://(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w./-]+))?")
_WANTED = ["*.txt", "*.caption", "*.jsonl", "*.csv", "*.parquet", "*.zip", "*.yaml", "README.md"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Opened:
    """A source while it is open: the folder of its pictures, the folder of its dataset.yaml, and what reports call it.

    `passed_over` are files with pictures beside those that are the dataset, such as a picture in a card above parquet files.
    """

    pictures: Path
    stated: Path
    name: str
    passed_over: tuple[str, ...] = ()


@contextmanager
def opened(source: Path | str, scratch: Path) -> Iterator[Opened]:
    """The source as a folder of pictures; what has to be unpacked lies below `scratch` as long as it is open.

    A string is a path or hf://owner/name@revision. DatasetError for what is none of these, HubError for a Hub that fails.
    """
    remote = isinstance(source, str) and source.startswith("hf://")
    folder = fetched(str(source)) if remote else Path(source)
    name = f"{str(source).partition('@')[0]}@{folder.name}" if remote else str(source)
    with tempfile.TemporaryDirectory(prefix=".unpacked-", dir=scratch) as place:
        pictures, others = _unfolded(folder, Path(place))
        stated = folder if folder.is_dir() else pictures
        yield Opened(pictures=pictures, stated=stated, name=name, passed_over=tuple(map(str, others)))


def fetched(ref: str) -> Path:
    """The dataset of a Hub reference in the Hub's cache, at one commit, which is the folder's name; HF_ENDPOINT is asked."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, RepositoryNotFoundError, RevisionNotFoundError

    match = HUB.fullmatch(ref)
    if match is None:
        raise DatasetError(f"dataset '{ref}' is no Hub reference: write hf://owner/name@revision")
    wanted = [*_WANTED, *map(_any_case, sorted(scan.SUFFIXES | scan.FOREIGN))]
    try:
        return Path(
            snapshot_download(
                match["repo"],
                repo_type="dataset",
                revision=match["revision"],
                allow_patterns=wanted,
                endpoint=os.environ.get("HF_ENDPOINT"),
            )
        )
    except (RepositoryNotFoundError, RevisionNotFoundError, HFValidationError) as error:
        raise DatasetError(f"dataset '{ref}' is not on the Hub (or is gated): check the name, or set HF_TOKEN") from error
    except (HfHubHTTPError, OSError) as error:
        reason = " ".join(str(error).split())[:160]
        raise HubError(f"dataset '{ref}': the Hub cannot be asked ({reason}): try again, or give a folder") from error


def _unfolded(folder: Path, place: Path) -> tuple[Path, list[Path]]:
    """The folder of pictures, and files that hold pictures as well but lie beside what is taken to be the dataset."""
    if folder.is_file():
        unpack(folder, place)
        return place, []
    if not folder.is_dir():
        raise DatasetError(f"dataset '{folder}' is no folder: give a folder of pictures, a zip, or hf://owner/name@revision")
    if rows.is_on_disk(folder):
        rows.unfold_disk(folder, place)
        return place, []
    loose, archives = [item.path for item in scan.find(folder)], sorted(folder.rglob("*.zip"))
    if next(folder.rglob("*.parquet"), None):
        rows.unfold_parquet(folder, place)
        return place, [path.relative_to(folder) for path in (*loose, *archives)]
    if not loose and len(archives) == 1:
        unpack(archives[0], place)
        return place, []
    return folder, [path.relative_to(folder) for path in archives]


def _any_case(suffix: str) -> str:
    """A pattern for .png and .PNG."""
    return "*" + "".join(f"[{letter}{letter.upper()}]" if letter.isalpha() else letter for letter in suffix)
