"""Speed and cost are measured where a caller measured them, with their receipt, and never taken for fal's where they are not."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from serving.listing.lint import linted
from serving.listing.profit import Measured
from serving.listing.speed import speed
from tests.serving.listing.material import TEXTS, drafted, files_in, listing_in, release
from tests.serving.listing.test_pricing import BASIS


def documents(target: str, seconds: list[float], rate: float | None = None) -> dict[str, Any]:
    made: dict[str, Any] = {"release": {"target": target}, "gallery": {"calls": [{"seconds": each} for each in seconds]}}
    return made | ({"pricing": {"inputs": {"machine": {"usd_per_second": rate}}}} if rate else {})


@pytest.mark.parametrize(("target", "rate", "usd"), [("fal", 0.0005, "$0.001"), ("fal", None, None), ("sandbox", 0.0005, None)])
def test_middle_slowest_and_what_the_middle_is_worth(target: str, rate: float | None, usd: str | None) -> None:
    found = speed(documents(target, [1.0, 2.0, 4.0], rate))
    assert found is not None
    assert (found.middle.value, found.slowest.value, found.calls.value) == (2.0, 4.0, 3)
    assert found.slowest.pointer == "/calls/2/seconds"
    assert (found.usd.text if found.usd else None) == usd
    assert ("not on fal" in found.statement) is (target == "sandbox")


@pytest.mark.parametrize("seconds", [[], [1.0, 2.0]])
def test_of_few_calls_nothing_is_said(seconds: list[float]) -> None:
    assert speed(documents("fal", seconds)) is None


def test_an_old_gallery_was_not_timed() -> None:
    assert speed({"release": {"target": "fal"}, "gallery": {"calls": [{"units": 1}] * 9}}) is None


def test_the_page_on_fal_tells_it_and_lint_finds_every_number(tmp_path: Path) -> None:
    drafted(tmp_path / "draft", release=release() | {"target": "fal"}, basis=BASIS)
    listing = listing_in(tmp_path / "draft")
    assert listing.facts.speed is not None
    assert listing.facts.speed.usd is not None
    assert [one for one in linted(listing, files_in(tmp_path / "draft")) if one.level == "error"] == []
    for name in ("index.html", "MODEL_CARD.md", "llms.txt"):
        assert "as the caller saw it" in (tmp_path / "draft" / name).read_text(encoding="utf-8"), name
    assert not any("were not measured" in line and "Time" in line for line in listing.facts.limits)


def test_what_units_cost_so_far_stands_beside_the_price(tmp_path: Path) -> None:
    measured = Measured(usd_per_unit=0.05, units=400, source="the monitor", since="2026-11-01")
    earned = {**asdict(measured), "live_usd": 0.03, "share": None}
    drafted(tmp_path / "draft", basis=BASIS, texts=replace(TEXTS, price_usd=0.03), earned=earned, prompts=2, seeds=1)
    listing = listing_in(tmp_path / "draft")
    assert "**Measured.** The live price loses money" in (tmp_path / "draft" / "PRICING.md").read_text(encoding="utf-8")
    found = [one for one in linted(listing, files_in(tmp_path / "draft")) if one.where == "pricing.measured"]
    assert [one.code for one in found] == ["price-below-cost"]
    assert "loses money" not in (tmp_path / "draft" / "index.html").read_text(encoding="utf-8")
