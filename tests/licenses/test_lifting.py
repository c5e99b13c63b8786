"""What a waiver that counts lifts: its own asset, commit, text and use, and nothing beside."""

from dataclasses import replace
from typing import Any

import pytest

from licenses.evidence import Problem, TextFile
from licenses.node import Node
from licenses.verdict import Reason, UseVerdict
from licenses.waivers import Weighed, bound, lifts, sealed, told
from tests.licenses.signing import COMMIT, TEXT, made

BASE = Node(
    id="owner/base",
    role="base",
    license="apache-2.0",
    identified_by="exact text",
    revision=COMMIT,
    text=TextFile(path="LICENSE", kind="license", text="terms", sha256=TEXT),
)
REVIEW = Reason(code="needs_review", node="owner/base", text="a person has to read it", file="LICENSE", sha256=TEXT)


def counting(**changes: Any) -> list[Weighed]:
    return [Weighed(waiver=made(**changes), counted=True, why="signed")]


def test_a_waiver_lifts_what_stands_against_its_asset_text_and_use() -> None:
    assert lifts(counting(), BASE, "host_paid_inference", REVIEW)
    bare = replace(REVIEW, sha256=None, file=None)
    assert lifts(counting(), BASE, "host_paid_inference", bare)


@pytest.mark.parametrize(
    ("node", "use"),
    [
        (BASE, "train_adapter"),
        (BASE, "distribute_adapter"),
        (replace(BASE, id="owner/other"), "host_paid_inference"),
        (replace(BASE, id="Owner/Base"), "host_paid_inference"),
        (replace(BASE, id="owner/base/vae"), "host_paid_inference"),
        (replace(BASE, revision="2f" * 20), "host_paid_inference"),
        (replace(BASE, revision=None), "host_paid_inference"),
        (replace(BASE, text=None), "host_paid_inference"),
        (replace(BASE, text=TextFile(path="LICENSE", kind="license", text="terms", sha256="cd" * 32)), "host_paid_inference"),
    ],
)
def test_it_lifts_nothing_of_another_asset_commit_text_or_use(node: Node, use: str) -> None:
    assert not lifts(counting(), node, use, replace(REVIEW, node=node.id))


def test_it_lifts_nothing_where_it_does_not_count() -> None:
    void = [replace(one, counted=False) for one in counting()]
    unread = [Weighed(waiver=None, counted=True, why="")]
    assert not lifts([*void, *unread], BASE, "host_paid_inference", REVIEW)
    assert not lifts([], BASE, "host_paid_inference", REVIEW)


def test_the_offending_file_is_what_has_to_be_signed_for() -> None:
    problem = Problem(code="text_unknown", text="TERMS is no known text", file="TERMS", sha256="cd" * 32)
    node = replace(BASE, problems=(problem,))
    reason = Reason(code="text_unknown", node=node.id, text=problem.text, file="TERMS", sha256="cd" * 32)
    assert not lifts(counting(), node, "host_paid_inference", reason)
    assert lifts(counting(text_sha256="cd" * 32), node, "host_paid_inference", reason)
    assert not lifts(counting(text_sha256="cd" * 32), node, "host_paid_inference", REVIEW)


def test_of_two_unread_texts_each_wants_its_own_signature() -> None:
    texts = {"LICENSE": TEXT, "TERMS": "cd" * 32}
    unread = [Problem(code="text_unknown", text=name, file=name, sha256=sha256) for name, sha256 in texts.items()]
    node = replace(BASE, text=None, license=None, problems=tuple(unread))
    for name, sha256 in texts.items():
        reason = Reason(code="text_unknown", node=node.id, text=name, file=name, sha256=sha256)
        assert lifts(counting(), node, "host_paid_inference", reason) is (sha256 == TEXT)


def test_where_no_text_could_be_told_the_unread_one_stands_for_the_asset() -> None:
    unread = Problem(code="text_unknown", text="LICENSE is no known text", file="LICENSE", sha256=TEXT)
    node = replace(BASE, text=None, license="cc-by-nc-4.0", problems=(unread,))
    reason = Reason(code="non_commercial", node=node.id, text="by its tag", sha256="ef" * 32)
    assert lifts(counting(), node, "host_paid_inference", reason)
    assert not lifts(counting(text_sha256="ef" * 32), node, "host_paid_inference", reason)


def test_what_stands_in_another_file_is_not_lifted_by_the_licence_text() -> None:
    card = Problem(code="card_body_restricts", text="the card restricts use", file="README.md")
    node = replace(BASE, problems=(card,))
    reason = Reason(code=card.code, node=node.id, text=card.text, file=card.file)
    assert not lifts(counting(), node, "host_paid_inference", reason)
    (known,) = sealed([node], [{"node": node.id, "file": "README.md", "sha256": "cd" * 32}])
    reason = replace(reason, sha256=known.problems[0].sha256)
    assert not lifts(counting(), known, "host_paid_inference", reason)
    assert lifts(counting(text_sha256="cd" * 32), known, "host_paid_inference", reason)


def test_no_one_text_speaks_for_several() -> None:
    node = replace(BASE, problems=(Problem(code="texts_disagree", text="two licences"),))
    assert not lifts(counting(), node, "host_paid_inference", Reason(code="texts_disagree", node=node.id, text="two licences"))


def test_a_problem_is_sealed_with_what_was_read_of_its_own_asset() -> None:
    read = {"base": "aa" * 32, "other": "bb" * 32, "part": "cc" * 32}
    rows = [
        {"node": "owner/base", "file": "README.md", "sha256": read["base"]},
        {"node": "owner/other", "file": "LICENSE.pdf", "sha256": read["other"]},
        {"node": "owner/base", "file": "vae/README.md", "sha256": read["part"]},
        *({"node": "owner/base", "file": "twice.md", "sha256": one} for one in read.values()),
    ]
    files = ("README.md", "LICENSE.pdf", "vae/README.md", "twice.md", None)
    node = replace(BASE, problems=tuple(Problem(code="tag_unknown", text="", file=file) for file in files))
    part = replace(node, id="owner/base/vae")
    told_before = replace(node, problems=(Problem(code="text_unknown", text="", file="README.md", sha256=TEXT),))
    of_node, of_part, kept = ([one.sha256 for one in each.problems] for each in sealed([node, part, told_before], rows))
    assert of_node == of_part == [read["base"], None, read["part"], None, None]
    assert kept == [TEXT]


def test_the_hash_of_a_clause_is_not_that_of_a_file() -> None:
    told_by_tag = replace(BASE, text=None)
    reason = Reason(code="needs_review", node=BASE.id, text="by a clause", sha256=TEXT)
    assert not lifts(counting(), told_by_tag, "host_paid_inference", reason)


def test_a_part_under_the_text_of_its_base_goes_with_it_but_for_what_is_its_own() -> None:
    foreign = Problem(code="component_license", text="the vae is of somebody else")
    part = replace(BASE, id="owner/base/vae", role="vae", covered=True, problems=(foreign,))
    assert lifts(counting(), part, "host_paid_inference", replace(REVIEW, node=part.id))
    own = Reason(code="component_license", node=part.id, text=foreign.text)
    assert not lifts(counting(), part, "host_paid_inference", own)
    assert lifts(counting(repo="owner/base/vae"), part, "host_paid_inference", own)


def test_what_kept_the_base_from_being_told_is_signed_for_once_and_lifts_it_of_its_parts() -> None:
    texts = {"LICENSE": TEXT, "TERMS": "cd" * 32}
    unread = tuple(Problem(code="text_unknown", text=name, file=name, sha256=sha256) for name, sha256 in texts.items())
    part = replace(BASE, id="owner/base/vae", text=None, license=None, covered=True, under=unread)
    for name, sha256 in texts.items():
        reason = Reason(code="license_unresolved", node=part.id, text=name, file=name, sha256=sha256)
        assert lifts(counting(), part, "host_paid_inference", reason) is (sha256 == TEXT), "each text wants its own signature"
        assert not lifts(counting(), replace(part, covered=False), "host_paid_inference", reason)
    bare = Reason(code="license_unresolved", node=part.id, text="")
    assert not lifts(counting(), part, "host_paid_inference", bare)
    assert not lifts(counting(), replace(part, under=()), "host_paid_inference", bare)


def test_what_its_base_rests_on_is_sealed_for_a_part_too() -> None:
    unread = Problem(code="text_not_plain", text="LICENSE.pdf is no text", file="LICENSE.pdf")
    part = replace(BASE, id="owner/base/vae", text=None, license=None, covered=True, under=(unread,))
    (known,) = sealed([part], [{"node": "owner/base", "file": "LICENSE.pdf", "sha256": "cd" * 32}])
    assert [one.sha256 for one in known.under] == ["cd" * 32]


@pytest.mark.parametrize(
    ("node", "words"),
    [
        (replace(BASE, id="owner/other"), "not among the assets"),
        (replace(BASE, revision="2f" * 20), "for revision"),
        (replace(BASE, revision=None), "without a commit"),
        (replace(BASE, text=None), "for the text"),
    ],
)
def test_a_waiver_for_something_that_is_not_there_is_shown_and_does_not_count(node: Node, words: str) -> None:
    (one,) = bound(counting(), [node])
    assert not one.counted
    assert words in one.why
    assert bound(counting(), [node, BASE])[0].counted


@pytest.mark.parametrize(
    ("verdict", "codes", "words"),
    [
        ("duties", ["waived", "licensed"], "lifts 1 reason"),
        ("block", ["waived", "hub_gated"], "and not hub_gated"),
        ("block", ["persons_without_consent"], "nothing stands here that it lifts, and not persons_without_consent"),
        ("duties", ["licensed"], "nothing stands here that it lifts"),
    ],
)
def test_what_a_waiver_lifted_is_said_with_it(verdict: str, codes: list[str], words: str) -> None:
    reasons = [Reason(code=code, node="owner/base", text=code) for code in codes]
    reasons += [Reason(code="license_forbids", node="owner/base2", text="another asset")]
    (one,) = told(counting(), {"host_paid_inference": UseVerdict(verdict=verdict, reasons=tuple(reasons), duties=())})
    assert one.counted
    assert words in one.why
    assert "license_forbids" not in one.why
