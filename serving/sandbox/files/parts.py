"""The one form field of an upload, and the numbered parts of a large one."""

import re
from collections.abc import Iterator
from pathlib import Path

from ..gateway.gateway import Refused


def first_part(content_type: str, body: bytes) -> bytes:
    """Content of the first field of a multipart/form-data body."""
    match = re.search(r'boundary="?([^";,]+)"?', content_type)
    head, separator, rest = body.partition(b"\r\n\r\n")
    if match is None or not separator or not head.startswith(b"--"):
        raise Refused(status=400, detail="multipart/form-data with one field was expected.", error_type="bad_request")
    return rest.rpartition(b"\r\n--" + match.group(1).encode())[0].partition(b"\r\n--" + match.group(1).encode() + b"\r\n")[0]


def part_name(number: int) -> str:
    """Names of parts sort as their numbers do."""
    return f"{number:06d}"


def parts_of(upload: Path) -> Iterator[bytes]:
    """The parts in their order."""
    for part in sorted(upload.glob("[0-9]*")):
        yield part.read_bytes()
