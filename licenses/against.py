"""What stands against a source beside its licence: names, files, heads and configs that tell of another origin. Pure."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from licenses.catalogue import Catalogue, Model
from licenses.errors import flat
from licenses.evidence import Evidence, Header, Part, Problem, classes_of
from licenses.filenames import is_quantized, is_weights, stem_of
from licenses.hub_answers import Listing
from licenses.identify import identify
from licenses.lineage import Names, names_in
from licenses.links import against_link
from licenses.lookalike import barred_by_name, bars_paid, originals_of, owner_passed_for, skeleton
from licenses.prose import literal, restriction_in
from licenses.relaxed import looser
from licenses.witnesses import Finding
from licenses.words import words

SAID = re.compile(r"usage|description|comment|terms|notes|licen[sc]e")
# The formula of copyright beside its holder, as notices carry it; it takes nothing back of the licence that the notice belongs to.
RESERVED = re.compile(r"^(\W*copyright\b[^\n]{0,120})\ball rights reserved\b\.?\W*$", re.I | re.M)
QUOTED = 7  # words and more: a shorter line may stand in any text
PLAIN_LORA = frozenset({"pytorch_lora_weights.safetensors", "adapter_model.safetensors", "adapter_model.bin"})


def against_source(
    evidence: Evidence,
    finding: Finding,
    id: str,
    row: Model | None,
    components: Mapping[str, str],
    catalogue: Catalogue,
    names: Names,
) -> Iterator[Problem]:
    """Problems of a model source as a whole. A row of the catalogue answers for the names and the origin of its repository."""
    yield from _by_row(id, finding, row, components)
    yield from against_link(evidence, id, finding.license, row, catalogue)
    if row is None or not row.card_reviewed:
        yield from _prose(evidence, finding.license, catalogue)
    for header in evidence.headers:
        yield from _header(header, finding.license, catalogue, names.models)
    for told in evidence.told:
        if finding.license not in catalogue.licenses_of_tag(told.text) and told.text.casefold() != "other":
            text = f"{flat(told.file)} says that the licence is {flat(told.text)[:60]!r}, the text is another; ask the author"
            yield Problem(code="config_contradicts", text=text, file=told.file)
    yield from _absent(evidence, components)
    yield from against_config("the model", classes_of(evidence.config), evidence.config, finding.license, row, catalogue, names)
    if row is None:
        yield from _names(evidence, id, finding.license, catalogue, names)
        if evidence.name.casefold() != id.casefold():
            yield from _names(replace(evidence, files=()), evidence.name, finding.license, catalogue, names)
        yield from _copies(evidence, id)


def against_part(part: Part, license: str | None, row: Model | None, catalogue: Catalogue, names: Names) -> Iterator[Problem]:
    """Problems of a component by its classes, its config, and the repository that its config says it is from."""
    yield from against_config(part.role, part.architectures, part.config, license, row, catalogue, names)


def against_config(
    role: str,
    classes: tuple[str, ...],
    config: Mapping[str, object],
    license: str | None,
    row: Model | None,
    catalogue: Catalogue,
    names: Names,
) -> Iterator[Problem]:
    """Weights whose class, or whose sizes, were only ever released under another licence."""
    kinds = [(known, name) for prefix, known in catalogue.architectures for name in classes if _is_a(name, prefix)]
    foreign = next(((known, name) for known, name in kinds if known != license), None)
    if foreign is not None:
        text = (
            f"{role} is a {flat(foreign[1])}, whose weights come under {catalogue.licenses[foreign[0]].name}, and no such text "
            f"lies there; name its repository with --component {role.replace('the model', 'ROLE')}=OWNER/NAME"
        )
        yield Problem(code="component_license", text=text)
    fitting = next((one for one in names.fingerprints if one.fits(classes, config) and one.license != license), None)
    if fitting is not None and row is None:
        text = (
            f"the config of {role} is that of {fitting.repo} ({catalogue.licenses[fitting.license].name}): {fitting.why}; "
            "have a person read where these weights come from"
        )
        yield Problem(code="weights_fingerprint", text=text, file="config.json")


def against_hub(listing: Listing, evidence: Evidence, asked: str) -> Iterator[Problem]:
    """Where the Hub and the README at the same commit say different things, and where the name is an old one."""
    if listing.repo.casefold() != asked.casefold():
        text = (
            f"{asked} is called {listing.repo} on the Hub now; its licence is weighed under that name, "
            "write the new name where the old one stands"
        )
        yield Problem(code="hub_renamed", text=text)
    card = evidence.card
    said = frozenset({card.license.casefold()} if card and card.license else ())
    for told in (listing.licenses, listing.named or None):
        if told is not None and told != said:
            what = ", ".join(sorted(flat(one)[:40] for one in told)) or "no licence"
            here = ", ".join(sorted(flat(one)[:40] for one in said)) or "none"
            text = f"{asked}: the Hub lists {what}, README.md at this commit says {here}; ask the author"
            yield Problem(code="tag_contradicts_hub", text=text, file="README.md")
            break
    if listing.license_name and card is not None and listing.license_name != card.license_name:
        named = flat(card.license_name or "none")[:40]
        text = f"{asked}: the Hub lists license_name {flat(listing.license_name)[:40]}, README.md at this commit says {named}"
        yield Problem(code="tag_contradicts_hub", text=f"{text}; ask the author", file="README.md")
    hidden = listing.written - {one.casefold() for one in (card.base_models if card else ())}
    if hidden:
        text = f"{asked}: the Hub names {flat(sorted(hidden)[0])[:80]} as its base, README.md at this commit does not"
        yield Problem(code="parents_contradict_hub", text=f"{text}; ask the author", file="README.md")


def _by_row(id: str, finding: Finding, row: Model | None, components: Mapping[str, str]) -> Iterator[Problem]:
    if row is not None and finding.license is not None and finding.license != row.license:
        text = f"{id} is known under {row.license}, its files now say {finding.license}; have a person read the change"
        yield Problem(code="license_changed", text=text)
    for role in row.requires if row is not None else ():
        if role not in components:
            text = f"{id} is loaded with a {role} from elsewhere; name it with --component {role}=OWNER/NAME"
            yield Problem(code="component_missing", text=text)


def _prose(evidence: Evidence, license: str | None, catalogue: Catalogue) -> Iterator[Problem]:
    """Words beside the card and its tags that take back what the licence grants: texts for people, notices, policies."""
    of_parts = [file for part in evidence.parts for file in part.texts if file.kind != "license"]
    notices = [file for file in (*evidence.texts, *of_parts) if file.kind != "license" and identify(file.text, catalogue) is None]
    said = [(one.file, one.text, "card_body_restricts") for one in evidence.prose]
    own = [words(one.text) for one in evidence.texts if one.kind == "license" and identify(one.text, catalogue) is not None]
    said += [(one.path, _unquoted(RESERVED.sub(r"\1", one.text), own), f"{one.kind}_restricts") for one in notices]
    for file, prose, code in said:
        sentence = restriction_in(prose)
        if sentence:
            text = f'{flat(file)} restricts use ("{sentence}"); ask the author for a licence without that sentence'
            yield Problem(code=code, text=text, file=file, quote=literal(sentence, prose))
    for tag in evidence.card.tags if evidence.card else ():
        meant = catalogue.licenses_of_tag(tag.casefold().removeprefix("license:"))
        named = tag.casefold().startswith("license:") and license not in meant
        if named or any(bars_paid(one, catalogue) for one in meant) or restriction_in(f"{tag} use only"):
            text = f"README.md carries the tag {flat(tag)[:60]!r} beside its licence; ask the author which one holds"
            yield Problem(code="card_tags_restrict", text=text, file="README.md")


def _unquoted(notice: str, licences: Sequence[str]) -> str:
    """A notice without the lines that it quotes from a licence text that lies beside it."""
    return "\n".join(
        line
        for line in notice.splitlines()
        if (said := words(line)).count(" ") < QUOTED or not any(f" {said} " in f" {one} " for one in licences)
    )


def _names(evidence: Evidence, id: str, license: str | None, catalogue: Catalogue, names: Names) -> Iterator[Problem]:
    barred = barred_by_name(id, catalogue, names.models)
    own = catalogue.licenses.get(license or "")
    kept = originals_of(id, catalogue, names.models) if own is not None and barred is None else []
    original = next((one for one in kept if own is not None and looser(own, catalogue.licenses[one.license])), None)
    if original is not None:
        held = catalogue.licenses[original.license].name
        text = f"{id} bears the name of {original.repo} and not its licence ({held}); a copy keeps the licence of its original"
        yield Problem(code="copy_of_barred", text=text)
    if barred is not None:
        text = f"{id} bears the name of {barred.repo}, whose licence bars this; a copy keeps the licence of its original"
        yield Problem(code="copy_of_barred", text=text)
    owner = owner_passed_for(id, catalogue) if "/" in id else None
    if owner is not None:
        text = f"{flat(id)} looks as if it were of {owner} and is not; write the name of the repository that is meant"
        yield Problem(code="owner_lookalike", text=text)
    for tag in evidence.card.tags if evidence.card else ():
        model = names.models.get(skeleton(tag))
        if model is not None and model.repo in names.barred:
            text = f"README.md carries the tag {flat(tag)[:60]!r}, the name of {model.repo}, whose licence bars this"
            yield Problem(code="copy_of_barred", text=f"{text}; ask the author what it is made of", file="README.md")
    for path in evidence.files if barred is None else ():
        model = barred_by_name(stem_of(path), catalogue, names.models) if is_weights(path) else None
        if model is not None:
            text = f"{flat(path)} bears the name of {model.repo}, whose licence bars this; a copy keeps the licence of its original"
            yield Problem(code="file_of_barred", text=text, file=path)
            return
    origin = barred_by_name(evidence.origin, catalogue) if evidence.origin else None
    if origin is not None:
        text = f"{flat(id)} was saved from {flat(evidence.origin)[:80]}, the name of {origin.repo}, whose licence bars this"
        yield Problem(code="copy_of_barred", text=f"{text}; a copy keeps the licence of its original")


def _copies(evidence: Evidence, id: str) -> Iterator[Problem]:
    """What is by its kind made of another model has to name it."""
    if evidence.parents:
        return
    weights = [path for path in evidence.files if is_weights(path)]
    lora = next((path for path in evidence.files if path.rpartition("/")[2] in {*PLAIN_LORA, "adapter_config.json"}), None)
    coarse = id if is_quantized(id.rpartition("/")[2]) else next((path for path in weights if is_quantized(stem_of(path))), None)
    coarse = coarse or next((path for path in weights if path.casefold().endswith(".gguf")), None)
    for sign, what in ((lora, "an adapter"), (coarse, "a quantised copy")):
        if sign is not None:
            text = f"{flat(sign)[:80]} is {what} of a model that nothing here names; the author has to name it as base_model"
            yield Problem(code="parent_unnamed", text=text, file=None if sign == id else sign)


def _header(header: Header, license: str | None, catalogue: Catalogue, aliases: Mapping[str, Model]) -> Iterator[Problem]:
    """The head of a weights file: a licence of its own, and names of barred models."""
    for key in ("modelspec.license", "general.license", "general.license.name"):
        tag = flat(header.fields.get(key, ""))
        meant = catalogue.licenses_of_tag(tag) | catalogue.licenses_of_name(tag) | ({tag} & set(catalogue.licenses))
        meant |= {one.id for one in catalogue.licenses.values() if one.name.casefold() == tag.casefold()}
        if tag and license not in meant and tag.casefold() != "other":
            text = f"{flat(header.file)} says in its head that its licence is {tag[:60]!r}, the text beside it is another"
            yield Problem(code="header_contradicts", text=f"{text}; ask its author", file=header.file)
    for key, value in header.fields.items():
        sentence = restriction_in(value) if SAID.search(key) else None
        if sentence:
            text = f'{flat(header.file)} says in its head under {flat(key)[:40]}: "{sentence}"; ask its author'
            yield Problem(code="header_restricts", text=text, file=header.file, quote=sentence)
    for name in names_in(header):
        model = barred_by_name(name, catalogue, aliases)
        if model is not None:
            text = f"the head of {flat(header.file)} names {name[:60]}, which is {model.repo}, whose licence bars this"
            yield Problem(code="header_of_barred", text=f"{text}; a copy keeps the licence of its original", file=header.file)
            return


def _absent(evidence: Evidence, components: Mapping[str, str]) -> Iterator[Problem]:
    """Components that the index names and that are not among the files: they are loaded from somewhere else."""
    if not evidence.files:
        return
    there = {str(folder) for path in evidence.files for folder in PurePosixPath(path).parents}
    for part in evidence.parts:
        if part.role not in there and part.role not in components:
            text = f"model_index.json names {part.role}, which is not among the files"
            remedy = f"name it with --component {part.role}=OWNER/NAME"
            yield Problem(code="component_missing", text=f"{text}; {remedy}", file="model_index.json")


def _is_a(name: str, prefix: str) -> bool:
    return prefix.casefold() in name.casefold()
