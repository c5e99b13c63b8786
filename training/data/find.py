"""What a dataset holds before anything is decoded: pictures, captions, and rows that name pictures which are not there."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from training.config import DatasetOptions
from training.data import scan
from training.data.captions import Caption, Rules, absolute, captions_of, check_rules, tables
from training.data.policy import WHOLE, Remark
from training.data.sources import Opened
from training.errors import DatasetError

SPLIT = "split:"  # before the name of a folder inside the source


@dataclass(frozen=True, kw_only=True, slots=True)
class Inventory:
    """Pictures in name order (held-out ones last), the caption of each by path, and remarks on pictures that are missing."""

    pictures: tuple[scan.Found, ...]
    captions: Mapping[Path, Caption]
    missing: tuple[Remark, ...]
    passed_over: tuple[Remark, ...] = ()

    @property
    def found(self) -> int:
        """Pictures that the dataset says to have."""
        return len(self.pictures) + len(self.missing)


def rules_of(options: DatasetOptions) -> Rules:
    """The caption rules of the options."""
    return Rules(trigger=options.trigger, template=options.template, generic=options.generic)


def take_stock(source: Opened, options: DatasetOptions) -> Inventory:
    """Everything that a source holds; DatasetError where that is nothing."""
    rules = rules_of(options)
    check_rules(rules)
    aside = _held_out_folder(source, options)
    pictures = scan.find(source.pictures, without=aside)
    if not pictures:
        raise DatasetError(f"dataset '{source.name}' holds no pictures ({', '.join(sorted(scan.SUFFIXES))}): put some there")
    listed = {path: text for path, text in tables(source.pictures).items() if not (aside and path.is_relative_to(absolute(aside)))}
    captions = captions_of({item.path: item.name for item in pictures}, listed, rules)
    missing = _missing(pictures, listed, source.pictures, "")
    if aside:
        inside = aside.is_relative_to(source.pictures) or not (source.pictures / aside.name).exists()
        prefix = f"{aside.name}/" if inside else f"../{aside.name}/"  # no two pictures of one name
        apart, rows = scan.find(aside, held_out=True, prefix=prefix), tables(aside)
        captions |= captions_of({item.path: item.name for item in apart}, rows, rules)
        pictures, missing = pictures + apart, missing + _missing(apart, rows, aside, prefix)
    return Inventory(
        pictures=tuple(pictures), captions=captions, missing=tuple(missing), passed_over=_passed_over(source.passed_over)
    )


def _passed_over(files: tuple[str, ...]) -> tuple[Remark, ...]:
    if not files:
        return ()
    message = (
        f"{len(files)} files with pictures ({', '.join(files[:3])}) lie beside those that are read: put them there, or elsewhere"
    )
    return (Remark(file=WHOLE, code="passed_over", message=message),)


def _held_out_folder(source: Opened, options: DatasetOptions) -> Path | None:
    if isinstance(options.held_out, int | float):
        return None
    split = str(options.held_out).removeprefix(SPLIT)
    if split != str(options.held_out):
        if "/" not in split and split.strip(".") and (source.pictures / split).is_dir():
            return source.pictures / split
        inside = ", ".join(sorted(path.name for path in source.pictures.iterdir() if path.is_dir())) or "no folder"
        raise DatasetError(f"held_out '{options.held_out}': '{source.name}' has {inside}: name one of its splits, or a number")
    places = [source.pictures / options.held_out, Path(source.name).parent / options.held_out]  # an absolute path wins in both
    folder = next((place for place in places if place.is_dir()), None)
    if folder is None:
        raise DatasetError(
            f"held_out '{options.held_out}' is no folder in or beside '{source.name}': give a folder, a number or a fraction"
        )
    return folder


def _missing(pictures: list[scan.Found], listed: Mapping[Path, bytes], folder: Path, prefix: str) -> list[Remark]:
    there = {absolute(path) for item in pictures for path in (item.path, item.mask) if path}
    gone = sorted(path for path in listed if path not in there)
    message = "a metadata row names it, and no such picture is there: put it there, or take out the row"
    return [Remark(file=prefix + _named(path, absolute(folder)), code="missing_picture", message=message) for path in gone]


def _named(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.name
