"""Signing a waiver and asking whether it would count: the rim around licenses.waivers."""

import os
from datetime import date
from pathlib import Path

from licenses.errors import BadWaiver
from licenses.publisher import Waiver
from licenses.signature import signed
from licenses.waiver_file import evidence_digest, read_waiver
from licenses.waivers import Trust, Weighed, lacking, weigh


def sign(path: Path, private: bytes, day: date) -> Waiver:
    """Sign the waiver in a file, in place: day and evidence_sha256 are filled in. BadWaiver where it could never count."""
    place = path.absolute()
    draft = read_waiver(place)
    digest = evidence_digest(draft, place.parent)
    if draft.evidence_sha256 not in (None, digest):
        raise BadWaiver(
            f"{path.name}: evidence_sha256 is not that of {draft.evidence} ({digest}); look at the file before you sign"
        )
    ready = draft.model_copy(update={"evidence_sha256": digest, "signed": day, "signature": None})
    faults = [*lacking(ready)]
    if faults:
        raise BadWaiver(f"{path.name} is not signed, it would not count: {'; '.join(faults)}")
    made = signed(ready, private)
    _replace(place, made)
    return made


def would_count(path: Path, publisher: str | None, trust: Trust, day: date) -> Weighed:
    """The waiver in a file as a check of that day would weigh it, before it looks for the asset that it names."""
    return weigh(str(path.absolute()), publisher, trust, day)


def _replace(path: Path, waiver: Waiver) -> None:
    import yaml

    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    said = {name: value for name, value in waiver.model_dump().items() if value is not None}
    try:
        part.write_text(yaml.safe_dump(said, sort_keys=False, width=1000), encoding="utf-8")
        assert read_waiver(part) == waiver, "what was written reads as another waiver"
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
