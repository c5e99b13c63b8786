"""What is not delivered: the place for a checker of pictures, and the words that say what protects callers and what does not."""

from typing import TYPE_CHECKING, Protocol

from ..settings import OPENNSFW, Safety, Settings

if TYPE_CHECKING:
    from PIL.Image import Image as Picture


class Checker(Protocol):
    """Looks at finished pictures, from several threads at once. An error of its own counts as a flag: the picture is withheld."""

    def flags(self, picture: "Picture") -> bool:
        """Whether this picture must be withheld."""
        ...


def checker_for(settings: Settings) -> Checker | None:
    """The checker that the settings ask for, loaded; None where they ask for none. Raises SettingsError, one line."""
    safety = settings.safety
    if not safety.enabled:
        return None
    if safety.checker == OPENNSFW:
        from .opennsfw import OpenNsfw

        return OpenNsfw(threshold=safety.threshold)
    from .classifier import Classifier

    return Classifier(safety.checker, unsafe=safety.unsafe, threshold=safety.threshold)


def safety_statement(settings: Settings) -> str:
    """What protects callers of this app, what it does not cover, and whether a caller may turn it off."""
    return statement_of(settings.safety)


def statement_of(safety: Safety) -> str:
    """`safety_statement` for who has read this part of settings.json alone."""
    own = " The publisher's own words add to it." if safety.deny else ""
    return f"{_PROMPTS}{own} {_pictures(safety)}"


_PROMPTS = (
    "A prompt filter is always on and no caller can turn it off. It is a list of words in few languages, found in disguised "
    "spelling too: sexual content with minors, undressing people on pictures, and what hosts bar throughout. It knows no context, "
    "misses what it has no words for, and does not judge negative prompts, violence, hate or names of persons."
)


def _pictures(safety: Safety) -> str:
    if not safety.enabled:
        return "Pictures are not checked: there is no image checker in this release."
    what = "What it flags, or can not check, is withheld and not billed."
    off = "A caller may turn it off for a request." if safety.optional else "No caller can turn it off."
    if safety.checker == OPENNSFW:
        knows = (
            "Pictures are checked by open_nsfw, a classifier of 2016 that knows nudity alone: no violence, no hate, no likeness of "
            "persons, and it does not tell minors."
        )
    else:
        name, _, commit = safety.checker.partition("@")
        labels = ", ".join(safety.unsafe)
        knows = (
            f"Pictures are checked by the classifier {name} at commit {commit[:12]} for what it labels {labels}, and for nothing "
            "else: violence, hate, likeness of persons and minors are covered only where such a label says so."
        )
    return f"{knows} {what} {off}"
