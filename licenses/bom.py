"""The bill of materials: a CycloneDX 1.7 document of the adapter, its base and everything behind them, from the verdict."""

import hashlib
import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from licenses.attribution import hub_address
from licenses.catalogue import License, load
from licenses.conditions import is_licence
from licenses.errors import BomInvalid
from licenses.expression import OWN
from licenses.model_card import model_card
from licenses.node import DATA
from licenses.papers import Work

if TYPE_CHECKING:
    from cyclonedx.validation.json import JsonStrictValidator

FILE = "bom.json"
SPACE = uuid.UUID("8a1c60c4-6f0b-5d1e-9a51-2f6f0d2f7b11")  # of serial numbers: the same content has the same one anywhere
ROOT = "adapter"
BEHIND = ("finetune", "merge", "quantized", "ancestor", "adapter")
APP = "app"
MODULE = "lora_app"  # the folder of the app in a package
WHOLE = "expression-of-the-parts"
HASHED = {  # what a hash of each is taken over, since a version may be another identity
    ROOT: "the adapter's weights file",
    "base": "the names and sha256 of all its .safetensors files",
    "dataset": "what the training read of it: sha256 of pictures and masks, sizes, captions, split",
}
NO_WEIGHTS = ("tokenizer", "tokenizer_2", "tokenizer_3", "scheduler", "feature_extractor", "processor")


def bom(
    verdict: Mapping[str, Any],
    work: Work,
    *,
    evaluation: Mapping[str, Any] | None = None,
    requirements: Sequence[str] = (),
) -> dict[str, Any]:
    """The document; no clock, no path and no random number is in it. `evaluation` is evaluation.json, for the model card.

    `requirements`: what the app installs, as name==version; with them the app itself is a component too.
    """
    licences = load().licenses
    refs = _refs(verdict["nodes"])
    assets = {ref: _asset(ref, node, verdict, work, licences) for ref, node in refs.items()}
    root = _root(verdict, work, refs, assets, licences, evaluation)
    software = _software(requirements, work)
    content = {
        "$schema": "http://cyclonedx.org/schema/bom-1.7.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.7",
        "version": 1,
        "metadata": {"component": root, "properties": _properties(**{"verdict": verdict["hash"], WHOLE: verdict["expression"]})},
        "components": [*assets.values(), *software],
        "dependencies": [*_dependencies(verdict, refs), *_installed(software)],
    }
    return {"serialNumber": f"urn:uuid:{uuid.uuid5(SPACE, hashlib.sha256(_canonical(content)).hexdigest())}"} | content


def write(document: Mapping[str, Any], out: Path) -> Path:
    """Writes bom.json into the folder `out`; BomInvalid where the official schema or an SPDX id says no."""
    require_valid(document)
    path = out / FILE
    scratch = path.with_name(f".{FILE}.part")
    scratch.write_text(json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
    scratch.chmod(0o644)
    scratch.replace(path)
    return path


def require_valid(document: Mapping[str, Any]) -> None:
    """BomInvalid with what the strict validator of CycloneDX 1.7 finds first, or an expression that is none."""
    from license_expression import ExpressionError, get_spdx_licensing

    finding = _validator().validate_str(json.dumps(document))
    if finding is not None:
        raise BomInvalid(f"{FILE}: {' '.join(str(finding.data.message).split())[:200]}; report it, the verdict was fine")
    for expression in _expressions(document):
        try:
            unknown = get_spdx_licensing().unknown_license_keys(expression)
        except ExpressionError as error:
            raise BomInvalid(f"{FILE}: {expression!r:.80} is no SPDX expression ({error}); mend spdx in the facts") from None
        wrong = [key for key in unknown if not key.startswith("LicenseRef-")]
        if wrong:
            raise BomInvalid(f"{FILE}: {wrong[0]!r:.80} is no SPDX id; mend spdx in the facts")


@cache
def _validator() -> "JsonStrictValidator":
    """Read once: the schema is large."""
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    return JsonStrictValidator(SchemaVersion.V1_7)


def _refs(nodes: Iterable[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Nodes by a reference of their own; the same id may stand in two roles."""
    found: dict[str, Mapping[str, Any]] = {}
    for node in nodes:
        name = f"{node['role']}:{node['id']}"
        number = next(number for number in range(1, len(found) + 2) if (name if number == 1 else f"{name}#{number}") not in found)
        found[name if number == 1 else f"{name}#{number}"] = node
    return found


def _root(
    verdict: Mapping[str, Any],
    work: Work,
    refs: Mapping[str, Mapping[str, Any]],
    assets: Mapping[str, Mapping[str, Any]],
    licences: Mapping[str, License],
    evaluation: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """The adapter as it is served; its pedigree is the base, its licence the one that its publisher gave it, if any."""
    behind = [{**_bare(assets[ref]), "bom-ref": f"pedigree:{ref}"} for ref, node in refs.items() if node["role"] == "base"]
    data = [ref for ref, node in refs.items() if node["role"] in DATA]
    return {
        "type": "machine-learning-model",
        "bom-ref": ROOT,
        "name": work.app or "adapter",
        "description": "LoRA adapter, fused into its base when the app starts",
        **({"version": work.adapter_sha256, "hashes": _sha256(work.adapter_sha256)} if work.adapter_sha256 else {}),
        **({"licenses": [_given(work.adapter_license, licences)]} if work.adapter_license else {}),
        "externalReferences": [
            {"type": "model-card", "url": "MODEL_CARD.md"},
            {"type": "attestation", "url": "verdict.json", "comment": "what the licences allow, a use at a time"},
            {"type": "license", "url": "NOTICE"},
        ],
        "pedigree": {"ancestors": behind, "notes": "The base's files travel unchanged; see MODIFICATIONS.md"},
        "modelCard": model_card(verdict, work, data, evaluation),
        "properties": _properties(sha256_of=HASHED[ROOT] if work.adapter_sha256 else ""),
    }


def _given(said: str, licences: Mapping[str, License]) -> dict[str, Any]:
    """The licence of the adapter as its publisher writes it, by SPDX id where the facts know one."""
    known = next((one for one in licences.values() if is_licence(said, one)), None)
    named = {"id": known.spdx} if known and known.spdx else {"name": known.name if known else said}
    return {"license": {**named, "acknowledgement": "declared"}}


def _software(requirements: Sequence[str], work: Work) -> list[dict[str, Any]]:
    """The app and what it installs; nothing where it is not known."""
    if not requirements:
        return []
    app = {"type": "application", "bom-ref": APP, "name": work.app or MODULE, "description": f"serves the adapter; module {MODULE}"}
    return [app, *(_library(*one.split("==")) for one in requirements)]


def _library(name: str, version: str) -> dict[str, Any]:
    purl = f"pkg:pypi/{name.lower().replace('_', '-')}@{version}"
    return {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}


def _installed(software: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The app rests on the adapter and on its libraries."""
    libraries = [one["bom-ref"] for one in software if one["type"] == "library"]
    rests = [{"ref": APP, "dependsOn": [ROOT, *sorted(libraries)]}] if software else []
    return [*rests, *({"ref": ref} for ref in libraries)]


def _asset(
    ref: str, node: Mapping[str, Any], verdict: Mapping[str, Any], work: Work, licences: Mapping[str, License]
) -> dict[str, Any]:
    data = node["role"] in DATA
    address = hub_address(str(node["id"]), node["revision"], data=data)
    texts = [one["file"] for one in verdict["notices"] if node["id"] in one["nodes"]]
    links = [{"type": "distribution", "url": address}] if address else []
    links += [{"type": "license", "url": file} for file in texts]
    first = next(one for one in verdict["nodes"] if one["role"] == node["role"]) is node
    digest = {"base": work.base_sha256, "dataset": work.dataset_sha256}.get(node["role"], "") if first else ""
    behind = _behind(node, verdict)
    return {
        "type": "data" if data or node["role"] in NO_WEIGHTS else "machine-learning-model",
        "bom-ref": ref,
        "name": node["id"],
        **({"version": node["revision"]} if node["revision"] else {}),
        **({"hashes": _sha256(digest)} if digest else {}),
        "licenses": [_licence(node, licences)],
        **({"externalReferences": links} if links else {}),
        **({"data": [_dataset(node, verdict)]} if data else {}),
        **({"pedigree": {"ancestors": behind}} if behind else {}),
        "properties": _properties(
            role=node["role"], identified_by=node["identified_by"], sha256_of=HASHED[node["role"]] if digest else ""
        ),
    }


def _licence(node: Mapping[str, Any], licences: Mapping[str, License]) -> dict[str, Any]:
    """By SPDX id where there is one, else by name; with the hash of the text that was read."""
    licence = licences.get(str(node["license"]))
    name = licence.name if licence else "own work of the publisher" if node["license"] == OWN else str(node["license"])
    said = {"id": licence.spdx} if licence and licence.spdx else {"name": name}
    text = node["text_sha256"]
    return {"license": {**said, "acknowledgement": "concluded", **({"properties": _properties(text_sha256=text)} if text else {})}}


def _dataset(node: Mapping[str, Any], verdict: Mapping[str, Any]) -> dict[str, str]:
    """A dataset, with what its publisher states of it."""
    stated = " ".join(line for line in verdict.get("data", ()))
    return {"type": "dataset", "name": node["id"], **({"description": stated} if stated else {})}


def _behind(node: Mapping[str, Any], verdict: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What an asset was made from, by the edges of the graph."""
    parents = [edge["to"] for edge in verdict.get("edges", ()) if edge["from"] == node["id"] and edge["relation"] in BEHIND]
    return [{"type": "machine-learning-model", "name": parent} for parent in dict.fromkeys(parents)]


def _dependencies(verdict: Mapping[str, Any], refs: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Who rests on whom: by the edges of the graph, and the adapter on its pictures and on all that no edge leads to."""
    named: dict[str, list[str]] = {}
    for ref, node in refs.items():
        named.setdefault(str(node["id"]), []).append(ref)
    rests: dict[str, set[str]] = {ROOT: set(), **{ref: set() for ref in refs}}
    for edge in verdict.get("edges", ()):
        for ref in named.get(edge["from"], ()):
            rests[ref] |= {other for other in named.get(edge["to"], ()) if other != ref and refs[other]["role"] != "dataset"}
    reached = set().union(*rests.values())
    rests[ROOT] = {ref for ref, node in refs.items() if ref not in reached or node["role"] in ("base", "dataset", "adapter")}
    return [{"ref": ref, "dependsOn": sorted(others)} if others else {"ref": ref} for ref, others in rests.items()]


def _bare(asset: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in asset.items() if key in ("type", "name", "version", "hashes", "licenses", "properties")}


def _sha256(digest: str) -> list[dict[str, str]]:
    return [{"alg": "SHA-256", "content": digest}]


def _properties(**values: str) -> list[dict[str, str]]:
    return [{"name": f"lorasmith:{name}", "value": value} for name, value in values.items() if value]


def _expressions(document: Mapping[str, Any]) -> list[str]:
    name = f"lorasmith:{WHOLE}"
    whole = [one["value"] for one in document["metadata"]["properties"] if one["name"] == name]
    parts = [document["metadata"]["component"], *document["components"]]
    ids = [one["license"]["id"] for part in parts for one in part.get("licenses", ()) if "id" in one["license"]]
    return list(dict.fromkeys([*whole, *ids]))


def _canonical(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
