"""Numbers with the place that they were read from. Pure."""

import re
from collections.abc import Mapping
from typing import Any

from serving.listing.errors import ListingError
from serving.listing.model_values import Figure

Documents = Mapping[str, Any]


def figure(documents: Documents, receipt: str, pointer: str, shown: str) -> Figure:
    """The number at `pointer` of a document. ListingError where there is none."""
    value = at(documents, receipt, pointer)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ListingError(f"{receipt}{pointer}: got {value!r}, a number is needed for the listing; make the {receipt} again")
    return Figure(value=value, text=typeset(shown.format(value)), receipt=receipt, pointer=pointer)


def counted(value: float, what: str, receipt: str, pointer: str) -> Figure:
    """A number that was counted below `pointer`, as `what` says."""
    return Figure(value=value, text=typeset(f"{value:g}"), receipt=receipt, pointer=pointer, count_of=what)


def typeset(text: str) -> str:
    """A true minus, and a space before the percent sign."""
    return text.replace("-", "−").replace("%", " %")


def at(documents: Documents, receipt: str, pointer: str) -> Any:
    """Resolve a JSON pointer (RFC 6901) in a document; None where it leads nowhere."""
    value: Any = documents.get(receipt)
    for part in pointer.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(value, Mapping):
            value = value.get(key)
        elif isinstance(value, list) and re.fullmatch(r"\d+", key) and int(key) < len(value):
            value = value[int(key)]
        else:
            return None
    return value
