"""Thumbnail and social card: the right size, the same bytes each time, and every title fits."""

import io
from pathlib import Path

import pytest
from PIL import Image, ImageChops

from serving.listing.banner import CARD, COLUMN, MARGIN, SIDE, SIZE, THUMBNAIL, banners, fitted, lines_of, printable, shown
from serving.listing.model import Listing
from tests.serving.listing.material import files_in, listing_in


def picture(content: bytes) -> Image.Image:
    with Image.open(io.BytesIO(content)) as opened:
        assert opened.format == "PNG"
        return opened.convert("RGB")


def titled(draft: Path, **words: str) -> Listing:
    listing = listing_in(draft)
    return listing.model_copy(update={"metadata": listing.metadata.model_copy(update=words)})


def test_sizes_and_bytes(draft: Path) -> None:
    listing, files = listing_in(draft), files_in(draft)
    drawn = banners(listing, files)
    assert {name: picture(content).size for name, content in drawn.items()} == {THUMBNAIL: (SIDE, SIDE), CARD: SIZE}
    assert drawn == banners(listing, files) == {name: files[name] for name in drawn}


def test_the_page_names_both(draft: Path) -> None:
    page = (draft / "index.html").read_text()
    assert f'<meta property="og:image" content="{CARD}">' in page
    assert listing_in(draft).metadata.thumbnail_url == THUMBNAIL


def test_four_prompts_or_one_picture(draft: Path) -> None:
    examples = listing_in(draft).examples
    assert len({example.input["prompt"] for example in shown(examples)}) == 4
    assert len(shown([one for one in examples if one.input["prompt"] == examples[0].input["prompt"]])) == 1


@pytest.mark.parametrize(
    "title", ["Clay", "Soft Clay Icons", "W" * 60, "Sixty letters of a title that goes on and on until the end of it", "🦊", ""]
)
def test_a_title_stays_in_its_column(draft: Path, title: str) -> None:
    listing, files = titled(draft, display_name=title, description="wide " * 32), files_in(draft)
    card, empty = (picture(banners(one, files)[CARD]) for one in (listing, titled(draft, display_name="", description="")))
    box = ImageChops.difference(card, empty).getbbox()
    assert box is not None
    assert box[0] >= MARGIN - 4
    assert box[2] <= MARGIN + COLUMN + 4
    lines, font = fitted(title)
    assert "".join(lines_of(title, font)).replace(" ", "").startswith("".join(lines).replace(" ", ""))


def test_what_the_font_lacks_is_written_otherwise_or_left_out() -> None:
    _, font = fitted("x")
    assert printable("Größe 🦊 “weich” – … é", font) == "Grosse “weich” - … e"
