"""What the evaluation measured beside the loss: memorisation, the live adapter, drift, variety and scores. Pure.

What was not measured is None or not listed, never zero.
"""

from typing import Any

from serving.listing.figures import Documents, at, counted, figure
from serving.listing.model_facts import Champion, Measure, Memorisation
from serving.listing.model_values import Figure

SPACES = (("hash", "perceptual hash"), ("embedding", "embedding"))
SCORES = (
    ("clip_t", "Likeness to the prompt", "CLIP, cosine of picture and prompt"),
    ("clip_i", "Likeness to real pictures", "CLIP, mean cosine to held-out pictures"),
    ("dino", "Likeness to real pictures, by DINO", "mean cosine to held-out pictures"),
)


def memorisation(documents: Documents) -> Memorisation | None:
    """How many drawn pictures are copies of a training picture, in the spaces where that was judged; None where in none."""
    judged = [(key, name) for key, name in SPACES if at(documents, "evaluation", f"/memorisation/{key}/copies") is not None]
    if not judged:
        return None
    key, name = judged[0]
    where = f"/memorisation/{key}"
    drawn = at(documents, "evaluation", f"{where}/samples")
    count = counted(len(drawn), "pictures compared", "evaluation", f"{where}/samples")
    copies = tuple(figure(documents, "evaluation", f"/memorisation/{each}/copies", "{}") for each, _ in judged)
    found = " and ".join(f"{one.text} by {word}" for one, (_, word) in zip(copies, judged, strict=True))
    missing = "" if len(judged) == len(SPACES) else " By embedding it was not measured."
    return Memorisation(
        statement=(
            f"{count.text} pictures, drawn for held-out and for training captions, were compared with every training picture. "
            f"Copies: {found}. A copy lies less than half as far from a training picture as any held-out picture does, and more "
            f"than half of the way there from what the base draws.{missing}"
        ),
        drawn=count,
        copies=copies,
        chance=figure(documents, "evaluation", f"{where}/chance", "{:.2f}"),
        method=name,
    )


def champion(documents: Documents) -> Champion | None:
    """Against the adapter that was live, on the same pictures; None where none was, or it could not be measured."""
    found = at(documents, "evaluation", "/champion")
    if not isinstance(found, dict) or found.get("loss") is None:
        return None
    relative = figure(documents, "evaluation", "/champion/relative", "{:+.1%}")
    return Champion(
        statement=f"Against the adapter that was live before, on the same pictures with the same noise: {relative.text}.",
        loss=figure(documents, "evaluation", "/champion/loss", "{:.4f}"),
        relative=relative,
        interval=interval(documents, "/champion/bootstrap"),
    )


def interval(documents: Documents, pointer: str) -> tuple[Figure, Figure] | None:
    """Bootstrap interval of a difference; None where it was not measured."""
    if at(documents, "evaluation", f"{pointer}/low") is None:
        return None
    low, high = (figure(documents, "evaluation", f"{pointer}/{side}", "{:+.4f}") for side in ("low", "high"))
    return low, high


def measures(documents: Documents) -> tuple[Measure, ...]:
    """What else was measured on drawn pictures, each with the base's value where there is one."""
    return (*_scores(documents), *_variety(documents), *_drift(documents))


def _scores(documents: Documents) -> list[Measure]:
    return [
        Measure(
            name=name,
            meaning=meaning,
            adapter=figure(documents, "evaluation", f"/scores/{key}/adapter", "{:.3f}"),
            base=figure(documents, "evaluation", f"/scores/{key}/base", "{:.3f}"),
        )
        for key, name, meaning in SCORES
        if _number(at(documents, "evaluation", f"/scores/{key}/adapter"))
        and _number(at(documents, "evaluation", f"/scores/{key}/base"))
    ]


def _variety(documents: Documents) -> list[Measure]:
    space, where = _space(documents, "/diversity", ("adapter", "base"))
    if where is None:
        return []
    return [
        Measure(
            name="Variety over seeds",
            meaning=f"how far pictures of one prompt lie apart, by {space}; more is more varied",
            adapter=figure(documents, "evaluation", f"{where}/adapter", "{:.3f}"),
            base=figure(documents, "evaluation", f"{where}/base", "{:.3f}"),
        )
    ]


def _drift(documents: Documents) -> list[Measure]:
    space, where = _space(documents, "/drift", ("own", "neutral"))
    if where is None:
        return []
    neutral = "without the trigger word" if at(documents, "evaluation", "/drift/trigger") else "about other things"
    return [
        Measure(
            name=name,
            meaning=f"distance from the base’s picture at equal seeds, by {space}",
            adapter=figure(documents, "evaluation", f"{where}/{key}", "{:.3f}"),
            base=None,
        )
        for key, name in (("own", "Change on its own prompts"), ("neutral", f"Change on prompts {neutral}"))
    ]


def _space(documents: Documents, where: str, names: tuple[str, str]) -> tuple[str, str | None]:
    """By embedding where that was measured, else by pixels; None where in neither."""
    for space, words in (("embedding", "embedding"), ("pixel", "mean pixel difference")):
        if all(_number(at(documents, "evaluation", f"{where}/{space}/{name}")) for name in names):
            return words, f"{where}/{space}"
    return "", None


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
