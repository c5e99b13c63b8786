"""The facts hang together, and importing the room costs nothing."""

import re
import subprocess
import sys
import time

import pytest

from licenses.catalogue import RANK, USES, load
from tests.licenses.conftest import ROOT


def test_every_reference_in_the_facts_resolves() -> None:
    facts = load()
    assert len(facts.licenses) == 60
    assert len(facts.models) >= 95
    assert len(facts.texts) == 63
    assert {model.license for model in facts.models.values()} <= set(facts.licenses)
    assert {text.license for text in (*facts.texts.values(), *facts.templates.values())} <= set(facts.licenses)
    assert {license for _, license in facts.architectures} <= set(facts.licenses)
    assert {duty for licence in facts.licenses.values() for duty in licence.duties} <= set(facts.duties)


def test_verdicts_clauses_and_hashes_have_their_form() -> None:
    for licence in load().licenses.values():
        assert set(licence.verdict) == set(USES)
        assert set(licence.verdict.values()) <= set(RANK)
        for clause in licence.clauses:
            assert clause.section
            assert 3 < len(clause.quote) <= 200
            assert set(clause.uses) <= set(USES)
            assert clause.text_hash is None or load().texts[clause.text_hash].license == licence.id
    assert all(re.fullmatch(r"[0-9a-f]{64}", one) for one in (*load().texts, *load().templates))


@pytest.mark.parametrize(
    "license", ["flux-1-dev-nc", "flux-dev-nc-2.0", "cc-by-nc-4.0", "stability-community", "stability-nc-research"]
)
def test_what_bars_most_often_cites_its_clause_and_text(license: str) -> None:
    clause = load().licenses[license].clause("host_paid_inference", None)
    assert clause is not None
    assert clause.text_hash in load().texts


def test_a_tag_means_one_licence_and_a_name_at_most_one() -> None:
    facts = load()
    for licence in facts.licenses.values():
        assert all(facts.licenses_of_tag(tag) == {licence.id} for tag in licence.tags)
        assert all(facts.licenses_of_name(name) == {licence.id} for name in licence.license_names)


def test_only_permissive_texts_have_fields_that_may_differ() -> None:
    assert {text.license for text in load().templates.values()} == {"apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause"}


def test_importing_the_room_loads_nothing_heavy() -> None:
    code = "import sys, time; t = time.perf_counter(); import licenses; print(time.perf_counter() - t, sorted(sys.modules))"
    started = time.monotonic()
    said = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=30).stdout
    seconds, _, modules = said.partition(" ")
    assert float(seconds) < 0.1
    assert not any(f"'{name}'" in modules for name in ("pydantic", "yaml", "huggingface_hub", "httpx", "torch", "prefect"))
    assert time.monotonic() - started < 20
