"""A verdict for people: one line, Markdown, and one self-contained page; all from the verdict's JSON."""

from collections.abc import Mapping
from html import escape
from typing import Any

from licenses.catalogue import PAID_USES, load
from licenses.errors import flat
from licenses.verdict import ALLOWED

NOT_ADVICE = "Not legal advice: evidence and public facts, weighed by rules that block what they do not know."
USE_NAMES = {
    "train_adapter": "train an adapter for a product",
    "host_paid_inference": "host paid inference",
    "distribute_adapter": "distribute the adapter's weights",
    "sell_outputs": "sell outputs",
}
STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1b1b;background:#fff}"
    "table{border-collapse:collapse;width:100%;display:block;overflow-x:auto}"
    "th,td{border:1px solid #bbb;padding:.35rem .6rem;text-align:left;vertical-align:top;overflow-wrap:anywhere;min-width:5rem}"
    "code{overflow-wrap:anywhere}.allow,.duties{color:#0a5c2b}.conditional{color:#7a4b00}.block{color:#a11212}"
    "blockquote{border-left:3px solid #bbb;margin:.3rem 0;padding-left:.8rem}pre{white-space:pre-wrap;overflow-wrap:anywhere}"
)


def one_line(verdict: Mapping[str, Any]) -> str:
    """The verdict in one line: for a block what bars it, where that stands, and what base to use instead."""
    base = flat(verdict["base"])
    if verdict["verdict"] in ALLOWED:
        duties = _union(verdict, "duties")
        return f"base {base!r} may be used here: {_licenses(verdict)}; duties: {', '.join(duties) or 'none'}{_excepted(verdict)}"
    reasons = _against(verdict)
    first = reasons[0]
    more = f" ({len(reasons) - 1} more in the report.)" if len(reasons) > 1 else ""
    quote = f', it says "{flat(first["quote"])}"' if first["quote"] and first["quote"] not in first["text"] else ""
    said = flat(first["text"]).removeprefix(f"{base}: ").rstrip(".")
    return f"base {base!r} may not be used here: {said}{quote}.{more}{_instead(verdict)}{_excepted(verdict)}"


def markdown(verdict: Mapping[str, Any]) -> str:
    """The whole verdict as Markdown; every text from outside is one escaped line."""
    parts = [f"# Licence report: {_md(verdict['base'])}", "", f"**{_md(one_line(verdict))}**", ""]
    parts += [
        f"As of {_md(verdict['as_of'])}, by the facts of {load().as_of}, verdict `{verdict['hash']}`. {NOT_ADVICE}",
        "",
        "## Uses",
        "",
    ]
    parts += _table(("use", "verdict", "duties"), _use_rows(verdict))
    parts += _section("Waivers", waiver_lines(verdict))
    for use, said in verdict["uses"].items():
        parts += ["", f"### {USE_NAMES[use].capitalize()}: {said['verdict']}", ""]
        parts += [line for reason in said["reasons"] for line in _reason_lines(reason)] or ["- nothing stands against it"]
    parts += ["", "## Assets", "", *_table(("asset", "role", "licence", "told by", "revision", "text"), _node_rows(verdict))]
    parts += _section("Duties", [f"{code}: {load().duties.get(code, '')}" for code in _union(verdict, "duties")])
    parts += _section("Notice lines", verdict["notice_lines"]) + _section("Display lines", verdict["display_lines"])
    parts += _section("Texts to ship", [one["file"] for one in verdict["notices"]])
    parts += _section("Bases of the same kind that the facts do not bar", verdict["alternatives"])
    return "\n".join(parts) + "\n"


def html(verdict: Mapping[str, Any]) -> str:
    """The whole verdict as one page that loads nothing from elsewhere."""
    uses = "".join(
        f"<h3>{escape(USE_NAMES[use].capitalize())}: <span class='{escape(said['verdict'])}'>{escape(said['verdict'])}</span></h3>"
        f"<ul>{''.join(_reason_html(reason) for reason in said['reasons']) or '<li>nothing stands against it</li>'}</ul>"
        for use, said in verdict["uses"].items()
    )
    lists = "".join(
        f"<h2>{escape(title)}</h2><ul>{''.join(f'<li>{escape(str(row))}</li>' for row in rows)}</ul>"
        for title, rows in (
            ("Duties", [f"{code}: {load().duties.get(code, '')}" for code in _union(verdict, "duties")]),
            ("Notice lines", verdict["notice_lines"]),
            ("Display lines", verdict["display_lines"]),
            ("Bases of the same kind that the facts do not bar", verdict["alternatives"]),
        )
        if rows
    )
    texts = "".join(
        f"<details><summary><code>{escape(one['file'])}</code></summary><pre>{escape(one['text'])}</pre></details>"
        for one in verdict["notices"]
    )
    dated = f"As of {escape(verdict['as_of'])}, by the facts of {escape(load().as_of)}"
    return (
        "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width,initial-scale=1'>"
        f"<title>Licence report: {escape(str(verdict['base']))}</title><style>{STYLE}</style></head><body>"
        f"<h1>Licence report</h1><p class='{escape(verdict['verdict'])}'><strong>{escape(one_line(verdict))}</strong></p>"
        f"<p>{dated}, verdict <code>{escape(verdict['hash'])}</code>. {escape(NOT_ADVICE)}</p>"
        f"<h2>Uses</h2>{_html_table(('use', 'verdict', 'duties'), _use_rows(verdict))}{_waivers_html(verdict)}{uses}"
        f"<h2>Assets</h2>{_html_table(('asset', 'role', 'licence', 'told by', 'revision', 'text'), _node_rows(verdict))}{lists}"
        f"{'<h2>Texts to ship</h2>' + texts if texts else ''}</body></html>\n"
    )


def waiver_lines(verdict: Mapping[str, Any]) -> list[str]:
    """Each waiver in one line, those that count first: what is allowed only because a person signed for it."""
    rows = sorted(verdict.get("waivers", ()), key=lambda row: not row["counted"])
    return [_waiver_line(row) for row in rows]


def _waiver_line(row: Mapping[str, Any]) -> str:
    counts = "COUNTS" if row["counted"] else "DOES NOT COUNT"
    if not row["repo"]:
        return f"{counts}: {row['why']}"
    use = USE_NAMES.get(row["use"] or "", "no use named")
    said = "approved by" if row["counted"] else "in the name of"
    return f"{counts}: {row['repo']}, {use}, {said} {row['by']!r} because {row['reason']!r}: {row['why']}"


def _excepted(verdict: Mapping[str, Any]) -> str:
    lines = [flat(line) for line in waiver_lines(verdict)]
    more = f" ({len(lines) - 3} more in the report.)" if len(lines) > 3 else ""
    return "".join(f" WAIVER {line.rstrip('.')}." for line in lines[:3]) + more


def _waivers_html(verdict: Mapping[str, Any]) -> str:
    rows = [
        f"<li class='{'conditional' if line.startswith('COUNTS') else 'block'}'><strong>{escape(flat(line))}</strong></li>"
        for line in waiver_lines(verdict)
    ]
    return f"<h2>Waivers</h2><ul>{''.join(rows)}</ul>" if rows else ""


def _against(verdict: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Distinct reasons against the paid uses, those of a block before those of a condition."""
    uses = sorted((verdict["uses"][use] for use in PAID_USES), key=lambda said: said["verdict"] != "block")
    found: dict[str, Mapping[str, Any]] = {}
    for said in uses:
        if said["verdict"] not in ALLOWED:
            for reason in said["reasons"]:
                found.setdefault(reason["text"], reason)
    return list(found.values())


def _instead(verdict: Mapping[str, Any]) -> str:
    if verdict["alternatives"]:
        return f" Bases of the same kind that pass: {', '.join(verdict['alternatives'])}."
    return f" {verdict['alternatives_note']}." if verdict.get("alternatives_note") else ""


def _licenses(verdict: Mapping[str, Any]) -> str:
    known = load().licenses
    names = dict.fromkeys(known[one["license"]].name for one in verdict["nodes"] if one["license"] in known)
    return ", ".join(names) or "own material"


def _union(verdict: Mapping[str, Any], key: str) -> list[str]:
    return sorted({one for said in verdict["uses"].values() for one in said[key]})


def _use_rows(verdict: Mapping[str, Any]) -> list[tuple[str, ...]]:
    return [(USE_NAMES[use], said["verdict"], ", ".join(said["duties"]) or "none") for use, said in verdict["uses"].items()]


def _node_rows(verdict: Mapping[str, Any]) -> list[tuple[str, ...]]:
    keys = ("id", "role", "license", "identified_by", "revision", "text_sha256")
    return [tuple(str(one[key] or "") for key in keys) for one in verdict["nodes"]]


def _reason_lines(reason: Mapping[str, Any]) -> list[str]:
    place = f" ({_md(reason['file'])})" if reason["file"] else ""
    first = f"- `{_md(reason['code'])}` {_md(reason['text'])}{place}, confidence {_md(reason['confidence'])}"
    return [first, *([f"  > {_md(reason['quote'])}"] if reason["quote"] else [])]


def _reason_html(reason: Mapping[str, Any]) -> str:
    place = f" ({escape(reason['file'])})" if reason["file"] else ""
    quote = f"<blockquote>{escape(reason['quote'])}</blockquote>" if reason["quote"] else ""
    sha = f" <code>{escape(reason['sha256'])}</code>" if reason["sha256"] else ""
    text = f"{escape(reason['text'])}{place}, confidence {escape(reason['confidence'])}{sha}"
    return f"<li><code>{escape(reason['code'])}</code> {text}{quote}</li>"


def _section(title: str, rows: list[str]) -> list[str]:
    return ["", f"## {title}", "", *(f"- {_md(row)}" for row in rows)] if rows else []


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    body = [f"| {' | '.join(_md(cell) for cell in row)} |" for row in rows]
    return [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *body]


def _html_table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    cells = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><tr>{''.join(f'<th>{escape(name)}</th>' for name in head)}</tr>{cells}</table>"


def _md(text: Any) -> str:
    line = flat(text).replace("&", "&amp;").replace("<", "&lt;")
    for sign in "\\`*[]>|#":
        line = line.replace(sign, f"\\{sign}")
    return line
