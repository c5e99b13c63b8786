"""What holds for every verdict: it only tightens as more is known against it, and it says why."""

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as some

from licenses.ages import HOLDS
from licenses.catalogue import PAID_USES, USES
from licenses.hard import HARD, WAIVABLE
from licenses.node import Node
from licenses.policy import passes_on_paper
from licenses.publisher import Publisher, Waiver, load_publisher
from licenses.verdict import ALLOWED, LicenseVerdict, Reason
from licenses.waivers import Weighed
from tests.properties.worlds import (
    COMMIT,
    DAY,
    FACTS,
    FEW,
    RANK,
    VERDICTS,
    codes,
    days,
    graphs,
    licences,
    loosened,
    nodes,
    problems,
    profiles,
    publishers,
    restrictions,
    rows,
    said,
    with_license,
)

RANKED = {verdict: rank for rank, verdict in enumerate(VERDICTS)}
PLAIN = Node(id="a/b", role="base", license="apache-2.0", identified_by="exact text", revision=COMMIT)


@FEW
@given(graphs, nodes(), publishers)
def test_one_more_asset_never_loosens(listed: list[Node], more: Node, publisher: Publisher) -> None:
    assert not loosened(said(listed, publisher), said([*listed, more], publisher))


@FEW
@given(graphs, problems(), publishers)
def test_one_more_problem_never_loosens(listed: list[Node], found: Any, publisher: Publisher) -> None:
    worse = [replace(listed[0], problems=(*listed[0].problems, found)), *listed[1:]]
    after = said(worse, publisher)
    assert not loosened(said(listed, publisher), after)
    assert all(after[use].verdict == "block" for use in USES)


@FEW
@given(graphs, restrictions, publishers)
def test_a_row_about_the_repository_never_loosens(listed: list[Node], verdict: dict[str, str], publisher: Publisher) -> None:
    bare = [replace(node, row=None) for node in listed]
    row = next(iter([node.row for node in listed if node.row]), None)
    assert not loosened(said(bare, publisher), said(listed, publisher))
    if row is not None:
        stricter = {use: max(verdict.get(use, "allow"), row.verdict.get(use, "allow"), key=RANKED.__getitem__) for use in USES}
        worse = [replace(node, row=replace(node.row, verdict=stricter) if node.row is row else node.row) for node in listed]
        assert not loosened(said(listed, publisher), said(worse, publisher))


@FEW
@given(graphs, licences, some.sampled_from(sorted(FACTS.duties)), publishers)
@example([replace(PLAIN, license="gpl-3.0")], "gpl-3.0", "NETWORK_SOURCE", Publisher())
def test_one_more_duty_never_loosens(listed: list[Node], license: str, duty: str, publisher: Publisher) -> None:
    asked = [*listed, replace(PLAIN, license=license)]
    licence = FACTS.licenses[license]
    before = said(asked, publisher)
    after = said(asked, publisher, with_license(replace(licence, duties=(*licence.duties, duty))))
    assert not loosened(before, after)
    assert all(set(before[use].duties) <= set(after[use].duties) for use in USES if before[use].verdict == after[use].verdict)


@FEW
@given(
    graphs,
    licences,
    some.sampled_from(
        [
            {"revenue_cap_usd": 1000.0},
            {"users_cap": 1000.0},
            {"registration": "somewhere"},
            {"registration_proof": True},
            {"territory_excluded": ("EU",)},
            {"filters": True},
            {"public_weights": True},
            {"by_profile": ()},
        ]
    ),
    publishers,
)
@example([PLAIN], "civitai-flags", {"filters": True}, Publisher())
@example([PLAIN], "cc-by-nc-4.0", {"users_cap": 1e9}, Publisher(monthly_users=1))
def test_one_more_condition_never_loosens(
    listed: list[Node], license: str, condition: dict[str, Any], publisher: Publisher
) -> None:
    asked = [*listed, replace(PLAIN, license=license)]
    licence = FACTS.licenses[license]
    for name in ("revenue_cap_usd", "users_cap"):
        if name in condition and getattr(licence, name) is not None:
            condition = {name: min(condition[name], getattr(licence, name))}
    if "territory_excluded" in condition:
        condition = {"territory_excluded": (*licence.territory_excluded, "EU")}
    assert not loosened(said(asked, publisher), said(asked, publisher, with_license(replace(licence, **condition))))


@FEW
@given(licences, some.sampled_from(USES), some.sampled_from(VERDICTS), publishers)
def test_a_stricter_licence_never_loosens(license: str, use: str, verdict: str, publisher: Publisher) -> None:
    licence, asked = FACTS.licenses[license], [replace(PLAIN, license=license)]
    worst = max(licence.verdict[use], verdict, key=RANKED.__getitem__)
    stricter = with_license(replace(licence, verdict={**licence.verdict, use: worst}))
    assert not loosened(said(asked, publisher), said(asked, publisher, stricter))


@FEW
@given(graphs.flatmap(lambda listed: some.tuples(some.just(listed), some.permutations(listed))), publishers, days)
def test_the_order_of_assets_never_matters(both: tuple[list[Node], list[Node]], publisher: Publisher, as_of: date) -> None:
    one, other = (said(listed, publisher, as_of=as_of) for listed in both)
    for use in USES:
        assert (one[use].verdict, one[use].duties) == (other[use].verdict, other[use].duties)
        assert set(one[use].reasons) == set(other[use].reasons)
    assert verdict_of(both[0], one).as_json()["hash"] == verdict_of(both[1], other).as_json()["hash"]


@FEW
@given(graphs, profiles(), some.integers(0, 10**9), codes)
def test_more_revenue_less_fence_and_fewer_registrations_never_loosen(
    listed: list[Node], fields: dict[str, Any], more: int, kept: list[str]
) -> None:
    before = said(listed, load_publisher(fields))
    for name in ("revenue_usd_ttm", "affiliates_revenue_usd_ttm", "monthly_users"):
        if name in fields:
            assert not loosened(before, said(listed, load_publisher(fields | {name: fields[name] + more}))), name
    fewer: list[dict[str, Any]] = [
        {"geofence": [code for code in fields["geofence"] if code in kept]},
        {"territories": [*fields["territories"], *kept]},
        {"registrations": fields["registrations"][1:]},
        {"content_filters": False},
    ]
    for change in fewer:
        assert not loosened(before, said(listed, load_publisher(fields | change))), change


@FEW
@given(graphs, profiles())
def test_to_leave_something_unsaid_never_lets_a_paid_use_pass(listed: list[Node], fields: dict[str, Any]) -> None:
    before = said(listed, load_publisher(fields))
    for name in fields:
        silent = said(listed, load_publisher({key: value for key, value in fields.items() if key != name}))
        if name not in ("territories", "content_filters"):  # their defaults are the widest territory, and filters that are on
            assert all(silent[use].verdict not in ALLOWED or before[use].verdict in ALLOWED for use in PAID_USES), name


@FEW
@given(graphs, publishers, days, some.integers(0, 4000))
@example([replace(PLAIN, identified_by="tag", row=FACTS.models["qwen/qwen-image"])], Publisher(), DAY, 4000)
def test_time_never_loosens(listed: list[Node], publisher: Publisher, as_of: date, later: int) -> None:
    assert not loosened(said(listed, publisher, as_of=as_of), said(listed, publisher, as_of=as_of + timedelta(days=later)))


@FEW
@given(graphs, publishers, days)
def test_each_asset_is_a_floor_for_the_whole(listed: list[Node], publisher: Publisher, as_of: date) -> None:
    """Its problems, its licence where no profile can help, its row, and the age of that row."""
    after = said(listed, publisher, as_of=as_of)
    for node in listed:
        licence = FACTS.licenses.get(node.license or "")
        for use in USES:
            floors = ["block"] if node.problems or (licence is None and not node.own) else []
            floors += [licence.verdict[use]] if licence and (use not in licence.by_profile) else []
            floors += [node.row.verdict.get(use, "allow")] if node.row else []
            floors += ["conditional"] if node.row and as_of - node.row.as_of > HOLDS else []
            worst = max(floors, key=RANKED.__getitem__, default="allow")
            assert RANK[after[use].verdict] >= RANK["block" if worst == "unclear" else worst], (node.id, use)


@FEW
@given(licences.flatmap(rows), publishers, days)
def test_what_no_longer_passes_on_paper_never_passes_again(row: Any, publisher: Publisher, as_of: date) -> None:
    if passes_on_paper(row, publisher, FACTS, as_of=as_of + timedelta(days=1)):
        assert passes_on_paper(row, publisher, FACTS, as_of=as_of)
        assert passes_on_paper(row, publisher, FACTS)


@FEW
@given(graphs, publishers)
def test_no_waiver_lifts_a_hard_block_or_a_code_that_nobody_has_weighed(listed: list[Node], publisher: Publisher) -> None:
    asked = [replace(node, id="owner/base") for node in listed]
    after = said(asked, publisher, waivers=everything_waived())
    for use in USES:
        hard = {reason.code for node in asked for reason in node.problems if reason.code not in WAIVABLE}
        assert not hard or after[use].verdict == "block"
        assert hard <= {reason.code for reason in after[use].reasons}
        assert not HARD & {reason.code for reason in after[use].reasons if reason.text.startswith("WAIVED")}


@FEW
@given(some.sampled_from(sorted(WAIVABLE)))
def test_a_signed_waiver_lifts_what_may_be_lifted_and_is_told(code: str) -> None:
    fault = replace(problem_of(code), sha256="cd" * 32)
    asked = [replace(PLAIN, id="owner/base", problems=(fault,))]
    assert said(asked, Publisher())["host_paid_inference"].verdict == "block"
    after = said(asked, Publisher(), waivers=everything_waived())
    assert all(after[use].verdict == "duties" for use in USES)
    assert all("waived" in {reason.code for reason in after[use].reasons} for use in USES)


@FEW
@given(graphs, publishers, days)
def test_what_is_not_allowed_has_a_reason_and_a_remedy_and_the_exit_code_follows(
    listed: list[Node], publisher: Publisher, as_of: date
) -> None:
    uses = said(listed, publisher, as_of=as_of)
    for use in USES:
        assert uses[use].verdict in ALLOWED or uses[use].reasons
        assert all(reason.code and reason.text and "\n" not in reason.text for reason in uses[use].reasons)
    verdict = verdict_of(listed, uses)
    assert (verdict.exit_code == 0) == all(uses[use].verdict in ALLOWED for use in PAID_USES)
    assert verdict.exit_code in (0, 3)


@FEW
@given(graphs, publishers)
def test_a_quote_stands_in_its_clause_or_with_its_problem(listed: list[Node], publisher: Publisher) -> None:
    for use, verdict in said(listed, publisher).items():
        for reason in verdict.reasons:
            assert not reason.quote or reason.code == "waived" or is_backed(reason, use, listed), reason


def is_backed(reason: Reason, use: str, listed: list[Node]) -> bool:
    """The quote is that of a problem, or of a clause for this use; a file is named where the clause is of its very text."""
    for node in (one for one in listed if one.id == reason.node):
        if any(reason.quote == problem.quote and reason.file == problem.file for problem in node.problems):
            return True
        licence = FACTS.licenses.get(node.license or "")
        for clause in licence.clauses if licence else ():
            named = reason.file is None or (node.text is not None and clause.text_hash == node.text_hash)
            if clause.quote == reason.quote and (use in clause.uses or "distribute_adapter" in clause.uses) and named:
                return True
    return False


def problem_of(code: str) -> Any:
    from licenses.evidence import Problem

    return Problem(code=code, text="found", file="LICENSE")


def everything_waived() -> list[Weighed]:
    """A waiver that counts for every use of owner/base, and for each of its texts."""
    fields = {"repo": "owner/base", "revision": COMMIT, "by": "Ada", "reason": "so agreed", "evidence": "mail.eml"}
    given = [
        Waiver.model_validate(fields | {"use": use, "text_sha256": text, "expires": date(2027, 1, 1)})
        for use in USES
        for text in ("ab" * 32, "cd" * 32)
    ]
    return [Weighed(waiver=one, counted=True, why="signed") for one in given]


def verdict_of(listed: list[Node], uses: Any) -> LicenseVerdict:
    return LicenseVerdict(
        base="base",
        uses=uses,
        nodes=tuple(node.as_json() for node in listed),
        notices=(),
        notice_lines=(),
        display_lines=(),
        alternatives=(),
        as_of=DAY.isoformat(),
    )
