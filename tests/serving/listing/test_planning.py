"""What a gallery asks for: prompts by coverage, pairs on equal seeds, a strip of strengths, and what the adapter is worst at."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.listing.coverage import covering, likeness
from serving.listing.planning import arguments_of, hardest, planned, size_to_ask
from tests.serving.listing.material import NAMES, SIDE, dataset, evaluation, settings

TEXT = st.text(alphabet="abcdef ", min_size=1, max_size=12).map(str.strip).filter(bool)


def test_pairs_are_of_held_out_prompts_on_equal_seeds() -> None:
    shots = planned(evaluation(), dataset(), settings())
    pairs = [shot for shot in shots if shot.role == "pair"]
    assert {shot.prompt for shot in pairs} == set(NAMES[:4])
    assert {shot.seed for shot in pairs} == {7, 8, 9}
    bases = {(shot.prompt, shot.seed) for shot in shots if shot.role == "base"}
    for shot in pairs:  # the evaluation's base on its own seed, the endpoint's at strength 0 on the others
        assert (shot.base is not None) == (shot.seed == 7)
        assert ((shot.prompt, shot.seed) in bases) == (shot.seed != 7)
    assert {shot.strength for shot in shots if shot.role == "base"} == {0.0}


def test_too_few_samples_are_filled_up_from_held_out_captions() -> None:
    few = evaluation() | {"samples": evaluation()["samples"][:1]}
    pairs = [shot for shot in planned(few, dataset(), settings(), seeds=1) if shot.role == "pair"]
    assert len(pairs) == 4
    assert [shot.prompt for shot in pairs if shot.base] == [NAMES[0]] * (NAMES[0] in {shot.prompt for shot in pairs})


def test_a_strip_of_strengths_goes_to_what_the_app_takes() -> None:
    strong = settings() | {"adapter": {"sha256": "cd" * 32, "scale": 1.6}}
    strip = [shot for shot in planned(evaluation(), dataset(), strong) if shot.role == "strength"]
    assert [shot.strength for shot in strip] == [0.0, 0.8, 1.6, 2.0]
    assert len({(shot.prompt, shot.seed) for shot in strip}) == 1
    assert arguments_of(strip[1])["lora_scale"] == 0.8


def test_without_the_trigger_only_where_there_is_one() -> None:
    assert [shot for shot in planned(evaluation(), dataset(), settings()) if shot.role == "trigger"] == []
    called = [name.replace("red fox", "softclay, red fox") for name in NAMES]
    told = evaluation() | {
        "samples": [sample | {"prompt": name} for sample, name in zip(evaluation()["samples"], called, strict=False)]
    }
    shots = planned(told, dataset(), settings())
    (without,) = [shot for shot in shots if shot.role == "trigger"]
    assert (without.prompt, without.seed) == ("red fox", 7)


def test_the_worst_held_out_prompts_are_shown_and_no_pair_twice() -> None:
    measured = evaluation() | {
        "per_picture": [{"caption": name, "base": 1.0, "adapter": 0.5 + n / 10} for n, name in enumerate(NAMES)]
    }
    assert hardest(measured)[0] == NAMES[-1]
    shots = planned(measured, dataset(), settings())
    assert [shot.prompt for shot in shots if shot.role == "hard"] == [NAMES[5], NAMES[4]]


def test_pinned_prompts_come_first() -> None:
    shots = planned(evaluation(), dataset(), settings(), pinned=["a paper plane", NAMES[5]])
    prompts = list(dict.fromkeys(shot.prompt for shot in shots if shot.role == "pair"))
    assert prompts[:2] == ["a paper plane", NAMES[5]]
    assert len(prompts) == 4


@pytest.mark.parametrize(
    ("bucket", "expected"),
    [
        (None, (None, True)),
        ([SIDE, SIDE], (None, True)),
        ([32, 64], ((64, 32), True)),
        ([16, 96], (None, False)),
        ([40, 64], (None, False)),
    ],
)
def test_size_is_named_where_the_app_allows_it(bucket: list[int] | None, expected: tuple[Any, bool]) -> None:
    assert size_to_ask(bucket, settings()) == expected


@given(captions=st.lists(TEXT, max_size=12), number=st.integers(1, 6), pinned=st.lists(TEXT, max_size=2))
def test_coverage_takes_each_once_and_the_pinned_ones(captions: list[str], number: int, pinned: list[str]) -> None:
    chosen = covering(captions, number, pinned=pinned)
    assert len(chosen) == min(number, len({*captions, *pinned}))
    assert len(set(chosen)) == len(chosen)
    assert list(chosen[: len(set(pinned))]) == list(dict.fromkeys(pinned))[:number]
    assert covering(captions, number, pinned=pinned) == chosen


def test_coverage_prefers_what_is_unlike() -> None:
    assert covering(["red fox", "red foxes", "a red fox", "blue whale"], 2)[1] == "blue whale"
    assert likeness("red fox", "Red  FOX") == 1.0
