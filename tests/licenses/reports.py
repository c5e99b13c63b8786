"""Verdicts that a report has to show well: what passes, what is barred, a graph of twelve, waivers, and one of hostile words."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from licenses.check import check
from licenses.publisher import Publisher
from tests.licenses.conftest import ROOT
from tests.licenses.loopback_hub import LoopbackHub, serving
from tests.licenses.signing import ADA, DAY, EVE, trusting
from tests.licenses.test_folder import GOOD, card
from tests.licenses.test_graph import PLAIN, child
from tests.licenses.test_waived import NOW, TERMS, profile

TEXT_OF_ITS_OWN = "Terms of the owner.\n\nAsk first.\n"
HOSTILE = (
    "<script>alert(1)</script><img src=/stolen.png onerror=alert(2)>\"'></style></pre></details><!-- [link](javascript:alert(3)) "
    "![picture](/stolen.png) <https://evil.example/x> www.evil.example | **loud** _soft_ ~~gone~~ `code` $x^2$ # "
    "{{ 7 * 7 }} {% raw %} \u202edesrever\u2066 \x1b[31m \x07 \u200b \ud800 &lt;b&gt; ]]> ``` -- 1. " + "W" * 300
)
KEPT = (
    "schema",
    "hash",
    "as_of",
    "verdict",
    "verdicts",
    "sha256",
    "relation",
    "kind",
    "origin",
    "expires",
    "use",
    "bytes",
    "counted",
)
MEANS = ("file", "listing", "setting", "attestation", "name", "nothing")


@contextmanager
def every(folder: Path) -> Iterator[dict[str, dict[str, Any]]]:
    """All of them by name, as JSON; the Hub that they come from ends with the block."""
    with serving() as hub, pytest.MonkeyPatch.context() as patch:
        for name, value in {"HF_ENDPOINT": hub.address, "HF_HUB_OFFLINE": "0", "HF_TOKEN_PATH": str(folder / "none")}.items():
            patch.setenv(name, value)
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy", "HF_TOKEN"):
            patch.delenv(name, raising=False)
        found = {
            "passes": check(ROOT / "examples/base", dataset=ROOT / "examples/emoji/pictures", as_of=DAY).as_json(),
            "barred": check("black-forest-labs/FLUX.1-dev", as_of=DAY).as_json(),
            "twelve": twelve(hub),
            "waived": waived(hub, folder),
        }
        yield found | {"hostile": hostile(found["twelve"] | {key: found["waived"][key] for key in ("waivers", "owed")})}


def twelve(hub: LoopbackHub) -> dict[str, Any]:
    """A base with two lines of ancestors, parts of others and data of others: some pass, some do not."""
    hub.add("studio/leaves-xl", child("studio/leaves", **{name: text for name, text in GOOD.items() if name != "README.md"}))
    hub.add("studio/leaves", child("\n  - b/left\n  - b/right\nbase_model_relation: merge"))
    hub.add("b/left", child("c/root"))
    hub.add("b/right", child("c/root", LICENSE=TEXT_OF_ITS_OWN))
    hub.add("c/lora", child("c/root\nbase_model_relation: adapter"))
    for name in ("c/root", "c/tokenizer", "c/scheduler"):
        hub.add(name, PLAIN)
    hub.add("c/vae", {"README.md": card("license: cc-by-nc-4.0")})
    hub.add("d/set", {"README.md": card("license: cc-by-4.0\nsource_datasets: [original, d/origin]")}, kind="dataset")
    hub.add("d/origin", {"README.md": card("license: cc0-1.0")}, kind="dataset")
    parts = {"vae": "c/vae", "lora": "c/lora", "tokenizer": "c/tokenizer", "scheduler": "c/scheduler", "text_encoder": "x/gone"}
    return check("studio/leaves-xl", components=parts, dataset="d/set", as_of=DAY).as_json()


def waived(hub: LoopbackHub, folder: Path) -> dict[str, Any]:
    """Terms that nobody knows, allowed by two waivers that count; a third is of a key that nobody trusts."""
    hub.add("owner/base", {"README.md": card("license: other"), "LICENSE": TERMS}, commit=NOW)
    counted, void = profile(folder), profile(folder, "sell_outputs", private=EVE)
    publisher = Publisher(name="Studio", waivers=(*counted.waivers, *void.waivers))
    return check("owner/base", publisher=publisher, trust=trusting(ADA), as_of=DAY).as_json()


def hostile(verdict: dict[str, Any]) -> dict[str, Any]:
    """The same verdict where every word that may come from outside begins like an attack, with notices and terms of that kind."""
    text = f"{HOSTILE}\n{HOSTILE}"
    more = {
        "notices": [{"file": f"LICENSES/{HOSTILE}.txt", "text": text, "kind": "license", "nodes": [HOSTILE], "origin": "upstream"}],
        "flowdown": [{"file": HOSTILE, "text": text, "node": HOSTILE, "license": HOSTILE, "section": HOSTILE}],
        "notice_lines": [HOSTILE],
        "display_lines": [HOSTILE],
        "expression": HOSTILE,
    }
    said: dict[str, Any] = _marked(verdict)
    return said | more


def _marked(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        return {name: one if name in KEPT else _marked(one, name) for name, one in value.items()} | _verdicts(value)
    if isinstance(value, list):
        return [_marked(one, key) for one in value]
    if isinstance(value, str) and value and not (key == "by" and value in MEANS) and key not in KEPT:
        return f"{HOSTILE} {value}"
    return value


def _verdicts(value: dict[str, Any]) -> dict[str, Any]:
    """Uses keep their names and what was found for them."""
    return (
        {"uses": {use: _marked(said) | {"verdict": said["verdict"]} for use, said in value["uses"].items()}}
        if "uses" in value
        else {}
    )
