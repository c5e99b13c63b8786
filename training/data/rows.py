"""Pictures in the rows of a table (Hugging Face `datasets` on disk, parquet files) as files with a metadata table beside them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from training.data.captions import COLUMNS
from training.errors import DatasetError

_ON_DISK = ({"dataset_dict.json"}, {"state.json", "dataset_info.json"})
_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff"})
_BATCH = 32  # rows in memory at a time


def is_on_disk(folder: Path) -> bool:
    """Whether `save_to_disk` wrote the folder."""
    return any(all((folder / name).is_file() for name in names) for names in _ON_DISK)


def unfold_disk(folder: Path, to: Path) -> None:
    """Every row of what `save_to_disk` wrote, one folder a split."""
    from datasets import Dataset, load_from_disk  # type: ignore[import-untyped]

    try:
        loaded = load_from_disk(str(folder))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatasetError(f"dataset '{folder}' cannot be loaded ({' '.join(str(error).split())[:160]}): save it again") from error
    splits = {"": loaded} if isinstance(loaded, Dataset) else {f"{name}/": split for name, split in loaded.items()}
    for prefix, split in splits.items():
        columns = _columns(split.features, folder)
        table = split.data.table if split._indices is None else split.flatten_indices().data.table
        _write(to, prefix, _dicts(table.to_batches(max_chunksize=_BATCH)), columns, local=True)


def unfold_parquet(folder: Path, to: Path) -> None:
    """Every row of the parquet files below the folder, one folder a split (`train-00000-of-00002.parquet` is of `train`)."""
    import pyarrow  # type: ignore[import-untyped]
    import pyarrow.parquet  # type: ignore[import-untyped]
    from datasets import Features

    for path in sorted(folder.rglob("*.parquet")):
        try:
            with pyarrow.parquet.ParquetFile(path) as file:
                columns = _columns(Features.from_arrow_schema(file.schema_arrow), path)
                prefix = f"{path.stem.partition('-')[0]}/"
                _write(to, prefix, _dicts(file.iter_batches(_BATCH)), columns, local=False)
        except (pyarrow.ArrowException, OSError) as error:
            raise DatasetError(
                f"'{path.name}' is no parquet file ({' '.join(str(error).split())[:120]}): fetch it again"
            ) from error


def _columns(features: Mapping[str, Any], source: Path) -> tuple[str, str | None, str | None]:
    """(picture, caption, mask): an Image column that is not called mask, and a text column called text, caption or prompt."""
    from datasets import Image, Value

    pictures = [name for name, kind in features.items() if isinstance(kind, Image)]
    shown = [name for name in pictures if name != "mask"]
    if len(shown) != 1:
        message = f"{len(shown)} columns of pictures, one wanted ({', '.join(features)[:120]})"
        raise DatasetError(f"dataset '{source.name}' has {message}: keep one column of type Image")
    caption = next((name for name in COLUMNS if isinstance(features.get(name), Value) and features[name].dtype == "string"), None)
    return shown[0], caption, "mask" if "mask" in pictures else None


def _write(
    to: Path, prefix: str, rows: Iterable[Mapping[str, Any]], columns: tuple[str, str | None, str | None], *, local: bool
) -> None:
    picture, caption, mask = columns
    (to / prefix).mkdir(parents=True, exist_ok=True)
    table, lines = to / prefix / "metadata.jsonl", []
    first = sum(not path.name.endswith((".mask.png", ".jsonl")) for path in (to / prefix).iterdir() if path.is_file())
    for number, row in enumerate(rows, start=first):
        name = f"{number:06d}{_suffix(row[picture])}"
        (to / prefix / name).write_bytes(_bytes(row[picture], local))
        if caption is not None:
            lines.append(json.dumps({"file_name": name, "text": row[caption] or ""}, ensure_ascii=False))
        if mask is not None and row[mask] is not None:
            (to / prefix / f"{number:06d}.mask.png").write_bytes(_bytes(row[mask], local))
    if lines:
        with table.open("a", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")


def _dicts(batches: Iterable[Any]) -> Iterator[Mapping[str, Any]]:
    for batch in batches:
        yield from batch.to_pylist()


def _bytes(cell: Mapping[str, Any] | None, local: bool) -> bytes:
    """The encoded picture; nothing, which the gate finds unreadable, where there is none. Paths of a stranger are not opened."""
    if cell is None:
        return b""
    path = Path(cell.get("path") or "")
    if cell.get("bytes") is None and local and path.is_file():
        return path.read_bytes()
    return cell.get("bytes") or b""


def _suffix(cell: Mapping[str, Any] | None) -> str:
    suffix = Path((cell or {}).get("path") or "").suffix.lower()
    return suffix if suffix in _SUFFIXES else ".png"  # the decoder looks at the content, not at the name
