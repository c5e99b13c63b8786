"""The agent's own packages, for runners in an environment of their app: linked from the interpreter of the sandbox.

As on fal, the app's environment comes first and that of the agent behind it (isolate's LocalPythonGRPC: PYTHONPATH of both).
What else is installed beside the sandbox stays out of the app's sight.
"""

import hashlib
import shutil
import uuid
from collections.abc import Iterator
from importlib.metadata import Distribution, distribution
from pathlib import Path, PurePosixPath

from packaging.requirements import Requirement

AGENT = ("isolate", "isolate_proto", "cloudpickle", "dill")


def agent_site(folder: Path) -> Path:
    """A folder under `folder` to put on PYTHONPATH; made once for each set of versions."""
    distributions = list(_closure(AGENT))
    versions = ",".join(sorted(f"{item.name}=={item.version}@{item.locate_file('')}" for item in distributions))
    target = folder / f"agent-{hashlib.sha256(versions.encode()).hexdigest()[:16]}"
    if target.exists():
        return target
    partial = folder / f"{target.name}.{uuid.uuid4().hex[:8]}"
    for item in distributions:
        _link(item, partial)
    try:
        partial.rename(target)
    except OSError:  # somebody else was quicker
        shutil.rmtree(partial)
    return target


def _closure(names: tuple[str, ...]) -> Iterator[Distribution]:
    """The named distributions and what they require here, without extras."""
    seen: set[str] = set()
    todo = list(names)
    while todo:
        found = distribution(todo.pop())
        if found.name in seen:
            continue
        seen.add(found.name)
        yield found
        for text in found.requires or ():
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                todo.append(requirement.name)


def _link(item: Distribution, target: Path) -> None:
    """Symbolic links to the files of a distribution: modules and metadata, no scripts, no bytecode."""
    for file in item.files or ():
        path = PurePosixPath(file)
        if ".." in path.parts or path.is_absolute() or "__pycache__" in path.parts:
            continue
        link = target / path
        link.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        link.symlink_to(Path(str(item.locate_file(file))).resolve())
