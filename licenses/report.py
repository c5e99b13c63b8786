"""A verdict for people: one line, Markdown, and one self-contained page; all from the verdict's JSON."""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from licenses.asked import Asked, said_uses
from licenses.catalogue import USES, load
from licenses.drawing import LETTERS, mermaid, svg
from licenses.errors import flat
from licenses.headline import USE_NAMES, one_line, waiver_lines, without_waivers
from licenses.reading import MEANINGS, Asset, Cell, Group, Reading, read

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["NOT_ADVICE", "USE_NAMES", "environment", "html", "markdown", "md", "one_line", "waiver_lines"]

NOT_ADVICE = "Not legal advice: evidence and public facts, weighed by rules that block what they do not know."
COLUMNS = {
    "train_adapter": "Train an adapter",
    "host_paid_inference": "Host for money",
    "distribute_adapter": "Give out weights",
    "sell_outputs": "Sell outputs",
}
LEGEND = "; ".join(f"{letter} {name}: {MEANINGS[name]}" for name, letter in LETTERS.items())
PAID = "to train an adapter and to host it for money"
NOTHING = "Nothing stands against it."
INSTEAD = "Bases of the same kind that the facts do not bar"
LATER: dict[str, Any] = dict.fromkeys(("data", "flowdown", "evidence", "owed"), ()) | {"expression": "", "alternatives_note": ""}
SHORT = 12  # digits of a hash that are shown at once
NAMESPACE = " xmlns='http://www.w3.org/2000/svg'"  # HTML knows the element without it


def markdown(verdict: Mapping[str, Any]) -> str:
    """The whole verdict as Markdown; every text from outside is one escaped line."""
    reading = read(verdict)
    return "\n".join(
        [
            f"# Licence report: {md(verdict['base'])}",
            "",
            f"**{reading.sign} {reading.answer}**, {PAID}. {md(without_waivers(verdict))}",
            "",
            f"As of {md(verdict['as_of'])}, by the facts of {load().as_of}, verdict `{verdict['hash']}`. {NOT_ADVICE}",
            *_section("Waivers", [*waiver_lines(verdict), *reading.notes]),
            *("", "## Who may do what", "", *_matrix(reading), "", f"{LEGEND}."),
            *("", "## What stands against it", *(_groups(reading.against) or ["", NOTHING])),
            *(["", "## What it rests on", *_groups(reading.grounds)] if reading.grounds else []),
            *_asked(reading.duties),
            *_section("Notice lines", verdict["notice_lines"]),
            *_section("Display lines", verdict["display_lines"]),
            *_section("Terms to pass on", [_passed_on(one) for one in verdict.get("flowdown", ())]),
            *_section("Texts to ship", [_shipped(one) for one in verdict["notices"]]),
            *_section("Licence of the whole", [verdict["expression"]] if verdict.get("expression") else []),
            *_section("Training data", verdict.get("data", ())),
            *("", "## Graph", "", "```mermaid", mermaid(verdict).rstrip("\n"), "```"),
            *_section(INSTEAD, [*verdict["alternatives"], *filter(None, [verdict.get("alternatives_note")])]),
            *_evidence(reading, verdict),
            *("", NOT_ADVICE, ""),
        ]
    )


def html(verdict: Mapping[str, Any]) -> str:
    """The whole verdict as one page that loads nothing from elsewhere and runs no script."""
    from markupsafe import Markup

    page = environment().get_template("report.html")
    return page.render(
        verdict=LATER | dict(verdict),
        reading=read(verdict),
        line=without_waivers(verdict),
        waivers=[(flat(line), line.startswith("COUNTS")) for line in waiver_lines(verdict)],
        facts=load().as_of,
        graph=Markup(svg(verdict).replace(NAMESPACE, "")),  # drawing escapes every text
        mermaid=mermaid(verdict),
        columns=COLUMNS,
        meanings=MEANINGS,
        letters=LETTERS,
        instead=INSTEAD,
        nothing=NOTHING,
        paid=PAID,
        not_advice=NOT_ADVICE,
    )


@cache
def environment() -> "Environment":
    """Where the pages of this room are rendered: everything is escaped, and nothing may be left out unseen."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("licenses"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=_inert,
    )
    environment.filters |= {"short": _short, "said_uses": said_uses, "begun": _begun}
    return environment


def _inert(value: Any) -> Any:
    """Text without signs that a reader does not see, such as those that turn the direction of writing round."""
    if type(value) is not str:
        return value
    return "".join(sign if sign.isprintable() or sign in "\n\t" else " " for sign in value)


def _short(hash: str) -> str:
    """The beginning of a hash or commit, with its kind."""
    kind, colon, digits = hash.rpartition(":")
    return f"{kind}{colon}{digits[:SHORT]}{'…' if len(digits) > SHORT else ''}"


def _begun(words: str) -> str:
    """The same with a capital letter in front; the others stay as they are."""
    return words[:1].upper() + words[1:]


def _matrix(reading: Reading) -> list[str]:
    head = ("asset", "licence", *(COLUMNS[use].lower() for use in USES))
    whole = ("**all together**", "", *(f"**{_cell(cell)}**" for cell in reading.whole))
    rows = [(_named(one), _of_license(one), *(_cell(cell) for cell in one.cells)) for one in reading.assets]
    return _table(head, [whole, *rows])


def _cell(cell: Cell) -> str:
    return f"{cell.letter} {md(cell.verdict)}{' (waived)' if cell.waived else ''}"


def _named(asset: Asset) -> str:
    return f"{md(asset.id)} ({md(asset.role)}{', gated' if asset.gated else ''})"


def _of_license(asset: Asset) -> str:
    at = f", at {md(_short(asset.revision))}" if asset.revision else ""
    return f"{md(asset.licence)} (told by: {md(asset.told)}){at}"


def _groups(groups: Iterable[Group]) -> list[str]:
    """Each asset with its reasons, a list item a reason and its quote below."""
    return [line for group in groups for line in ("", f"### {md(group.name)}", "", *_reasons(group))]


def _reasons(group: Group) -> list[str]:
    lines: list[str] = []
    for one in group.said:
        source = [md(one.section), md(one.file), _code(f"sha256 {one.sha256}") if one.sha256 else ""]
        source += [_code(f"sha256 of the known text {one.known_text}")] if one.known_text else []
        told = ", ".join([*(part for part in source if part), f"confidence {md(one.confidence)}"])
        lines.append(f"- {'Against' if one.against else 'For'} {said_uses(one.uses)}: {_code(one.code)} {md(one.text)}")
        lines += [f"  > {md(one.quote)}", ""] if one.quote else []
        lines += [f"  - {told}", *([f"  - To do: {md(one.remedy)}"] if one.against else [])]
    return lines


def _asked(duties: Sequence[Asked]) -> list[str]:
    rows = [(f"{_code(one.code)} {md(one.words)}", _towards(one), _fulfilled(one)) for one in duties]
    return ["", "## What it asks for", "", *_table(("duty", "towards, for", "fulfilled by"), rows)] if rows else []


def _towards(duty: Asked) -> str:
    whom = f"{md(duty.towards)}{f', {md(duty.licence)}' if duty.licence else ''}: " if duty.towards else ""
    return f"{whom}{said_uses(duty.uses)}"


def _fulfilled(duty: Asked) -> str:
    parts = [duty.means, ", ".join(duty.files), *(f"“{line}”" for line in duty.lines)]
    done = ": ".join(md(part) for part in parts if part)
    return f"{done}. **OPEN: {md(duty.open)}**" if duty.open else done


def _passed_on(one: Mapping[str, Any]) -> str:
    place = ", ".join(str(one[key]) for key in ("license", "section", "file") if one.get(key))
    return f"{place}: {one['text'] or 'the whole text'}"


def _shipped(one: Mapping[str, Any]) -> str:
    return f"{one['file']}{' (' + ', '.join(one['nodes']) + ')' if one.get('nodes') else ''}"


def _evidence(reading: Reading, verdict: Mapping[str, Any]) -> list[str]:
    """Commit and text of every asset in full, and every file that was read."""
    held = [(md(one.id), _code(one.revision), _code(one.text_sha256)) for one in reading.assets]
    files = [
        (md(one["node"]), md(one["file"]), f"{_code(one['sha256'])} {md(one['bytes'])} bytes")
        for one in verdict.get("evidence", ())
    ]
    parts = ["", "## Evidence", "", *_table(("asset", "revision", "sha256 of its licence text"), held)]
    return [*parts, "", *_table(("asset", "file", "sha256 and size"), files)] if files else parts


def _section(title: str, rows: Iterable[Any]) -> list[str]:
    lines = [f"- {md(row)}" for row in rows]
    return ["", f"## {title}", "", *lines] if lines else []


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *(f"| {' | '.join(row)} |" for row in rows)]


def _code(text: Any) -> str:
    """A code span for what is a plain word, else the words as they are: a tick would end it, a bar would end its cell."""
    line = flat(text)
    return f"`{line}`" if re.fullmatch(r"[\w.:/+ -]+", line) else md(line)


def md(text: Any) -> str:
    """One line in which nothing is markup: no links, pictures, tables, lists, formulas, and no address that becomes a link."""
    line = flat(text).replace("&", "&amp;").replace("<", "&lt;")
    line = re.sub(r"([\\`*\[\]>|#$~@])", r"\\\1", line)
    line = re.sub(r"(?<!\w)_|_(?!\w)", r"\\_", line).replace("://", ":\\//").replace("www.", "www\\.")
    return re.sub(r"^(\d+)([.)])", r"\1\\\2", re.sub(r"^([-+=])", r"\\\1", line))
