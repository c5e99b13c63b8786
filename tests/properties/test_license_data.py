"""Whatever a dataset.yaml says, one more item, person or doubt in it never loosens a verdict, and nothing in it is an error."""

import json
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as some

from licenses.catalogue import USES
from licenses.dataset import assets
from licenses.node import Node
from licenses.publisher import Publisher, load_publisher
from licenses.stated import statement
from tests.properties.worlds import DAY, FACTS, FEW, loosened, said

BASE = Node(id="a/base", role="base", license="apache-2.0", identified_by="exact text")
TERMS = ["own", "mit", "CC-BY-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "cc-by-nd-4.0", "cc0-1.0", "free for all", "unknown"]
OPEN = load_publisher({"publish_weights": True, "adapter_license": "cc-by-sa-4.0"})
items = some.fixed_dictionaries(
    {"license": some.sampled_from(TERMS)}, optional={"author": some.just("Jane"), "source": some.just("a page")}
)
whole = some.fixed_dictionaries(
    {"license": some.sampled_from(TERMS[:5])},
    optional={
        "source": some.just("drawn by hand"),
        "persons": some.sampled_from(["none", "consented", "identifiable"]),
        "consent": some.booleans(),
        "minors": some.just("none"),
        "opt_out": some.just({"checked": True, "how": "robots.txt"}),
        "items": some.dictionaries(some.sampled_from(["a.png", "*.jpg", "c/*"]), items, max_size=3),
    },
)
worse = some.sampled_from(
    [{"persons": "identifiable", "consent": False}, {"minors": "present"}, {"license": "cc-by-nc-4.0"}, {"licence": "own"}]
)


def pictures_of(fields: Any) -> tuple[Node, ...]:
    with tempfile.TemporaryDirectory() as place:
        (Path(place) / "dataset.yaml").write_text(fields if isinstance(fields, str) else json.dumps(fields), encoding="utf-8")
        return assets(Path(place), FACTS)


@FEW
@given(whole, items, some.sampled_from([Publisher(), OPEN]))
def test_one_more_item_never_loosens(fields: dict[str, Any], item: dict[str, str], publisher: Publisher) -> None:
    more = fields | {"items": {**fields.get("items", {}), "new.png": item}}
    before, after = (said([BASE, *pictures_of(one)], publisher) for one in (fields, more))
    assert not loosened(before, after)
    if item["license"] in ("cc-by-nc-4.0", "cc-by-nd-4.0", "free for all", "unknown"):
        assert after["host_paid_inference"].verdict == "block"
        assert after["train_adapter"].verdict == "block"


@FEW
@given(whole, worse)
def test_worse_data_never_loosens(fields: dict[str, Any], change: dict[str, Any]) -> None:
    before, after = (said([BASE, *pictures_of(one)], Publisher()) for one in (fields, fields | change))
    assert not loosened(before, after)
    assert all(after[use].verdict == "block" for use in ("train_adapter", "host_paid_inference"))


@FEW
@given(some.one_of(some.text(max_size=60), whole.map(json.dumps), some.text("{}[]:,'\"*&!|>-# \nlicenseownitms", max_size=60)))
def test_no_declaration_is_an_error_and_each_has_a_statement(written: str) -> None:
    listed = pictures_of(written)
    verdicts = said([BASE, *listed], Publisher())
    assert all(verdicts[use].reasons for use in USES)
    assert all("\n" not in line for line in statement(listed, FACTS, DAY))
    assert listed[0].own or listed[0].license or listed[0].problems
