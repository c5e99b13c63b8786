"""A finding of lint: what a reviewer would send back."""

from dataclasses import dataclass
from typing import Literal

Level = Literal["error", "warning", "note"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """Errors stop a draft, warnings are shown, notes say what was not looked at.

    `where` is a place in listing.json or a file beside it.
    """

    code: str
    level: Level
    where: str
    message: str

    def __str__(self) -> str:
        return f"{self.where}: {self.message} [{self.code}]"


def error(code: str, where: str, message: str) -> Finding:
    return Finding(code=code, level="error", where=where, message=message)


def note(code: str, where: str, message: str) -> Finding:
    return Finding(code=code, level="note", where=where, message=message)


def warning(code: str, where: str, message: str) -> Finding:
    return Finding(code=code, level="warning", where=where, message=message)
