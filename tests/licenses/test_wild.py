"""What cards of real repositories look like: habits of authors that restrict nothing, each beside one that does."""

import json

import pytest

from licenses.catalogue import PAID_USES, load
from licenses.check import check
from licenses.prose import restriction_in
from licenses.verdict import ALLOWED, LicenseVerdict
from tests.licenses.adversarial.build import files
from tests.licenses.conftest import APACHE, FolderOf
from tests.licenses.loopback_hub import LoopbackHub

DAY = "2026-11-22"
HABITS = (
    ("## Evaluation", "## Evaluation use"),
    ("If you have any questions, please contact us.", "If you have any questions about a licence, please contact us."),
    ("Please write to us if you have feedback.", "Please write to us if you have questions about hosting."),
    (
        "If a picture here is yours and it infringes your rights, please contact me.",
        "If it infringes nothing, please ask me before you host it.",
    ),
    (
        "If you build on this and would like more people to see it, please inform us.",
        "If you sell what you build on this, please inform us.",
    ),
    ("For research purposes, we recommend our own repository.", "For research purposes, nothing else."),
    ("We gratefully acknowledge the research behind this.", "I acknowledge that this is for research."),
    ("I need my sleep, so updates come slowly.", "Paid use needs my permission."),
    ("An API being built is listed below.", "API NG"),
    ("Trained with negative terms, see https://leaves.example/notes", "See the terms at https://leaves.example/notes"),
    ("Use it commercially, but we are not liable for what you draw.", "Use it commercially, but ask first."),
    ("可以出于商业目的使用模型,但必须包含相同使用限制的副本。", "可以使用模型,但不得出于商业目的使用。"),
    ("By downloading you accept the terms of the Apache License.", "By downloading you accept the terms of the Leaf Agreement."),
    ("Compared with ours in terms of speed, see https://leaves.example", "Full terms at https://leaves.example"),
    (
        "For academic purposes we recommend the large size.",
        "For academic purposes we recommend the free size, paid use needs a contract.",
    ),
    ("We are not responsible for your prompts.", "Not for any purpose, commercial or non-commercial, unless we agree."),
)


@pytest.mark.parametrize("harmless", [one for one, _ in HABITS])
def test_a_habit_of_authors_restricts_nothing(harmless: str) -> None:
    assert restriction_in(harmless) is None


@pytest.mark.parametrize("barring", [one for _, one in HABITS])
def test_the_sentence_beside_it_does(barring: str) -> None:
    assert restriction_in(barring) is not None


@pytest.mark.parametrize("length", range(70, 100, 3))
def test_an_id_at_the_end_of_a_long_sentence_is_read_whole(hub: LoopbackHub, length: int) -> None:
    """Half of owner/name would be a repository that nobody named."""
    parent = "b/roots-and-leaves-large-1.0"
    words = ("from " + "leaf " * 40)[:length].rsplit(" ", 1)[0]
    hub.add("a/leaves", files(body=f"The checkpoint was converted {words} {parent} and others."))
    hub.add(parent, files())
    asked = {path.split("/tree/")[0].split("/resolve/")[0].split("/revision/")[0] for _, path in _asked(hub, "a/leaves")}
    assert not [one for one in asked if "/b/" in one and not one.endswith(parent)]


def test_words_taken_over_from_another_card_make_no_parent(hub: LoopbackHub) -> None:
    body = "This card is based on the [Leaf model card](https://huggingface.co/b/gone)."
    hub.add("a/leaves", files(body=body))
    assert _passes(check("a/leaves", as_of=DAY))
    hub.add("a/leaves", files(body=body.replace("Leaf model card", "Leaf model")))
    assert not _passes(check("a/leaves", as_of=DAY))


def test_a_notice_may_quote_the_licence_that_lies_beside_it(folder: FolderOf, no_network: None) -> None:
    notice = f"Leaves\nCopyright 2026 Jane Doe. All rights reserved.\n\nIt holds parts under the Apache License:\n\n{APACHE}"
    assert _passes(check(folder(dict(files(NOTICE=notice))), as_of=DAY))
    for more in ("All rights reserved; the weights are not to be sold.", "Redistribution of the weights is forbidden."):
        assert not _passes(check(folder(dict(files(NOTICE=f"{notice}\n{more}\n"))), as_of=DAY))


def test_a_pipeline_with_code_of_its_own_names_no_component_more(folder: FolderOf, no_network: None) -> None:
    plain = dict(files())
    listed = json.loads(str(plain["model_index.json"])) | {"_class_name": ["pipeline", "LeafPipeline"]}
    assert _passes(check(folder(plain | {"model_index.json": json.dumps(listed)}), as_of=DAY))


GUIDED = json.dumps({"_class_name": "FluxTransformer2DModel", "guidance_embeds": True, "num_layers": 8})


@pytest.mark.parametrize(("repo", "passes"), [("ostris/Flex.1-alpha", True), ("a/leaves", False)])
def test_a_guidance_embedder_is_explained_by_a_row_alone(hub: LoopbackHub, repo: str, passes: bool) -> None:
    hub.add(repo, files(**{"transformer/config.json": GUIDED}))
    assert _passes(check(repo, as_of=DAY)) is passes


def test_a_card_that_a_person_has_read_speaks_for_its_own_repository_alone(hub: LoopbackHub) -> None:
    """The sentence stands in cards whose licence section and text allow paid use; elsewhere nobody has read around it."""
    body = "## Direct use\n\nThe model is intended for research purposes only."
    row = load().model("stabilityai/stable-diffusion-2-inpainting")
    assert row is not None
    assert row.card_reviewed
    for repo in (row.repo, "a/leaves"):
        hub.add(repo, files(body=body))
        verdict = check(repo, as_of=DAY)
        heard = {reason.code for use in PAID_USES for reason in verdict.uses[use].reasons}
        assert ("card_body_restricts" in heard) is (repo != row.repo)


def _asked(hub: LoopbackHub, base: str) -> list[tuple[str, str]]:
    hub.requests.clear()
    check(base, as_of=DAY)
    return hub.requests


def _passes(verdict: LicenseVerdict) -> bool:
    return all(verdict.uses[use].verdict in ALLOWED for use in PAID_USES)
