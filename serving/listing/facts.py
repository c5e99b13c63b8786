"""Facts read from what was made: each number is a Figure that says which file, and where in it, it was read from. Pure."""

import re
from collections.abc import Mapping
from typing import Any

from serving.app.marking import statement_of as statement_of_marks
from serving.app.safety.checker import statement_of
from serving.app.settings import Marking, Safety
from serving.listing.advice import prompting, purpose, words_of_a_caption
from serving.listing.figures import Documents, at, counted, figure
from serving.listing.measured import champion, interval, measures, memorisation
from serving.listing.model_facts import Evaluation, Facts, HeldOut, Memorisation, TrainingData
from serving.listing.model_values import Figure
from serving.listing.reach import strengths
from serving.listing.speed import on_fal, speed

MAX_SHOWN_PICTURES = 60


def facts_of(documents: Documents) -> Facts:
    """Facts from the documents `bundle`, `evaluation`, `dataset` and (optional) `settings` and `strengths`, by receipt id."""
    bundle = documents["bundle"]
    settings = documents.get("settings")
    trigger = bundle.get("trigger")
    resolution = figure(documents, "bundle", "/resolution", "{} px")
    measured, words = evaluation(documents), words_of_a_caption(documents)
    return Facts(
        base=name_of(str(at(documents, "bundle", "/base/ref"))),
        family=str(bundle["family"]),
        training_data=training_data(documents),
        evaluation=measured,
        purpose=purpose(documents),
        prompting=prompting(documents, words),
        caption_words=words,
        trigger=trigger or None,
        strength=figure(documents, "bundle", "/scale", "{:g}"),
        strengths=strengths(documents),
        resolution=resolution,
        settings={
            "num_inference_steps": figure(documents, "bundle", "/inference/steps", "{}"),
            "guidance_scale": figure(documents, "bundle", "/inference/guidance_scale", "{:g}"),
        },
        limits=limits(resolution, measured.memorisation, documents),
        speed=speed(documents),
        safety=safety(settings),
        marking=marking(settings),
    )


def training_data(documents: Documents) -> TrainingData:
    train = figure(documents, "dataset", "/counts/train", "{}")
    held_out = figure(documents, "dataset", "/counts/held_out", "{}")
    dataset, adopted = documents["dataset"], documents["bundle"].get("adopted")
    measured = f"{held_out.text} more were kept out of training and are what the evaluation measures."
    origin = f"Trained on {train.text} pictures. {measured}"
    if adopted:
        measured = f"{held_out.text} pictures, no part of its training by its author’s word, are what the evaluation measures."
        origin = f"Trained elsewhere and taken over as {adopted['file']}. {measured}"
    return TrainingData(
        statement=f"{origin} Every picture is named by its hash in the dataset’s manifest.",
        train=train,
        held_out=held_out,
        license=dataset.get("license"),
        source=dataset.get("source") or None,
    )


def evaluation(documents: Documents) -> Evaluation:
    """Held-out losses (fixed noise, fixed sigmas), and on how many pictures the adapter is the better one."""
    document = documents["evaluation"]
    pictures = document.get("per_picture") or []
    relative = figure(documents, "evaluation", "/loss/relative", "{:+.1%}")
    held_out = figure(documents, "evaluation", "/held_out", "{}")
    learned = bool(document["learned"])
    verdict = "The gate calls that learned." if learned else "The gate does not call that learned."
    return Evaluation(
        statement=(
            f"Denoising loss on {held_out.text} pictures that training never saw, with the same noise and noise levels for base "
            f"and adapter: {relative.text} against the base. {verdict}"
        ),
        learned=learned,
        held_out=held_out,
        base_loss=figure(documents, "evaluation", "/loss/base", "{:.4f}"),
        adapter_loss=figure(documents, "evaluation", "/loss/adapter", "{:.4f}"),
        relative=relative,
        interval=interval(documents, "/bootstrap"),
        better=better(pictures),
        per_picture=tuple(
            HeldOut(caption=item["caption"], base=round(item["base"], 4), adapter=round(item["adapter"], 4))
            for item in pictures[:MAX_SHOWN_PICTURES]
        ),
        champion=champion(documents),
        memorisation=memorisation(documents),
        measures=measures(documents),
    )


def better(pictures: list[dict[str, Any]]) -> Figure | None:
    if not pictures:
        return None
    count = sum(item["adapter"] < item["base"] for item in pictures)
    return counted(count, "adapter < base", "evaluation", "/per_picture")


def limits(resolution: Figure, memorised: Memorisation | None, documents: Documents) -> tuple[str, ...]:
    """What a buyer should know before the first call."""
    lines = [
        f"Trained at {resolution.text}; other sizes are not evaluated.",
        "The evaluation measures denoising loss. It says that the style was learned, not that people prefer the pictures.",
        "What the base can not draw, the adapter can not draw either.",
        *(() if memorised else ("Whether training pictures come back was not measured in this release.",)),
        *(() if on_fal(documents) else ("Time and cost of a request on fal’s GPUs were not measured in this release.",)),
    ]
    if always_triggered(documents):
        lines.insert(1, "Every evaluated prompt holds the trigger word; without it the style may be weaker.")
    return tuple(lines)


def always_triggered(documents: Documents) -> bool:
    """True where there is a trigger word and no held-out caption goes without it."""
    trigger = str(documents["bundle"].get("trigger") or "").casefold()
    captions = [item["caption"].casefold() for item in documents["evaluation"].get("per_picture") or ()]
    return bool(trigger and captions) and all(trigger in caption for caption in captions)


def safety(settings: Mapping[str, Any] | None) -> str:
    """What protects callers, what it does not cover, and whether a caller may turn it off: in the app's own words."""
    if settings is None:
        return "How the app checks prompts and pictures is not stated in this draft: ask before listing."
    return statement_of(Safety.model_validate(settings.get("safety") or {}))


def marking(settings: Mapping[str, Any] | None) -> str:
    """What marks a picture as generated, and with whose certificate; an old package has no marks."""
    marked = (settings or {}).get("marking") or {"enabled": False}
    return statement_of_marks(Marking.model_validate(marked))


def name_of(ref: str) -> str:
    """A Hub id as it is; of a folder only its own name, so that no listing tells where the author keeps files."""
    if ref.startswith(("/", "~", ".", "file:")) or "\\" in ref:
        return re.split(r"[/\\]", ref.rstrip("/\\"))[-1]
    return ref.removeprefix("hf://")
