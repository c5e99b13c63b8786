"""What would go wrong with a package on fal, found before it is uploaded. Nothing of the package is run."""

from __future__ import annotations

import ast
import json
import tomllib
from pathlib import Path
from typing import Any

from serving.release.app_toml import C2PA_SECRETS, SECRETS
from serving.release.weights import MAX_FILE, PICKLES

# Keys of [tool.fal.apps.NAME] that fal 1.83 reads; a test holds this list against fal's own parser.
# fmt: off
KNOWN_KEYS = frozenset({
    "ref", "python_entry_point", "auth", "name", "team", "deployment_strategy", "app_scale_settings", "no_scale",
    "requirements", "requirements_context_dir", "python_version", "min_concurrency", "max_concurrency", "max_multiplexing",
    "concurrency_buffer", "concurrency_buffer_perc", "scaling_delay", "request_timeout", "request_start_timeout",
    "startup_timeout", "keep_alive", "private_logs", "machine_type", "num_gpus", "regions", "app_files", "app_files_ignore",
    "app_files_context_dir", "exposed_port", "metrics_port", "_scheduler", "_scheduler_options", "skip_retry_conditions",
    "retry_config", "termination_grace_period_seconds", "secrets", "data_mounts", "health_check", "image",
})
# fmt: on
_NEEDED = frozenset({"settings.json", "package.json", "adapter.safetensors"})
_CLASS_NAMES = {"app_auth": "auth", "app_name": None}  # how the class calls what the toml calls otherwise, or names by its table


def lint(folder: Path) -> list[str]:
    """Findings, one line each; an empty list means that fal takes the package and reads every setting from it."""
    try:
        toml = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))
        ((_, app),) = toml["tool"]["fal"]["apps"].items()
    except (OSError, ValueError, KeyError) as error:
        return [f"pyproject.toml must hold exactly one [tool.fal.apps.NAME] ({error})"]
    about_app = [*_settings(app), *_secrets(folder, app), *_requirements(app)]
    return [*about_app, *_files(folder, app), *_promised(folder, app), *_entry_point(folder, app)]


def _settings(app: dict[str, Any]) -> list[str]:
    findings = [f"fal does not know the setting {key!r}" for key in sorted(app.keys() - KNOWN_KEYS)]
    if app.get("auth") != "shared":
        findings.append(f"auth must be 'shared' so that callers pay, got {app.get('auth')!r}")
    if not app.get("machine_type"):
        findings.append("machine_type is missing: fal would choose a small CPU machine")
    if app.get("health_check", {}).get("method", "POST") != "POST":
        findings.append("health_check.method must be POST or absent: fal.App endpoints answer POST only")
    return findings


def _secrets(folder: Path, app: dict[str, Any]) -> list[str]:
    """The runner gets the secrets that these settings need, all of them and no others."""
    if "secrets" not in app:
        return ["secrets is missing: the runner would get all of the account's, name those it needs or none"]
    named = {str(name) for name in app["secrets"]}
    findings = [f"secret {name!r} is read by nothing in the app" for name in sorted(named - SECRETS)]
    try:
        marking = json.loads((folder / "settings.json").read_text(encoding="utf-8")).get("marking", {})
    except (OSError, ValueError):
        return findings  # that the file lacks is found with the files
    signs = bool(marking.get("enabled")) and marking.get("certificate") == "secret"
    findings += [f"secret {name!r} is missing: settings.json signs with it" for name in C2PA_SECRETS if signs and name not in named]
    findings += [
        f"secret {name!r} is of no use: settings.json signs without" for name in C2PA_SECRETS if not signs and name in named
    ]
    return findings


def _requirements(app: dict[str, Any]) -> list[str]:
    wanted = [str(requirement) for requirement in app.get("requirements", [])]
    findings = [f"requirement {requirement!r} is not pinned with ==" for requirement in wanted if "==" not in requirement]
    if not any(requirement.partition("==")[0] == "fal" for requirement in wanted):
        findings.append("requirements do not name fal: a runner that starts from python_entry_point has nothing else")
    return findings


def _files(folder: Path, app: dict[str, Any]) -> list[str]:
    named = app.get("app_files", [])
    findings = [f"app_files names {name!r}, which is not in the package" for name in named if not (folder / name).exists()]
    findings += [f"app_files does not name {name!r}, which the app reads" for name in sorted(_NEEDED - set(named))]
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        relative = path.relative_to(folder).as_posix()
        if path.suffix in PICKLES:
            findings.append(f"{relative} may hold pickled code: only safetensors travel")
        if path.stat().st_size > MAX_FILE:
            findings.append(f"{relative} has {path.stat().st_size} bytes, fal takes at most {MAX_FILE}")
    return findings


def _promised(folder: Path, app: dict[str, Any]) -> list[str]:
    """Files that these settings speak of: the second adapter, and what acceleration was measured to do to pictures."""
    try:
        settings = json.loads((folder / "settings.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []  # that the file lacks is found with the files
    named = app.get("app_files", [])
    findings = []
    if settings.get("challenger") and "challenger.safetensors" not in named:
        findings.append("app_files does not name 'challenger.safetensors', which settings.json promises")
    acceleration = settings.get("acceleration") or {}
    if acceleration.get("first_block_cache") or acceleration.get("fp8"):
        findings += _measured(folder / "quality.json", acceleration)
    return findings


def _measured(path: Path, acceleration: dict[str, Any]) -> list[str]:
    try:
        worst = json.loads(path.read_text(encoding="utf-8"))["worst"]
    except (OSError, ValueError, LookupError, TypeError) as error:
        return [f"quality.json does not tell how acceleration was measured ({error}): build the package anew"]
    if worst != acceleration.get("quality"):
        return [f"settings.json says of acceleration {acceleration.get('quality')}, quality.json {worst}: build the package anew"]
    return []


def _entry_point(folder: Path, app: dict[str, Any]) -> list[str]:
    """The class that the toml names: it must be there, and what it sets must stand in the toml, where alone it is read."""
    entry = str(app.get("python_entry_point", ""))
    module, _, name = entry.partition(":")
    path = folder / Path(*module.split(".")).with_suffix(".py") if module else folder
    if not name or not path.is_file():
        return [f"python_entry_point must be 'module:Class' of a module in the package, got {entry!r}"]
    if module.split(".")[0] not in app.get("app_files", []):
        return [f"app_files does not name {module.split('.')[0]!r}, where python_entry_point is"]
    classes = [
        node for node in ast.parse(path.read_text(encoding="utf-8")).body if isinstance(node, ast.ClassDef) and node.name == name
    ]
    if not classes:
        return [f"{path.relative_to(folder)} has no class {name}"]
    findings = [
        f"class {name} sets {key!r}, which must stand in the toml: it is not read from the class"
        for key in _unread(classes[0], app)
    ]
    if _is_async(classes[0]) and int(app.get("max_multiplexing", 1)) < 2:
        findings.append("max_multiplexing must be at least 2: requests meet in a batch only where a runner holds several")
    if (checked := _health_path(classes[0])) != app.get("health_check", {}).get("path"):
        findings.append(f"health_check.path must be {checked!r}, the endpoint that has a health check, or fal never asks it")
    return findings


def _unread(cls: ast.ClassDef, app: dict[str, Any]) -> list[str]:
    targets = [target for node in cls.body if isinstance(node, ast.Assign) for target in node.targets]
    targets += [node.target for node in cls.body if isinstance(node, ast.AnnAssign)]
    names = [target.id for target in targets if isinstance(target, ast.Name)] + [word.arg for word in cls.keywords if word.arg]
    keys = [_CLASS_NAMES.get(name, name) for name in names]
    return [key for key in keys if key in KNOWN_KEYS and key not in app and key != "name"]


def _health_path(cls: ast.ClassDef) -> str | None:
    """Path of the endpoint that is declared with a health check."""
    for call in _endpoints(cls).values():
        if any(word.arg == "health_check" for word in call.keywords) and call.args:
            return str(ast.literal_eval(call.args[0]))
    return None


def _is_async(cls: ast.ClassDef) -> bool:
    """Whether any endpoint but the health check is async."""
    return any(
        isinstance(node, ast.AsyncFunctionDef) and not any(word.arg == "health_check" for word in call.keywords)
        for node, call in _endpoints(cls).items()
    )


def _endpoints(cls: ast.ClassDef) -> dict[ast.FunctionDef | ast.AsyncFunctionDef, ast.Call]:
    """Methods that the SDK serves, each with its decorator."""
    methods = (node for node in cls.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return {
        node: call
        for node in methods
        for call in node.decorator_list
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "endpoint"
    }
