"""A contact sheet: every picture with what was found, for a pair of eyes that goes over a hundred in a minute."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from training.data.policy import Finding

MOST = 400  # pictures on a sheet; those with findings come first
_ACROSS, _SIDE, _FRAME, _LINE = 8, 128, 4, 14
_COLOURS: Mapping[str | None, str] = {None: "#4c9a5f", "warning": "#d9a400", "error": "#c8322b"}


def contact_sheet(tiles: Sequence[tuple[str, Path | None]], gravest: Mapping[str, Finding], path: Path) -> int:
    """Write the sheet (PNG) for (name, prepared picture or None) in this order; returns how many found no room.

    The frame is green, amber (warning) or red (error), and the code of the gravest finding stands below the name.
    """
    order = {"error": 0, "warning": 1}
    shown = sorted(tiles, key=lambda tile: order[gravest[tile[0]].level] if tile[0] in gravest else 2)[:MOST]
    tall = _SIDE + 2 * _FRAME + 2 * _LINE
    wide = _SIDE + 2 * _FRAME
    rows = -(-len(shown) // _ACROSS)
    sheet = Image.new("RGB", (wide * min(_ACROSS, max(1, len(shown))), tall * max(1, rows)), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(11)
    for number, (name, picture) in enumerate(shown):
        left, top = number % _ACROSS * wide, number // _ACROSS * tall
        finding = gravest.get(name)
        colour = _COLOURS[finding.level if finding else None]
        pen.rectangle((left, top, left + wide - 1, top + wide - 1), outline=colour, width=_FRAME)
        _place(sheet, pen, picture, (left + _FRAME, top + _FRAME), colour)
        for line, text in enumerate((name, finding.code if finding else "")):
            pen.text((left + _FRAME, top + wide + line * _LINE), _plain(text), fill=colour if line else "black", font=font)
    sheet.save(path, format="PNG")
    return len(tiles) - len(shown)


def _place(sheet: Image.Image, pen: ImageDraw.ImageDraw, picture: Path | None, corner: tuple[int, int], colour: str) -> None:
    left, top = corner
    if picture is None:
        pen.line((left, top, left + _SIDE, top + _SIDE), fill=colour, width=2)
        pen.line((left, top + _SIDE, left + _SIDE, top), fill=colour, width=2)
        return
    with Image.open(picture) as file:
        small = file.convert("RGB")
    small.thumbnail((_SIDE, _SIDE))
    sheet.paste(small, (left + (_SIDE - small.width) // 2, top + (_SIDE - small.height) // 2))


def _plain(text: str) -> str:
    """The end of a name, in what the built-in font can write."""
    return text[-20:].encode("ascii", "replace").decode()
