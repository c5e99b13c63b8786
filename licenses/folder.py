"""A local folder, or one weights file with what lies beside it, as evidence."""

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from licenses.errors import SourceFailure, flat
from licenses.filenames import is_card, is_prose, kind_of
from licenses.header import metadata_of

FILES_LIMIT = 20_000


class FolderSource:
    """A local folder; its revision is the hash of what was read there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = flat(_called(folder.resolve()))
        self.revision: str | None = None

    def files(self) -> tuple[str, ...]:
        found: list[str] = []
        for place, folders, names in os.walk(self.folder):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            linked = next((name for name in folders if (Path(place) / name).is_symlink()), None)
            if linked is not None:
                text = f"{flat(linked)} in {self.name} is a link to another folder; put the folder itself there"
                raise SourceFailure("folder_linked", text)
            found += [(Path(place) / name).relative_to(self.folder).as_posix() for name in names]
            if len(found) > FILES_LIMIT:
                text = f"{self.name} holds more than {FILES_LIMIT} files; name the folder of the model"
                raise SourceFailure("folder_too_large", text)
        return tuple(sorted(found))

    def read(self, wanted: Mapping[str, int]) -> Mapping[str, bytes | SourceFailure]:
        return {path: self._read(path, limit) for path, limit in wanted.items()}

    def header(self, path: str) -> Mapping[str, str]:
        _regular(self.folder / path, path)
        return metadata_of(self.folder / path, path)

    def _read(self, path: str, limit: int) -> bytes | SourceFailure:
        try:
            place = self.folder / path
            _regular(place, path)
            if place.is_symlink() and not _stays(place, self.folder):
                text = f"{flat(path)} is a link that leads out of {self.name}; put the file itself there"
                return SourceFailure("file_linked", text)
            with place.open("rb") as handle:
                raw = handle.read(limit + 1)
        except SourceFailure as failure:
            return failure
        except OSError as error:
            return SourceFailure("file_unreadable", f"{flat(path)} can not be read ({error.strerror}); mend its rights")
        if len(raw) > limit:
            text = f"{flat(path)} is larger than the {limit} bytes that are read as evidence; shorten it"
            return SourceFailure("file_too_large", text)
        return raw


class BesideSource(FolderSource):
    """Card, licence, notices and adapter config that lie beside a file, not the file itself and nothing further down."""

    def __init__(self, file: Path) -> None:
        super().__init__(file.parent)
        self.file = file.name
        self.name = flat(file.name)

    def files(self) -> tuple[str, ...]:
        listed = os.listdir(self.folder) if self.folder.is_dir() else []
        return tuple(sorted(one for one in listed if kind_of(one) or is_card(one) or is_prose(one) or one == "adapter_config.json"))


class FileSource(BesideSource):
    """One weights file: its head, and what lies beside it."""

    def files(self) -> tuple[str, ...]:
        beside = super().files()
        if not any(kind_of(one) == "license" for one in beside):
            text = (
                f"{self.name} is a lone file and no licence text lies beside it; "
                "put the licence text of these weights there as LICENSE, and the card as README.md"
            )
            raise SourceFailure("file_without_license", text)
        return tuple(sorted([self.file, *beside]))


def _called(folder: Path) -> str:
    """The name of a folder; a snapshot in a download cache is called as its repository is, not as its commit."""
    return folder.parent.parent.name if folder.parent.name == "snapshots" else folder.name


def _regular(place: Path, path: str) -> None:
    if not stat.S_ISREG(place.stat().st_mode):
        raise SourceFailure("file_unreadable", f"{flat(path)} is not a plain file; put the text itself there")


def _stays(place: Path, folder: Path) -> bool:
    """A link that ends in the folder, or in the blobs beside the snapshots of a download cache."""
    end, root = place.resolve(), folder.resolve()
    return end.is_relative_to(root) or (root.parent.name == "snapshots" and end.parent == root.parent.parent / "blobs")
