"""Secrets that are planted in the shell of the tests, and the search for them in everything that a run leaves behind."""

import base64
import gzip
import secrets
import threading
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, quote_plus

LARGEST_UNPACKED = 64 << 20
EVERY_SECONDS = 0.05


class Canaries:
    """One secret word of this session, in every place of the shell where a secret may be; other secrets are added by `also`."""

    def __init__(self) -> None:
        # With signs that URLs and JSON write otherwise, so that those forms differ.
        self.word = f"cA{secrets.token_hex(8)}+/{secrets.token_hex(8)}"
        self.words = [self.word]
        self.command_lines: set[bytes] = set()

    def environment(self) -> dict[str, str]:
        """The shell of somebody who has an account at fal, one on the Hub, a proxy with a password, and things of no concern."""
        key = "11111111-2222-3333-4444-555555555555"
        return {
            "FAL_KEY": f"{key}:{self.word}",
            "LORASMITH_SMOKE_KEY": f"{key[::-1]}:{self.word}",
            "HF_TOKEN": f"hf_{self.word}",
            "NO_PROXY": "127.0.0.1",  # Prefect's command line would look for its own server behind the proxy
            "HTTPS_PROXY": f"http://ada:{quote(self.word, safe='')}@127.0.0.1:9",
            "LORASMITH_C2PA_KEY": f"-----BEGIN PRIVATE KEY-----\n{self.word}\n-----END PRIVATE KEY-----\n",
            "PGPASSWORD": self.word,
            "AWS_SECRET_ACCESS_KEY": self.word,
        }

    def also(self, word: str) -> None:
        self.words.append(word)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Every command line that runs meanwhile goes into `command_lines`."""
        over = threading.Event()

        def look() -> None:
            while not over.wait(EVERY_SECONDS):
                self.command_lines |= set(command_lines())

        thread = threading.Thread(target=look, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def leaks(self, data: bytes) -> list[str]:
        """Forms of any secret that are in these bytes, packed parts of them included."""
        found = {f"{form} of {word[:6]}…" for word in self.words for form, text in forms(word).items() if text in data}
        for part in unpacked(data):
            found |= {f"packed {leak}" for leak in self.leaks(part)}
        return sorted(found)

    def leaks_below(self, folder: Path, *, allowed: Iterable[str] = ()) -> dict[str, list[str]]:
        """Leaks by relative name of every file below a folder but the allowed ones; names count as content."""
        found: dict[str, list[str]] = {}
        for path in sorted(folder.rglob("*")):
            name = path.relative_to(folder).as_posix()
            if any(name == one or name.startswith(f"{one}/") for one in allowed):
                continue
            content = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
            if leaks := self.leaks(name.encode() + b"\n" + content):
                found[name] = leaks
        return found


def forms(word: str) -> Mapping[str, bytes]:
    """The word as it may be written: plain, escaped, and within longer texts in base64 (at any of three places) and hex."""
    raw = word.encode()
    coded = {f"base64 at {shift}": inner_base64(raw, shift) for shift in range(3)}
    safe = {name: text.translate(bytes.maketrans(b"+/", b"-_")) for name, text in coded.items()}
    return {
        "plain": raw,
        "reversed": raw[::-1],
        "hex": raw.hex().encode(),
        "upper hex": raw.hex().upper().encode(),
        "URL": quote(word, safe="").encode(),
        "URL, small": quote(word, safe="").replace("%2B", "%2b").replace("%2F", "%2f").encode(),
        "form": quote_plus(word, safe="/").encode(),
        "JSON": word.replace("/", "\\/").encode(),
        **coded,
        **{f"URL-safe {name}": text for name, text in safe.items()},
    }


def inner_base64(raw: bytes, shift: int) -> bytes:
    """What the base64 of any text has in it that holds `raw` after 3 n + shift bytes: without the letters that its ends share."""
    whole = base64.b64encode(b"\0" * shift + raw)
    first = -(-shift * 8 // 6) if shift else 0
    last = (shift + len(raw)) * 8 // 6
    return whole[first:last]


def unpacked(data: bytes) -> Iterator[bytes]:
    """gzip and zlib streams that begin in the data (the latter at its start only)."""
    start = data.find(b"\x1f\x8b\x08")
    while start >= 0:
        part = inflated(data[start:], 31)
        if part:
            yield part
        start = data.find(b"\x1f\x8b\x08", start + 3)
    if data[:2] in (b"\x78\x01", b"\x78\x9c", b"\x78\xda") and (part := inflated(data, 15)):
        yield part


def inflated(data: bytes, window: int) -> bytes:
    try:
        return zlib.decompressobj(window).decompress(data, LARGEST_UNPACKED)
    except zlib.error:
        return b""


def command_lines() -> Iterator[bytes]:
    """Of all processes of this machine that can be read now."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            yield path.read_bytes()
        except OSError:  # it ended, or is somebody else's
            continue


def packed(text: bytes) -> bytes:
    return gzip.compress(text, mtime=0)
