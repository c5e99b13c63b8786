"""One asset of the graph: base, ancestor, component or dataset, with what is known of its rights."""

from dataclasses import dataclass
from typing import Any

from licenses.catalogue import Model
from licenses.evidence import Problem, TextFile


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """`own` marks pictures of the publisher, which need no licence; `covered` a component under the text of its base."""

    id: str
    role: str
    license: str | None
    identified_by: str
    revision: str | None = None
    text: TextFile | None = None
    text_hash: str | None = None
    extra: tuple[TextFile, ...] = ()
    problems: tuple[Problem, ...] = ()
    row: Model | None = None
    own: bool = False
    covered: bool = False
    source: str = ""
    pipeline: str | None = None

    def as_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "role": self.role,
            "revision": self.revision,
            "license": "own" if self.own else self.license,
            "identified_by": self.identified_by,
            "text_sha256": self.text.sha256 if self.text else None,
        }
