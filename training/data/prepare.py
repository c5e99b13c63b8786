"""Pictures from anywhere become a dataset folder: manifest.json, pictures/*.png, masks/*.png, report.md, contact.png."""

import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

from training.config import DatasetOptions, identity
from training.data import sources
from training.data.buckets import cropped_share
from training.data.detectors import detectors_of
from training.data.find import Inventory, take_stock
from training.data.gate import items_unmatched
from training.data.look import Seen, look_at
from training.data.policy import Finding, Remark, check_policy
from training.data.report import report
from training.data.sheet import contact_sheet
from training.data.statement import Statement, statement_of
from training.data.verdict import Verdict, decide, stopping, worst
from training.data.windows import long_remarks
from training.errors import DatasetError

__all__ = ["DatasetOptions", "prepare"]

SCHEMA = "lorasmith/dataset/1"
Progress = Callable[[int, int], None]  # pictures done, pictures found


def prepare(source: Path | str, out: Path, options: DatasetOptions, *, progress: Progress | None = None) -> dict[str, object]:
    """Write the dataset folder and return its manifest.

    `source` is a folder, a zip, what `datasets` saved to disk, or hf://owner/name@revision. Every picture found is kept,
    dropped (a copy of another) or failed (an error finding); report.md names each that is not kept. With on_error="stop" any
    error finding ends it: DatasetError in one line; report.md and contact.png are written, pictures and manifest are not.
    """
    _check_options(options)
    out.mkdir(parents=True, exist_ok=True)
    try:
        with sources.opened(source, out) as opened:
            statement = statement_of(opened.stated)
            stock = take_stock(opened, options)
            seen, remarks = _look(stock, statement, out, options, progress or (lambda done, total: None))
        verdict = decide(seen, [*stock.passed_over, *stock.missing, *remarks], options)
        manifest = _manifest(stock, verdict, statement, opened.name, options)
        _tell(manifest, stock, seen, verdict, out)
        _stop_on_errors(verdict, options, out, opened.name)
        _keep(verdict, out)
        _write(out / "manifest.json", json.dumps(manifest, indent=1, ensure_ascii=False) + "\n")
    except BaseException:  # also on Ctrl-C: no half of a dataset stays behind
        for folder in ("pictures", "masks"):
            shutil.rmtree(out / folder, ignore_errors=True)
        raise
    return manifest


def _check_options(options: DatasetOptions) -> None:
    check_policy(options.policy)
    if options.resolution % options.multiple:
        raise DatasetError(f"resolution {options.resolution} is not divisible by {options.multiple}: choose one that is")
    share = options.held_out
    if isinstance(share, int | float) and (share < 0 or (isinstance(share, float) and share >= 1)):
        raise DatasetError(f"held_out {share}: give a folder, a number of pictures, or a fraction from 0 up to below 1")


def _look(
    stock: Inventory, statement: Statement, out: Path, options: DatasetOptions, progress: Progress
) -> tuple[list[Seen], list[Remark]]:
    detectors, remarks = detectors_of(options.detectors, statement)
    remarks += items_unmatched(statement.items, [item.name for item in stock.pictures])
    remarks += long_remarks([(item.name, stock.captions[item.path].text) for item in stock.pictures], options.base)
    seen = []
    (out / "pictures").mkdir(exist_ok=True)
    for number, item in enumerate(stock.pictures, start=1):
        look = look_at(item, stock.captions[item.path], out, options, detectors)
        seen += [look.seen] if look.seen else []
        remarks += look.remarks
        progress(number, len(stock.pictures))
    return seen, remarks


def _manifest(stock: Inventory, verdict: Verdict, statement: Statement, source: str, options: DatasetOptions) -> dict[str, object]:
    pictures = [_row(item) for item in verdict.kept]
    splits = Counter(str(picture["split"]) for picture in pictures)
    return {
        "schema": SCHEMA,
        "resolution": options.resolution,
        "trigger": options.trigger,
        "license": statement.license,
        "source": statement.source or (source if source.startswith("hf://") else ""),
        "statements": statement.row(),
        "counts": {
            "found": stock.found,
            "kept": len(verdict.kept),
            "dropped": len(verdict.dropped),
            "failed": len(verdict.failed),
            "train": splits["train"],
            "held_out": splits["held_out"],
        },
        "waste": _waste(verdict),
        "symmetric": options.symmetric,
        "pictures": pictures,
        "findings": [finding.row() for finding in verdict.findings],
        "hash": _hash(verdict, options),
    }


def _row(item: Seen) -> dict[str, object]:
    row: dict[str, object] = {
        "file": item.name,
        "path": item.file,
        "sha256": item.sha256,
        "width": item.measured.width,
        "height": item.measured.height,
        "bucket": list(item.bucket),
        "caption": item.caption.text,
        "split": "held_out" if item.held_out else "train",
    }
    optional = {"mask": item.mask_file, "generic": item.caption.generic, "scores": _rounded(item.scores) or None}
    return row | {name: value for name, value in optional.items() if value is not None}


def _rounded(scores: Mapping[str, float]) -> dict[str, float]:
    return {name: round(score, 4) for name, score in scores.items()}


def _hash(verdict: Verdict, options: DatasetOptions) -> str:
    """Identity of all that training reads; what a dataset does not use has no part in it."""
    content = []
    for item in verdict.kept:
        split = "held_out" if item.held_out else "train"
        plain = [item.sha256, list(item.bucket), item.caption.text, split]
        more = {"mask": item.mask, "generic": item.caption.generic}
        used = {name: value for name, value in more.items() if value is not None}
        content.append([*plain, used] if used else plain)
    terms = {"schema": SCHEMA, "resolution": options.resolution, "trigger": options.trigger, "pictures": content}
    return identity(terms | ({"symmetric": True} if options.symmetric else {}))


def _waste(verdict: Verdict) -> dict[str, float]:
    """Shares of pixels: cropped away on average and at most, and padded, which no bucket here needs."""
    lost = [cropped_share(item.measured.width, item.measured.height, item.bucket) for item in verdict.kept]
    return {"cropped": round(sum(lost) / max(1, len(lost)), 4), "cropped_most": round(max(lost, default=0.0), 4), "padded": 0.0}


def _tell(manifest: dict[str, object], stock: Inventory, seen: list[Seen], verdict: Verdict, out: Path) -> None:
    """report.md and contact.png, also where errors end it."""
    files = {item.name: out / item.file for item in seen}
    names = [item.name for item in stock.pictures] + [remark.file for remark in stock.missing]
    hidden = contact_sheet([(name, files.get(name)) for name in names], worst(verdict.findings), out / "contact.png")
    _write(out / "report.md", report(manifest, without_tile=hidden))


def _stop_on_errors(verdict: Verdict, options: DatasetOptions, out: Path, source: str) -> None:
    errors: list[Finding] = stopping(verdict.findings, options.on_error)
    if not errors:
        return
    first = errors[0]
    more = len({finding.file for finding in errors} - {first.file})
    rest = f"; {more} more" if more else ""
    raise DatasetError(f"dataset '{source}': {first.file}: {first.code}, {first.message}{rest}; all in {out / 'report.md'}")


def _keep(verdict: Verdict, out: Path) -> None:
    """Only the files of kept pictures stay."""
    kept = {file for item in verdict.kept for file in (item.file, item.mask_file)}
    for folder in ("pictures", "masks"):
        for path in (out / folder).glob("*"):
            if path.relative_to(out).as_posix() not in kept:
                path.unlink()


def _write(path: Path, text: str) -> None:
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)
