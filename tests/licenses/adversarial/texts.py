"""Licence texts of the cases: SPDX texts of this repository and of a library, and made-up ones that a test catalogue knows."""

import dataclasses
from functools import lru_cache
from importlib import resources
from typing import Any

from licenses.catalogue import Catalogue, KnownText, load
from licenses.identify import text_hash
from tests.licenses.conftest import APACHE as APACHE
from tests.licenses.conftest import ROOT
from tests.licenses.test_identify import MIT_BODY as MIT_BODY

MIT = f"MIT License\n\nCopyright (c) 2024 Jane Doe\n\n{MIT_BODY}"
BSD_3 = """Copyright (c) 2023, Jane Doe. All rights reserved.

Redistribution and use in source and binary forms, with or without modification, are permitted provided that the following
conditions are met:

1. Redistributions of source code must retain the above copyright notice, this list of conditions and the following disclaimer.
2. Redistributions in binary form must reproduce the above copyright notice, this list of conditions and the following disclaimer
in the documentation and/or other materials provided with the distribution.
3. Neither the name of the copyright holder nor the names of its contributors may be used to endorse or promote products derived
from this software without specific prior written permission.

THIS SOFTWARE IS PROVIDED BY THE COPYRIGHT HOLDERS AND CONTRIBUTORS "AS IS" AND ANY EXPRESS OR IMPLIED WARRANTIES, INCLUDING, BUT
NOT LIMITED TO, THE IMPLIED WARRANTIES OF MERCHANTABILITY AND FITNESS FOR A PARTICULAR PURPOSE ARE DISCLAIMED. IN NO EVENT SHALL
THE COPYRIGHT HOLDER OR CONTRIBUTORS BE LIABLE FOR ANY DIRECT, INDIRECT, INCIDENTAL, SPECIAL, EXEMPLARY, OR CONSEQUENTIAL DAMAGES
(INCLUDING, BUT NOT LIMITED TO, PROCUREMENT OF SUBSTITUTE GOODS OR SERVICES; LOSS OF USE, DATA, OR PROFITS; OR BUSINESS
INTERRUPTION) HOWEVER CAUSED AND ON ANY THEORY OF LIABILITY, WHETHER IN CONTRACT, STRICT LIABILITY, OR TORT (INCLUDING NEGLIGENCE
OR OTHERWISE) ARISING IN ANY WAY OUT OF THE USE OF THIS SOFTWARE, EVEN IF ADVISED OF THE POSSIBILITY OF SUCH DAMAGE.
"""
ROOT_BASE = str(ROOT / "examples/base")
CC_BY = resources.files("license_expression").joinpath("data/cc-by-4.0.LICENSE").read_text(encoding="utf-8")
# A licence that no publisher meets by accident: granted, but neither in the EU nor in the United Kingdom.
NO_EU = "test-no-eu"
REAL: dict[str, str] = {}  # the bench puts real texts here, and the cases are built of them


def synthetic(license: str) -> str:
    """The text that stands for a licence of the catalogue in these cases; it says nothing that a prose detector could hear."""
    if license in REAL:
        return REAL[license]
    name = license.replace("+", " plus")
    return (
        f"Stand-in text for the catalogue entry {name}.\n\nOne. Its words are made up. Two. Its hash is known to the tests alone.\n"
    )


@lru_cache(maxsize=1)
def catalogue() -> Catalogue:
    """The catalogue of this installation, and the made-up texts."""
    real = load()
    no_eu = dataclasses.replace(
        real.licenses["openrail++"],
        id=NO_EU,
        name="Test licence without the EU",
        tags=(),
        territory_excluded=("EU", "GB"),
        clauses=(),
    )
    licenses: dict[str, Any] = {**real.licenses, NO_EU: no_eu}
    made_up = {text_hash(synthetic(license)): KnownText(license=license, version="made up") for license in licenses}
    return dataclasses.replace(real, licenses=licenses, texts={**made_up, **real.texts})
