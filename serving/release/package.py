"""An adapter bundle and a base become one folder that runs by itself: content-addressed, with nothing pickled in it."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import serving.app
from serving.app.settings import Adapter, Base, Inference, Limits, Pipeline, Settings, Size
from serving.release.app_toml import AppSettings, app_toml, secrets_of
from serving.release.duties import require_duties
from serving.release.errors import NotPermitted, PackageError, Tampered
from serving.release.lint import lint
from serving.release.weights import copy_base, verify_safetensors

__all__ = ["AppSettings", "Inference", "Limits", "Package", "Pipeline", "Size", "build_package", "lint", "load_package"]

APP_FOLDER = "lora_app"
SCHEMA = "lorasmith/app-package/1"
_REVISION = re.compile(r"[0-9a-f]{40}")
_PAYS = {"allow", "duties"}
_PAPERS = ("NOTICE", "MODIFICATIONS.md", "ATTRIBUTION.md", "TERMS.md", "ATTESTATIONS.md", "duties.json", "bom.json")
_NEEDED = ("NOTICE", "duties.json", "bom.json")
_FETCHED = ("as_of", "evidence")  # of the verdict: when, and the log of what was read; the same rights make the same package


@dataclass(frozen=True, kw_only=True, slots=True)
class Package:
    """A package folder; its hash is its name everywhere: registry, health endpoint, OpenAPI version."""

    name: str
    hash: str
    folder: Path


def build_package(
    *,
    bundle: Path,
    base: Path | None,
    base_ref: str,
    base_revision: str | None,
    verdict: Mapping[str, Any],
    notices: Path,
    settings: AppSettings,
    out: Path,
    model_card: str | None = None,
    challenger: Path | None = None,
    quality: Mapping[str, Any] | None = None,
) -> Package:
    """Write the package of an AdapterBundle into the empty folder `out`.

    base: folder with the base's weights, packed with it; None takes them from the Hub at `base_revision` (40 hex digits).
    notices: folder with NOTICE, duties.json, bom.json and what else the duties of the verdict ask for. challenger: bundle of a
    second adapter that callers may ask for. quality: how far accelerated pictures are from exact ones, in full. Raises
    NotPermitted (licence), DutyOpen (a duty that nothing fulfils) and PackageError (the rest).
    """
    require_permission(verdict, base_ref)
    if out.exists() and any(out.iterdir()):
        raise PackageError(f"the package needs an empty folder, {out} is not empty: remove it or choose another")
    out.mkdir(parents=True, exist_ok=True)
    manifest = _bundle_manifest(bundle)
    _copy_app(out / APP_FOLDER)
    _copy(bundle / "adapter.safetensors", out / "adapter.safetensors")
    if base is not None:
        copy_base(base, out / "base")
    _copy_notices(notices, out)
    _write_json(out / "verdict.json", {key: value for key, value in verdict.items() if key not in _FETCHED})
    _write(out / "MODEL_CARD.md", model_card if model_card is not None else _model_card(settings.name, base_ref, manifest, verdict))
    if quality is not None:
        _write_json(out / "quality.json", quality)
    second = _challenger(challenger, manifest, out) if challenger else None
    described = package_settings(settings, manifest, base=base, base_ref=base_ref, base_revision=base_revision, challenger=second)
    _write_json(out / "settings.json", described.model_dump(mode="json", by_alias=True))
    require_duties(out, verdict, name=settings.name)
    gated = [str(node["id"]) for node in verdict.get("nodes", ()) if node.get("gated")]
    secrets = secrets_of(described, gated=gated)
    toml = app_toml(settings, entry_point=f"{APP_FOLDER}.app:LoraApp", files=_runtime_files(out), secrets=secrets)
    _write(out / "pyproject.toml", toml)
    package = _seal(settings.name, out)
    if findings := lint(out):
        raise PackageError(f"package {out} is not fit for fal: {findings[0]}")
    return package


def load_package(folder: Path) -> Package:
    """The package in `folder`, every file compared with its recorded hash. Raises Tampered, which names the file."""
    try:
        record = json.loads((folder / "package.json").read_text(encoding="utf-8"))
        schema, recorded, name, claimed = record["schema"], dict(record["files"]), str(record["name"]), str(record["hash"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PackageError(
            f"{folder} is no package: package.json can not be read ({error}); build it with `lorasmith package`"
        ) from error
    if schema != SCHEMA:
        raise PackageError(f"{folder} is a package of another kind ({str(schema)[:60]!r}, not {SCHEMA!r}): build it anew")
    found = _hashes(folder)
    for path in sorted(recorded.keys() | found.keys()):
        if recorded.get(path) != found.get(path):
            what = "is missing" if path not in found else "was added" if path not in recorded else "was changed"
            raise Tampered(f"package {name}: {path} {what} after packing: build the package anew")
    if _package_hash(recorded) != claimed:
        raise Tampered(f"package {name}: the hash in package.json is not that of its files: build the package anew")
    return Package(name=name, hash=claimed, folder=folder)


def require_permission(verdict: Mapping[str, Any], base_ref: str) -> None:
    """Raise NotPermitted unless the verdict says allow or duties for host_paid_inference."""
    use = verdict.get("uses", {}).get("host_paid_inference", {})
    if use.get("verdict") in _PAYS:
        return
    reasons = use.get("reasons") or [{}]
    reason = reasons[0].get("text", "no reason given")
    raise NotPermitted(
        f"base {base_ref!r} may not be hosted for pay: verdict {use.get('verdict', 'missing')!r} ({reason}); "
        "choose another base or get the permission recorded as a waiver"
    )


def _bundle_manifest(bundle: Path) -> dict[str, Any]:
    """manifest.json of the bundle, after its adapter was compared with it."""
    try:
        manifest: dict[str, Any] = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))
        expected = manifest["adapter_sha256"]
    except (OSError, ValueError, KeyError) as error:
        raise PackageError(
            f"{bundle} is no adapter bundle: manifest.json can not be read ({error}); run the evaluation again"
        ) from error
    adapter = bundle / "adapter.safetensors"
    verify_safetensors(adapter)
    if (found := _sha256(adapter)) != expected:
        raise PackageError(f"{adapter} has sha256 {found}, its manifest says {expected}: run the evaluation again")
    return manifest


def _challenger(bundle: Path, champion: Mapping[str, Any], out: Path) -> Adapter:
    """The second adapter's file into the package; it must be for the same family as the first."""
    manifest = _bundle_manifest(bundle)
    if manifest["family"] != champion["family"]:
        raise PackageError(f"challenger {bundle} is for {manifest['family']}, the champion for {champion['family']}: use one base")
    _copy(bundle / "adapter.safetensors", out / "challenger.safetensors")
    return Adapter(sha256=manifest["adapter_sha256"], scale=float(manifest.get("scale", 1.0)))


def package_settings(
    settings: AppSettings,
    manifest: Mapping[str, Any],
    *,
    base: Path | None,
    base_ref: str,
    base_revision: str | None,
    challenger: Adapter | None = None,
) -> Settings:
    """settings.json: what the job says, and where it is silent what the bundle recommends."""
    if base is None and not _REVISION.fullmatch(base_revision or ""):
        raise PackageError(
            f"base {base_ref!r} comes from the Hub and needs a commit of 40 hex digits, got {base_revision!r}: pin it"
        )
    packed = Base(kind="folder", ref=Path(base_ref).name, revision=base_revision) if base else None
    scale = settings.scale if settings.scale is not None else float(manifest.get("scale", 1.0))
    try:
        return Settings(
            schema="lorasmith/app-settings/1",
            name=settings.name,
            family=manifest["family"],
            base=packed or Base(kind="hub", ref=base_ref, revision=base_revision),
            adapter=Adapter(sha256=manifest["adapter_sha256"], scale=scale),
            challenger=challenger,
            trigger=manifest.get("trigger"),
            inference=settings.inference or Inference(**manifest["inference"]),
            pipeline=settings.pipeline,
            limits=settings.limits,
            default_size=settings.default_size,
            request_timeout=settings.request_timeout,
            termination_grace=settings.termination_grace,
            warm_up=settings.warm_up,
            billing=settings.billing,
            safety=settings.safety,
            marking=settings.marking,
            batching=settings.batching,
            acceleration=settings.acceleration,
            logs=settings.logs,
        )
    except (ValueError, KeyError, TypeError) as error:
        raise PackageError(f"app settings do not fit: {' '.join(str(error).split())}") from error


def _copy_app(target: Path) -> None:
    """serving/app as it stands, its data files too: the package holds the app that was tested here."""
    source = Path(serving.app.__path__[0])
    for path in sorted(source.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            _copy(path, target / path.relative_to(source))


def _copy_notices(notices: Path, out: Path) -> None:
    for name in _NEEDED:
        if not (notices / name).is_file():
            raise PackageError(f"notices {notices} have no file {name}: write them from the licence verdict first")
    papers = [notices / name for name in _PAPERS] + sorted((notices / "LICENSES").rglob("*"))
    for path in papers:
        if path.is_file():
            _copy(path, out / path.relative_to(notices))


def _runtime_files(out: Path) -> list[str]:
    """Top-level entries that travel: all of the package but the toml, which is for the one who deploys."""
    return sorted({path.name for path in out.iterdir()} | {"package.json"})


def _seal(name: str, folder: Path) -> Package:
    """Write package.json, last and at once: a folder without it is no package."""
    files = _hashes(folder)
    package = Package(name=name, hash=_package_hash(files), folder=folder)
    _write_json(folder / "package.json", {"schema": SCHEMA, "name": name, "hash": package.hash, "files": files})
    return package


def _hashes(folder: Path) -> dict[str, str]:
    """sha256 of each file by its path in the package; package.json is the record, byte code is nobody's (and not uploaded)."""
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file() and "__pycache__" not in path.parts)
    hashes = {path.relative_to(folder).as_posix(): _sha256(path) for path in paths}
    hashes.pop("package.json", None)
    return hashes


def _package_hash(files: Mapping[str, str]) -> str:
    return hashlib.sha256("".join(f"{path}\0{files[path]}\n" for path in sorted(files)).encode()).hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    target.chmod(0o644)  # fal hashes the mode with the content


def _write_json(path: Path, content: Any) -> None:
    _write(path, json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n")


def _write(path: Path, text: str) -> None:
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, encoding="utf-8")
    partial.chmod(0o644)
    os.replace(partial, path)


def _model_card(name: str, base_ref: str, manifest: Mapping[str, Any], verdict: Mapping[str, Any]) -> str:
    dataset = manifest.get("dataset", {})
    trigger = f"Write `{manifest['trigger']}` in the prompt.\n" if manifest.get("trigger") else ""
    lines = "".join(f"\n{line}\n" for line in verdict.get("display_lines", ()))
    whole = f" Together they are `{verdict['expression']}`." if verdict.get("expression") else ""
    return (
        f"# {name}\n\nA LoRA of rank {manifest.get('rank')} on {Path(base_ref).name} ({manifest['family']}), "
        f"trained on {dataset.get('train')} pictures (licence {dataset.get('license')}).\n"
        f"Recommended strength {manifest.get('scale', 1.0)}.\n{trigger}{lines}\n"
        f"The licences that apply are in LICENSES/ and NOTICE, the terms for callers, where there are any, in TERMS.md.{whole}\n"
    )
