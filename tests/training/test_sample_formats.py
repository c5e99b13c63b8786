"""What a picture's file is called is what it is."""

from pathlib import Path

import pytest
from PIL import Image

from training.errors import ConfigError
from training.sample import sample, save_picture

PICTURE = Image.new("RGB", (8, 8), "red")


@pytest.mark.parametrize(("name", "kind"), [("a.png", "PNG"), ("a.jpg", "JPEG"), ("a.JPEG", "JPEG"), ("a.webp", "WEBP")])
def test_the_suffix_says_the_format(tmp_path: Path, name: str, kind: str) -> None:
    with Image.open(save_picture(PICTURE, tmp_path / "below" / name)) as written:
        assert (written.format, written.size) == (kind, (8, 8))


@pytest.mark.parametrize("name", ["a.gif", "a", "a.png.txt"])
def test_another_suffix_is_refused_before_the_bundle_is_read(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=r"pictures are written as \.png, \.jpg, \.jpeg, \.webp"):
        sample(tmp_path / "nowhere", "a fox", seed=0, scale=1.0, out=tmp_path / name)
    assert list(tmp_path.iterdir()) == []
