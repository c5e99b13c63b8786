"""Which files of a base decide what it computes: weights, configurations, tokenizers. Its prose and its pictures do not."""

from pathlib import Path

SUFFIXES = frozenset({".json", ".safetensors", ".txt", ".model", ".jinja"})


def deciding_files(folder: Path) -> dict[str, Path]:
    """Paths by their names in the folder of a diffusers pipeline: model_index.json, and what lies in the components' folders."""
    paths = [path for path in sorted(folder.glob("*/*")) if path.suffix in SUFFIXES] + [folder / "model_index.json"]
    return {path.relative_to(folder).as_posix(): path for path in paths if path.is_file()}
