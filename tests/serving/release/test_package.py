"""A package is one folder that fal takes, that can not be changed unseen, and that runs by itself."""

import ast
import inspect
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fal.cli._utils
import pytest
import tomli_w

from serving.app.settings import Acceleration, Batching, Billing, Logs, Marking, Safety, Size
from serving.release.errors import NotPermitted, PackageError, Tampered
from serving.release.lint import KNOWN_KEYS
from serving.release.package import Inference, Package, build_package, lint, load_package
from tests.serving.app.packages import VERDICT, settings, write_base, write_bundle, write_notices


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a package is made of; tests that break one of them copy it first."""
    home = tmp_path_factory.mktemp("sources")
    return {
        "bundle": write_bundle(home / "bundle"),
        "base": write_base(home / "base"),
        "base_ref": "/home/somebody/tiny",
        "base_revision": None,
        "verdict": VERDICT,
        "notices": write_notices(home / "notices"),
        "settings": settings(),
    }


@pytest.fixture(scope="module")
def package(sources: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Package:
    return build_package(**sources, out=tmp_path_factory.mktemp("built") / "package")


@pytest.fixture
def copy(package: Package, tmp_path: Path) -> Path:
    return Path(shutil.copytree(package.folder, tmp_path / "copy"))


def test_it_holds_what_the_app_needs_and_nothing_else(package: Package) -> None:
    top = {path.name for path in package.folder.iterdir()}
    papers = {"LICENSES", "NOTICE", "MODIFICATIONS.md", "duties.json", "bom.json", "verdict.json", "MODEL_CARD.md"}
    assert top == {"pyproject.toml", "lora_app", "settings.json", "package.json", "adapter.safetensors", "base"} | papers
    assert {path.suffix for path in (package.folder / "base").rglob("*") if path.is_file()} == {
        ".json",
        ".safetensors",
        ".jinja",
        "",
    }
    home = Path(sys.modules["serving.app"].__path__[0])
    assert _files(package.folder / "lora_app") == _files(home)


def test_packed_twice_elsewhere_and_in_another_order_it_has_the_same_hash(
    sources: dict[str, Any], package: Package, tmp_path: Path
) -> None:
    before = os.umask(0o077)
    try:
        later = {**VERDICT, "as_of": "2027-01-01", "evidence": [{"node": "tiny", "file": "README.md"}]}
        elsewhere = {name: _copied_backwards(sources[name], tmp_path / name) for name in ("bundle", "base", "notices")}
        moved = {**sources, **elsewhere, "base_ref": "/elsewhere/tiny", "verdict": later}
        again = build_package(**moved, out=tmp_path / "deep" / "again")
    finally:
        os.umask(before)
    assert again.hash == package.hash
    modes = {path.stat().st_mode & 0o777 for path in again.folder.rglob("*") if path.is_file()}
    assert modes == {0o644}


@pytest.mark.parametrize(
    "change",
    [
        {"scale": 0.5},
        {"inference": Inference(steps=3, guidance_scale=0)},
        {"keep_alive": 61},
        {"marking": Marking()},
        {"safety": Safety(enabled=True)},
        {"billing": Billing(unit="request")},
        {"termination_grace": 60},
        {"warm_up": (Size(width=16, height=32),)},
        {"acceleration": Acceleration(compile="off")},
        {"batching": Batching(max_batch=1)},
        {"logs": Logs(prompts=True)},
    ],
)
def test_what_changes_the_app_changes_the_hash(
    sources: dict[str, Any], package: Package, tmp_path: Path, change: dict[str, Any]
) -> None:
    assert build_package(**{**sources, "settings": settings(**change)}, out=tmp_path / "other").hash != package.hash


def test_settings_take_from_the_bundle_what_the_job_leaves_open(package: Package) -> None:
    written = json.loads((package.folder / "settings.json").read_text())
    assert written["schema"] == "lorasmith/app-settings/1"
    assert (written["adapter"]["scale"], written["inference"], written["trigger"]) == (
        0.75,
        {"steps": 2, "guidance_scale": 2.0},
        "tiny-style",
    )
    assert written["base"] == {"kind": "folder", "ref": "tiny", "revision": None}
    assert (written["safety"]["enabled"], written["marking"]["enabled"]) == (False, False)
    assert (written["challenger"], written["termination_grace"]) == (None, 30)


def test_a_second_adapter_and_the_measured_quality_travel(sources: dict[str, Any], tmp_path: Path) -> None:
    report = {"schema": "lorasmith/quality/1", "worst": {"psnr": 30.0}}
    folder = build_package(**sources, challenger=sources["bundle"], quality=report, out=tmp_path / "out").folder
    written = json.loads((folder / "settings.json").read_text())
    assert written["challenger"] == {"sha256": written["adapter"]["sha256"], "scale": 0.75}
    assert (folder / "challenger.safetensors").read_bytes() == (folder / "adapter.safetensors").read_bytes()
    assert json.loads((folder / "quality.json").read_text()) == report
    (app,) = tomllib.loads((folder / "pyproject.toml").read_text())["tool"]["fal"]["apps"].values()
    assert {"challenger.safetensors", "quality.json"} <= set(app["app_files"])


def test_a_challenger_for_another_base_is_refused(sources: dict[str, Any], tmp_path: Path) -> None:
    other = Path(shutil.copytree(sources["bundle"], tmp_path / "other"))
    _edit_json(other / "manifest.json", family="sdxl")
    with pytest.raises(PackageError, match="is for sdxl, the champion for z-image"):
        build_package(**sources, challenger=other, out=tmp_path / "out")


def test_it_loads_with_the_hash_it_was_built_with(package: Package) -> None:
    assert load_package(package.folder) == package


@pytest.mark.parametrize(
    ("tamper", "says"),
    [
        (lambda folder: (folder / "lora_app" / "billing.py").write_text("free = True"), "lora_app/billing.py was changed"),
        (lambda folder: (folder / "lora_app" / "extra.py").write_text(""), "lora_app/extra.py was added"),
        (lambda folder: (folder / "base" / "vae" / "config.json").unlink(), "base/vae/config.json is missing"),
        (lambda folder: _edit_json(folder / "package.json", hash="0" * 64), "package.json is not that of its files"),
        (lambda folder: _edit_json(folder / "settings.json", trigger="other"), "settings.json was changed"),
    ],
)
def test_a_tampered_file_is_named(copy: Path, tamper: Callable[[Path], object], says: str) -> None:
    tamper(copy)
    with pytest.raises(Tampered, match=re.escape(says)):
        load_package(copy)


def test_byte_code_is_not_tampering(copy: Path, package: Package) -> None:
    (copy / "lora_app" / "__pycache__").mkdir()
    (copy / "lora_app" / "__pycache__" / "app.cpython-311.pyc").write_bytes(b"\0")
    assert load_package(copy).hash == package.hash


def test_a_folder_without_a_record_is_no_package(copy: Path) -> None:
    (copy / "package.json").unlink()
    with pytest.raises(PackageError, match="is no package"):
        load_package(copy)


@pytest.mark.parametrize("verdict", ["block", "conditional", "unknown", None])
def test_no_package_without_the_right_to_be_paid(sources: dict[str, Any], tmp_path: Path, verdict: str | None) -> None:
    uses = {"host_paid_inference": {"verdict": verdict, "reasons": [{"text": "non-commercial only"}]}} if verdict else {}
    with pytest.raises(NotPermitted, match="may not be hosted for pay") as caught:
        build_package(**{**sources, "verdict": {"uses": uses}}, out=tmp_path / "out")
    assert caught.value.exit_code == 3
    assert not (tmp_path / "out").exists()


def _pickle_for_weights(base: Path) -> None:
    (base / "vae" / "diffusion_pytorch_model.safetensors").rename(base / "vae" / "diffusion_pytorch_model.bin")


def _code_beside_weights(base: Path) -> None:
    (base / "transformer" / "modeling.py").write_text("print('hello')")


def _cut_short(base: Path) -> None:
    path = base / "transformer" / "diffusion_pytorch_model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def _pickle_by_another_name(base: Path) -> None:
    (base / "vae" / "diffusion_pytorch_model.safetensors").write_bytes(b"\x80\x04\x95" + b"x" * 100)


def _lost_shard(base: Path) -> None:
    (base / "vae" / "diffusion_pytorch_model.safetensors.index.json").write_text('{"weight_map": {"a": "part-2.safetensors"}}')


def _custom_pipeline(base: Path) -> None:
    _edit_json(base / "model_index.json", transformer=["their_module", "TheirModel"])


@pytest.mark.parametrize(
    ("break_it", "says"),
    [
        (_pickle_for_weights, "only safetensors are packed"),
        (_code_beside_weights, "is code beside weights"),
        (_cut_short, "is cut short"),
        (_pickle_by_another_name, "is no safetensors file"),
        (_lost_shard, "shard part-2.safetensors is missing"),
        (_custom_pipeline, "code that does not come with diffusers"),
        (lambda base: shutil.rmtree(base / "tokenizer"), "component tokenizer is missing"),
        (lambda base: (base / "model_index.json").unlink(), "is no diffusers pipeline"),
    ],
)
def test_a_base_that_may_not_travel_is_refused(
    sources: dict[str, Any], tmp_path: Path, break_it: Callable[[Path], object], says: str
) -> None:
    base = Path(shutil.copytree(sources["base"], tmp_path / "base"))
    break_it(base)
    with pytest.raises(PackageError, match=says) as caught:
        build_package(**{**sources, "base": base}, out=tmp_path / "out")
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)


def test_pickles_and_checkpoints_beside_a_good_base_stay_behind(sources: dict[str, Any], package: Package, tmp_path: Path) -> None:
    base = Path(shutil.copytree(sources["base"], tmp_path / "base"))
    (base / "vae" / "diffusion_pytorch_model.bin").write_bytes(b"\x80\x04")
    (base / "whole-checkpoint.safetensors").write_bytes(b"1")
    (base / ".git").mkdir()
    assert build_package(**{**sources, "base": base}, out=tmp_path / "out").hash == package.hash


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"base": None}, "40 hex digits, got None"),
        ({"base": None, "base_revision": "main"}, "40 hex digits, got 'main'"),
        ({"settings": settings(inference=Inference(steps=99, guidance_scale=1))}, "max_steps"),
    ],
)
def test_settings_that_can_not_run_are_refused(sources: dict[str, Any], tmp_path: Path, change: dict[str, Any], says: str) -> None:
    with pytest.raises(PackageError, match=says):
        build_package(**{**sources, **change}, out=tmp_path / "out")


def test_a_base_on_the_hub_is_named_by_its_commit(sources: dict[str, Any], tmp_path: Path) -> None:
    changed = {**sources, "base": None, "base_ref": "owner/tiny", "base_revision": "a" * 40}
    folder = build_package(**changed, out=tmp_path / "out").folder
    assert not (folder / "base").exists()
    assert json.loads((folder / "settings.json").read_text())["base"] == {"kind": "hub", "ref": "owner/tiny", "revision": "a" * 40}


def test_the_adapter_must_be_the_one_that_was_evaluated(sources: dict[str, Any], tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(sources["bundle"], tmp_path / "bundle"))
    _edit_json(bundle / "manifest.json", adapter_sha256="0" * 64)
    with pytest.raises(PackageError, match="its manifest says"):
        build_package(**{**sources, "bundle": bundle}, out=tmp_path / "out")


def test_a_folder_in_use_is_left_alone(sources: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(PackageError, match="is not empty"):
        build_package(**sources, out=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize(
    "change",
    [{"name": "Bad Name"}, {"name": "a--b"}, {"machine_type": "H100"}, {"min_concurrency": 3}, {"request_timeout": 0}],
)
def test_settings_out_of_range_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(PackageError, match=str(next(iter(change.values())))):
        settings(**change)


def test_lint_finds_nothing_in_what_was_built(package: Package) -> None:
    assert lint(package.folder) == []


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        ({"keep_alives": 3}, "does not know the setting 'keep_alives'"),
        ({"auth": "private"}, "auth must be 'shared'"),
        ({"machine_type": None}, "machine_type is missing"),
        ({"health_check": {"path": "/health", "method": "GET"}}, "health_check.method must be POST"),
        ({"health_check": {"path": "/healthz"}}, "health_check.path must be '/health'"),
        ({"health_check": None}, "health_check.path must be '/health'"),
        ({"requirements": ["torch==2.13.0"]}, "do not name fal"),
        ({"requirements": ["fal==1.83.0", "torch"]}, "'torch' is not pinned"),
        ({"app_files": ["lora_app", "settings.json", "package.json"]}, "does not name 'adapter.safetensors'"),
        ({"app_files": ["lora_app", "settings.json", "package.json", "adapter.safetensors", "gone"]}, "names 'gone'"),
        ({"app_files": ["settings.json", "package.json", "adapter.safetensors"]}, "does not name 'lora_app'"),
        ({"python_entry_point": "lora_app.app"}, "must be 'module:Class'"),
        ({"max_multiplexing": 1}, "max_multiplexing must be at least 2"),
        ({"secrets": None}, "secrets is missing"),
        ({"secrets": ["AWS_ACCESS_KEY"]}, "secret 'AWS_ACCESS_KEY' is read by nothing"),
        ({"secrets": ["LORASMITH_C2PA_KEY"]}, "secret 'LORASMITH_C2PA_KEY' is of no use"),
        ({"python_entry_point": "lora_app.app:Other"}, "has no class Other"),
        ({"python_entry_point": "elsewhere.app:LoraApp"}, "must be 'module:Class' of a module in the package"),
    ],
)
def test_lint_finds_what_fal_would_do_wrong(copy: Path, change: dict[str, Any], finding: str) -> None:
    toml = tomllib.loads((copy / "pyproject.toml").read_text())
    app = {key: value for key, value in (toml["tool"]["fal"]["apps"]["tiny-style"] | change).items() if value is not None}
    (copy / "pyproject.toml").write_text(tomli_w.dumps({"tool": {"fal": {"apps": {"tiny-style": app}}}}))
    findings = lint(copy)
    assert len([line for line in findings if finding in line]) == 1, findings


@pytest.mark.parametrize(
    "setting", ["    concurrency_buffer = 2\n", "    regions: list[str] = ['us-east']\n", "    private_logs = True\n"]
)
def test_lint_finds_a_setting_that_only_the_class_has(copy: Path, setting: str) -> None:
    path = copy / "lora_app" / "app.py"
    path.write_text(path.read_text().replace('    app_name = "lora-app"\n', setting))
    (finding,) = lint(copy)
    assert "which must stand in the toml" in finding


def test_lint_finds_pickles_and_a_toml_that_is_none(copy: Path) -> None:
    (copy / "base" / "vae" / "model.bin").write_bytes(b"\x80")
    assert "base/vae/model.bin may hold pickled code: only safetensors travel" in lint(copy)
    (copy / "pyproject.toml").write_text("[tool]")
    assert "exactly one" in lint(copy)[0]


def test_fal_reads_every_setting_as_it_was_meant(package: Package, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(package.folder)
    read = fal.cli._utils.get_app_data_from_toml("tiny-style")
    assert (read.python_entry_point, read.auth, read.name, read.reset_scale) == (
        "lora_app.app:LoraApp",
        "shared",
        "tiny-style",
        True,
    )
    host = read.options.host
    assert (host["machine_type"], host["keep_alive"], host["max_concurrency"], host["request_timeout"]) == ("XS", 60, 2, 300)
    assert (host["health_check_config"].path, host["health_check_config"].method or "POST") == ("/health", "POST")
    assert set(host["app_files"]) == {path.name for path in package.folder.iterdir()} - {"pyproject.toml"}
    assert {line.partition("==")[0] for line in read.options.environment["requirements"]} >= {"fal", "torch", "diffusers"}
    assert not any("+" in line for line in read.options.environment["requirements"])


def test_the_known_keys_are_those_that_this_fal_reads() -> None:
    tree = ast.parse(inspect.getsource(fal.cli._utils.get_app_data_from_toml))
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute))
    popped = {call.args[0].value for call in calls if call.func.attr == "pop" and ast.unparse(call.func.value) == "app_data"}  # type: ignore[attr-defined]
    assert popped == KNOWN_KEYS


def test_it_runs_by_itself_and_describes_itself_without_torch(copy: Path, package: Package) -> None:
    code = (
        "import json, sys; from lora_app.app import LoraApp; openapi = LoraApp.build_metadata()['openapi']; "
        "ours = sorted({name.split('.')[0] for name in sys.modules} & {'torch', 'diffusers', 'transformers', 'peft', "
        "'onnxruntime', 'c2pa', 'serving', 'flows', 'lora_app'}); "
        "print(json.dumps([openapi['info'], LoraApp.get_health_check_config().path, ours]))"
    )
    result = subprocess.run([sys.executable, "-B", "-c", code], cwd=copy, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout.splitlines()[-1]) == [{"title": "tiny-style", "version": package.hash}, "/health", ["lora_app"]]
    assert load_package(copy).hash == package.hash


def _files(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def _copied_backwards(source: Path, target: Path) -> Path:
    """The same files, created in the opposite order, which is the order that some file systems list them in."""
    for path in sorted(source.rglob("*"), reverse=True):
        if path.is_file():
            (target / path.relative_to(source)).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target / path.relative_to(source))
    return target


def _edit_json(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
