"""verify: which marks a picture carries."""

from pathlib import Path
from typing import Annotated, Any

import typer

MOST_BYTES = 64 << 20


def register(root: typer.Typer) -> None:
    root.command()(verify)


def verify(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Pictures: JPEG, PNG or WebP.")],
    anchors: Annotated[Path | None, typer.Option(help="PEM of the certificate authorities that you trust.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, a list with one object a file.")] = False,
) -> None:
    """Say which marks pictures carry: signed metadata, an invisible watermark, a plain note. Needs no account and no network.

    Example: lorasmith verify apple.jpg
    """
    import json

    trusted = authorities(anchors) if anchors else None
    found = []
    for file in files:
        marks = marks_in(file, trusted)
        found.append({"file": str(file), **marks})
        if not as_json:
            print("\n".join([f"{file}: {verdict(marks)}", *(f"  {line}" for line in said(marks))]))
    if as_json:
        print(json.dumps(found, indent=2))


def marks_in(file: Path, anchors: str | None) -> dict[str, Any]:
    from flows.errors import JobError
    from serving.app.errors import BadPicture
    from serving.app.marking import found_marks

    try:
        return found_marks(bytes_of(file), anchors=anchors)
    except BadPicture as error:
        raise JobError(f"{file}: {error}") from None


def authorities(file: Path) -> str:
    """The PEM of certificates that the file holds, and nothing else of it."""
    from cryptography.hazmat.primitives.serialization import Encoding
    from cryptography.x509 import load_pem_x509_certificates

    from flows.errors import JobError

    try:
        return "".join(one.public_bytes(Encoding.PEM).decode() for one in load_pem_x509_certificates(bytes_of(file)))
    except JobError:
        raise
    except ValueError:
        raise JobError(f"{file} holds no PEM of certificates; give those of the authorities that you trust") from None


def bytes_of(file: Path) -> bytes:
    """The content of a plain file: a pipe or a device would never end, a huge file would not fit."""
    import os
    import stat

    from flows.errors import JobError

    try:
        with os.fdopen(os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as opened:
            if not stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
                raise JobError(f"{file} is no plain file; name a picture")
            content = opened.read(MOST_BYTES + 1)
    except OSError as error:
        raise JobError(f"{file} can not be read ({error.strerror}); name a file") from None
    if len(content) > MOST_BYTES:
        raise JobError(f"{file} is larger than {MOST_BYTES >> 20} MiB; name a picture as an app delivers it")
    return content


def verdict(marks: dict[str, Any]) -> str:
    if marks["generated"]:
        return "a mark says that software generated it"
    return "no mark says that it was generated, which does not prove that it was not"


def said(marks: dict[str, Any]) -> list[str]:
    return [f"C2PA       {signed(marks['c2pa'])}", f"watermark  {seen(marks['watermark'])}", f"IPTC       {noted(marks['iptc'])}"]


def signed(found: dict[str, Any]) -> str:
    if not found["present"]:
        return "none"
    if not found["valid"]:
        return f"there, but NOT VALID: picture or metadata were changed after signing ({', '.join(found['problems'])})"
    trust = {True: "trusted by the given authorities", False: "NOT of the given authorities", None: "its authority was not judged"}
    certificate = "a development certificate that nobody vouches for" if found["certificate"] == "development" else "a certificate"
    package = f"; package {found['package']}" if found["package"] else ""
    return (
        f"valid: {kind(found['source_type'])}, by {found['signer'] or '?'} with {certificate} ({trust[found['trusted']]}){package}"
    )


def seen(found: dict[str, Any]) -> str:
    if not found["present"]:
        return f"none ({found['score']:.1f}, {found['threshold']:.1f} needed)"
    package = f"; package {found['package']}..." if found["package"] else "; too little left to read of which package"
    return f"found ({found['score']:.1f}, {found['threshold']:.1f} needed){package}"


def noted(found: dict[str, Any]) -> str:
    return kind(found["source_type"]) if found["present"] else "none"


def kind(source_type: str | None) -> str:
    """The last part of the IPTC's address of a digital source type."""
    return source_type.rstrip("/").rsplit("/", 1)[-1] if source_type else "no source type"
