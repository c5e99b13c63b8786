"""Wheels of what is installed here, so that environments can be made without a network."""

import hashlib
import zipfile
from base64 import urlsafe_b64encode
from collections.abc import Iterable
from importlib.metadata import Distribution, distribution
from pathlib import Path, PurePosixPath

from packaging.requirements import Requirement

NOT_OF_A_WHEEL = {"RECORD", "INSTALLER", "REQUESTED", "direct_url.json"}


def wheels_of(names: Iterable[str], folder: Path) -> Path:
    """A wheel in `folder` for each named distribution and for all that it requires here, extras aside."""
    todo, seen = [Requirement(name).name for name in names], set[str]()
    while todo:
        found = distribution(todo.pop())
        if found.name in seen:
            continue
        seen.add(found.name)
        _write(found, folder)
        wanted = (Requirement(text) for text in found.requires or ())
        todo += [item.name for item in wanted if item.marker is None or item.marker.evaluate({"extra": ""})]
    return folder


def own_wheel(name: str, folder: Path) -> None:
    """A wheel of a package with nothing in it but its name."""
    info = f"{name}-1.0.dist-info"
    files = {
        f"{name}.py": f"NAME = {name!r}\n".encode(),
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    _zip(folder / f"{name}-1.0-py3-none-any.whl", info, files)


def _write(found: Distribution, folder: Path) -> None:
    files = {}
    for file in found.files or ():
        path = PurePosixPath(file)
        if ".." in path.parts or "__pycache__" in path.parts or path.name in NOT_OF_A_WHEEL:
            continue
        files[str(path)] = Path(str(found.locate_file(file))).read_bytes()
    info = next(PurePosixPath(name).parts[0] for name in files if PurePosixPath(name).parts[0].endswith(".dist-info"))
    tag = next(line.split(": ")[1] for line in files[f"{info}/WHEEL"].decode().splitlines() if line.startswith("Tag: "))
    _zip(folder / f"{info.removesuffix('.dist-info')}-{tag}.whl", info, files)


def _zip(target: Path, info: str, files: dict[str, bytes]) -> None:
    rows = [f"{name},sha256={_digest(content)},{len(content)}" for name, content in files.items()]
    with zipfile.ZipFile(target, "w") as wheel:
        for name, content in files.items():
            wheel.writestr(name, content)
        wheel.writestr(f"{info}/RECORD", "\n".join([*rows, f"{info}/RECORD,,", ""]))


def _digest(content: bytes) -> str:
    return urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
