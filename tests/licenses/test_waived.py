"""Waivers against a base on a Hub: what one lifts, and what becomes of it when anything around it changes."""

import hashlib
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from licenses import notices
from licenses.check import check
from licenses.headline import one_line
from licenses.policy import HARD
from licenses.publisher import Publisher
from licenses.verdict import LicenseVerdict
from licenses.waivers import Trust
from tests.licenses.loopback_hub import LoopbackHub
from tests.licenses.signing import ADA, DAY, EVE, filed, made, trusting
from tests.licenses.test_folder import card

TERMS = "Terms of the owner.\n\nWhoever holds a letter of the owner may do as the letter says.\n"
SEALED = hashlib.sha256(TERMS.encode()).hexdigest()
NOW = "1f" * 20
USES = ("train_adapter", "host_paid_inference")


@pytest.fixture
def base(hub: LoopbackHub) -> LoopbackHub:
    hub.add("owner/base", {"README.md": card("license: other"), "LICENSE": TERMS}, commit=NOW)
    return hub


def profile(folder: Path, *uses: str, **changes: Any) -> Publisher:
    """A publisher with a waiver file for each use, signed by Ada unless `private` says otherwise."""
    paths = []
    for use in uses or USES:
        place = folder / f"{use}-{len(list(folder.iterdir()))}"
        place.mkdir()
        paths.append(str(filed(place, made(**({"use": use, "text_sha256": SEALED, "revision": NOW} | changes)))))
    return Publisher(name="Studio", waivers=tuple(paths))


def judged(publisher: Publisher, base: str = "owner/base", trust: Trust | None = None, as_of: date = DAY) -> LicenseVerdict:
    return check(base, publisher=publisher, trust=trust or trusting(ADA), as_of=as_of)


def why(verdict: LicenseVerdict) -> str:
    return "; ".join(row["why"] for row in verdict.waivers)


def test_without_a_waiver_terms_that_nobody_knows_block(base: LoopbackHub) -> None:
    assert judged(Publisher(name="Studio")).verdict == "block"


def test_two_waivers_lift_two_uses_and_no_third(base: LoopbackHub, tmp_path: Path) -> None:
    verdict = judged(profile(tmp_path))
    assert verdict.exit_code == 0, verdict.uses
    assert verdict.verdict == "duties"
    assert all(row["counted"] for row in verdict.waivers)
    assert verdict.uses["sell_outputs"].verdict == verdict.uses["distribute_adapter"].verdict == "block"
    for use in USES:
        assert [reason.text for reason in verdict.uses[use].reasons if reason.code == "waived"]


INDEX = '{"_class_name": "StableDiffusionPipeline", "vae": ["diffusers", "AutoencoderKL"], "unet": ["diffusers", "UNet2DModel"]}'
PARTS = {"model_index.json": INDEX, "vae/config.json": "{}", "unet/config.json": "{}"}


def test_a_waiver_for_the_text_of_a_base_holds_for_the_parts_that_it_covers(hub: LoopbackHub, tmp_path: Path) -> None:
    hub.add("owner/base", {"README.md": card("license: other"), "LICENSE": TERMS} | PARTS, commit=NOW)
    plain = judged(Publisher(name="Studio"))
    of_part = [reason for reason in plain.uses["train_adapter"].reasons if reason.node == "owner/base/vae"]
    assert [(one.code, one.file, one.sha256) for one in of_part] == [("license_unresolved", "LICENSE", SEALED)]
    verdict = judged(profile(tmp_path))
    assert verdict.verdict == "duties", verdict.uses
    assert {one.node for one in verdict.uses["train_adapter"].reasons if one.code == "waived"} == {
        "owner/base",
        "owner/base/unet",
        "owner/base/vae",
    }
    assert verdict.uses["sell_outputs"].verdict == "block"


@pytest.mark.parametrize(
    "more",
    [
        {"vae/LICENSE": "Other terms, which nobody knows either.\n"},
        {"vae/NOTICE": "Parts of this are of somebody else.\n"},
        {"vae/README.md": card("license: cc-by-nc-4.0")},
        {"TERMS.md": "# Licence terms\n\nFurther terms of the owner, of which no letter speaks.\n"},
    ],
)
def test_it_does_not_hold_for_a_part_with_words_of_its_own_nor_beside_another_text(
    hub: LoopbackHub, tmp_path: Path, more: dict[str, str]
) -> None:
    hub.add("owner/base", {"README.md": card("license: other"), "LICENSE": TERMS} | PARTS | more, commit=NOW)
    assert judged(profile(tmp_path)).exit_code == 3


def test_a_tag_that_bars_can_be_signed_for_by_the_card_alone_and_shows_no_other_hash(hub: LoopbackHub, tmp_path: Path) -> None:
    readme = card("license: cc-by-nc-4.0")
    hub.add("owner/base", {"README.md": readme} | PARTS, commit=NOW)
    barred = [one for one in judged(Publisher(name="Studio")).uses["train_adapter"].reasons if one.code == "non_commercial"]
    assert {one.node for one in barred} == {"owner/base", "owner/base/unet", "owner/base/vae"}
    assert {(one.file, one.sha256) for one in barred} == {(None, None)}
    assert all(one.known_text for one in barred)
    assert judged(profile(tmp_path, text_sha256=str(barred[0].known_text))).exit_code == 3
    verdict = judged(profile(tmp_path, text_sha256=hashlib.sha256(readme.encode()).hexdigest()))
    assert verdict.exit_code == 0, verdict.uses


def test_the_text_that_was_waived_ships_and_is_said_to_be_of_no_known_licence(base: LoopbackHub, tmp_path: Path) -> None:
    (tmp_path / "waivers").mkdir()
    said = judged(profile(tmp_path / "waivers")).as_json()
    notices.write(said, tmp_path / "out")
    assert (tmp_path / "out/LICENSES/unknown.txt").read_text() == TERMS
    assert (
        "LICENSES/unknown.txt is the text of owner/base as found; its licence is not one" in (tmp_path / "out/NOTICE").read_text()
    )
    assert "duties: what LICENSES/unknown.txt asks for (waived, not listed: read it)." in one_line(said)


@pytest.mark.parametrize("use", USES)
def test_one_use_alone_is_not_enough(base: LoopbackHub, tmp_path: Path, use: str) -> None:
    verdict = judged(profile(tmp_path, use))
    assert verdict.exit_code == 3
    assert verdict.uses[use].verdict == "duties"


def test_a_new_commit_and_a_new_text_void_it(base: LoopbackHub, tmp_path: Path) -> None:
    publisher = profile(tmp_path)
    base.repos["owner/base"].commit = "2f" * 20
    moved = judged(publisher)
    assert moved.exit_code == 3
    assert "for revision" in why(moved)
    base.repos["owner/base"].commit = NOW
    base.repos["owner/base"].files["LICENSE"] = TERMS.replace("may", "must not").encode()
    rewritten = judged(publisher)
    assert rewritten.exit_code == 3
    assert "for the text" in why(rewritten)


def test_it_is_not_played_again_for_a_copy_under_another_name(base: LoopbackHub, tmp_path: Path) -> None:
    base.add("else/base", dict(base.repos["owner/base"].files), commit=NOW)
    verdict = judged(profile(tmp_path), "else/base")
    assert verdict.exit_code == 3
    assert "not among the assets" in why(verdict)


def test_a_parent_that_was_not_approved_still_blocks(base: LoopbackHub, tmp_path: Path) -> None:
    files = {"README.md": card("license: other\nbase_model: owner/base"), "LICENSE": TERMS}
    base.add("else/child", files, commit=NOW)
    for_child = judged(profile(tmp_path, repo="else/child"), "else/child")
    assert for_child.exit_code == 3
    assert {reason.node for reason in for_child.uses["train_adapter"].reasons if reason.code == "text_unknown"} == {"owner/base"}


def test_a_second_text_wants_a_second_waiver(base: LoopbackHub, tmp_path: Path) -> None:
    more = b"Further terms: nobody may sell a picture of a cat.\n"
    base.repos["owner/base"].files["TERMS.txt"] = more
    publisher = profile(tmp_path)
    assert judged(publisher).exit_code == 3
    further = profile(tmp_path, text_sha256=hashlib.sha256(more).hexdigest())
    both = publisher.model_copy(update={"waivers": (*publisher.waivers, *further.waivers)})
    assert judged(both).exit_code == 0


@pytest.mark.parametrize("fault", ["gated", "broken", "missing", "disabled", "garbage"])
def test_what_was_not_seen_is_not_waived(base: LoopbackHub, tmp_path: Path, fault: str) -> None:
    base.repos["owner/base"].fault = fault
    verdict = judged(profile(tmp_path))
    assert verdict.exit_code == 3
    assert {reason.code for reason in verdict.uses["train_adapter"].reasons} & HARD


def test_people_are_not_waived(base: LoopbackHub, tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    (pictures / "dataset.yaml").write_text("license: own\npersons: identifiable\n")
    rest = tmp_path / "waivers"
    rest.mkdir()
    waivers = (*profile(rest).waivers, *profile(rest, repo="pictures").waivers)
    publisher = Publisher(name="Studio", waivers=waivers)
    verdict = check("owner/base", dataset=pictures, publisher=publisher, trust=trusting(ADA), as_of=DAY)
    assert verdict.exit_code == 3
    assert "persons_without_consent" in {reason.code for reason in verdict.uses["train_adapter"].reasons}


@pytest.mark.parametrize(
    ("trust", "as_of", "changes"),
    [
        (Trust(keys={}), DAY, {}),
        (trusting(EVE), DAY, {}),
        (trusting(ADA), date(2027, 10, 1), {}),
        (trusting(ADA), date(2026, 10, 1), {}),
        (trusting(ADA), DAY, {"publisher": "Others"}),
        (trusting(ADA), DAY, {"private": EVE}),
        (trusting(ADA), DAY, {"text_sha256": None}),
        (trusting(ADA), DAY, {"use": None}),
        (trusting(ADA), DAY, {"revision": "main"}),
    ],
)
def test_a_void_one_is_shown_and_lifts_nothing(
    base: LoopbackHub, tmp_path: Path, trust: Trust, as_of: date, changes: dict[str, Any]
) -> None:
    verdict = judged(profile(tmp_path, **changes), trust=trust, as_of=as_of)
    assert verdict.exit_code == 3
    assert [row["counted"] for row in verdict.waivers] == [False, False]
    for said in verdict.uses.values():
        assert "waived" not in {reason.code for reason in said.reasons}
        assert "waiver_void" in {reason.code for reason in said.reasons}


def test_identity_is_of_what_counts_and_not_of_dates_or_signatures(base: LoopbackHub, tmp_path: Path) -> None:
    first = judged(profile(tmp_path)).as_json()["hash"]
    renewed = judged(profile(tmp_path, signed=date(2026, 11, 20), expires=date(2027, 11, 1)))
    other_key = judged(profile(tmp_path, private=EVE), trust=trusting(EVE))
    later = judged(profile(tmp_path), as_of=date(2026, 11, 23))
    assert {one.as_json()["hash"] for one in (renewed, other_key, later)} == {first}
    ended = judged(profile(tmp_path), as_of=date(2027, 10, 1))
    distrusted = judged(profile(tmp_path), trust=trusting(EVE))
    assert first not in (ended.as_json()["hash"], distrusted.as_json()["hash"])


def test_a_waiver_that_lifts_nothing_changes_no_verdict(base: LoopbackHub, tmp_path: Path) -> None:
    from tests.licenses.test_folder import GOOD

    base.add("owner/clean", GOOD, commit=NOW)
    text = hashlib.sha256(base.repos["owner/clean"].files["LICENSE"]).hexdigest()
    plain = judged(Publisher(name="Studio"), "owner/clean")
    given = judged(profile(tmp_path, repo="owner/clean", text_sha256=text), "owner/clean")
    assert given.uses == plain.uses
    assert "nothing stands here that it lifts" in why(given)
