"""What drawn pictures say of an adapter: scores, drift, diversity and memorisation, each a section of the evaluation.

Columns are pictures by who drew them (base, champion, adapter), in the order of the shots. What could not be measured is
{"unmeasured": reason}.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from PIL import Image

from training.comparison import unmeasured
from training.distances import Distances, Rows, cosine, hamming, perceptual_hashes, pixel_distance
from training.memorisation import judged
from training.scores import Scorer, Scorers, picture_scores, prompt_scores
from training.shelf import Shelf

Pictures = Sequence[Image.Image]
Columns = Mapping[str, Pictures]
Pair = tuple[int, int]
Named = Mapping[str, tuple[Image.Image, Image.Image]]  # name -> the base's picture and the adapter's, same caption and seed


def scores(scorers: Scorers, columns: Columns, prompts: Sequence[str], real: Pictures) -> dict[str, Any]:
    """clip_t against the prompts; clip_i and dino against `real`, pictures of the concept."""
    return {
        "clip_t": prompt_scores(scorers.clip, columns, prompts),
        "clip_i": picture_scores(scorers.clip, columns, real),
        "dino": picture_scores(scorers.dino, columns, real),
    }


def drift(look: Scorer | str, own: Columns, neutral: Columns, *, prompts: Sequence[str], trigger: bool) -> dict[str, Any]:
    """How far base and adapter lie apart at equal seeds, on prompts without the trigger (neutral) and on its own.

    Without a trigger every prompt calls the adapter: the distances stand, and their ratio judges nothing.
    """

    def moved(distances: _Distances) -> dict[str, float | None]:
        found = {}
        for name, columns in (("own", own), ("neutral", neutral)):
            count = len(columns["base"])
            found[name] = distances([*columns["base"], *columns["adapter"]], [(index, count + index) for index in range(count)])
        return {**found, "ratio": _ratio(found["neutral"], found["own"])}

    return {"trigger": trigger, "prompts": list(prompts), **_in_both_spaces(look, moved)}


def diversity(look: Scorer | str, columns: Columns, *, prompt: str, seeds: Sequence[int]) -> dict[str, Any]:
    """How far pictures of one prompt lie apart over seeds, the adapter's against the base's."""

    def apart(distances: _Distances) -> dict[str, float | None]:
        pairs = list(combinations(range(len(seeds)), 2))
        found = {name: distances(columns[name], pairs) for name in ("base", "adapter")}
        return {**found, "ratio": _ratio(found["adapter"], found["base"])}

    return {"prompt": prompt, "seeds": list(seeds), **_in_both_spaces(look, apart)}


def memorisation(look: Scorer | str, own: Named, recalled: Named, train: Shelf, held_out: Pictures) -> dict[str, Any]:
    """The nearest training picture of each sample, by perceptual hash and by embedding, judged by what the base draws.

    Samples of held-out captions (`own`), and those `recalled` by training captions, where a copy is likeliest.
    """
    if not len(train) * len(held_out):
        nothing = unmeasured("no picture was held out to judge by" if len(train) else "no training picture is here")
        return {"hash": nothing, "embedding": nothing}
    names = {"samples": list(own), "recalled": list(recalled), "pictures": train.names}
    pairs = [*own.values(), *recalled.values()]
    groups = ([base for base, _ in pairs], [drawn for _, drawn in pairs], held_out)

    def seen(rows: Callable[[Pictures], Rows], apart: Callable[[Rows, Rows], Distances]) -> dict[str, Any]:
        known = rows(train)
        plain, drawn, kept = (apart(rows(group), known) for group in groups)
        return judged(drawn, plain, kept, **names)

    by_hash = seen(perceptual_hashes, hamming)
    if isinstance(look, str):
        return {"hash": by_hash, "embedding": unmeasured(look)}
    return {"hash": by_hash, "embedding": {"model": look.name, **seen(look.pictures, cosine)}}


_Distances = Callable[[Pictures, Sequence[Pair]], float]  # mean distance over pairs of the pictures


def _in_both_spaces(look: Scorer | str, measured: Callable[[_Distances], dict[str, float | None]]) -> dict[str, Any]:
    pixel = measured(_by_pixels)
    if isinstance(look, str):
        return {"pixel": pixel, "embedding": unmeasured(look)}
    return {"pixel": pixel, "embedding": {"model": look.name, **measured(_by(look))}}


def _by_pixels(pictures: Pictures, pairs: Sequence[Pair]) -> float:
    return float(np.mean([pixel_distance(pictures[left], pictures[right]) for left, right in pairs]))


def _by(look: Scorer) -> _Distances:
    def distance(pictures: Pictures, pairs: Sequence[Pair]) -> float:
        rows = look.pictures(pictures)
        return float(np.mean([1 - rows[left] @ rows[right] for left, right in pairs]))

    return distance


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole > 0 else None
