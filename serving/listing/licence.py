"""The licence verdict, read as JSON, in the words of a page. Pure."""

from collections.abc import Mapping
from typing import Any

from serving.listing.facts import name_of
from serving.listing.model import Licence, LicenceNode, Notice

PAID_USES = ("train_adapter", "host_paid_inference")
DUTIES = {
    "LICENSE_COPY": "Ship the full licence text",
    "NOTICE_FILE": "Ship the licensor’s attribution in a NOTICE file",
    "STATE_CHANGES": "Say that the model was modified, and how",
    "KEEP_NOTICES": "Keep copyright and attribution notices",
    "ATTRIBUTION": "Credit the author, and link source and licence",
    "FLOWDOWN": "Pass the use restrictions on to callers in the terms of use",
    "DISPLAY": "Show the licensor’s line on the listing",
    "NAMING": "Follow the licensor’s rule for names of derived models",
    "SHARE_ALIKE": "Keep derived weights under the same licence",
    "NETWORK_SOURCE": "Offer the modified model to those who use it over a network",
    "FILTER": "Filter content, or review it before release",
    "AI_DISCLOSURE": "Say that output is generated where the law asks for it",
    "NO_TRAIN_OTHERS": "Do not train other models on the output, and pass that on",
    "REGISTER": "Register with the licensor before commercial use",
    "REVENUE_CAP": "Stay below the licence’s revenue cap",
    "MAU_CAP": "Stay below the licence’s cap on monthly users",
    "TERRITORY": "Keep out of the territories that the licence excludes",
    "NO_AFFILIATION": "Say that the licensor does not endorse this",
    "KEEP_GUARDRAILS": "Leave guardrails and provenance features on",
    "DISCLAIMER_FLOWDOWN": "Pass the disclaimer of warranty on in the terms of use",
    "NO_EXTRA_TERMS": "Add no terms that restrict recipients further",
}


def licence_of(verdict: Mapping[str, Any]) -> Licence:
    """The verdict as a page shows it: who is in the chain, what is owed, and the notices in full."""
    nodes = tuple(
        LicenceNode(
            id=name_of(str(node["id"])),
            role=node["role"],
            license=str(node.get("license") or "unknown"),
            revision=node.get("revision"),
            identified_by=node.get("identified_by"),
        )
        for node in verdict.get("nodes", ())
    )
    ids = tuple(dict.fromkeys(node.license for node in nodes))
    paid = verdict["uses"]["host_paid_inference"]
    duties = [duty for use in PAID_USES for duty in verdict["uses"].get(use, {}).get("duties", ())]
    return Licence(
        name=" + ".join(ids),
        ids=ids,
        host_paid_inference=paid["verdict"],
        verdict_hash=str(verdict["hash"]),
        nodes=nodes,
        duties=tuple(duty_in_words(duty) for duty in dict.fromkeys(duties)),
        notice_lines=tuple(verdict.get("notice_lines", ())),
        display_lines=tuple(verdict.get("display_lines", ())),
        notices=tuple(Notice(file=notice["file"], text=notice["text"]) for notice in verdict.get("notices", ())),
    )


def duty_in_words(code: str) -> str:
    """What a duty asks for; a code that has no words here is shown as it is, never left out."""
    return f"{DUTIES[code]} ({code})" if code in DUTIES else code
