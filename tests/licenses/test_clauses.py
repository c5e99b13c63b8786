"""Every verdict that bars or asks for something cites its clause, or says that the text was not at hand."""

import dataclasses

import pytest

from licenses.catalogue import RANK, USES, License, load
from licenses.check import check
from tests.licenses.conftest import APACHE, FolderOf

BARRING = [
    (licence.id, use) for licence in load().licenses.values() for use in USES if RANK[licence.verdict[use]] >= RANK["conditional"]
]


@pytest.mark.parametrize(("license", "use"), BARRING)
def test_what_bars_cites_a_clause_with_its_text_or_says_that_none_was_seen(license: str, use: str) -> None:
    licence = load().licenses[license]
    cited = [clause for clause in licence.clauses if use in clause.uses and clause.text_hash in load().texts]
    assert bool(cited) != (licence.unseen or licence.kind == "meta")


@pytest.mark.parametrize("norm", [norm for norm, known in load().texts.items() if known.role == "license"])
def test_every_version_of_a_text_has_its_own_clause_for_what_it_bars(norm: str) -> None:
    licence = load().licenses[load().texts[norm].license]
    for use in USES:
        if RANK[licence.verdict[use]] >= RANK["conditional"]:
            clause = licence.clause(use, norm)
            assert clause is not None
            assert clause.text_hash == norm


def test_an_unseen_text_is_named_in_every_reason() -> None:
    for licence in load().licenses.values():
        assert ("whole text was not at hand" in licence.why) == licence.unseen
        assert not (licence.unseen and load().has_text(licence.id))


def test_caps_and_guardrails_of_what_is_allowed_cite_their_clause_too() -> None:
    for licence in load().licenses.values():
        asks = licence.users_cap or licence.revenue_cap_usd or licence.filters
        if asks and not licence.unseen:
            assert all(licence.clause(use, None) for use in USES if RANK[licence.verdict[use]] >= RANK["duties"]), licence.id


def test_a_clause_quotes_an_amount_where_its_licence_has_a_cap() -> None:
    def quoted(licence: License, word: str) -> bool:
        return any(word in clause.quote for clause in licence.clauses)

    facts = load().licenses
    assert quoted(facts["stability-community"], "$1,000,000")
    assert quoted(facts["ltx-2-community"], "$10,000,000")
    assert quoted(facts["llama2"], "700 million")
    assert quoted(facts["qwen-license"], "100 million")
    assert quoted(facts["tencent-hunyuan-3d-2.0"], "1 million")


def test_an_older_version_with_other_conditions_blocks_and_says_so(folder: FolderOf, monkeypatch: pytest.MonkeyPatch) -> None:
    catalogue = load()
    known = {norm: dataclasses.replace(one, superseded="it ends earlier") for norm, one in catalogue.texts.items()}
    monkeypatch.setattr("licenses.check.load", lambda: dataclasses.replace(catalogue, texts=known))
    found = check(folder({"README.md": "---\nlicense: apache-2.0\n---\n", "LICENSE": APACHE}))
    assert found.verdict == "block"
    assert any(reason.code == "text_superseded" and "ends earlier" in reason.text for reason in found.uses["train_adapter"].reasons)


def test_the_one_older_version_on_record_is_that_with_a_lower_cap() -> None:
    assert [(one.license, one.version) for one in load().texts.values() if one.superseded] == [("kolors", "2024-07-10")]
