"""The assets behind a base: its parts, its ancestors and the dataset, each a node; bounded, and a cycle is named."""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from licenses import adapter as adapters
from licenses.adapter import Adapter
from licenses.catalogue import RANK, Catalogue, Model
from licenses.dataset import OWN, declared
from licenses.errors import SourceFailure, flat
from licenses.evidence import Evidence, FolderSource, Part, Problem, gather
from licenses.hub import REPO, Hub, HubSource
from licenses.node import Node
from licenses.policy import passes_on_paper
from licenses.publisher import Publisher
from licenses.reference import Reference, parse
from licenses.witnesses import Finding, weigh

DEPTH_LIMIT = 8
NODES_LIMIT = 24
MIRROR_LENGTH = 8


class Graph:
    """Nodes in the order of discovery, the base first."""

    def __init__(self, *, hub: Hub, catalogue: Catalogue, publisher: Publisher, components: Mapping[str, str]) -> None:
        self.hub, self.catalogue, self.publisher, self.components = hub, catalogue, publisher, components
        self.nodes: list[Node] = []

    def add_base(self, reference: Reference) -> None:
        """The base with all that hangs on it, then the components that are loaded from elsewhere."""
        self._visit(reference, "base", ())
        for role, written in sorted(self.components.items()):
            self._visit(parse(written, None, self.catalogue), role, ())

    def add_dataset(self, written: str | Path) -> None:
        """The dataset: a folder by its dataset.yaml, a repository by its own evidence."""
        reference = parse(written, None, self.catalogue)
        if reference.folder is None:
            self._visit(reference, "dataset", ())
            return
        said = declared(reference.folder, self.catalogue)
        own = said.license == OWN
        name = flat(reference.folder.resolve().name)
        license = None if own else said.license
        node = Node(id=name, role="dataset", license=license, identified_by="dataset.yaml", problems=said.problems, own=own)
        self.nodes.append(replace(node, source=flat(said.source)))

    def add_adapter(self, adapter: Adapter) -> None:
        """An adapter that was trained elsewhere, and the bases that its header names: their licences bind it too."""
        self.nodes.append(adapters.declared(adapter, self.catalogue))
        for name, is_repository in adapters.origins(adapter):
            barred = [
                model
                for model in self.catalogue.models.values()
                if _bears_the_name(name, model) and not passes_on_paper(model, self.publisher, self.catalogue)
            ]
            known = {node.id.casefold() for node in self.nodes}
            for model in (one for one in barred if one.repo.casefold() not in known):
                self._by_catalogue(model.repo, "ancestor", model)
            if not barred and is_repository:
                self._visit(Reference(repo=name), "ancestor", ())

    def _visit(self, reference: Reference, role: str, trail: tuple[str, ...]) -> None:
        if reference.folder is not None:
            source = FolderSource(reference.folder)
            self._weighed(gather(source), source.name, role, None, trail, ())
            return
        assert reference.repo is not None
        row = self.catalogue.model(reference.repo)
        if row is not None and not passes_on_paper(row, self.publisher, self.catalogue):
            self._by_catalogue(reference.repo, role, row)
        elif all(node.id.casefold() != reference.repo.casefold() for node in self.nodes):
            self._from_hub(reference.repo, reference.revision, role, row, trail)

    def _by_catalogue(self, repo: str, role: str, row: Model) -> None:
        self.nodes.append(Node(id=repo, role=role, license=row.license, identified_by="catalogue", row=row))

    def _from_hub(self, repo: str, revision: str | None, role: str, row: Model | None, trail: tuple[str, ...]) -> None:
        kind = "dataset" if role == "dataset" else "model"
        try:
            listing = self.hub.listing(repo, revision, kind)
        except SourceFailure as failure:
            problem = Problem(code=failure.code, text=str(failure))
            self.nodes.append(Node(id=repo, role=role, license=None, identified_by="nothing", problems=(problem,), row=row))
            return
        renamed = self.catalogue.model(listing.repo)
        if renamed is not None and not passes_on_paper(renamed, self.publisher, self.catalogue):
            self._by_catalogue(listing.repo, role, renamed)
            return
        evidence = gather(HubSource(self.hub, listing, kind))
        problems = []
        tag = evidence.card.license if evidence.card else None
        if listing.tag and (tag or "").casefold() != listing.tag.strip().casefold():
            text = f"{repo}: the Hub lists licence {listing.tag!r:.40}, README.md at this commit says {tag!r:.40}; ask the author"
            problems.append(Problem(code="tag_contradicts_hub", text=text, file="README.md"))
        self._weighed(evidence, repo, role, renamed or row, trail, tuple(problems))

    def _weighed(
        self, evidence: Evidence, id: str, role: str, row: Model | None, trail: tuple[str, ...], problems: tuple[Problem, ...]
    ) -> None:
        finding = weigh(evidence, row, self.catalogue)
        problems = (*finding.problems, *problems, *self._against(evidence, finding, id, row))
        node = _node(id, role, evidence, finding, row, problems)
        place = len(self.nodes)
        self.nodes.append(node)
        for part in evidence.parts:
            if part.role not in self.components:
                self.nodes.append(self._part(part, node))
        for origin in evidence.origins:
            known = self.catalogue.model(origin)
            if known is not None and not passes_on_paper(known, self.publisher, self.catalogue):
                self._by_catalogue(origin, "ancestor", known)
        for parent in evidence.parents:
            problem = self._ancestor(parent, (*trail, id.casefold()))
            if problem is not None:
                self.nodes[place] = replace(self.nodes[place], problems=(*self.nodes[place].problems, problem))

    def _ancestor(self, parent: str, trail: tuple[str, ...]) -> Problem | None:
        """Visits a parent; a problem where it can not be followed."""
        if not REPO.fullmatch(parent):
            text = f"base_model {parent!r:.80} is not a Hub id; name the parent as owner/name, its licence binds this base too"
            return Problem(code="ancestor_unresolved", text=text, file="README.md")
        if parent.casefold() in trail:
            return Problem(code="ancestor_cycle", text=f"base_model leads back to {parent}; name the true parent", file="README.md")
        if len(trail) > DEPTH_LIMIT or len(self.nodes) >= NODES_LIMIT:
            text = (
                f"more than {DEPTH_LIMIT} generations or {NODES_LIMIT} assets stand behind this base; choose one nearer to its root"
            )
            return Problem(code="ancestors_too_many", text=text, file="README.md")
        self._visit(Reference(repo=parent), "ancestor", trail)
        return None

    def _part(self, part: Part, base: Node) -> Node:
        """A component: by texts in its own folder where there are any, else covered by the base's text."""
        id = f"{base.id}/{part.role}"
        if part.texts:
            alone = Evidence(
                name=id,
                revision=base.revision,
                card=None,
                texts=part.texts,
                parts=(),
                pipeline=None,
                parents=(),
                origins=(),
                problems=(),
            )
            finding = weigh(alone, None, self.catalogue)
            node = _node(id, part.role, alone, finding, None, finding.problems)
        else:
            node = replace(
                base, id=id, role=part.role, identified_by="covered by the base", covered=True, extra=(), problems=(), row=None
            )
        known = self.catalogue.architectures
        kinds = [(license, name) for prefix, license in known for name in part.architectures if _is_a(name, prefix)]
        foreign = next(((license, name) for license, name in kinds if license != node.license), None)
        if foreign is None:
            return node
        text = (
            f"{part.role} is a {foreign[1]}, whose weights come under {self.catalogue.licenses[foreign[0]].name}, "
            f"and no such text lies in {part.role}/; name its repository with --component {part.role}=OWNER/NAME"
        )
        return replace(node, problems=(*node.problems, Problem(code="component_license", text=text)))

    def _against(self, evidence: Evidence, finding: Finding, id: str, row: Model | None) -> list[Problem]:
        """What the catalogue holds against a source's own evidence."""
        found = []
        if row is not None and finding.license is not None and finding.license != row.license:
            text = f"{id} is known under {row.license}, its files now say {finding.license}; have a person read the change"
            found.append(Problem(code="license_changed", text=text))
        for role in row.requires if row is not None else ():
            if role not in self.components:
                text = f"{id} is loaded with a {role} from elsewhere; name it with --component {role}=OWNER/NAME"
                found.append(Problem(code="component_missing", text=text))
        link = (evidence.card.license_link or "" if evidence.card else "").casefold()
        for model in self.catalogue.models.values():
            if model.repo.casefold() in link and _bars(model, self.catalogue):
                text = f"license_link points at {model.repo}, whose licence bars this; ask the author which licence holds"
                found.append(Problem(code="link_contradicts", text=text, file="README.md"))
            if row is None and _bears_the_name(id, model) and _bars(model, self.catalogue):
                text = f"{id} bears the name of {model.repo}, whose licence bars this; a copy keeps the licence of its original"
                found.append(Problem(code="copy_of_barred", text=text))
        return found


def _node(id: str, role: str, evidence: Evidence, finding: Finding, row: Model | None, problems: tuple[Problem, ...]) -> Node:
    return Node(
        id=id,
        role=role,
        revision=evidence.revision,
        license=finding.license,
        identified_by=finding.identified_by,
        text=finding.text,
        text_hash=finding.text_hash,
        extra=finding.extra,
        problems=tuple(dict.fromkeys(problems)),
        row=row,
        pipeline=evidence.pipeline,
    )


def _bars(model: Model, catalogue: Catalogue) -> bool:
    """The facts bar training or paid hosting for every publisher, by a licence that is known."""
    if model.license in ("missing", "unknown"):
        return False
    licence = catalogue.licenses[model.license]
    worst = max(
        RANK[verdicts.get(use, "allow")]
        for verdicts in (licence.verdict, model.verdict)
        for use in ("train_adapter", "host_paid_inference")
    )
    return worst == RANK["block"]


def _bears_the_name(id: str, model: Model) -> bool:
    ours, theirs = (re.sub(r"[^a-z0-9]", "", name.casefold()) for name in (id.rpartition("/")[2], model.name))
    return ours == theirs or (len(theirs) >= MIRROR_LENGTH and theirs in ours)


def _is_a(name: str, prefix: str) -> bool:
    return name.casefold().startswith(prefix.casefold())
