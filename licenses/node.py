"""One asset of the graph: base, ancestor, component or dataset, with what is known of its rights, and what hangs on what."""

from dataclasses import dataclass
from typing import Any

from licenses.catalogue import Model
from licenses.evidence import Problem, TextFile
from licenses.stated import Item, Stated

DATA = ("dataset", "source_data")
DERIVED = ("finetune", "adapter", "merge", "quantized", "ancestor")


@dataclass(frozen=True, kw_only=True, slots=True)
class Edge:
    """`child` is made of, loaded with or trained on `parent`; relation: one of DERIVED, component, accelerator, dataset, source."""

    child: str
    parent: str
    relation: str

    def as_json(self) -> dict[str, str]:
        return {"from": self.child, "to": self.parent, "relation": self.relation}


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """`own` marks pictures of the publisher, which need no licence; `covered` a component under the text of its base.

    `under` is what kept the licence of that base from being told, for a component that has no text of its own.
    """

    id: str
    role: str
    license: str | None
    identified_by: str
    revision: str | None = None
    text: TextFile | None = None
    text_hash: str | None = None
    extra: tuple[TextFile, ...] = ()
    problems: tuple[Problem, ...] = ()
    remarks: tuple[Problem, ...] = ()  # said in every report, and no reason to block
    row: Model | None = None
    own: bool = False
    covered: bool = False
    under: tuple[Problem, ...] = ()
    author: str = ""
    source: str = ""
    items: tuple[Item, ...] = ()
    stated: Stated | None = None
    pipeline: str | None = None
    gated: bool = False

    def as_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "role": self.role,
            "revision": self.revision,
            "license": "own" if self.own else self.license,
            "identified_by": self.identified_by,
            "text_sha256": self.text.sha256 if self.text else None,
            **({"gated": True} if self.gated else {}),
            **({"items": [item.as_json() for item in self.items]} if self.items else {}),
        }
