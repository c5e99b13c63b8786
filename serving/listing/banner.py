"""Thumbnail and social card: pictures of the gallery, name and price, in Pillow's own font; no clock and no chance."""

import io
from collections.abc import Iterator, Mapping, Sequence
from textwrap import shorten
from unicodedata import normalize

from PIL import Image, ImageDraw, ImageFilter, ImageFont

from serving.listing.model import Example, Listing

THUMBNAIL, CARD = "thumbnail.png", "social.png"
SIDE = 512
SIZE, MARGIN, TILE, GAP = (1200, 630), 64, 243, 16
GROUND, GLOW, INK, SOFT, ACCENT = "#fcfbf9", "#ffd9c2", "#1b1916", "#5f594f", "#b23a0e"
TITLES, TITLE_LINES, DESCRIPTION_LINES = (78, 68, 58, 50, 42), 3, 3
COLUMN = SIZE[0] - 2 * MARGIN - (2 * TILE + GAP) - 48  # pixels that text may take
PLAIN = {"ß": "ss", "ø": "o", "Ø": "O", "æ": "ae", "–": "-", "—": "-", "−": "-", "×": "x"}  # what normalize() leaves as it is

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def banners(listing: Listing, files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Both as PNG by file name; `files` holds the examples."""
    pictures = [square(files[example.output.file]) for example in shown(listing.examples)]
    return {THUMBNAIL: png(thumbnail(pictures)), CARD: png(card(listing, pictures))}


def shown(examples: Sequence[Example]) -> list[Example]:
    """The first example of four prompts, or the first one alone where there are fewer."""
    first: dict[object, Example] = {}
    for example in examples:
        if example.role == "pair":
            first.setdefault(example.input.get("prompt"), example)
    chosen = list(first.values()) or list(examples)
    return chosen[:4] if len(chosen) >= 4 else chosen[:1]


def thumbnail(pictures: list[Image.Image]) -> Image.Image:
    """SIDE x SIDE, without words: one picture, or four."""
    return tiled(pictures, side=SIDE, gap=0, radius=0)


def card(listing: Listing, pictures: list[Image.Image]) -> Image.Image:
    """1200 x 630, as pages are shown where a link to them is shared."""
    image = Image.new("RGB", SIZE, GROUND)
    side = 2 * TILE + GAP
    left, top = SIZE[0] - MARGIN - side, (SIZE[1] - side) // 2
    glow = Image.new("L", SIZE, 0)
    ImageDraw.Draw(glow).ellipse((left - 40, top - 40, left + side + 40, top + side + 40), fill=190)
    image.paste(Image.new("RGB", SIZE, GLOW), mask=glow.filter(ImageFilter.GaussianBlur(50)))
    image.paste(tiles := tiled(pictures, side=side, gap=GAP, radius=28), (left, top), tiles)
    written(ImageDraw.Draw(image), listing)
    return image


def written(draw: ImageDraw.ImageDraw, listing: Listing) -> None:
    """Category, name and description from the top, price and address from the bottom."""
    small, body, large = (ImageFont.load_default(size) for size in (24, 30, 40))
    top = MARGIN + 4
    draw.text((MARGIN, top), listing.metadata.category, fill=ACCENT, font=small)
    title, font = fitted(printable(listing.metadata.display_name, large))
    top = paragraph(draw, title, font, top=top + 48, fill=INK, leading=1.08, stroke=1)
    description = lines_of(printable(listing.metadata.description, body), body)
    if len(description) > DESCRIPTION_LINES:
        description = [*description[: DESCRIPTION_LINES - 1], f"{description[DESCRIPTION_LINES - 1]} …"]
    paragraph(draw, description, body, top=top + 22, fill=SOFT, leading=1.32)
    bottom = SIZE[1] - MARGIN
    address = shorten(listing.endpoint_id, 60, placeholder="…")
    draw.text((MARGIN, bottom - 28), printable(address, small), fill=SOFT, font=small)
    draw.text((MARGIN, bottom - 88), price(listing), fill=ACCENT, font=large, stroke_width=0.6)


def price(listing: Listing) -> str:
    pricing = listing.pricing
    return f"{pricing.label} per {pricing.unit}" if pricing.unit_price_usd is not None else "Price to be agreed"


def fitted(title: str) -> tuple[list[str], Font]:
    """The largest size at which a title takes few enough lines, none too wide."""
    for size in TITLES:
        font = ImageFont.load_default(size)
        lines = lines_of(title, font)
        if len(lines) <= TITLE_LINES and all(font.getlength(line) <= COLUMN for line in lines):
            break
    return lines[:TITLE_LINES], font


def lines_of(text: str, font: Font) -> list[str]:
    """Words in lines of at most COLUMN pixels; a word that is wider by itself is cut."""
    lines: list[str] = []
    for word in pieces(text, font):
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and font.getlength(longer) <= COLUMN:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def pieces(text: str, font: Font) -> Iterator[str]:
    for word in text.split():
        while font.getlength(word) > COLUMN:
            fits = max(1, sum(font.getlength(word[: end + 1]) <= COLUMN for end in range(len(word))))
            yield word[:fits]
            word = word[fits:]
        if word:
            yield word


def paragraph(
    draw: ImageDraw.ImageDraw, lines: list[str], font: Font, *, top: float, fill: str, leading: float, stroke: int = 0
) -> int:
    """Write lines from `top` on; the pixel row below them."""
    height = sum(font.getmetrics()) if isinstance(font, ImageFont.FreeTypeFont) else 12
    for number, line in enumerate(lines):
        draw.text((MARGIN, top + number * height * leading), line, fill=fill, font=font, stroke_width=stroke)
    return round(top + len(lines) * height * leading)


def printable(text: str, font: Font) -> str:
    """In letters that the font has: others become the ones that they are made of (ö: o, ß: ss), or are left out."""
    missing = bytes(font.getmask("\uffff"))

    def known(letters: str) -> str:
        return "".join(one for one in letters if one.isspace() or bytes(font.getmask(one)) != missing)

    written = (one if known(one) else known(normalize("NFKD", PLAIN.get(one, one))) for one in text)
    return " ".join("".join(written).split())


def tiled(pictures: list[Image.Image], *, side: int, gap: int, radius: int) -> Image.Image:
    """One picture or four in a square with round corners; RGBA."""
    each = side if len(pictures) == 1 else (side - gap) // 2
    mask = Image.new("L", (each * 4, each * 4), 0)
    ImageDraw.Draw(mask).rounded_rectangle((0, 0, each * 4 - 1, each * 4 - 1), radius * 4, fill=255)
    mask = mask.resize((each, each), Image.Resampling.LANCZOS)
    sheet = Image.new("RGBA", (side, side), (0, 0, 0, 0))
    for number, picture in enumerate(pictures):
        place = (number % 2 * (each + gap), number // 2 * (each + gap))
        tile = picture.resize((each, each), Image.Resampling.LANCZOS)
        tile.putalpha(mask)
        sheet.paste(tile, place)
    return sheet


def square(content: bytes) -> Image.Image:
    """The middle of a picture."""
    with Image.open(io.BytesIO(content)) as opened:
        picture = opened.convert("RGB")
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    return picture.crop((left, top, left + side, top + side))


def png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.convert("RGB").save(buffer, "PNG", compress_level=9)
    return buffer.getvalue()
