"""license-report as files: HOME/reports/licenses holds the page, Markdown, SARIF and JSON of what is live and waited for."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.books.records import write_json, write_text
from flows.events import emit
from flows.home import home
from flows.licensing import recheck

if TYPE_CHECKING:
    from flows.targets import Target
    from licenses.portfolio import Entry

LAST = "license-report.json"
RE_REVIEW, CHANGED = "lorasmith.release.re-review", "lorasmith.license.changed"


@dataclass(frozen=True)
class Checked:
    """A check of everything: rows as `recheck` gives them, errors by name, and the day."""

    rows: Sequence[Mapping[str, Any]]
    errors: Mapping[str, ValueError]
    day: str

    @cached_property
    def entries(self) -> "tuple[Entry, ...]":
        return tuple(entry_of(row) for row in self.rows)

    @property
    def faults(self) -> list[str]:
        return [f"{name}: {error}" for name, error in self.errors.items()]

    @property
    def headline(self) -> str:
        from licenses.portfolio import headline

        return headline(self.entries, self.faults)

    @property
    def digest(self) -> str:
        from licenses.portfolio import digest

        return digest(self.entries, self.faults)

    @property
    def barred(self) -> list[str]:
        """Names of what is live and not allowed any more."""
        from licenses.portfolio import barred

        return [one.name for one in barred(self.entries)]


def checked(target: "Target | None", bases: Sequence[str], publisher: Mapping[str, Any]) -> Checked:
    """Every live release, the bases named, and those that were asked about before; each is asked again."""
    named = list(dict.fromkeys([*bases, *recheck.watched_bases()]))
    asked = list(recheck.every(target, named, publisher))
    rows = [row for _, row in asked if isinstance(row, dict)]
    return checked_rows(rows, {name: error for name, error in asked if not isinstance(error, dict)})


def checked_rows(rows: Sequence[Mapping[str, Any]], errors: Mapping[str, ValueError]) -> Checked:
    return Checked(rows=rows, errors=errors, day=datetime.now(UTC).date().isoformat())


def entry_of(row: Mapping[str, Any]) -> "Entry":
    """A row with its whole verdict, which lies beside its report."""
    from licenses.portfolio import Entry

    live = bool(row["app"] and row["target"])
    return Entry(
        name=f"{row['app']} on {row['target']}" if live else row["app"] or row["base"],
        live=live,
        state=row["state"],
        verdict=json.loads(Path(row["report"]).with_name("verdict.json").read_text()),
        changes=row["changes"],
        waits_for=row["waits_for"],
        todo=recheck.ways_on(row["app"], row["target"]) if live and row["state"] == "re-review" else "",
    )


def folder() -> Path:
    """Where the last report lies."""
    return home() / "reports" / "licenses"


def write(found: Checked, out: Path) -> None:
    """report.html, report.md, report.sarif and report.json; each is replaced whole, the one with the digest last."""
    from licenses import portfolio
    from licenses.sarif import sarif

    out.mkdir(parents=True, exist_ok=True)
    listed = portfolio.findings(found.entries)
    write_text(out / "report.html", portfolio.html(found.entries, found.faults, as_of=found.day))
    write_text(out / "report.md", page(found))
    write_json(out / "report.sarif", sarif(listed, version=version("lorasmith"), location="job.yaml"))
    write_json(out / "report.json", as_json(found))


def page(found: Checked) -> str:
    """The report as Markdown."""
    from licenses import portfolio

    return portfolio.markdown(found.entries, found.faults, as_of=found.day)


def as_json(found: Checked) -> dict[str, Any]:
    """digest: of what it says without its days."""
    head = {"schema": "lorasmith/license-report/1", "as_of": found.day, "digest": found.digest, "headline": found.headline}
    return head | {"barred": found.barred, "releases": list(found.rows), "faults": found.faults}


def digest_last() -> str | None:
    """Of the report that lies there; None where there is none."""
    file = folder() / "report.json"
    return str(json.loads(file.read_text())["digest"]) if file.is_file() else None


def keep(found: Checked) -> bool:
    """Write the report to its place in HOME; True, and told as events, where it says something else than the one that lay there."""
    changed = digest_last() != found.digest
    if changed:
        tell(found)  # before it is kept: a kill in between tells again, and loses nothing
    write_json(home() / LAST, {"releases": list(found.rows), "faults": found.faults})
    write(found, folder())
    return changed


def tell(found: Checked) -> None:
    """One event of the whole, and one for each release or base that a person has to read."""
    todo = f"read {folder() / 'report.html'}"
    said = {"level": "alert" if found.barred else "warn" if found.faults else "ok", "text": found.headline, "todo": todo}
    emit(CHANGED, "lorasmith.licenses", said | {"digest": found.digest, "barred": found.barred})
    for row in found.rows:
        if row["state"] == "re-review":
            emit(RE_REVIEW, f"lorasmith.app.{row['app'] or row['base']}", row)
