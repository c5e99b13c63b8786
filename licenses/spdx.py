"""SPDX texts that installed packages ship, and what licenseclassifier takes a text for.

Neither decides anything: a text found here is used only where its hash is that of the catalogue, a guess only explains a block.
"""

from functools import lru_cache
from importlib.metadata import distributions
from pathlib import Path

from licenses.catalogue import load
from licenses.fields import without_fields
from licenses.identify import identify, words

NAMES = ("license", "licence", "copying")
HOLDERS = ("mit", "bsd-2-clause", "bsd-3-clause")
LIMIT = 1 << 16  # bytes; longer files are bundles of many licences


def text(spdx_id: str, *, without_holder: bool = False) -> str | None:
    """The text of an SPDX licence as an installed package ships it; None where none does, or where its author has to be named.

    Searched are the licence files of installed distributions (license-expression brings Apache-2.0 and CC-BY-4.0); only a text
    whose hash is that of the catalogue is returned. MIT and BSD texts carry a copyright line, which is that of the package here:
    `without_holder` asks for them without it.
    """
    wanted = {one.id for one in load().licenses.values() if one.spdx is not None and one.spdx.casefold() == spdx_id.casefold()}
    found = next(((exact, said) for license, exact, said in _shipped() if license in wanted), None)
    return found[1] if found is not None and (found[0] or without_holder) else None


def guess(text: str) -> str | None:
    """SPDX ids that licenseclassifier names for a text, `A, B` where several; None where it names none."""
    import licenseclassifier

    found = dict.fromkeys(one.id for one in licenseclassifier.identify_license(text[:LIMIT]))
    return ", ".join(found) or None


@lru_cache(maxsize=1)
def _shipped() -> tuple[tuple[str, bool, str], ...]:
    """Licence id, whether no holder was taken out, and text; of several texts the one that needs the least taken out."""
    catalogue = load()
    best: dict[str, tuple[tuple[int, str], str]] = {}
    for place, file in sorted(_files()):
        found = _read(file)
        match = identify(found, catalogue) if found else None
        if found is None or match is None or match.known.role != "license":
            continue
        own = "name of the copyright holder" not in words(found) and "neither the name" in words(found)
        rank = (2 * own + (match.by != "exact text"), place)
        best[match.known.license] = min(best.get(match.known.license, (rank, found)), (rank, found))
    whole = {license: rank[0] == 0 and license not in HOLDERS for license, (rank, _) in best.items()}
    return tuple((one, whole[one], found if whole[one] else _bare(found)) for one, (_, found) in sorted(best.items()))


def _files() -> list[tuple[str, Path]]:
    listed = []
    for distribution in distributions():
        for file in distribution.files or ():
            name = file.name.casefold()
            if any(one in name for one in NAMES) and not name.endswith((".py", ".pyc", ".json", ".about")):
                listed.append((f"{distribution.name}/{file}", Path(str(distribution.locate_file(file)))))
    return listed


def _read(file: Path) -> str | None:
    try:
        raw = file.read_bytes()
        return raw.decode() if len(raw) <= LIMIT else None
    except (OSError, UnicodeDecodeError):
        return None  # a package may list what it did not install


def _bare(found: str) -> str:
    return without_fields(found)[0].strip() + "\n"
