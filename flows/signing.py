"""The own key's signature on what is packaged here, and whose signatures a deploy accepts."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from flows import keys
from flows.errors import BadKey
from flows.home import home
from flows.progress import say
from flows.store import Artefact

if TYPE_CHECKING:
    from serving.release.package import Package
    from serving.release.signature import Signers


def sign_package(package: Artefact, build: Callable[[Path], object]) -> None:
    """See that a packaged app carries a signature that counts here.

    One that was made just now is signed. One that was found unsigned, or signed by a key that counts no longer, is first built
    again with `build` and compared: only what its inputs still make is signed. Raises Tampered, BadSignature.
    """
    from serving.release.errors import Unsigned
    from serving.release.package import load_package
    from serving.release.signature import sign, verify

    private, made = own_key(), load_package(package.path)
    if package.found:
        try:
            verify(made, signers())
            return
        except Unsigned as error:
            require_rebuilt(made, build)
            say(f"  signed again, after it was built anew and found untouched: {error}")
    sign(made, private)


def signers() -> "Signers":
    """Whose signatures on packages count here: the own key's, and those of the keys that are pinned."""
    from serving.release.signature import Signers, fingerprint

    pinned = keys.trust(home())
    own = [keys.public_half(own_key())] if own_file().exists() else []
    return Signers(
        keys={**pinned.keys, **{fingerprint(key): key for key in own}},
        names={**pinned.names, **{fingerprint(key): "the own key of this LORASMITH_HOME" for key in own}},
    )


def own_key() -> bytes:
    """The private key of this home, made where there is none; BadKey where it can not be used."""
    from serving.release.signature import fingerprint

    path = own_file()
    if not path.exists():
        try:
            public = keys.make_key(home())
            say(f"  no key to sign packages with: made one, {path}, fingerprint {fingerprint(public)[:16]}")
        except BadKey:
            if not path.exists():  # another run may have made it at this moment
                raise
    return keys.private_key(keys.own_key(home()))


def own_file() -> Path:
    return home() / keys.FOLDER / keys.PRIVATE


def require_rebuilt(package: "Package", build: Callable[[Path], object]) -> None:
    """Tampered unless `build` makes this very package again."""
    from serving.release.errors import Tampered
    from serving.release.package import load_package

    with tempfile.TemporaryDirectory(prefix=".rebuilt-", dir=package.folder.parent.parent) as scratch:
        again = Path(scratch) / "content"
        again.mkdir()
        build(again)
        found = load_package(again)
    if (found.hash, found.name) != (package.hash, package.name):
        raise Tampered(
            f"package {package.name}: unsigned, and not what its inputs make ({package.hash[:12]}, built again {found.hash[:12]}): "
            f"somebody changed it; look at {package.folder}, then remove {package.folder.parent} and run again"
        )
