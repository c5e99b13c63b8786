"""Terms relaxed: a child whose licence asks for less than its parent's. Pure.

Looser is: a better verdict for any of the four uses, or a binding duty of the parent that the child's licence does not have.
Paperwork (texts, notices, statements of change) is no such duty. What is relaxed is named and blocks nothing by itself: the
parent is judged as an asset of its own, so its verdict and its duties hold whatever the child claims.
"""

from collections.abc import Iterable, Iterator, Sequence

from licenses.catalogue import RANK, USES, Catalogue, License
from licenses.evidence import Problem
from licenses.node import DERIVED, Edge, Node

PAPERWORK = frozenset({"LICENSE_COPY", "KEEP_NOTICES", "STATE_CHANGES", "NOTICE_FILE"})


def relaxed(nodes: Sequence[Node], edges: Iterable[Edge], catalogue: Catalogue) -> Iterator[tuple[str, Problem]]:
    """Node id and problem of each child that is looser than the nearest parent whose licence is known."""
    by_id = {node.id: node for node in nodes}
    above: dict[str, list[str]] = {}
    for edge in edges:
        if edge.relation in DERIVED:
            above.setdefault(edge.child, []).append(edge.parent)
    for node in nodes:
        child = catalogue.licenses.get(node.license or "")
        for parent in _known_above(node.id, above, by_id) if child is not None else ():
            licence = catalogue.licenses[str(parent.license)]
            assert child is not None
            how = looser(child, licence)
            if how:
                text = (
                    f"terms relaxed at {node.id}: {child.name} is looser than {licence.name} of {parent.id}, which it is made of "
                    f"({how}); the terms of {parent.id} hold all the same"
                )
                yield node.id, Problem(code="terms_relaxed", text=text)


def _known_above(id: str, above: dict[str, list[str]], by_id: dict[str, Node]) -> Iterator[Node]:
    """Parents with a known licence; through one without, its own parents."""
    waiting, seen = list(above.get(id, ())), {id}
    while waiting:
        name = waiting.pop(0)
        node = by_id.get(name)
        if name in seen or node is None:
            continue
        seen.add(name)
        if node.license is not None and node.license not in ("missing", "unknown"):
            yield node
        else:
            waiting += above.get(name, ())


def looser(child: License, parent: License) -> str:
    """What is looser, in words; empty where nothing is."""
    if child.id == parent.id:
        return ""
    uses = [use for use in USES if RANK[child.verdict[use]] < RANK[parent.verdict[use]]]
    dropped = sorted({*parent.duties} - {*child.duties} - PAPERWORK)
    said = [f"{use} {child.verdict[use]} against {parent.verdict[use]}" for use in uses] + [f"without {duty}" for duty in dropped]
    return ", ".join(said)
