"""What a licence check of live releases found, as Markdown: on a terminal, and as an artefact."""

from collections.abc import Mapping
from typing import Any

from flows.licensing.recheck import ways_on


def as_markdown(rows: list[dict[str, Any]]) -> str:
    """One line a release or base, those to be reviewed first, and below what changed of each, clause by clause."""
    if not rows:
        return "No live release: nothing to check.\n"
    ordered = sorted(rows, key=lambda row: (row["state"] != "re-review", row["app"] or row["base"]))
    lines = ["| app | base | verdict | since it was accepted | as of |", "|---|---|---|---|---|"]
    for row in ordered:
        said = "**re-review**" if row["state"] == "re-review" else row["state"]
        lines.append(f"| {row['app'] or '(waited for)'} | {_md(row['base'])} | {row['verdict']} | {said} | {row['as_of']} |")
    for row in (one for one in ordered if one["changes"] or one["waits_for"]):
        lines += ["", f"## {row['app'] or _md(row['base'])}", "", *(line for change in row["changes"] for line in _change(change))]
        if not row["changes"]:
            lines += ["- the terms are again those that were accepted; a person has to read what had changed:"]
            lines += [f"  - {_md(text)}" for text in row["waits_for"]]
        if row["app"] and row["state"] == "re-review":
            lines += ["", f"Read the report, then {ways_on(row['app'], row['target'])}"]
    return "\n".join(lines) + "\n"


def _change(change: Mapping[str, Any]) -> list[str]:
    gone, came = ([f"  - {sign} {_md(one)}" for one in change[key]] for sign, key in (("was:", "removed"), ("is:", "added")))
    return [f"- {change['level']} `{change['code']}` {_md(change['text'])}", *gone, *came]


def _md(text: str) -> str:
    """Text from outside on one line, without the signs that Markdown and HTML read."""
    line = " ".join(str(text).split()).replace("&", "&amp;").replace("<", "&lt;")
    for sign in "\\`*[]|#":
        line = line.replace(sign, f"\\{sign}")
    return line
