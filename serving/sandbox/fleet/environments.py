"""The interpreters that apps run in: the sandbox's own, or a virtual environment for each set of requirements.

An environment is made in a folder of its own and then named by one symbolic link, in one step: what a link names is whole. (It is
not moved into place: its scripts carry the path that they were made at.)
"""

import asyncio
import contextlib
import hashlib
import json
import os
import platform
import re
import shutil
import signal
import sys
import uuid
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import BuildFailed
from ..plane.requirements import check_environment, check_python, layers_of
from ..state import Revision
from .agent_site import agent_site

LOCAL, VIRTUALENV = "local", "virtualenv"
CHILD = Path(__file__).with_name("child.py")
LINE_LIMIT = 1 << 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Interpreter:
    """A Python, and what its environment variables need for an app."""

    python: str = sys.executable
    variables: Mapping[str, str] = field(default_factory=dict)


class Environments:
    """build() makes what is missing and says what it does, interpreter() gives what was made."""

    def __init__(self, folder: Path, mode: str = LOCAL) -> None:
        self._folder = folder
        self._mode = mode
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def build(self, kind: str, configuration: Mapping[str, Any], *, force: bool = False) -> AsyncIterator[str]:
        """Log lines of a build; BuildFailed with one line where a requirement can not be met. `force` builds it again."""
        if self._mode == LOCAL:
            for line in check_environment(kind, configuration):
                yield line
            return
        if kind != VIRTUALENV:
            raise BuildFailed(f"environment kind '{kind}' is not built by the sandbox; use requirements (virtualenv)")
        check_python(configuration)
        name = _name_of(configuration)
        async with self._locks[name]:
            if self._made(name) is not None and not force:
                yield f"environment {name}: found, nothing to install"
                return
            async for line in self._make(name, configuration):
                yield line

    async def interpreter(self, environments: Iterable[Mapping[str, Any]]) -> Interpreter:
        """Where an app runs that was deployed with these; built again where it is gone."""
        wanted = next((item for item in environments if item.get("kind") == VIRTUALENV), None)
        if self._mode == LOCAL or wanted is None:
            return Interpreter()
        async for _ in self.build(VIRTUALENV, wanted["configuration"]):
            pass
        home = self._made(_name_of(wanted["configuration"]))
        assert home is not None, "build() made it"
        return Interpreter(python=str(home / "bin" / "python"), variables=await asyncio.to_thread(self._variables, home))

    def tidy(self) -> list[str]:
        """Remove what was begun and not finished, or replaced; only while nothing runs."""
        for link in self._folder.glob("*"):
            if link.is_symlink() and not link.exists():
                link.unlink()
        gone = [path for path in _built(self._folder) if not _is_named(path)]
        for path in gone:
            shutil.rmtree(path)
        return [path.name for path in gone]

    async def _make(self, name: str, configuration: Mapping[str, Any]) -> AsyncIterator[str]:
        self._folder.mkdir(mode=0o700, exist_ok=True)
        home = self._folder / f"{name}.{uuid.uuid4().hex[:8]}"
        seeds = self._folder / "seeds"
        try:
            yield f"environment {name}: making it"
            arguments = ("--quiet", "--no-download", "--no-periodic-update", "--app-data", str(seeds), str(home))
            async for line in _output(sys.executable, "virtualenv", *arguments):
                yield line
            for number, layer in enumerate(layers_of(configuration.get("requirements") or [])):
                wanted = home / f"layer-{number}.txt"
                wanted.write_text("\n".join(layer) + "\n")
                async for line in _output(str(home / "bin" / "python"), "pip", *_install(configuration, wanted)):
                    yield line
            self._publish(name, home)
        finally:
            if self._made(name) != home:
                shutil.rmtree(home, ignore_errors=True)
        yield f"environment {name}: ready"

    def _publish(self, name: str, home: Path) -> None:
        link = self._folder / f"{name}.{uuid.uuid4().hex[:8]}.new"
        link.symlink_to(home.name)
        os.replace(link, self._folder / name)

    def _made(self, name: str) -> Path | None:
        link = self._folder / name
        return self._folder / os.readlink(link) if link.is_symlink() and link.exists() else None

    def _variables(self, home: Path) -> dict[str, str]:
        """As isolate sets them for an environment that inherits from that of the agent."""
        site = home / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
        return {
            "VIRTUAL_ENV": str(home),
            "PATH": os.pathsep.join(filter(None, (str(home / "bin"), os.environ.get("PATH")))),
            "PYTHONPATH": os.pathsep.join((str(site), str(agent_site(self._folder)))),
        }


def unused_environments(folder: Path, revisions: Iterable[Revision]) -> list[Path]:
    """Folders of environments that none of the revisions was deployed with; they may be removed while nothing runs."""
    asked = [item for revision in revisions for item in revision.settings.get("environment", ())]
    kept = {_name_of(item["configuration"]) for item in asked if item.get("kind") == VIRTUALENV}
    return [path for path in _built(folder) if path.name.partition(".")[0] not in kept or not _is_named(path)]


def _built(folder: Path) -> list[Path]:
    """The folders that environments were made in, whole or not: each is `name.number`, and a link `name` makes one the current."""
    return sorted(path for path in folder.glob("*.*") if not path.is_symlink())


def _is_named(path: Path) -> bool:
    link = path.with_name(path.name.partition(".")[0])
    return link.is_symlink() and os.readlink(link) == path.name


def _name_of(configuration: Mapping[str, Any]) -> str:
    """The same for the same Python, layers, indexes and options."""
    parts = {
        "python": platform.python_version_tuple()[:2],
        "layers": layers_of(configuration.get("requirements") or []),
        "extra_index_urls": configuration.get("extra_index_urls") or [],
        "compile_bytecode": bool(configuration.get("compile_bytecode")),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:24]


def _install(configuration: Mapping[str, Any], wanted: Path) -> list[str]:
    options = ["--disable-pip-version-check", "--no-input", "--progress-bar", "off", "--no-warn-script-location"]
    if not configuration.get("compile_bytecode"):
        options.append("--no-compile")  # as fal's resolver
    for url in configuration.get("extra_index_urls") or []:
        options += ["--extra-index-url", str(url)]
    return ["install", *options, "--requirement", str(wanted)]


async def _output(python: str, module: str, *arguments: str) -> AsyncIterator[str]:
    """Lines that `python -m module` writes; BuildFailed with the most telling of them where it fails."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    process = await asyncio.create_subprocess_exec(
        *(python, "-I", str(CHILD), str(os.getpid()), module, *arguments),
        env=variables,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
        limit=LINE_LIMIT,
    )
    assert process.stdout is not None
    last: deque[str] = deque(maxlen=50)
    try:
        async for raw in process.stdout:
            line = raw.decode(errors="replace").rstrip()
            if line:
                last.append(line)
                yield line
        if await process.wait() != 0:
            raise BuildFailed(f"{module}: {_telling(last)}")
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


def _telling(lines: Iterable[str]) -> str:
    """The last line that names an error, else the last one."""
    said = list(lines) or ["the installer wrote nothing"]
    errors = [line for line in said if re.match(r"\s*(ERROR|error)\b", line)]
    return re.sub(r"^\s*(ERROR|error):\s*", "", (errors or said)[-1])
