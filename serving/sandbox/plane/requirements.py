"""What an app asks for against what this interpreter has; the sandbox runs apps in its own interpreter and installs nothing."""

import platform
import re
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement

from ..errors import BuildFailed


def check_environment(kind: str, configuration: Mapping[str, Any]) -> list[str]:
    """Log lines of a build that found everything; BuildFailed names each requirement that is missing or different."""
    if kind != "virtualenv":
        raise BuildFailed(f"environment kind '{kind}' is not built by the sandbox; use requirements (virtualenv)")
    check_python(configuration)
    lines, faults = [], []
    for text in _flat(configuration.get("requirements") or []):
        fault, line = _judge(text)
        lines.append(line)
        if fault:
            faults.append(line)
    if faults:
        raise BuildFailed(f"{'; '.join(faults)}. The sandbox runs apps in its own interpreter: install what is missing there")
    return lines


def check_python(configuration: Mapping[str, Any]) -> None:
    """BuildFailed where an app asks for another Python than the one that the sandbox runs."""
    wanted, have = configuration.get("python_version"), platform.python_version()
    if wanted and str(wanted).split(".")[:2] != have.split(".")[:2]:
        raise BuildFailed(f"python_version {wanted} was asked, the sandbox runs {have}; start it with a Python {wanted}")


def layers_of(requirements: str | Iterable[Any]) -> list[list[str]]:
    """Requirements in the order of their installation: a list of lists is one layer after the other, all else is one layer."""
    listed: list[Any] = [requirements] if isinstance(requirements, str) else list(requirements)
    layers = listed if any(not isinstance(item, str) for item in listed) else [listed]
    return [found for layer in layers if (found := list(_flat(layer)))]


def _flat(requirements: str | Iterable[Any]) -> Iterator[str]:
    for item in [requirements] if isinstance(requirements, str) else requirements:
        if isinstance(item, str):
            yield from (line.strip() for line in item.splitlines() if line.strip())
        else:
            yield from _flat(item)


def _judge(text: str) -> tuple[bool, str]:
    """Whether a requirement is at fault, and the line that says so."""
    if text.startswith(("-", "#")):
        return False, f"{text}: option, not used here"
    try:
        requirement = Requirement(re.sub(r"\s+#.*$", "", text))
    except InvalidRequirement as error:
        return True, f"{text}: no requirement that pip would read ({str(error).splitlines()[0]})"
    if requirement.marker is not None and not requirement.marker.evaluate():
        return False, f"{text}: not for this platform"
    try:
        installed = version(requirement.name)
    except PackageNotFoundError:
        return True, f"{text}: {requirement.name} is not installed"
    if not requirement.specifier.contains(installed, prereleases=True):
        return True, f"{text}: {requirement.name} {installed} is installed"
    return False, f"{text}: found {installed}"
