"""What the gallery asks the deployed app for: pairs, strengths, with and without the trigger, and what it draws worst. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from serving.listing.coverage import covering

Role = Literal["pair", "base", "strength", "trigger", "hard"]
Document = Mapping[str, Any]
PROMPTS, SEEDS, HARD, UNTRIGGERED = 4, 3, 3, 2
STRENGTHS = (0.0, 0.5, 1.0, 1.5)  # times the recommended one
MOST_STRENGTH = 2.0  # that the app takes


@dataclass(frozen=True, kw_only=True, slots=True)
class Shot:
    """One call of the app. `strength` None is its default; base and real are the evaluation's for the same call (paths in it)."""

    prompt: str
    seed: int
    role: Role = "pair"
    strength: float | None = None
    size: tuple[int, int] | None = None
    base: str | None = None
    real: str | None = None


def planned(
    evaluation: Document,
    dataset: Document,
    settings: Document | None,
    *,
    prompts: int = PROMPTS,
    seeds: int = SEEDS,
    pinned: Sequence[str] = (),
) -> tuple[Shot, ...]:
    """Every call of a gallery: held-out prompts chosen by coverage, `seeds` of each from the evaluation's own on.

    Where the evaluation has no base for a prompt and seed, the app draws it at strength 0, which is the base.
    """
    held_out = {picture["caption"]: picture for picture in dataset.get("pictures", ()) if picture["split"] == "held_out"}
    samples: dict[str, Document] = {}
    for sample in evaluation.get("samples", ()):
        samples.setdefault(sample["prompt"], sample)
    known = list(samples) if len(samples) >= prompts else [*samples, *held_out]  # base and real picture are there for samples
    names = covering(known, prompts, pinned=pinned)
    if not names:
        return ()
    about = _About(samples=samples, held_out=held_out, settings=settings)
    hard = [name for name in hardest(evaluation) if name in held_out and name not in names][:HARD]
    return (
        *(one for name in names for one in _pairs(name, seeds, about)),
        *_strengths(names[0], about),
        *_without_trigger(names, str(dataset.get("trigger") or ""), about),
        *(about.shot(name, role="hard") for name in hard),
    )


def hardest(evaluation: Document) -> list[str]:
    """Captions of held-out pictures, those first on which the adapter gained least, or lost, against the base."""
    rows = evaluation.get("per_picture") or ()
    return [row["caption"] for row in sorted(rows, key=lambda row: (row["base"] - row["adapter"]) / row["base"])]


def size_to_ask(bucket: Sequence[int] | None, settings: Document | None) -> tuple[tuple[int, int] | None, bool]:
    """(width, height) to name in the call, None where the app's default is right; and whether that is the evaluation's size."""
    if bucket is None or settings is None:
        return None, True
    (height, width), default, limit = bucket, settings["default_size"], settings["limits"]
    if (width, height) == (default["width"], default["height"]):
        return None, True
    sides = all(limit["min_side"] <= side <= limit["max_side"] and side % limit["multiple"] == 0 for side in (width, height))
    allowed = sides and width * height <= limit["max_area"]
    return ((width, height) if allowed else None), allowed


def arguments_of(asked: Shot) -> dict[str, Any]:
    """The request: one picture, lossless, in the answer itself."""
    size = {"image_size": dict(zip(("width", "height"), asked.size, strict=True))} if asked.size else {}
    strength = {"lora_scale": asked.strength} if asked.strength is not None else {}
    plain = {"prompt": asked.prompt, "seed": asked.seed, "num_images": 1, "output_format": "png", "sync_mode": True}
    return {**plain, **strength, **size}


@dataclass(frozen=True, kw_only=True, slots=True)
class _About:
    """What is known of the prompts."""

    samples: Mapping[str, Document]
    held_out: Mapping[str, Document]
    settings: Document | None

    @property
    def scale(self) -> float:
        return float(((self.settings or {}).get("adapter") or {}).get("scale", 1.0))

    def shot(self, prompt: str, *, step: int = 0, role: Role = "pair", like: str | None = None, **more: Any) -> Shot:
        """A call for a prompt at the size of its held-out picture; `like` is the prompt whose size and seed it shares."""
        sample, picture = self.samples.get(like or prompt, {}), self.held_out.get(like or prompt, {})
        size, asked_for = size_to_ask(picture.get("bucket"), self.settings)
        paired = role == "pair" and step == 0 and asked_for
        beside = {"base": sample.get("base"), "real": sample.get("real")} if paired else {}
        return Shot(prompt=prompt, seed=int(sample.get("seed", 0)) + step, role=role, size=size, **beside, **more)


def _pairs(prompt: str, seeds: int, about: _About) -> Iterator[Shot]:
    for step in range(seeds):
        asked = about.shot(prompt, step=step)
        yield asked
        if asked.base is None:
            yield about.shot(prompt, step=step, role="base", strength=0.0)


def _strengths(prompt: str, about: _About) -> Iterator[Shot]:
    for times in STRENGTHS:
        yield about.shot(prompt, role="strength", strength=round(min(times * about.scale, MOST_STRENGTH), 3))


def _without_trigger(prompts: Sequence[str], trigger: str, about: _About) -> Iterator[Shot]:
    """The same prompts without the word that calls the style; none where there is no such word."""
    for prompt in [one for one in prompts if trigger and trigger.casefold() in one.casefold()][:UNTRIGGERED]:
        start = prompt.casefold().index(trigger.casefold())
        without = " ".join((prompt[:start] + prompt[start + len(trigger) :]).strip(" ,").split())
        if without:
            yield about.shot(without, role="trigger", like=prompt)
