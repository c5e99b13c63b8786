"""The adversarial cases with real licence texts in the place of made-up ones: wrong allows and wrong blocks, by name."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# The licences of the catalogue whose text alone lets a publisher without any profile train and host for money.
PASSING = (
    "apache-2.0",
    "bigcode-openrail-m",
    "bigscience-bloom-rail-1.0",
    "bigscience-openrail-m",
    "bsd-2-clause",
    "bsd-3-clause",
    "cc-by-4.0",
    "cc-by-sa-4.0",
    "cc0-1.0",
    "creativeml-openrail-m",
    "gemma",
    "gpl-3.0",
    "mit",
    "nvidia-open-model",
    "openmdw-1.0",
    "openmdw-1.1",
    "openrail++",
    "unlicense",
)
POLICIES = ("gemma-prohibited-use-policy",)  # texts that are no licence by themselves


def faults(texts: Path) -> tuple[list[str], list[str]]:
    """Wrong allows, and wrong blocks or blocks for another reason, over the cases of the suite and those of the texts."""
    from tests.licenses.adversarial import texts as made_up

    found = read(texts)
    made_up.REAL.update({license: versions[-1] for license, versions in found.items()})

    import licenses.check
    from tests.licenses.adversarial.every import CASES
    from tests.licenses.adversarial.hub import serving
    from tests.licenses.adversarial.run import fault_of, run

    allows, blocks = [], []
    licenses.check.load = made_up.catalogue  # type: ignore[attr-defined]
    with serving() as hub:
        os.environ |= {"HF_ENDPOINT": hub.address, "HF_HUB_OFFLINE": "0", "HF_TOKEN_PATH": os.devnull}
        for case in (*CASES, *of_texts(found)):
            hub.clear()
            with tempfile.TemporaryDirectory() as place:
                fault = fault_of(case, run(case, Path(place), hub))
            if fault:
                (allows if "WRONG ALLOW" in fault else blocks).append(f"{case.id}: {fault}")
    return allows, blocks


def read(texts: Path) -> dict[str, list[str]]:
    """Versions of each text by licence id, in the order of their file names (`id__version.txt`)."""
    found: dict[str, list[str]] = {}
    for path in sorted(texts.glob("*.txt")):
        found.setdefault(path.stem.partition("__")[0], []).append(path.read_text(encoding="utf-8"))
    return found


def of_texts(found: dict[str, list[str]]) -> Iterator[Any]:
    """Each real text alone, under a tag that promises more, with one word changed, and with an addendum."""
    from tests.licenses.adversarial.build import card
    from tests.licenses.adversarial.case import Case, Folder

    for license, versions in found.items():
        for number, text in enumerate(versions):
            words = text.split(" ")
            middle = len(words) // 2
            changed = " ".join([*words[:middle], "noncommercial", *words[middle:]])
            for what, content, passes in (
                ("as it is", text, license in PASSING and license not in POLICIES),
                ("with a word more", changed, False),
                ("with an addendum", f"{text}\n\nHosting for a fee needs the author's leave.\n", False),
            ):
                yield Case(
                    id=f"real text {license} {number} {what}",
                    base=Folder(files={"LICENSE": content}),
                    allowed=passes,
                    codes=ANY,
                    barred=("host_paid_inference",),
                )
            if license not in PASSING:
                promised = {"README.md": card("license: apache-2.0"), "LICENSE": text}
                yield Case(
                    id=f"real text {license} {number} under a permissive tag",
                    base=Folder(files=promised),
                    allowed=False,
                    codes=ANY,
                    barred=("train_adapter", "host_paid_inference"),
                )


ANY = frozenset(
    {
        *(
            "text_unknown",
            "license_missing",
            "license_text_missing",
            "tag_contradicts_text",
            "non_commercial",
            "license_forbids",
            "license_unclear",
        ),
        *("needs_review", "revenue_cap_unknown", "users_cap_unknown", "registration_missing", "registration_unproven"),
        *("territory_excluded", "weights_not_public", "filters_required"),
    }
)
