"""Three witnesses of a licence: tag, text, prose. Only an exact text speaks for a use; any disagreement blocks."""

from dataclasses import dataclass, replace

from licenses import spdx, tags
from licenses.card import Card
from licenses.catalogue import Catalogue, License, Model
from licenses.evidence import Evidence, Problem, TextFile
from licenses.identify import Match, identify
from licenses.nearest import nearest
from licenses.prose import literal, other_license_in, restriction_in
from licenses.tags import Tag


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """What the witnesses agree on. `license` with problems only explains the block; it never allows."""

    license: str | None
    identified_by: str
    text: TextFile | None
    text_hash: str | None
    extra: tuple[TextFile, ...]
    problems: tuple[Problem, ...]


def weigh(evidence: Evidence, row: Model | None, catalogue: Catalogue, choice: str | None = None) -> Finding:
    """The licence of a source by its own evidence; `row` can only clear prose that a person has read.

    `choice` is the licence that the publisher chose where the tag offers several; the texts of the others are set aside.
    """
    problems = list(evidence.problems)
    tag = tags.read(evidence.card.license, catalogue, choice) if evidence.card and evidence.card.license else None
    declined = tag.offered - tag.licenses if tag is not None else frozenset()
    matched = [one for one in _matched(evidence.texts, catalogue, problems) if one[1].known.license not in declined]
    licences = {match.known.license for _, match in matched if match.known.role == "license"}
    if len(licences) > 1:
        text = f"{evidence.name} holds texts of {', '.join(sorted(licences))}; keep the one that holds for the weights"
        problems.append(Problem(code="texts_disagree", text=text))
    tagged = _tagged(evidence, tag, catalogue, problems)
    found = next(((file, match) for file, match in matched if match.known.role == "license"), None)
    license = next(iter(sorted(licences)), None)
    _compare(evidence, license, tagged, catalogue, problems)
    if row is None or not row.card_reviewed:
        _listen(evidence.card, license, problems)
    return Finding(
        license=license or (next(iter(sorted(tagged))) if tagged else None),
        identified_by=found[1].by if found else "tag" if tagged else "nothing",
        text=found[0] if found else None,
        text_hash=found[1].hash if found else None,
        extra=(
            *_extra(evidence.texts, catalogue.licenses.get(license or ""), problems),
            *(file for file, _ in matched if found is not None and file is not found[0]),
            *_untold(evidence.texts, problems),
        ),
        problems=tuple(problems),
    )


def _matched(texts: tuple[TextFile, ...], catalogue: Catalogue, problems: list[Problem]) -> list[tuple[TextFile, Match]]:
    matched: list[tuple[TextFile, Match]] = []
    for file in (one for one in texts if one.kind == "license"):
        match = identify(file.text, catalogue)
        if match:
            matched.append((file, match))
            problems += _superseded(file, match)
            continue
        text = (
            f"{file.path} is not the exact text of any licence in the catalogue{_title(file.text)}{_like(file.text, catalogue)}; "
            "put the unchanged text there, or have a person read it and choose another base until then"
        )
        problems.append(Problem(code="text_unknown", text=text, file=file.path, sha256=file.sha256))
    return matched


def _untold(texts: tuple[TextFile, ...], problems: list[Problem]) -> tuple[TextFile, ...]:
    """Licence texts that nobody knows: where a person lets one pass, it is shipped all the same."""
    unknown = {problem.sha256 for problem in problems if problem.code == "text_unknown"}
    return tuple(replace(one, kind="unknown") for one in texts if one.kind == "license" and one.sha256 in unknown)


def _superseded(file: TextFile, match: Match) -> list[Problem]:
    if not match.known.superseded:
        return []
    text = f"{file.path} is an older version ({match.known.version}): {match.known.superseded}; ask the author for the newer one"
    return [Problem(code="text_superseded", text=text, file=file.path, sha256=file.sha256)]


def _title(text: str) -> str:
    first = next((" ".join(line.split()) for line in text.splitlines() if line.strip()), "")
    return f' (it begins "{first[:60]}")' if first else " (it is empty)"


def _like(text: str, catalogue: Catalogue) -> str:
    """What the text looks like and where it differs; a suggestion for the reader, nothing rests on it."""
    near = nearest(text, catalogue)
    if near is None:
        guess = spdx.guess(text)
        return f", licenseclassifier takes it for {guess}" if guess else ""
    named = f"{catalogue.licenses[near.license].name} {near.version}".strip()
    return f", {near.similarity:.1%} like {named}: it {', it '.join(near.differences[:4]) or 'differs in its layout'}"


def _tagged(evidence: Evidence, tag: Tag | None, catalogue: Catalogue, problems: list[Problem]) -> frozenset[str]:
    """Catalogue ids that tag and license_name stand for; empty where they say nothing that decides."""
    card = evidence.card
    if card is None:
        return frozenset()
    named = catalogue.licenses_of_name(card.license_name) if card.license_name else frozenset()
    if card.license_name and not named and card.license_name.casefold() != (card.license or "").casefold():
        _tag_problem(problems, "license_name_unknown", f"license_name {card.license_name!r:.60} is not in the catalogue")
    if tag is None or card.license is None or card.license.casefold() == "other":
        return named
    if tag.code is not None:
        _tag_problem(problems, tag.code, tag.text)
    of_tag = tag.licenses
    if named and not named & of_tag:
        text = f"license says {card.license!r:.40} and license_name says {card.license_name!r:.60}; they contradict each other"
        _tag_problem(problems, "tag_contradicts_name", text)
    return of_tag | named


def _tag_problem(problems: list[Problem], code: str, text: str) -> None:
    problems.append(Problem(code=code, text=f"README.md: {text}; ask the author which licence holds", file="README.md"))


def _compare(
    evidence: Evidence, license: str | None, tagged: frozenset[str], catalogue: Catalogue, problems: list[Problem]
) -> None:
    if license is None:
        _without_text(evidence, tagged, problems)
        return
    tag = evidence.card.license if evidence.card else None
    name = catalogue.licenses[license].name
    if tagged and not _agree(license, tagged, catalogue):
        said = repr(tag)[:60] if tag and tag.casefold() != "other" else f"by license_name {', '.join(sorted(tagged))}"
        text = f"README.md says {said}, the licence text is {name}; ask the author which one holds"
        problems.append(Problem(code="tag_contradicts_text", text=text, file="README.md"))


def _without_text(evidence: Evidence, tagged: frozenset[str], problems: list[Problem]) -> None:
    """No licence text speaks; what could not be read or told is the reason then, else that there is none."""
    tag = evidence.card.license if evidence.card else None
    if tag or tagged:
        text = (
            f"{evidence.name} names its licence ({tag or 'by license_name'}) but holds no licence text; a tag proves nothing: "
            "put the exact text beside the weights as LICENSE"
        )
        if all(problem.code != "text_unknown" for problem in problems):
            problems.append(Problem(code="license_text_missing", text=text, file="README.md"))
    elif not problems:
        text = f"{evidence.name} has neither licence tag nor licence text: all rights are reserved; ask its author"
        problems.append(Problem(code="license_missing", text=text))


def _agree(license: str, tagged: frozenset[str], catalogue: Catalogue) -> bool:
    """The tag names this licence, or a family (openrail) that the text is a member of."""
    return tagged == {license} or (tagged == {"openrail"} and catalogue.licenses[license].kind == "rail")


def _listen(card: Card | None, license: str | None, problems: list[Problem]) -> None:
    if card is None:
        return
    sentence = restriction_in(card.prose)
    if sentence:
        text = f'the body of README.md restricts use ("{sentence}"); ask the author for a licence without that sentence'
        problems.append(Problem(code="card_body_restricts", text=text, file="README.md", quote=literal(sentence, card.prose)))
    other = other_license_in(card.prose, license) if license else None
    if other and not sentence:
        text = f'the body of README.md names another licence than the text beside it ("{other}"); ask the author which one holds'
        problems.append(Problem(code="body_contradicts_text", text=text, file="README.md", quote=literal(other, card.prose)))


def _extra(texts: tuple[TextFile, ...], licence: License | None, problems: list[Problem]) -> tuple[TextFile, ...]:
    """Notices and use policies to ship along; a policy that the licence does not know of is one more unread text."""
    for file in (one for one in texts if one.kind == "policy"):
        if licence is None or "FLOWDOWN" not in licence.duties:
            text = f"{file.path} adds a use policy that the licence does not name; have a person read it"
            problems.append(Problem(code="text_unknown", text=text, file=file.path, sha256=file.sha256))
    return tuple(one for one in texts if one.kind in ("notice", "policy"))
