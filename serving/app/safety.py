"""What is not made: a filter over prompts that is always on, and the place for a checker of images."""

import re
import unicodedata
from typing import TYPE_CHECKING, Protocol

from .errors import ContentRefused, SettingsError
from .settings import Settings

if TYPE_CHECKING:
    from PIL.Image import Image as Picture


class Checker(Protocol):
    """Looks at finished pictures. An error of its own counts as a flag: the picture is withheld and not billed."""

    def flags(self, picture: "Picture") -> bool:
        """Whether this picture must be withheld."""
        ...


# Sexual content with minors is refused by words of both kinds in one prompt. Words alone prove little: this is a first layer.
_MINORS = "child children kid kids minor minors toddler toddlers infant baby babies preteen schoolgirl schoolboy loli shota"
_SEXUAL = "sexual sexy sex nude naked erotic porn pornographic nsfw hentai topless undressed fetish lingerie"
_ALWAYS = "csam lolicon shotacon"

_MINOR_WORDS, _SEXUAL_WORDS, _ALWAYS_WORDS = (frozenset(words.split()) for words in (_MINORS, _SEXUAL, _ALWAYS))
_SEPARATORS = re.compile(r"[\W_]+")


def check_prompt(prompt: str) -> None:
    """Raise ContentRefused if the prompt asks for what no caller may have, whatever its letters look like."""
    words = frozenset(_SEPARATORS.split(_plain(prompt)))
    if words & _ALWAYS_WORDS or (words & _MINOR_WORDS and words & _SEXUAL_WORDS):
        raise ContentRefused("The prompt is against the content policy of this app")


def checker_for(settings: Settings) -> Checker | None:
    """The image checker that the settings ask for; None where the package says that it has a prompt filter only."""
    if settings.safety.enabled:
        raise SettingsError("settings.json has safety.enabled true, but this app holds no image checker: set it to false")
    return None


def _plain(text: str) -> str:
    """Compatibility letters, accents and invisible characters folded away, in lower case."""
    letters = unicodedata.normalize("NFKD", text)
    return "".join(letter for letter in letters if unicodedata.category(letter) not in ("Cf", "Mn")).casefold()
