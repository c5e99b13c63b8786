"""The licence verdict, read as JSON, in the words of a page. Pure."""

from collections.abc import Mapping
from typing import Any

from serving.listing.facts import name_of
from serving.listing.model_licence import Licence, LicenceNode, Notice, Restriction

FREE = frozenset({"own", "cc0-1.0", "unlicense"})
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
        expression=str(verdict.get("expression", "")),
        claim=claim_of(nodes),
        terms=lines_in("TERMS.md", verdict),
        restrictions=tuple(restriction(one) for one in verdict.get("flowdown", ())),
        credits=lines_in("ATTRIBUTION.md", verdict),
        data=tuple(verdict.get("data", ())),
        names=tuple(line for row in verdict.get("owed", ()) if row["by"] == "name" for line in row["lines"]),
    )


def claim_of(nodes: tuple[LicenceNode, ...]) -> str | None:
    """The adapter's own licence, where every other part comes under it too or is free of terms: a card never claims looser ones."""
    own = next((node.license.lower() for node in nodes if node.role == "adapter"), None)
    others = {node.license.lower() for node in nodes if node.role != "adapter"}
    return own if own is not None and others <= {own, *FREE} else None


def lines_in(file: str, verdict: Mapping[str, Any]) -> tuple[str, ...]:
    """The lines that duties want in a paper of the package, each once."""
    rows = (row for row in verdict.get("owed", ()) if row["files"] and row["files"][0] == file)
    return tuple(dict.fromkeys(line for row in rows for line in row["lines"]))


def restriction(one: Mapping[str, Any]) -> Restriction:
    return Restriction(
        license=str(one.get("license", "")),
        node=name_of(str(one.get("node", ""))),
        file=one["file"],
        section=str(one.get("section", "")),
        text=one["text"],
    )


def duty_in_words(code: str) -> str:
    """What a duty asks for; a code that has no words here is shown as it is, never left out."""
    return f"{DUTIES[code]} ({code})" if code in DUTIES else code
