"""May these Python packages be installed beside what is sold? Their metadata against the licence files that they carry."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any

from licenses.catalogue import FACTS
from licenses.errors import BadReference, flat

FILE = re.compile(r"(?:licen[sc]e|copying|eula|terms)", re.I)
NO_TEXT = re.compile(r"\.(?:py|pyc|pyi|so|h|hpp|json|gz|xml|about)$", re.I)
LIMIT = 1 << 20
SHORT = 80  # characters of a licence field; a longer one is a text


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """Why a package may not be installed; `file` is relative to its installation."""

    code: str
    text: str
    file: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Package:
    """A package as installed: the SPDX expression that its metadata stands for, what its files hold, what is against it."""

    name: str
    version: str
    declared: str | None
    found: tuple[str, ...]
    findings: tuple[Finding, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Policy:
    allowed: frozenset[str]
    spelt: Mapping[str, str]
    reviewed: Mapping[tuple[str, str], Mapping[str, Any]]
    categories: Mapping[str, str]


def installed(names: Iterable[str] | None = None, *, path: list[str] | None = None) -> tuple[Package, ...]:
    """The packages of these names and all that they require, or every one, as installed here or below `path`, by name.

    Optional extras that nobody asked for do not count. A name that is not installed is a finding. BadReference for what is no name.
    """
    here = {_key(one.metadata["Name"]): one for one in (distributions(path=path) if path else distributions())}
    wanted = list(here) if names is None else sorted(_closure(names, here))
    return tuple(judged(here[name]) if name in here else _absent(name) for name in sorted(wanted))


def judged(distribution: Distribution) -> Package:
    """One package: unknown, barred and contradicted licences are findings, and so are texts of barred licences in its files."""
    policy = _policy()
    name, version = str(distribution.metadata["Name"]), distribution.version
    held = {path: _ids(text) for path, text in _texts(distribution)}
    read = policy.reviewed.get((_key(name), version.partition("+")[0]), {})
    declared = read.get("license") or _declared(distribution, policy)
    if declared is None and not _says(distribution):
        declared = " AND ".join(dict.fromkeys(one for path, ids in held.items() if _is_main(path) for one in ids)) or None
    findings = [*_of_declared(declared, distribution, policy)]
    for path, ids in held.items():
        barred = (one for one in ids if one not in read.get("found", ()) and not _allowed_id(one, policy))
        findings += [_contradiction(one, path, declared) for one in barred if not _declares(declared, one)]
    found = tuple(dict.fromkeys(one for ids in held.values() for one in ids))
    return Package(name=name, version=version, declared=declared, found=found, findings=tuple(findings))


def as_json(packages: Iterable[Package]) -> dict[str, Any]:
    """The packages as plain values; `verdict` is block where one of them has a finding."""
    rows = [
        {
            "name": one.name,
            "version": one.version,
            "declared": one.declared,
            "found": list(one.found),
            "findings": [{"code": f.code, "text": f.text, "file": f.file} for f in one.findings],
        }
        for one in packages
    ]
    return {
        "schema": "lorasmith/environment/1",
        "verdict": "block" if any(row["findings"] for row in rows) else "allow",
        "packages": rows,
    }


def _closure(names: Iterable[str], here: Mapping[str, Distribution]) -> set[str]:
    from packaging.requirements import InvalidRequirement, Requirement

    asked = []
    for name in names:
        try:
            asked.append(Requirement(name))
        except InvalidRequirement:
            raise BadReference(f"{flat(name)!r:.80} is no package; write a name such as torch, or name==version") from None
    waiting = [(_key(one.name), frozenset(one.extras)) for one in asked]
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        name, extras = waiting.pop()
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        for text in (here[name].requires or ()) if name in here else ():
            one = Requirement(text)
            if one.marker is None or any(one.marker.evaluate({"extra": extra}) for extra in (extras or {""})):
                waiting.append((_key(one.name), frozenset(one.extras)))
    return {name for name, _ in seen}


def _absent(name: str) -> Package:
    finding = Finding(
        code="not_installed", text=f"{name} is not installed, so its licence can not be read; install it and ask again"
    )
    return Package(name=name, version="", declared=None, found=(), findings=(finding,))


def _declared(distribution: Distribution, policy: _Policy) -> str | None:
    """The SPDX expression of the metadata: as it stands there, or what licence field or classifiers stand for; None for prose."""
    expression = distribution.metadata["License-Expression"]
    if expression:
        return _spelt(expression, policy)
    field = distribution.metadata["License"] or ""
    if len(field) > SHORT:
        return " AND ".join(_ids(field)) or None
    return _spelt(field, policy) or _conjunction([_spelt(text, policy) for text in _classifiers(distribution)])


def _says(distribution: Distribution) -> bool:
    """The metadata says anything of a licence."""
    said = distribution.metadata
    return bool(said["License-Expression"] or said["License"] or _classifiers(distribution))


def _classifiers(distribution: Distribution) -> list[str]:
    listed = distribution.metadata.get_all("Classifier") or ()
    return [
        text.rpartition("::")[2].strip() for text in listed if text.startswith("License ::") and text != "License :: OSI Approved"
    ]


def _conjunction(terms: list[str | None]) -> str | None:
    """All of them, or None where one is not understood: what was not understood may be the one that bars."""
    known = [term for term in terms if term]
    return " AND ".join(dict.fromkeys(known)) if known and len(known) == len(terms) else None


def _spelt(text: str, policy: _Policy) -> str | None:
    """What a short licence name stands for, an SPDX expression as it is; None for prose."""
    line = " ".join(text.split())
    known = policy.spelt.get(line.casefold())
    return known or (line if _is_expression(line) else None)


def _is_expression(line: str) -> bool:
    from boolean import ParseError
    from license_expression import ExpressionError

    try:
        return _licensing().parse(line, validate=True, strict=True) is not None
    except (ExpressionError, ParseError):
        return False


def _of_declared(declared: str | None, distribution: Distribution, policy: _Policy) -> Iterator[Finding]:
    name = distribution.metadata["Name"]
    if declared is None:
        said = flat(distribution.metadata["License-Expression"] or distribution.metadata["License"] or "nothing")[:60]
        text = f"{name} says {said!r} of its licence, which names none, and no licence file of it is known; have a person read it"
        yield Finding(code="license_unknown", text=text)
    elif not _allowed(declared, policy):
        text = f"{name} comes under {declared}, which may not be installed beside what is sold; choose another package"
        yield Finding(code="license_barred", text=text)


def _contradiction(found: str, path: str, declared: str | None) -> Finding:
    text = (
        f"metadata says {declared or 'nothing'}, {path} holds the text of {found}; have a person read it, or choose another package"
    )
    return Finding(code="file_contradicts_metadata", text=text, file=path)


def _allowed(expression: str, policy: _Policy) -> bool:
    """Of a choice one is enough, of a conjunction everything counts; an exception is judged by its licence."""
    from boolean import OR, Expression
    from license_expression import LicenseWithExceptionSymbol

    def holds(node: Expression) -> bool:
        if isinstance(node, LicenseWithExceptionSymbol):
            return _allowed_id(node.license_symbol.key, policy)
        if not node.args:
            return _allowed_id(node.key, policy)
        return (any if isinstance(node, OR) else all)(holds(one) for one in node.args)

    return holds(_licensing().parse(expression))


def _declares(declared: str | None, found: str) -> bool:
    """The metadata itself names what the file holds; whether that is allowed was judged there."""
    named = _licensing().license_keys(declared) if declared else []
    return _bare(found) in {_bare(one) for one in named}


def _allowed_id(spdx: str, policy: _Policy) -> bool:
    return policy.categories.get(spdx.casefold()) in policy.allowed


def _bare(spdx: str) -> str:
    return re.sub(r"-(?:only|or-later)$|\+$", "", spdx).casefold()


def _texts(distribution: Distribution) -> Iterator[tuple[str, str]]:
    """Licence files of a package by path, with what can be decoded of them."""
    for file in distribution.files or ():
        named = FILE.search(file.name) or "/licenses/" in str(file).casefold()
        place = Path(str(file.locate()))
        if named and not NO_TEXT.search(file.name) and place.is_file() and place.stat().st_size <= LIMIT:
            yield str(file), place.read_text(encoding="utf-8", errors="replace")


def _is_main(path: str) -> bool:
    """The package's own licence file: beside its metadata, not that of something bundled."""
    parts = path.split("/")
    return ".dist-info" in parts[0] and len(parts) <= 3 and FILE.search(parts[-1]) is not None and "third" not in path.casefold()


def _ids(text: str) -> tuple[str, ...]:
    from licenseclassifier import identify_license

    return tuple(dict.fromkeys(one.id for one in identify_license(text)))


@lru_cache(maxsize=1)
def _licensing() -> Any:
    """SPDX expressions by license-expression; made once, it indexes two thousand names."""
    from license_expression import get_spdx_licensing

    return get_spdx_licensing()


@lru_cache(maxsize=1)
def _policy() -> _Policy:
    import yaml
    from license_expression import get_license_index

    rows = yaml.safe_load((FACTS / "packages.yaml").read_text(encoding="utf-8"))
    categories: dict[str, str] = {}
    for entry in get_license_index():
        for key in (*entry.get("other_spdx_license_keys", ()), entry.get("spdx_license_key")):
            if key:
                categories[key.casefold()] = entry["category"]
    return _Policy(
        allowed=frozenset(rows["allowed"]),
        spelt=rows["spelt"],
        reviewed={(_key(row["package"]), str(row["version"])): row for row in rows["reviewed"]},
        categories=categories,
    )


def _key(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).casefold()
