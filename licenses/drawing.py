"""The graph of a verdict as Mermaid and as SVG: the base on top, what it is made of below, each asset with its verdict in words."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from licenses.catalogue import PAID_USES, RANK
from licenses.errors import flat

LETTERS = {"allow": "A", "duties": "D", "conditional": "C", "block": "B"}
WIDTH, ROW, BOX, INDENT, MARGIN = 380, 58, 46, 16, 8
DEEPEST = 7
GUTTER = 22
USUAL = 0.54  # of a letter, digit or sign, as a share of the size
WIDE = dict.fromkeys("iljI|.,:;'!", 0.3) | dict.fromkeys("ftr()[]/ -…", 0.4) | dict.fromkeys("mMw%@", 0.9) | {"W": 1.0}
WIDE |= dict.fromkeys("ABCDEFGHJKLNOPQRSTUVXYZ&", 0.7)
STYLE = (
    ".lg{font:13px system-ui,sans-serif;color-scheme:light dark}.lg rect{fill:#fff;stroke-width:2}.lg text{fill:#1b1b1b}"
    ".lg .small{font-size:11px;fill:#555}.lg path{fill:none;stroke:#777;stroke-width:1.5}.lg .again{stroke-dasharray:4 3}"
    ".lg .sign{font-weight:700;text-anchor:middle;fill:#fff}"
    ".lg .allow rect,.lg .duties rect{stroke:#0a5c2b}.lg .conditional rect{stroke:#7a4b00}.lg .block rect{stroke:#a11212}"
    ".lg .allow circle,.lg .duties circle{fill:#0a5c2b}.lg .conditional circle{fill:#7a4b00}.lg .block circle{fill:#a11212}"
    "@media(prefers-color-scheme:dark){.lg rect{fill:#1d1f21}.lg text{fill:#e8e8e8}.lg .small{fill:#b5b5b5}.lg path{stroke:#999}"
    ".lg .sign{fill:#111}.lg .allow rect,.lg .duties rect{stroke:#6fd391}.lg .conditional rect{stroke:#f0b95a}"
    ".lg .block rect{stroke:#ff8a80}.lg .allow circle,.lg .duties circle{fill:#6fd391}.lg .conditional circle{fill:#f0b95a}"
    ".lg .block circle{fill:#ff8a80}}"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Box:
    """An asset in the drawing: its layer, the asset it hangs on, and how it hangs there."""

    node: Mapping[str, Any]
    verdict: str
    layer: int
    above: str | None
    relation: str
    waived: bool


def mermaid(verdict: Mapping[str, Any]) -> str:
    """A Mermaid flowchart; every name from outside is escaped and on one line."""
    boxes = _boxes(verdict)
    number = {str(box.node["id"]): place for place, box in enumerate(boxes)}
    lines = ["flowchart TD"]
    for place, box in enumerate(boxes):
        words = (f"{LETTERS[box.verdict]}: {box.verdict}", _short(box.node["id"], 60), _about(box))
        lines.append(f'  n{place}["{"<br/>".join(_quoted(one) for one in words)}"]:::{box.verdict}')
    for edge in verdict.get("edges", ()):
        if edge["from"] in number and edge["to"] in number:
            lines.append(f"  n{number[edge['from']]} -->|{_quoted(edge['relation'])}| n{number[edge['to']]}")
    lines += [
        "  classDef allow stroke:#0a5c2b,stroke-width:2px",
        "  classDef duties stroke:#0a5c2b,stroke-width:2px",
        "  classDef conditional stroke:#7a4b00,stroke-width:2px,stroke-dasharray:6 3",
        "  classDef block stroke:#a11212,stroke-width:4px",
    ]
    return "\n".join(lines) + "\n"


def svg(verdict: Mapping[str, Any]) -> str:
    """The same graph as one SVG that loads nothing: a row an asset, a layer an indent, wide enough to be read on a phone."""
    boxes = _boxes(verdict)
    place = {str(box.node["id"]): row for row, box in enumerate(boxes)}
    drawn = [_line(box, row, place[box.above]) for row, box in enumerate(boxes) if box.above is not None]
    tree = {(box.above, str(box.node["id"])) for box in boxes}
    others = [edge for edge in verdict.get("edges", ()) if (edge["from"], edge["to"]) not in tree]
    drawn += [_again(place[one["from"]], place[one["to"]]) for one in others if one["from"] in place and one["to"] in place]
    drawn += [_box(box, row) for row, box in enumerate(boxes)]
    height = 2 * MARGIN + ROW * len(boxes)
    told = f"{len(boxes)} assets: " + ", ".join(f"{_short(box.node['id'], 60)} {box.verdict}" for box in boxes)
    return (
        f"<svg class='lg' xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {height}' width='{WIDTH}' height='{height}' "
        f"style='max-width:100%;height:auto' role='img' aria-label='{_xml(told)}'><style>{STYLE}</style>"
        f"<title>Licence graph</title>{''.join(drawn)}</svg>"
    )


def _boxes(verdict: Mapping[str, Any]) -> list[Box]:
    """Assets from the base downwards, each once, under the first one that leads to it; what nothing leads to stands last."""
    nodes = {str(node["id"]): node for node in verdict["nodes"]}
    below: dict[str, list[tuple[str, str]]] = {}
    for edge in verdict.get("edges", ()):
        below.setdefault(edge["from"], []).append((edge["to"], edge["relation"]))
    reasons = (reason for use in PAID_USES for reason in verdict["uses"][use]["reasons"])
    waived = {str(reason["node"]) for reason in reasons if reason.get("code") == "waived"}
    found: dict[str, Box] = {}
    for start in nodes:
        waiting: list[tuple[str, int, str | None, str]] = [(start, 0, None, "")]
        while waiting:
            id, layer, above, relation = waiting.pop()
            if id in found or id not in nodes:
                continue
            said, lifted = _verdict(nodes[id], verdict), id in waived
            found[id] = Box(node=nodes[id], verdict=said, layer=layer, above=above, relation=relation, waived=lifted)
            waiting += [(name, layer + 1, id, kind) for name, kind in reversed(below.get(id, ()))]
    return list(found.values())


def _verdict(node: Mapping[str, Any], verdict: Mapping[str, Any]) -> str:
    """The worst verdict of an asset over the uses that a paid endpoint needs; of an older record, what its reasons tell."""
    own = node.get("verdicts")
    if isinstance(own, Mapping):
        return max((str(own[use]) for use in PAID_USES), key=RANK.__getitem__)
    said = [verdict["uses"][use] for use in PAID_USES]
    blamed = [one["verdict"] for one in said if any(reason["node"] == node["id"] for reason in one["reasons"])]
    return max(blamed, key=RANK.__getitem__, default="allow")


def _line(box: Box, row: int, above: int) -> str:
    """An elbow from the left edge of the asset above down to this one."""
    x, end = _left(box.layer - 1) + 7, _left(box.layer)
    top, y = _top(above) + BOX, _top(row) + BOX // 2
    return f"<path d='M{x} {top}V{y}H{end}'/>"


def _again(first: int, last: int) -> str:
    """A further way to an asset that is drawn already: a dashed arc on the right."""
    x, top, end = WIDTH - GUTTER, _top(first) + BOX // 2, _top(last) + BOX // 2
    return f"<path class='again' d='M{x} {top}C{WIDTH} {top} {WIDTH} {end} {x} {end}'/>"


def _box(box: Box, row: int) -> str:
    left, top = _left(box.layer), _top(row)
    width = WIDTH - GUTTER - left
    name, about = _fitting(box.node["id"], width - 44, 13), _fitting(_about(box), width - 44, 11)
    return (
        f"<g class='{box.verdict}'><title>{_xml(flat(box.node['id']))}</title>"
        f"<rect x='{left}' y='{top}' width='{width}' height='{BOX}' rx='6'/>"
        f"<circle cx='{left + 20}' cy='{top + BOX // 2}' r='11'/>"
        f"<text class='sign' x='{left + 20}' y='{top + BOX // 2 + 5}'>{LETTERS[box.verdict]}</text>"
        f"<text x='{left + 38}' y='{top + 19}'>{_xml(name)}</text>"
        f"<text class='small' x='{left + 38}' y='{top + 36}'>{_xml(about)}</text></g>"
    )


def _left(layer: int) -> int:
    return MARGIN + INDENT * min(layer, DEEPEST)


def _top(row: int) -> int:
    return MARGIN + ROW * row


def _about(box: Box) -> str:
    """Verdict, licence and place of an asset in few words."""
    role = str(box.node["role"])
    relation = box.relation if box.relation not in ("", role, "component", "ancestor") else ""
    said = f"{box.verdict} by waiver" if box.waived else box.verdict
    return ", ".join(_kept((said, str(box.node["license"] or "no licence told"), role, relation)))


def _kept(words: Iterable[str]) -> Sequence[str]:
    return [flat(word) for word in words if word]


def _short(text: Any, most: int) -> str:
    """A name that fits; its end tells more than its middle."""
    line = flat(text)
    return line if len(line) <= most else f"{line[: most // 2 - 1]}…{line[-(most - most // 2) :]}"


def _fitting(text: Any, room: int, size: int) -> str:
    """The longest short form of a name that fits into `room` pixels in letters of this size."""
    line = flat(text)
    most = next((most for most in range(len(line), 2, -1) if _width(_short(line, most)) * size <= room), 2)
    return _short(line, most)


def _width(text: str) -> float:
    """Roughly how wide a line is, as a share of the size of its letters: what is not known counts as wide."""
    return sum(WIDE.get(sign, USUAL if sign.isascii() else 1.0) for sign in text)


def _quoted(text: Any) -> str:
    """Text for Mermaid: letters, digits and a few signs as they are, everything else as the number of its character."""
    return "".join(sign if sign.isalnum() or sign in " ._-,:/" else f"#{ord(sign)};" for sign in flat(text))


def _xml(text: str) -> str:
    """Escaped, and without characters that XML does not allow."""
    return escape("".join(sign if sign == " " or sign.isprintable() else " " for sign in text))
