"""What is true of the marks on delivered pictures, in words for health and listing: no figure that a listing has no receipt for."""

from ..settings import Marking

_OFF = (
    "Pictures leave without a machine-readable mark: neither signed metadata nor an invisible watermark is in this release. Where "
    "the law asks for marks, they are to be turned on before callers are served."
)
_LAYERS = (
    "Every delivered picture says that it was generated: in signed metadata (Content Credentials), in a plain IPTC note, and in an "
    "invisible watermark, of which small pictures hold too little to rely on."
)
_DEVELOPMENT = "a development certificate, made when a runner starts, that nobody vouches for"
_LIMITS = "Marks can be removed by whoever wants to; /verify looks for them without charge."


def statement_of(marking: Marking, *, signer: str | None = None) -> str:
    """Which marks there are, who signs, and what that is worth; `signer` is whom the certificate names, where it is at hand."""
    if not marking.enabled:
        return _OFF
    publishers = f"the certificate of {signer or marking.publisher or 'the publisher'}"
    certificate = publishers if marking.certificate == "secret" else _DEVELOPMENT
    return f"{_LAYERS} The metadata is signed with {certificate}. {_LIMITS}"
