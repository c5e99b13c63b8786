"""A licence that the body of a card names: another one for the weights is found, its own and that of code are not."""

import pytest

from licenses.check import check
from licenses.prose import other_license_in
from tests.licenses.conftest import APACHE, FolderOf


@pytest.mark.parametrize(
    "sentence",
    [
        "The Llama 3.1 Community License applies to this model.",
        "Use is subject to the Gemma Terms of Use.",
        "This model is released under the GPL-3.0 license.",
        "## License\n\nCreativeML Open RAIL-M",
        "License: Fair AI Public License 1.0-SD",
        "Weights: licensed under AGPL-3.0; the code is MIT.",
        "The weights come under LGPL-2.1.",
    ],
)
def test_another_licence_in_the_body_is_found(sentence: str) -> None:
    assert other_license_in(sentence, "apache-2.0") is not None


@pytest.mark.parametrize(
    ("sentence", "license"),
    [
        ("This model comes under the CreativeML OpenRAIL-M license.", "openrail++"),
        ("This model comes under the Stability AI Community License.", "stability-community"),
        ("Qwen-Image is licensed under Apache 2.0.", "apache-2.0"),
        ("The training code is licensed under GPL-3.0.", "apache-2.0"),
        ("Use it in ComfyUI (a GPL-3.0 licensed tool).", "apache-2.0"),
        ("Faster than Gemma.", "apache-2.0"),
        ("Code and weights: MIT and Apache-2.0 licensed.", "mit"),
    ],
)
def test_the_own_licence_and_that_of_code_are_left_alone(sentence: str, license: str) -> None:
    assert other_license_in(sentence, license) is None


def test_a_body_that_names_another_licence_blocks_with_its_sentence(folder: FolderOf) -> None:
    place = folder(
        {"README.md": "---\nlicense: apache-2.0\n---\nThe weights come under the Gemma Terms of Use.\n", "LICENSE": APACHE}
    )
    found = check(place)
    assert found.verdict == "block"
    reason = next(one for one in found.uses["train_adapter"].reasons if one.code == "body_contradicts_text")
    assert reason.quote == "The weights come under the Gemma Terms of Use."
