"""Assets, publishers and days as hypothesis draws them: any licence of the catalogue, any problem, rows of any age."""

from dataclasses import replace
from datetime import date
from typing import Any

from hypothesis import settings
from hypothesis import strategies as some

from licenses.catalogue import USES, Catalogue, License, Model, load
from licenses.evidence import Problem, TextFile
from licenses.hard import HARD, WAIVABLE
from licenses.node import Node
from licenses.policy import decide
from licenses.publisher import Publisher, load_publisher
from licenses.verdict import UseVerdict

FACTS = load()
DAY = date(2026, 11, 22)
FEW = settings(max_examples=80, deadline=None, derandomize=True)
VERDICTS = ("allow", "duties", "conditional", "unclear", "block")
RANK = {"allow": 0, "duties": 1, "conditional": 2, "block": 3}
ROLES = ("base", "ancestor", "vae", "text_encoder", "adapter", "dataset")
LICENCES = sorted(FACTS.licenses)
CODES = sorted(HARD | WAIVABLE | {"never heard of"})
COMMIT = "1f" * 20

licences = some.sampled_from(LICENCES)
days = some.dates(date(2026, 1, 1), date(2036, 12, 31))
codes = some.lists(some.sampled_from(["EU", "GB", "KR", "US", "DE", "FR", "JP"]), max_size=4, unique=True)
restrictions = some.dictionaries(some.sampled_from(USES), some.sampled_from(VERDICTS), max_size=3)


@some.composite
def problems(draw: some.DrawFn) -> Problem:
    code = draw(some.sampled_from(CODES))
    return Problem(
        code=code, text=f"{code} was found", file="README.md", sha256="ab" * 32, quote=draw(some.sampled_from(["", "no"]))
    )


@some.composite
def rows(draw: some.DrawFn, license: str) -> Model:
    as_of = draw(some.sampled_from([date(2026, 8, 1), date(2026, 11, 21), date.min]))
    return Model(repo="a/b", license=license, family="", kind="image", verdict=draw(restrictions), note="so it is", as_of=as_of)


@some.composite
def nodes(draw: some.DrawFn) -> Node:
    """An asset with one of its licence's texts, or none; more often clean than not, so that both sides are seen."""
    own = draw(some.booleans()) and draw(some.booleans())
    license = None if own else draw(some.one_of(licences, some.sampled_from(["apache-2.0", "mit", "openrail++", None, "nobody's"])))
    licence = FACTS.licenses.get(license or "")
    hashes = [clause.text_hash for clause in licence.clauses] if licence else []
    hash = draw(some.sampled_from([None, *hashes]))
    return Node(
        id=f"owner/{draw(some.sampled_from('abcdef'))}",
        role=draw(some.sampled_from(ROLES)),
        license=license,
        identified_by=draw(some.sampled_from(["exact text", "exact text", "exact text", "tag", "catalogue", "nothing"])),
        revision=COMMIT,
        text=TextFile(path="LICENSE", kind="license", text="as found", sha256="cd" * 32) if hash else None,
        text_hash=hash,
        problems=tuple(draw(some.lists(problems(), max_size=1))) if draw(some.booleans()) else (),
        row=draw(rows(license)) if license and draw(some.booleans()) else None,
        own=own,
        covered=draw(some.booleans()) and draw(some.booleans()),
    )


graphs = some.lists(nodes(), min_size=1, max_size=5)


@some.composite
def profiles(draw: some.DrawFn) -> dict[str, Any]:
    """Fields of publisher.yaml; absent ones are left to the default."""
    amounts = some.sampled_from([0, 5, 999_999, 1_000_000, 9_999_999, 100_000_000])
    fields: dict[str, Any] = {
        "territories": draw(some.sampled_from([["WORLD"], ["US"], ["DE", "US"]])),
        "geofence": draw(codes),
        "registrations": draw(some.lists(licences, max_size=3)) + draw(some.sampled_from([[], ["stability-community", "kolors"]])),
        "publish_weights": draw(some.booleans()),
        "content_filters": draw(some.booleans()),
        "adapter_license": draw(some.sampled_from([None, "mit", "faipl-1.0-sd", "CC-BY-SA-4.0", "agpl-3.0"])),
    }
    stated = {
        key: draw(amounts) for key in ("revenue_usd_ttm", "affiliates_revenue_usd_ttm", "monthly_users") if draw(some.booleans())
    }
    return {key: value for key, value in (fields | stated).items() if value is not None}


publishers = profiles().map(load_publisher)


def said(
    listed: list[Node], publisher: Publisher, facts: Catalogue = FACTS, as_of: date = DAY, **more: Any
) -> dict[str, UseVerdict]:
    return decide(listed, publisher, facts, as_of=as_of, **more)


def loosened(before: dict[str, UseVerdict], after: dict[str, UseVerdict]) -> list[str]:
    """Uses whose verdict became looser."""
    return [use for use in USES if RANK[after[use].verdict] < RANK[before[use].verdict]]


def with_license(changed: License) -> Catalogue:
    return replace(FACTS, licenses={**FACTS.licenses, changed.id: changed})
