"""Samples side by side for a person's eye: a row a caption, a column a source, headings written out."""

from collections.abc import Sequence
from textwrap import wrap

from PIL import Image, ImageDraw, ImageFont

COLUMNS = ("base", "adapter", "real")
_MARGIN, _HEAD, _LABEL, _TEXT = 8, 36, 190, 17  # pixels


def grid(rows: Sequence[tuple[str, Sequence[Image.Image]]], *, columns: Sequence[str] = COLUMNS, cell: int = 160) -> Image.Image:
    """A picture of (caption, one picture a column) rows on white; pictures are fitted into squares of `cell` pixels."""
    width = _LABEL + len(columns) * (cell + _MARGIN) + _MARGIN
    sheet = Image.new("RGB", (width, _HEAD + len(rows) * (cell + _MARGIN)), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=_TEXT)
    for column, heading in enumerate(columns):
        pen.text((_left(column, cell) + cell / 2, _HEAD / 2), heading, fill="black", font=font, anchor="mm")
    for row, (caption, pictures) in enumerate(rows):
        top = _HEAD + row * (cell + _MARGIN)
        text = "\n".join(wrap(caption, width=21, max_lines=6, placeholder=" ..."))
        pen.multiline_text((_MARGIN, top + cell / 2), text, fill="black", font=font, anchor="lm")
        for column, picture in enumerate(pictures):
            fitted = _fitted(picture, cell)
            sheet.paste(fitted, (_left(column, cell) + (cell - fitted.width) // 2, top + (cell - fitted.height) // 2))
    return sheet


def _left(column: int, cell: int) -> int:
    return _LABEL + column * (cell + _MARGIN)


def _fitted(picture: Image.Image, cell: int) -> Image.Image:
    scale = cell / max(picture.size)
    return picture.resize((max(1, round(picture.width * scale)), max(1, round(picture.height * scale))), Image.Resampling.BICUBIC)
