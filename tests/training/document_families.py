"""Write the tables of docs/families.md from the rows and from what their denoisers were seen to do.

python -m tests.training.document_families
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.training.tiny.waits import cell, waits
from training.families.table import rows

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "families.md"
CALLS = ("family", "pipeline", "without guidance", "codec", "packing", "shift", "memory", "loaded by", "distilled")
PARTS = ("family", "text encoders", "LoRA layers", "a forward waits for")


def documented(text: str) -> str:
    """The document with its two tables as the code has them now."""
    table = [{**row, "a forward waits for": cell(waits(row["family"]))} for row in rows()]
    for name, columns in (("calls", CALLS), ("parts", PARTS)):
        marks = f"<!-- {name} -->\n", f"\n<!-- end of {name} -->"
        fresh = marks[0] + _markdown([{column: row[column] for column in columns} for row in table]) + marks[1]
        text = re.sub(f"{re.escape(marks[0])}.*?{re.escape(marks[1])}", lambda _, fresh=fresh: fresh, text, flags=re.DOTALL)  # type: ignore[misc]
    return text


def _markdown(table: Sequence[Mapping[str, str]]) -> str:
    lines = [list(table[0]), ["---"] * len(table[0]), *(list(row.values()) for row in table)]
    return "\n".join("| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |" for line in lines)


if __name__ == "__main__":
    DOCUMENT.write_text(documented(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
