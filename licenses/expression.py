"""The licences of a whole as one SPDX expression: everything holds together, so AND joins it."""

import re
from collections.abc import Iterable, Mapping

from licenses.catalogue import License

OWN = "own"


def expression(ids: Iterable[str | None], licenses: Mapping[str, License]) -> str:
    """`Apache-2.0 AND LicenseRef-gemma` for these licence ids, each once and in order; empty where all is the publisher's own."""
    return " AND ".join(sorted({spdx_of(id, licenses) for id in ids if id and id != OWN}))


def spdx_of(id: str, licenses: Mapping[str, License]) -> str:
    """The SPDX id of a licence, or a LicenseRef made of its id here."""
    known = licenses.get(id)
    if known is not None and known.spdx is not None:
        return known.spdx
    return "LicenseRef-" + re.sub(r"[^A-Za-z0-9.-]+", "-", id.replace("++", "-plus-plus")).strip("-")
