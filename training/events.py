"""Progress as JSON lines, one event a line, flushed, so that a reader beside may follow the file."""

import json
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from training.errors import StorageError


class Events:
    """Appends events to every file of `paths`."""

    def __init__(self, paths: Iterable[Path] = ()) -> None:
        self._files = []
        for path in paths:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._files.append(path.open("a", encoding="utf-8"))

    def emit(self, event: str, **fields: object) -> None:
        """Write one line to each file; StorageError where one takes no more."""
        line = json.dumps({"event": event, **fields}, ensure_ascii=False) + "\n"
        for file in self._files:
            try:
                file.write(line)
                file.flush()
            except OSError as error:
                message = f"events cannot be written to '{file.name}' ({error.strerror})"
                raise StorageError(f"{message}: make room on the disk and run again; what was finished is found") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for file in self._files:
            with suppress(OSError):  # said when it was written to
                file.close()
