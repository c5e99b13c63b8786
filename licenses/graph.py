"""The assets behind a base: its parts, its ancestors, what it was trained on and the dataset, each a node that is visited once."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from licenses import adapter as adapters
from licenses.adapter import Adapter
from licenses.against import against_hub, against_part, against_source
from licenses.ancestry import barred_parent, is_itself, parents_to_follow, unexplained, unresolved, untold
from licenses.archive import Archive
from licenses.catalogue import Catalogue, Model
from licenses.dataset import assets
from licenses.errors import BadReference, SourceFailure, flat
from licenses.evidence import Evidence, Parent, Part, Problem, Source
from licenses.folder import FileSource, FolderSource
from licenses.gathering import RESERVED, gather
from licenses.hub import REPO, Hub, HubSource
from licenses.hub_answers import FILE, Listing
from licenses.lineage import id_in, known_names
from licenses.lookalike import barred_in_path, bears_the_name, skeleton, without_format
from licenses.node import Edge, Node
from licenses.policy import passes_on_paper
from licenses.publisher import Publisher
from licenses.reference import Reference, parse
from licenses.relaxed import relaxed
from licenses.training_data import against_data, is_repo, names_of
from licenses.witnesses import Finding, weigh

DEPTH_LIMIT = 8
SOURCES_LIMIT = 32
ACCELERATORS = ("lora", "accel", "lightning", "hyper", "lcm", "dmd", "distill")


class Graph:
    """Nodes in the order of discovery, the base first, and edges from what is made to what it is made of."""

    def __init__(
        self,
        *,
        hub: Hub,
        catalogue: Catalogue,
        publisher: Publisher,
        components: Mapping[str, str],
        archive: Archive | None = None,
        waived: frozenset[str] = frozenset(),
    ) -> None:
        self.hub, self.catalogue, self.publisher, self.components = hub, catalogue, publisher, components
        self.archive, self.waived = archive or Archive(), waived
        self.names = known_names(catalogue)
        self.nodes: list[Node] = []
        self.edges: list[Edge] = []
        self.evidence: dict[str, Evidence] = {}
        self.seen: dict[tuple[str, str], str] = {}

    def add_base(self, reference: Reference) -> None:
        """The base with all that hangs on it, then the components that are loaded from elsewhere."""
        base = self._visit(reference, "base", ())
        for role, written in sorted(self.components.items()):
            if role in RESERVED:
                raise BadReference(f"component {role}={written!r:.80}: {role} is a place of its own; name the part, such as vae")
            relation = "accelerator" if any(sign in role.casefold() for sign in ACCELERATORS) else "component"
            self._edge(base, self._visit(parse(written, None, self.catalogue), role, ()), relation)

    def add_dataset(self, written: str | Path) -> None:
        """The dataset: a folder by its dataset.yaml, a repository by its own evidence and its sources."""
        reference = parse(written, None, self.catalogue)
        base = self.nodes[0].id
        if reference.folder is None:
            self._edge(base, self._visit(reference, "dataset", ()), "dataset")
            return
        for node in assets(reference.folder, self.catalogue):
            self.nodes.append(replace(node, id=self._free(node.id, "dataset")))
            self._edge(base, self.nodes[-1].id, "dataset")

    def add_adapter(self, adapter: Adapter) -> None:
        """An adapter that was trained elsewhere, and the bases that its head names: their licences bind it too."""
        base, beside = self.nodes[0].id, adapter.beside()
        node = adapters.declared(adapter, beside, self.catalogue)
        node = replace(node, id=self._free(node.id, "adapter"))
        self.nodes.append(node)
        self._edge(node.id, base, "adapter")
        for name, is_repository in adapters.origins(adapter, beside):
            barred = self._barred(name)
            for model in barred:
                self._edge(node.id, self._by_catalogue(model.repo, "ancestor", model), "ancestor")
            if not barred and is_repository:
                self._edge(node.id, self._visit(Reference(repo=name), "ancestor", (node.id,)), "ancestor")

    def finished(self) -> list[Node]:
        """All nodes, with what only the whole tells: terms that were relaxed, and components that no parent has."""
        remarks = [*relaxed(self.nodes, self.edges, self.catalogue)]
        problems = [*unexplained(self.evidence, self.edges, self.components)]
        for place, node in enumerate(self.nodes):
            more, said = ([one for id, one in found if id == node.id] for found in (problems, remarks))
            self.nodes[place] = replace(node, problems=tuple(dict.fromkeys([*node.problems, *more])), remarks=tuple(said))
        return self.nodes

    def _visit(self, reference: Reference, role: str, trail: tuple[str, ...]) -> str:
        """The id of the node of a reference; one that was there before is not visited again."""
        key = self._key(reference, role)
        if key in self.seen:
            return self.seen[key]
        if reference.repo is None:
            source = FileSource(reference.file) if reference.file is not None else FolderSource(reference.folder or Path())
            id = self.seen[key] = self._free(source.name, role)
            return self._weighed(source, id, role, None, trail, None)
        row = self.catalogue.model(reference.repo) if role not in ("dataset", "source_data") else None
        if row is not None and self._is_barred(row):
            return self._by_catalogue(reference.repo, role, row)
        id = self.seen[key] = self._free(reference.repo, role)
        return self._from_hub(reference, id, role, row, trail)

    def _is_barred(self, row: Model) -> bool:
        """Not worth asking the Hub about, unless a waiver that counts is to be held against commit and text of it."""
        return row.repo.casefold() not in self.waived and not passes_on_paper(row, self.publisher, self.catalogue)

    def _key(self, reference: Reference, role: str) -> tuple[str, str]:
        if reference.repo is None:
            return "folder", str(reference.file or reference.folder)
        kind = "dataset" if role in ("dataset", "source_data") else "model"
        return f"{kind}@{reference.revision or ''}", reference.repo.casefold()

    def _free(self, id: str, role: str) -> str:
        """An id that no other node has: a dataset may be called as a model is, and a folder as another folder."""
        taken = {node.id.casefold() for node in self.nodes}
        return next(one for one in (id, *(f"{role}:{'+' * more}{id}" for more in range(999))) if one.casefold() not in taken)

    def _edge(self, child: str, parent: str, relation: str) -> None:
        edge = Edge(child=child, parent=parent, relation=relation)
        if edge not in self.edges and child != parent:
            self.edges.append(edge)

    def _by_catalogue(self, repo: str, role: str, row: Model) -> str:
        key = ("catalogue", row.repo.casefold())
        if key not in self.seen:
            self.seen[key] = self._free(repo, role)
            self.nodes.append(Node(id=self.seen[key], role=role, license=row.license, identified_by="catalogue", row=row))
        return self.seen[key]

    def _from_hub(self, reference: Reference, id: str, role: str, row: Model | None, trail: tuple[str, ...]) -> str:
        kind = "dataset" if role in ("dataset", "source_data") else "model"
        assert reference.repo is not None
        try:
            listing = self.hub.listing(reference.repo, reference.revision, kind)
        except SourceFailure as failure:
            code, text = failure.code, str(failure)
            if role == "source_data":
                code, text = "data_unreachable", f"{text} (this model says that it was trained on {reference.repo})"
            self._failed(id, role, Problem(code=code, text=text), row)
            return id
        self.archive.keep(id, FILE, listing.raw)
        renamed = self.catalogue.model(listing.repo) if kind == "model" else None
        if renamed is not None and self._is_barred(renamed):
            return self._by_catalogue(listing.repo, role, renamed)
        source = HubSource(self.hub, listing, kind, self.archive)
        return self._weighed(source, id, role, renamed or row, trail, (listing, reference.repo))

    def _failed(self, id: str, role: str, problem: Problem, row: Model | None = None) -> None:
        self.nodes.append(Node(id=id, role=role, license=None, identified_by="nothing", problems=(problem,), row=row))

    def _weighed(
        self, source: Source, id: str, role: str, row: Model | None, trail: tuple[str, ...], hub: tuple[Listing, str] | None
    ) -> str:
        """Adds the node of a source, its parts, parents and training data."""
        pin = source.pin if isinstance(source, HubSource) else ""
        evidence = gather(source, partial(self.archive.keep, id, source=pin))
        problems = [*against_hub(hub[0], evidence, hub[1])] if hub else []
        if evidence.card is not None and evidence.card.bars_eu and not self.publisher.shuts_out(("EU",)):
            text = f"the gate of {id} shuts the EU out; offer the endpoint elsewhere only, behind a geofence that is enforced"
            problems.append(Problem(code="gate_restricts", text=text, file="README.md"))
        if role == "source_data":
            self.nodes.append(against_data(id, evidence, tuple(problems), self.catalogue))
        else:
            finding = weigh(evidence, row, self.catalogue, self.publisher.choice_for(id))
            if role != "dataset":
                problems += against_source(evidence, finding, id, row, self._replaced(role), self.catalogue, self.names)
            self.nodes.append(_node(id, role, evidence, finding, row, (*finding.problems, *problems)))
        self.nodes[-1] = replace(self.nodes[-1], gated=bool(hub and hub[0].gated))
        place = len(self.nodes) - 1
        self.evidence[id] = evidence
        more = list(self._inside(evidence, id, role, row))
        if role not in ("dataset", "source_data"):
            more += self._ancestors(evidence, id, row, trail, hub)
        tagged = hub[0].datasets if hub and role not in ("dataset", "source_data") else ()
        more += self._sources((*names_of(evidence.card, role), *tagged), id, trail)
        self.nodes[place] = replace(self.nodes[place], problems=tuple(dict.fromkeys([*self.nodes[place].problems, *more])))
        return id

    def _inside(self, evidence: Evidence, id: str, role: str, row: Model | None) -> list[Problem]:
        """Component nodes of a source; those of an ancestor only where they say something of their own."""
        base = self.nodes[-1]
        for known in self._origins(evidence.settings, row):
            self._edge(id, self._by_catalogue(known.repo, "ancestor", known), "ancestor")
        for part in evidence.parts:
            if part.role in self._replaced(role):
                continue
            node = self._part(part, base, row)
            if role != "ancestor" or part.texts or node.problems:
                self.nodes.append(replace(node, id=self._free(node.id, role)))
                self._edge(id, self.nodes[-1].id, "component")
            for known in self._origins(part.origins, row):
                self._edge(id, self._by_catalogue(known.repo, "ancestor", known), "component")
        return []

    def _replaced(self, role: str) -> Mapping[str, str]:
        """Components from elsewhere take the place of those of the base and its ancestors, not of parts of one another."""
        return self.components if role in ("base", "ancestor") else {}

    def _origins(self, origins: tuple[str, ...], row: Model | None) -> Iterator[Model]:
        """Models that stand against this publisher and that the config of a part says its weights are from."""
        for origin in origins:
            known = self.catalogue.model(id_in(origin) or "")
            told = known is not None and known.license not in ("missing", "unknown")
            if known is not None and told and not passes_on_paper(known, self.publisher, self.catalogue):
                yield known
            elif not told and row is None and (barred := barred_in_path(origin, self.catalogue)) is not None:
                yield barred

    def _part(self, part: Part, base: Node, row: Model | None) -> Node:
        """A component: by texts in its own folder where there are any, else covered by the base's text."""
        id = f"{base.id}/{part.role}"
        if any(text.kind == "license" for text in part.texts):
            alone = Evidence(name=id, revision=base.revision, texts=part.texts)
            finding = weigh(alone, None, self.catalogue)
            node = _node(id, part.role, alone, finding, None, finding.problems)
        else:
            node = replace(
                base,
                id=id,
                role=part.role,
                identified_by="covered by the base",
                covered=True,
                under=() if part.texts else untold(base.problems),
                extra=part.texts,
                problems=(),
                row=None,
                gated=False,
            )
        return replace(node, problems=(*node.problems, *against_part(part, node.license, row, self.catalogue, self.names)))

    def _ancestors(
        self, evidence: Evidence, id: str, row: Model | None, trail: tuple[str, ...], hub: tuple[Listing, str] | None
    ) -> list[Problem]:
        """Visits all parents that fields, the Hub or sentences name; a problem for each that can not be followed."""
        own = {id.casefold(), *((hub[0].repo.casefold(), hub[1].casefold()) if hub else ())}
        parents = parents_to_follow(evidence, id, row, hub[0] if hub else None, self.names)
        problems = [self._ancestor(parent, id, own, evidence, trail) for parent in parents if not is_itself(parent, own)]
        return [problem for problem in problems if problem is not None]

    def _ancestor(self, parent: Parent, id: str, own: set[str], evidence: Evidence, trail: tuple[str, ...]) -> Problem | None:
        """Visits a parent; a problem where it can not be followed."""
        if not REPO.fullmatch(parent.name):
            barred = barred_parent(parent, self.catalogue, self.names)
            if barred is not None:
                self._edge(id, self._by_catalogue(barred.repo, "ancestor", barred), parent.relation)
            return unresolved(parent, evidence)
        if parent.name.casefold() in own | {one.casefold() for one in trail}:
            text = f"base_model leads back to {parent.name}; name the true parent"
            return Problem(code="ancestor_cycle", text=text, file=parent.file, quote=parent.quote)
        if self._is_too_far(trail):
            text = f"more than {DEPTH_LIMIT} generations or {SOURCES_LIMIT} sources stand behind this base"
            return Problem(code="ancestors_too_many", text=f"{text}; choose one nearer to its root", file=parent.file)
        self._edge(id, self._visit(Reference(repo=parent.name), "ancestor", (*trail, *own)), parent.relation)
        return None

    def _is_too_far(self, trail: tuple[str, ...]) -> bool:
        return len(trail) >= DEPTH_LIMIT or len(self.seen) >= SOURCES_LIMIT

    def _sources(self, names: tuple[str, ...], id: str, trail: tuple[str, ...]) -> list[Problem]:
        """Training data of a model and sources of a dataset; a name that is no repository blocks."""
        problems = []
        for name in dict.fromkeys(names):
            if not is_repo(name):
                text = f"{id} says that it was made of {flat(name)[:80]!r}, which is no dataset on the Hub; name it as owner/name"
                problems.append(Problem(code="data_unresolved", text=text, file="README.md"))
            elif self._is_too_far(trail):
                text = f"more than {SOURCES_LIMIT} sources stand behind {id}; choose a base with fewer"
                problems.append(Problem(code="ancestors_too_many", text=text, file="README.md"))
            else:
                self._edge(id, self._visit(Reference(repo=name), "source_data", (*trail, id)), "source")
        return problems

    def _barred(self, name: str) -> list[Model]:
        alias = self.names.models.get(skeleton(without_format(name)))
        return [
            model
            for model in self.catalogue.models.values()
            if (bears_the_name(name, model) or model is alias) and not passes_on_paper(model, self.publisher, self.catalogue)
        ]


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
