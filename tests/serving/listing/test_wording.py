"""Words of an author: what is a claim, what is not, and how hard a text reads."""

import pytest

from serving.listing.wording import reading_grade, worded


@pytest.mark.parametrize(
    "text",
    [
        "Soft clay figures at 64 pixels.",
        "Emoji of animals, plants, food and drink at 64 pixels, with soft 3D shading. A demo.",
        "Version 2 of the clay style, for SDXL 1.0.",
        "A bestiary in clay, unofficial.",
        "Trained on 80 pictures of clay",
    ],
)
def test_plain_words_pass(text: str) -> None:
    assert list(worded("description", text)) == []


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("State-of-the-art clay", "claim"),
        ("#1 for clay", "claim"),
        ("Guaranteed results", "claim"),
        ("Made in cooperation with a museum", "claim"),
        ("3x faster clay", "no-receipt"),
        ("clay at 12 fps", "no-receipt"),
        ("only $0.01 each", "no-receipt"),
        ("a Pixar look", "somebody's-mark"),
        ("Pokémon in clay", "somebody's-mark"),
        ("NSFW clay", "unsafe-word"),
    ],
)
def test_what_a_reviewer_would_send_back(text: str, code: str) -> None:
    assert code in {finding.code for finding in worded("description", text)}


def test_reading_grade_rises_with_longer_words_and_sentences() -> None:
    easy = reading_grade("A cat sat on a mat. It saw a dog. The dog ran off. The cat was glad.")
    hard = reading_grade(
        "Photorealistic reinterpretations of quintessential architectural configurations, notwithstanding idiosyncratic "
        "compositional considerations, demonstrating extraordinary representational versatility."
    )
    assert easy is not None
    assert hard is not None
    assert easy < 4 < 20 < hard
    assert reading_grade("Clay figures.") is None
