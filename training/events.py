"""Progress as JSON lines, one event a line, flushed, so that a reader beside may follow the file."""

import json
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self


class Events:
    """Appends events to every file of `paths`."""

    def __init__(self, paths: Iterable[Path] = ()) -> None:
        self._files = []
        for path in paths:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._files.append(path.open("a", encoding="utf-8"))

    def emit(self, event: str, **fields: object) -> None:
        line = json.dumps({"event": event, **fields}, ensure_ascii=False) + "\n"
        for file in self._files:
            file.write(line)
            file.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for file in self._files:
            file.close()
