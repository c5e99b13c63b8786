"""The plain statement in a file's XMP that software made the picture, in the words of the IPTC. Anybody can write or remove it."""

import re
from typing import TYPE_CHECKING

from .manifest import GENERATED

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

_TYPE = "Iptc4xmpExt:DigitalSourceType"
_PACKET = f"""<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" {_TYPE}="{GENERATED}"/>
</rdf:RDF></x:xmpmeta>
<?xpacket end="w"?>"""
_AS_ATTRIBUTE = re.compile(rf"{_TYPE}\s*=\s*[\"']([^\"'<>]{{1,200}})[\"']")
_AS_ELEMENT = re.compile(rf"<{_TYPE}>([^<>]{{1,200}})</{_TYPE}>")  # no blanks beside the group: a file of blanks would take hours
_MOST = 65_536  # letters of XMP that are looked at; files that come from strangers may hold more


def packet() -> bytes:
    """The XMP that says `trainedAlgorithmicMedia`, and nothing else."""
    return _PACKET.encode()


def source_type(picture: "Picture") -> str | None:
    """The digital source type that the file's XMP names."""
    found = picture.info.get("xmp") or picture.info.get("XML:com.adobe.xmp") or ""
    text = found[:_MOST].decode("utf-8", "replace") if isinstance(found, bytes) else str(found)[:_MOST]
    match = _AS_ATTRIBUTE.search(text) or _AS_ELEMENT.search(text)
    return (match[1].strip() or None) if match else None
