"""`check`: from a base, its parts and a dataset to a verdict. The one entrance of this room."""

from collections.abc import Mapping
from datetime import date
from pathlib import Path

from licenses import notices
from licenses.adapter import Adapter
from licenses.alternatives import alternatives
from licenses.catalogue import PAID_USES, load
from licenses.errors import BadReference
from licenses.graph import Graph
from licenses.hub import HttpHub, Hub
from licenses.policy import decide, judge
from licenses.publisher import Publisher
from licenses.reference import parse
from licenses.verdict import ALLOWED, LicenseVerdict

CAUTIOUS = Publisher()


def check(
    base: str | Path,
    *,
    revision: str | None = None,
    components: Mapping[str, str] | None = None,
    dataset: str | Path | None = None,
    adapter: Adapter | None = None,
    publisher: Publisher = CAUTIOUS,
    hub: Hub | None = None,
    as_of: date | str | None = None,
) -> LicenseVerdict:
    """May this publisher train on `base`, or take over `adapter`, and host the result for money?

    base and components: a folder or a Hub id; dataset: a folder with dataset.yaml or a Hub id. What can not be told is a
    block with a reason, never an error; BadReference only where a name can be neither. The Hub is asked for what the
    catalogue does not bar outright, through HF_ENDPOINT unless `hub` is given.
    """
    catalogue = load()
    day = _day(as_of)
    graph = Graph(hub=hub or HttpHub(), catalogue=catalogue, publisher=publisher, components=components or {})
    graph.add_base(parse(base, revision, catalogue))
    if dataset is not None:
        graph.add_dataset(dataset)
    if adapter is not None:
        graph.add_adapter(adapter)
    nodes = graph.nodes
    uses = decide(nodes, publisher, catalogue)
    ours = [node for node in nodes if node.role not in ("dataset", "adapter")]
    blamed = any(judge(node, use, publisher, catalogue).verdict not in ALLOWED for node in ours for use in PAID_USES)
    shipped = nodes if all(uses[use].verdict in ALLOWED for use in PAID_USES) else []
    return LicenseVerdict(
        base=str(base),
        uses=uses,
        nodes=tuple(node.as_json() for node in nodes),
        notices=notices.texts(shipped),
        notice_lines=notices.lines(shipped, catalogue),
        display_lines=notices.display(shipped, catalogue),
        alternatives=alternatives(nodes[0], publisher, catalogue) if blamed else (),
        as_of=day,
    )


def _day(as_of: date | str | None) -> str:
    try:
        return (date.fromisoformat(as_of) if isinstance(as_of, str) else as_of or date.today()).isoformat()
    except ValueError:
        raise BadReference(f"as_of {as_of!r:.40} is not a date; write it as YYYY-MM-DD") from None
