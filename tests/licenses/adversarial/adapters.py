"""Adapters from elsewhere: what the job says, what their head says, and what lies beside them."""

import json

from tests.licenses.adversarial.build import DEV, FRONT, bare, card, folder, under
from tests.licenses.adversarial.case import Adapted, Case, Repo, clean, dirty
from tests.licenses.adversarial.texts import APACHE, MIT, synthetic

NC = "non_commercial"


def brought(id: str, license: str | None, header: dict[str, str], codes: str, beside: dict[str, str | bytes] | None = None) -> Case:
    return dirty(f"adapter: {id}", folder(), codes, adapter=Adapted(license=license, header=header, files=beside or {}))


def taken(id: str, license: str, header: dict[str, str], beside: dict[str, str | bytes] | None = None, duties: str = "") -> Case:
    return clean(f"adapter: {id}", folder(), duties, adapter=Adapted(license=license, header=header, files=beside or {}))


FLUX_HEADERS = {
    "by file": {"ss_sd_model_name": "flux1-dev.safetensors"},
    "by path": {"ss_sd_model_name": "D:\\models\\unet\\flux1-dev-fp8.safetensors"},
    "by path of Linux": {"ss_sd_model_name": "/workspace/ComfyUI/models/unet/flux1-dev.safetensors"},
    "by id": {"ss_sd_model_name": DEV},
    "by a short file": {"ss_sd_model_name": "flux_dev.safetensors"},
    "by architecture": {"modelspec.architecture": "flux-1-dev/lora"},
    "by architecture in capitals": {"modelspec.architecture": "Flux.1-dev/lora"},
    "by merge": {"modelspec.merged_from": "my-style, flux1-dev-fp8"},
    "by its trainer": {"ss_pretrained_model_name_or_path": DEV},
    "by a plain key": {"base_model": DEV},
    "by the config of its trainer": {"lora_adapter_metadata": json.dumps({"base_model_name_or_path": DEV, "r": 16})},
    "by this project": {"lorasmith.base": f"{DEV}@0123456"},
}


ADAPTERS: tuple[Case, ...] = (
    *(brought(f"a barred base {how}", "own", header, NC) for how, header in FLUX_HEADERS.items()),
    brought(
        "own, and its header says non-commercial", "own", {"modelspec.license": "cc-by-nc-4.0"}, "adapter_license_contradicted"
    ),
    brought(
        "own, and its header names a barred licence",
        "own",
        {"modelspec.license": "FLUX.1 [dev] Non-Commercial License"},
        "adapter_license_contradicted",
    ),
    brought(
        "own, and its header says in words",
        "own",
        {"modelspec.usage_hint": "Non-commercial use only."},
        "adapter_license_contradicted adapter_header_restricts card_body_restricts",
    ),
    brought(
        "own, and a text beside it bars",
        "own",
        {},
        f"{NC} adapter_license_contradicted texts_disagree",
        {"LICENSE": synthetic("cc-by-nc-4.0")},
    ),
    brought("own, and a card beside it names a barred base", "own", {}, NC, {"README.md": card(f"{FRONT}\nbase_model: {DEV}")}),
    brought(
        "own, and a card beside it bars",
        "own",
        {},
        "adapter_license_contradicted card_body_restricts tag_contradicts_text",
        {"README.md": card("license: cc-by-nc-4.0", "No commercial use.")},
    ),
    brought(
        "own, and a config beside it names a barred base",
        "own",
        {},
        NC,
        {"adapter_config.json": f'{{"base_model_name_or_path": "{DEV}"}}'},
    ),
    brought("no word of the job", None, {}, "adapter_license_missing"),
    brought("an empty word of the job", " ", {}, "adapter_license_missing"),
    brought("a word of its header alone", None, {"modelspec.license": "apache-2.0"}, "adapter_license_missing"),
    brought("a licence that nobody knows", "do-as-you-like", {}, "adapter_license_unknown"),
    brought("a licence that bars, with its text", "cc-by-nc-4.0", {}, NC, {"LICENSE": synthetic("cc-by-nc-4.0")}),
    brought("a licence without its text", "apache-2.0", {}, "license_text_missing"),
    brought("a licence with another text", "apache-2.0", {}, "license_text_missing", {"LICENSE": MIT}),
    brought(
        "a licence with a changed text",
        "apache-2.0",
        {},
        "license_text_missing",
        {"LICENSE": APACHE.replace("irrevocable", "revocable")},
    ),
    brought(
        "a licence with a text in UTF-16",
        "apache-2.0",
        {},
        "license_text_missing text_not_utf8",
        {"LICENSE": APACHE.encode("utf-16")},
    ),
    brought(
        "a licence and a second text that bars",
        "apache-2.0",
        {},
        f"{NC} texts_disagree text_unknown adapter_license_contradicted",
        {"LICENSE": APACHE, "LICENSE-MODEL.txt": synthetic("cc-by-nc-4.0")},
    ),
    brought(
        "a licence that its header contradicts",
        "apache-2.0",
        {"modelspec.license": "cc-by-nc-4.0"},
        "adapter_license_contradicted",
        {"LICENSE": APACHE},
    ),
    brought("a licence in disguise", "аpache-2.0", {}, "adapter_license_unknown", {"LICENSE": APACHE}),
    dirty(
        "adapter: a base on the Hub that bars, by its header",
        folder(),
        NC,
        repos={"b/root": under("cc-by-nc-4.0")},
        adapter=Adapted(license="own", header={"ss_sd_model_name": "b/root"}),
    ),
    dirty(
        "adapter: a base on the Hub that is gone, by its header",
        folder(),
        "hub_not_found",
        adapter=Adapted(license="own", header={"lorasmith.base": "b/gone"}),
    ),
)

CLEAN: tuple[Case, ...] = (
    taken("own", "own", {}),
    taken("own in capitals", "OWN", {}),
    taken(
        "own with the header of its trainer",
        "own",
        {
            "ss_sd_model_name": "/home/me/flat-tiny.safetensors",
            "ss_network_dim": "16",
            "modelspec.architecture": "z-image/lora",
            "modelspec.title": "leaves",
        },
    ),
    taken("own on a clean base of the Hub's names", "own", {"ss_sd_model_name": "flux1-schnell.safetensors"}),
    taken("Apache with its text", "apache-2.0", {"modelspec.license": "Apache-2.0"}, {"LICENSE": APACHE}, "LICENSE_COPY"),
    taken("MIT with its text", "MIT", {}, {"LICENSE.txt": MIT}, "LICENSE_COPY"),
    taken("rail with its text", "creativeml-openrail-m", {}, {"LICENSE": synthetic("creativeml-openrail-m")}, "FLOWDOWN"),
    clean(
        "adapter: own, its base on the Hub clean",
        folder(),
        repos={"b/root": Repo(files=bare())},
        adapter=Adapted(license="own", header={"ss_sd_model_name": "b/root"}),
    ),
)

CASES = (*ADAPTERS, *CLEAN)
