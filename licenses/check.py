"""`check`: from a base, its parts and a dataset to a verdict. The one entrance of this room."""

import re
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any

from licenses import notices
from licenses.adapter import Adapter
from licenses.ages import HOLDS
from licenses.alternatives import instead
from licenses.archive import Archive
from licenses.catalogue import PAID_USES, USES, Catalogue, load
from licenses.dataset import dated_ahead
from licenses.duties import owed
from licenses.errors import BadReference
from licenses.expression import expression
from licenses.graph import Graph
from licenses.hub import HttpHub, Hub
from licenses.node import Node
from licenses.policy import decide, judge
from licenses.publisher import Publisher
from licenses.reference import parse
from licenses.stated import statement
from licenses.verdict import ALLOWED, LicenseVerdict, UseVerdict
from licenses.waivers import Trust, bound, sealed, told, weighed

CAUTIOUS = Publisher()
OWN = ("dataset", "adapter")  # what the publisher brings; another base does not help against it


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
    keep: Path | None = None,
    trust: Trust | None = None,
) -> LicenseVerdict:
    """May this publisher train on `base`, or take over `adapter`, and host the result for money?

    base and components: a folder, a weights file or a Hub id; dataset: a folder with dataset.yaml or a Hub id. What can
    not be told is a block with a reason, never an error; BadReference only where a name can be neither. The Hub is asked for what
    the catalogue does not bar outright, through HF_ENDPOINT unless `hub` is given. `trust` says whose waivers
    count; without it none does. The raw bytes of all evidence go into the folder `keep` (`<sha256>` files and index.json),
    which is asked before the Hub for what a commit is known to hold.
    """
    catalogue = load()
    day = _day(as_of, catalogue.as_of)
    archive, asked = Archive(keep), hub or HttpHub()
    signed = weighed(publisher, trust=trust, as_of=day)
    graph = Graph(
        hub=asked,
        catalogue=catalogue,
        publisher=publisher,
        components=components or {},
        archive=archive,
        waived=frozenset(one.waiver.repo.casefold() for one in signed if one.counted and one.waiver),
    )
    with closing(asked):
        graph.add_base(parse(base, revision, catalogue))
        if dataset is not None:
            graph.add_dataset(dataset)
        if adapter is not None:
            graph.add_adapter(adapter)
    nodes = sealed([dated_ahead(node, day) for node in graph.finished()], archive.evidence())
    archive.close()
    waivers = bound(signed, nodes)
    uses = decide(nodes, publisher, catalogue, as_of=day, waivers=waivers)
    each = [{use: judge(node, use, publisher, catalogue, as_of=day, waivers=waivers).verdict for use in USES} for node in nodes]
    barred = any(each[place][use] not in ALLOWED for place, node in enumerate(nodes) if node.role not in OWN for use in PAID_USES)
    others, note = instead(nodes[0], publisher, catalogue, day) if barred else ((), "")
    shipped = nodes if all(uses[use].verdict in ALLOWED for use in PAID_USES) else []
    return LicenseVerdict(
        base=str(base),
        uses=uses,
        nodes=tuple(node.as_json() | {"verdicts": verdicts} for node, verdicts in zip(nodes, each, strict=True)),
        alternatives=others,
        alternatives_note=note,
        data=statement(nodes, catalogue, day),
        as_of=day.isoformat(),
        edges=tuple(edge.as_json() for edge in graph.edges),
        evidence=archive.evidence(),
        waivers=tuple(one.as_json() for one in told(waivers, uses)),
        **_papers(shipped, uses, publisher, catalogue, day),
    )


def _papers(
    shipped: Sequence[Node], uses: Mapping[str, UseVerdict], publisher: Publisher, catalogue: Catalogue, day: date
) -> dict[str, Any]:
    """What has to travel along with what is shipped, by the names that the verdict has for it."""
    texts = notices.texts(shipped, catalogue)
    return {
        "notices": texts,
        "notice_lines": notices.lines(shipped, catalogue),
        "display_lines": notices.display(shipped, catalogue),
        "flowdown": notices.flowdown(shipped, texts, catalogue),
        "owed": tuple(one.as_json() for one in owed(shipped, uses, texts, publisher, catalogue, day)),
        "expression": expression((node.license for node in shipped), catalogue.licenses),
    }


def _day(as_of: date | str | None, facts: str) -> date:
    """The day of the check; one long before the facts were read would make old facts look young."""
    try:
        if isinstance(as_of, str) and not re.fullmatch(r"\d{4}-\d{2}-\d{2}", as_of, re.ASCII):
            raise ValueError(as_of)
        day = date.fromisoformat(as_of) if isinstance(as_of, str) else as_of or date.today()
    except ValueError:
        raise BadReference(f"as_of {as_of!r:.40} is not a date; write it as YYYY-MM-DD") from None
    first = date.fromisoformat(facts) - HOLDS
    if day < first:
        raise BadReference(f"as_of {day} lies long before the facts were read ({facts}); write {first} or a later day")
    return day
