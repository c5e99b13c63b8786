"""What the adapter is for and how to prompt it, read off its captions: a first draft of words that the author may edit. Pure."""

import re
from collections.abc import Sequence
from statistics import median
from typing import Any

from serving.listing.coverage import covering
from serving.listing.figures import Documents, counted
from serving.listing.model_values import Figure

SHOWN, LONGEST = 3, 60
FEW_WORDS = 4  # up to here a caption is a name, not a description


def purpose(documents: Documents) -> str:
    """One sentence or two; the author knows better."""
    named = quoted(captions(documents))
    if not named:
        return "Made for prompts like those that it learned from."
    return f"Made for prompts like those that it learned from, such as {named}. What is far from them was not evaluated."


def words_of_a_caption(documents: Documents) -> Figure | None:
    """The median; None without captions."""
    counts = [len(caption.split()) for caption in captions(documents)]
    return counted(median(counts), "median words of a caption", "dataset", "/pictures") if counts else None


def prompting(documents: Documents, words: Figure | None) -> tuple[str, ...]:
    """Tips: the trigger word, and to write as the captions do."""
    known, trigger = captions(documents), str(documents["bundle"].get("trigger") or "")
    tips = []
    if trigger:
        shared = known and all(trigger.casefold() in caption.casefold() for caption in known)
        why = "every caption that it learned from has it" if shared else "it calls the style"
        tips.append(f"Put the trigger word {trigger} into the prompt: {why}.")
    if words is not None:
        long = "1 word long" if words.value == 1 else f"{words.text} words long, or shorter"
        tips.append(f"{style(known, words)} At least half of them are {long}.")
    return (*tips, "The same seed and input give the same picture: keep a seed that you like, and change one thing at a time.")


def style(known: Sequence[str], words: Figure) -> str:
    """How captions are written."""
    if words.value <= FEW_WORDS:
        return "Name the subject in a few words, as the captions do; whole sentences are not what it learned from."
    if sum("," in caption for caption in known) * 2 > len(known):
        return "List what is to be seen, with commas between, as the captions do."
    return "Describe the picture in a sentence, as the captions do."


def captions(documents: Documents) -> list[str]:
    """Of the pictures trained on; of the held-out ones where none of those is named."""
    pictures: list[Any] = documents["dataset"].get("pictures") or []
    trained = [str(one["caption"]) for one in pictures if one.get("split") == "train"]
    return [caption for caption in trained or [str(one["caption"]) for one in pictures] if caption.strip()]


def quoted(known: Sequence[str]) -> str:
    """Captions that stand for the others; those with digits would read as claims, and long ones as an essay."""
    fit = [" ".join(caption.split()) for caption in known if not re.search(r"\d|[<>]", caption) and len(caption) <= LONGEST]
    chosen = [f"“{caption}”" for caption in covering(fit, SHOWN)]
    return " and ".join(filter(None, (", ".join(chosen[:-1]), chosen[-1]))) if chosen else ""
