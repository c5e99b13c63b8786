"""Signed metadata by the C2PA standard: written into a file, and read from one. Pictures and prompts are not copied into it."""

import io
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from .certificate import DEVELOPMENT, Credential

GENERATED = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
SOFTWARE = "lorasmith"

# The library's defaults embed a thumbnail, which costs more time than all of the rest, and follow links in files they read.
_WRITING: dict[str, Any] = {"builder": {"thumbnail": {"enabled": False}}, "verify": {"verify_after_sign": False}}
_READING: dict[str, Any] = {"remote_manifest_fetch": False, "ocsp_fetch": False}
_EXPECTED = "signingCredential.untrusted"  # where nobody said whom to trust
_LONGEST = 200  # letters of anything that is told of a file


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """What a file's signed metadata says, and whether file and signature are whole. `trusted` is None where no anchor was given."""

    valid: bool
    trusted: bool | None
    development: bool
    signer: str | None
    source_type: str | None
    package: str | None
    problems: tuple[str, ...]


class ManifestSigner:
    """Signs files in the name of one credential; may be used by several threads."""

    def __init__(self, credential: Credential, *, title: str, package: str) -> None:
        self.credential = credential
        software = {"name": SOFTWARE, "version": package}
        created = {"action": "c2pa.created", "digitalSourceType": GENERATED, "softwareAgent": software}
        self.definition = {
            "claim_generator_info": [software],
            "title": title,
            "assertions": [{"label": "c2pa.actions", "data": {"actions": [created]}}],
        }

    def signed(self, data: bytes, output_format: str) -> bytes:
        """The file with its manifest. The pixels are the same; identifiers in the manifest are new each time.

        Raises ValueError where the certificate has expired since, and C2paError.
        """
        from c2pa import Builder

        if datetime.now(UTC) > self.credential.ends:  # a runner may live longer than its certificate
            raise ValueError(f"the certificate expired at {self.credential.ends:%Y-%m-%d %H:%M} UTC")
        result = io.BytesIO()
        with Builder(self.definition, context=self._context) as builder:
            builder.sign(self._signer, f"image/{output_format}", io.BytesIO(data), result)
        return result.getvalue()

    @cached_property
    def _context(self) -> Any:
        from c2pa import Context, Settings

        return Context(settings=Settings.from_dict(_WRITING))

    @cached_property
    def _signer(self) -> Any:
        from c2pa import C2paSignerInfo, Signer

        # None, not an empty address, is how to say that no timestamp authority is asked
        return Signer.from_info(C2paSignerInfo(self.credential.algorithm, self.credential.chain, self.credential.key, None))


def read(data: bytes, output_format: str, *, anchors: str | None = None) -> Manifest | None:
    """The file's manifest; None where there is none. anchors: PEM of the authorities to trust. Nothing is fetched."""
    from c2pa import C2paError, Context, Reader, Settings

    settings: dict[str, Any] = {"verify": {**_READING, "verify_trust": anchors is not None}}
    if anchors is not None:
        settings["trust"] = {"trust_anchors": anchors}
    context = Context(settings=Settings.from_dict(settings))
    try:
        with Reader(f"image/{output_format}", io.BytesIO(data), context=context) as reader:
            return _manifest(reader.get_validation_state(), reader.get_active_manifest() or {}, reader, anchors is not None)
    except C2paError.ManifestNotFound:
        return None
    except C2paError as error:
        return _broken(str(error))
    except (LookupError, ValueError, TypeError, AttributeError, RecursionError):  # a store without what it must have
        return _broken("the manifest holds together for its reader, and says nothing that can be read")


def _manifest(state: str | None, active: dict[str, Any], reader: Any, judged: bool) -> Manifest:
    results = (reader.get_validation_results() or {}).get("activeManifest", {})
    problems = {str(failure.get("code")) for failure in results.get("failure", ())}
    agent, source_type = _created(active)
    signature = active.get("signature_info") or {}
    return Manifest(
        valid=state in ("Valid", "Trusted"),
        trusted=state == "Trusted" if judged else None,
        development=signature.get("common_name") == DEVELOPMENT,
        signer=_short(signature.get("issuer") or signature.get("common_name")),
        source_type=_short(source_type),
        package=_short(agent.get("version")) if agent.get("name") == SOFTWARE else None,
        problems=tuple(sorted(problems - (set() if judged else {_EXPECTED}))),
    )


def _created(active: dict[str, Any]) -> tuple[dict[str, Any], str | None]:
    """Software and digital source type of the action that made the picture."""
    for assertion in active.get("assertions", ()):
        if str(assertion.get("label", "")).startswith("c2pa.actions"):
            for action in (assertion.get("data") or {}).get("actions", ()):
                if action.get("action") == "c2pa.created":
                    agent = action.get("softwareAgent")
                    return (agent if isinstance(agent, dict) else {"name": agent}), action.get("digitalSourceType")
    return {}, None


def _short(said: object) -> str | None:
    """What a stranger's manifest says, as far as an answer repeats it: it may be as long as the file."""
    return str(said)[:_LONGEST] if said else None


def _broken(why: str) -> Manifest:
    problem = " ".join(why.split())[:_LONGEST]
    return Manifest(valid=False, trusted=None, development=False, signer=None, source_type=None, package=None, problems=(problem,))
