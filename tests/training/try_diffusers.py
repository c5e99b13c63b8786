"""Try the proofs of every family on the diffusers that is installed, or on another one: one line a family.

    python -m tests.training.try_diffusers                        the installed one
    python -m tests.training.try_diffusers diffusers==0.43.0      from PyPI, in a folder that is thrown away
    python -m tests.training.try_diffusers --family flux.1

Packages after the first are put beside it: what a release needs newer than what is installed. Exit code 1 where a family broke.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from importlib.metadata import version
from io import StringIO
from pathlib import Path

import pytest

from training.families import FAMILIES

ROOT = Path(__file__).resolve().parents[2]
PROOFS = ("test_parity.py", "test_latents.py", "test_family_adapters.py", "test_slopes.py")


class Verdicts:
    """Collects, by family, the proofs that ran and what broke in them."""

    def __init__(self, families: Sequence[str]) -> None:
        self.ran = dict.fromkeys(families, 0)
        self.broke: dict[str, list[str]] = {name: [] for name in families}
        self._family: dict[str, str] = {}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Keep the proofs of the families asked for."""
        for item in list(items):
            name = getattr(item, "callspec", None) and item.callspec.params.get("name")  # type: ignore[attr-defined]
            if name in self.ran:
                self._family[item.nodeid] = name
            else:
                items.remove(item)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.nodeid not in self._family:
            return
        name = self._family[report.nodeid]
        self.ran[name] += report.when == "call"
        if report.failed:
            proof = report.nodeid.split("::")[-1].split("[")[0].removeprefix("test_")
            self.broke[name].append(f"{proof}: {_last_line(report)}")

    def lines(self) -> Iterator[str]:
        for name, broke in self.broke.items():
            if broke:
                yield f"{name:16} broke   {len(broke)} of {self.ran[name]}; {broke[0]}"
            else:
                yield f"{name:16} ok      {self.ran[name]} proofs" if self.ran[name] else f"{name:16} broke   no proof ran"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the proofs here, or in a child that sees the packages asked for first."""
    parser = argparse.ArgumentParser(prog="python -m tests.training.try_diffusers", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("packages", nargs="*", help="requirements for pip, e.g. diffusers==0.43.0")
    parser.add_argument("--family", action="append", help="only this one; may be given several times")
    options = parser.parse_args(arguments)
    if options.packages:
        with _installed(options.packages) as folder:
            chosen = [word for name in options.family or () for word in ("--family", name)]
            paths = os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
            again = [sys.executable, "-m", "tests.training.try_diffusers", *chosen]
            return subprocess.run(again, cwd=ROOT, env={**os.environ, "PYTHONPATH": paths}, check=False).returncode
    return tried(options.family)


def tried(only: Sequence[str] | None = None) -> int:
    """Run the proofs of the families in this process, print a line for each; 0 where all hold, else 1."""
    verdicts = Verdicts(only or list(FAMILIES))
    print(f"diffusers {version('diffusers')}", flush=True)
    with _silence(), redirect_stdout(StringIO()) as report:
        code = pytest.main(
            ["-q", "-p", "no:cacheprovider", *(str(ROOT / "tests/training" / proof) for proof in PROOFS)], [verdicts]
        )
    if code > pytest.ExitCode.TESTS_FAILED:
        print(report.getvalue())
    lines = list(verdicts.lines())
    print("\n".join(lines))
    return int(any(" broke " in line for line in lines))


@contextmanager
def _installed(packages: Sequence[str]) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="diffusers-") as folder:
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", folder, *packages]
        subprocess.run(pip, check=True)
        yield Path(folder)


@contextmanager
def _silence() -> Iterator[None]:
    """Libraries write progress bars to standard error at will."""
    kept = os.dup(2)
    with open(os.devnull, "wb") as nothing:
        os.dup2(nothing.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def _last_line(report: pytest.TestReport) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    said = crash.message if crash else str(report.longrepr)
    return " ".join(said.split())[:160]


if __name__ == "__main__":
    sys.exit(main())
