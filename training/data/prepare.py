"""A folder of pictures becomes a dataset folder: manifest.json, pictures/*.png, report.md."""

import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from training.config import DatasetOptions, identity
from training.data import buckets as shapes
from training.data import gate, scan
from training.data.captions import Caption, captions_of
from training.data.report import report
from training.errors import DatasetError

__all__ = ["DatasetOptions", "prepare"]

SCHEMA = "lorasmith/dataset/1"
Progress = Callable[[int, int], None]  # pictures done, pictures found


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """A picture that could be decoded: its measurements, content hash, bucket and caption."""

    measured: gate.Measured
    sha256: str
    bucket: shapes.Bucket
    caption: Caption
    held_out: bool

    @property
    def file(self) -> str:
        return f"pictures/{self.sha256[:16]}.png"


def prepare(source: Path, out: Path, options: DatasetOptions, *, progress: Progress | None = None) -> dict[str, object]:
    """Write the dataset folder and return its manifest.

    Every picture found is kept, dropped (a copy of another) or failed (an error finding); report.md names each that is not kept.
    With on_error="stop" any error finding ends it: DatasetError in one line, report.md is written, pictures and manifest are not.
    """
    _check_options(options)
    found = _find(source, options)
    out.mkdir(parents=True, exist_ok=True)
    try:
        seen, findings = _look(found, _captions(found, source, options), out, options, progress or (lambda done, total: None))
        kept, findings = _judge(seen, findings, options)
        manifest = _manifest(source, found, kept, findings, options)
        _write(out / "report.md", report(manifest))
        _stop_on_errors(findings, options, out, source)
        for picture in (out / "pictures").iterdir():
            if picture.relative_to(out).as_posix() not in {item.file for item in kept}:
                picture.unlink()
        _write(out / "manifest.json", json.dumps(manifest, indent=1, ensure_ascii=False) + "\n")
    except BaseException:  # also on Ctrl-C: no half of a dataset stays behind
        shutil.rmtree(out / "pictures", ignore_errors=True)
        raise
    return manifest


def _check_options(options: DatasetOptions) -> None:
    if options.resolution % options.multiple:
        raise DatasetError(f"resolution {options.resolution} is not divisible by {options.multiple}: choose one that is")
    share = options.held_out
    if isinstance(share, int | float) and (share < 0 or (isinstance(share, float) and share >= 1)):
        raise DatasetError(f"held_out {share}: give a folder, a number of pictures, or a fraction from 0 up to below 1")


def _find(source: Path, options: DatasetOptions) -> list[scan.Found]:
    if not source.is_dir():
        raise DatasetError(f"dataset '{source}' is no folder: give a folder of pictures")
    aside = _held_out_folder(source, options)
    found = scan.find(source, without=aside)
    if not found:
        raise DatasetError(f"dataset '{source}' holds no pictures ({', '.join(sorted(scan.SUFFIXES))}): put some there")
    return found + (scan.find(aside, held_out=True, prefix=f"{aside.name}/") if aside else [])


def _held_out_folder(source: Path, options: DatasetOptions) -> Path | None:
    if isinstance(options.held_out, int | float):
        return None
    places = [source / options.held_out, source.parent / options.held_out]  # an absolute path wins in both
    folder = next((place for place in places if place.is_dir()), None)
    if folder is None:
        raise DatasetError(
            f"held_out '{options.held_out}' is no folder in or beside '{source}': give a folder, a number or a fraction"
        )
    return folder


def _captions(found: list[scan.Found], source: Path, options: DatasetOptions) -> dict[Path, Caption]:
    aside = _held_out_folder(source, options)
    captions = captions_of([item.path for item in found if not item.held_out], source, options.trigger)
    if aside:
        captions |= captions_of([item.path for item in found if item.held_out], aside, options.trigger)
    return captions


def _look(
    found: list[scan.Found], captions: dict[Path, Caption], out: Path, options: DatasetOptions, progress: Progress
) -> tuple[list[Seen], list[gate.Finding]]:
    seen, findings = [], []
    allowed = shapes.buckets_for(options.resolution, options.multiple)
    (out / "pictures").mkdir(exist_ok=True)
    for number, item in enumerate(found, start=1):
        caption = captions[item.path]
        if caption.code:
            findings.append(gate.Finding(file=item.name, code=caption.code, level="error", message=caption.message))
        outcome = _look_at(item, caption, allowed, out, options)
        if isinstance(outcome, gate.Finding):
            findings.append(outcome)
        else:
            seen.append(outcome)
        progress(number, len(found))
    return seen, findings


def _look_at(
    item: scan.Found, caption: Caption, allowed: tuple[shapes.Bucket, ...], out: Path, options: DatasetOptions
) -> Seen | gate.Finding:
    try:
        picture = scan.decode(item.path, max_pixels=options.max_pixels)
    except scan.TooLarge as error:
        message = f"{error}, at most {options.max_pixels} and {scan.MAX_SIDE} a side: scale it down; it was not decoded"
        return gate.Finding(file=item.name, code="too_large", level="error", message=message)
    except scan.Unreadable as error:
        return gate.Finding(file=item.name, code="unreadable", level="error", message=f"cannot be decoded ({error}): save it again")
    bucket = shapes.bucket_of(*picture.size, allowed)
    crop = picture.resize(
        (bucket[1], bucket[0]), Image.Resampling.LANCZOS, box=shapes.cover(*picture.size, bucket), reducing_gap=3.0
    )
    seen = Seen(
        measured=_measure(item.name, picture),
        sha256=hashlib.sha256(item.path.read_bytes()).hexdigest(),
        bucket=bucket,
        caption=caption,
        held_out=item.held_out,
    )
    crop.save(out / seen.file, format="PNG")
    return seen


def _measure(name: str, picture: Image.Image) -> gate.Measured:
    pixels = hashlib.sha256(f"{picture.size}".encode() + picture.tobytes()).hexdigest()
    grey = np.asarray(picture.convert("L").resize((9, 8), Image.Resampling.BOX), dtype=np.uint8)
    return gate.Measured(name=name, width=picture.width, height=picture.height, pixels=pixels, look=gate.difference_hash(grey))


def _judge(seen: list[Seen], findings: list[gate.Finding], options: DatasetOptions) -> tuple[list[Seen], list[gate.Finding]]:
    """Pictures to keep, split decided, and all findings in the order of reading."""
    min_side = options.resolution // 2 if options.min_side is None else options.min_side
    findings = findings + [small for item in seen if (small := gate.size_finding(item.measured, min_side))]
    failed = {finding.file for finding in findings if finding.level == "error"}
    sound = [item for item in seen if item.measured.name not in failed]
    copies = gate.exact_duplicates([item.measured for item in sound])
    names = {finding.file for finding in copies}
    kept = _split([item for item in sound if item.measured.name not in names], options.held_out)
    findings += copies + gate.near_duplicates([item.measured for item in kept], options.near_duplicate)
    scarce = gate.too_few(sum(not item.held_out for item in kept), options.minimum)
    return kept, findings + ([scarce] if scarce else [])


def _split(kept: list[Seen], held_out: Path | str | float) -> list[Seen]:
    """Held-out pictures by rank of content hash, so that renaming or adding a few leaves most of the split as it was."""
    if not isinstance(held_out, int | float):
        return kept
    number = held_out if isinstance(held_out, int) else max(1, round(held_out * len(kept))) if held_out and len(kept) > 1 else 0
    chosen = {item.sha256 for item in sorted(kept, key=lambda item: item.sha256)[:number]}
    return [_with_split(item, item.sha256 in chosen) for item in kept]


def _with_split(item: Seen, held_out: bool) -> Seen:
    return Seen(measured=item.measured, sha256=item.sha256, bucket=item.bucket, caption=item.caption, held_out=held_out)


def _manifest(
    source: Path, found: list[scan.Found], kept: list[Seen], findings: list[gate.Finding], options: DatasetOptions
) -> dict[str, object]:
    pictures = [_row(item) for item in kept]
    failed = {finding.file for finding in findings if finding.level == "error" and finding.file != "."}
    dropped = {finding.file for finding in findings if finding.code == "exact_duplicate"}
    splits = Counter(str(picture["split"]) for picture in pictures)
    content = [[picture[key] for key in ("sha256", "bucket", "caption", "split")] for picture in pictures]
    return {
        "schema": SCHEMA,
        "resolution": options.resolution,
        "trigger": options.trigger,
        **_statement(source),
        "counts": {
            "found": len(found),
            "kept": len(kept),
            "dropped": len(dropped),
            "failed": len(failed),
            "train": splits["train"],
            "held_out": splits["held_out"],
        },
        "pictures": pictures,
        "findings": [finding.row() for finding in findings],
        "hash": identity({"schema": SCHEMA, "resolution": options.resolution, "trigger": options.trigger, "pictures": content}),
    }


def _row(item: Seen) -> dict[str, object]:
    return {
        "file": item.measured.name,
        "path": item.file,
        "sha256": item.sha256,
        "width": item.measured.width,
        "height": item.measured.height,
        "bucket": list(item.bucket),
        "caption": item.caption.text,
        "split": "held_out" if item.held_out else "train",
    }


def _statement(source: Path) -> dict[str, str | None]:
    """License and source as dataset.yaml states them; judging them is the business of another room."""
    path = source / "dataset.yaml"
    try:
        stated = yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DatasetError(f"'{path}' is no YAML ({str(error).splitlines()[0]}): write 'license: MIT' and 'source: ...'") from error
    if not isinstance(stated, dict):
        raise DatasetError(f"'{path}' holds {type(stated).__name__}, not fields: write 'license: MIT' and 'source: ...'")
    given = stated.get("license")
    return {"license": None if given is None else str(given), "source": str(stated.get("source") or "")}


def _stop_on_errors(findings: Iterable[gate.Finding], options: DatasetOptions, out: Path, source: Path) -> None:
    errors = [finding for finding in findings if finding.level == "error"]
    if options.on_error == "drop":
        errors = [finding for finding in errors if finding.code == "too_few"]
    if not errors:
        return
    first = errors[0]
    more = len({finding.file for finding in errors} - {first.file})
    rest = f"; {more} more" if more else ""
    raise DatasetError(f"dataset '{source}': {first.file}: {first.code}, {first.message}{rest}; all in {out / 'report.md'}")


def _write(path: Path, text: str) -> None:
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)
