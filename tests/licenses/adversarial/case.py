"""A case as data: what stands where, who publishes, and whether paid training and hosting may pass."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from licenses.waivers import Trust
from tests.licenses.signing import ADA, EVIDENCE

Files = Mapping[str, str | bytes]
LINKS_NOWHERE = b"\0link:gone"  # as the content of a file: a link whose target is not there
LINKS_ITSELF = b"\0link:itself"
PIPE = b"\0pipe"
DAY = "2026-11-22"


@dataclass(frozen=True, kw_only=True, slots=True)
class Repo:
    """A repository on the loopback Hub; `api` is merged into the answer about it, `revisions` are other commits by hash."""

    files: Files
    kind: str = "model"
    fault: str = ""
    name: str = ""
    card_data: Mapping[str, Any] | None = None
    api: Mapping[str, Any] = field(default_factory=dict)
    revisions: Mapping[str, Files] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Folder:
    """A local folder under `name`, or with `file` that one in it; what is not said about a path is a plain file."""

    files: Files
    name: str = "model"
    file: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Adapted:
    """An adapter from elsewhere: the licence that the job names, its header, and the files beside it."""

    license: str | None
    header: Mapping[str, str] = field(default_factory=dict)
    files: Files = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Signed:
    """A waiver by Ada for Studio, in a file beside its evidence: `fields` before signing, `forged` after it."""

    fields: Mapping[str, Any]
    forged: Mapping[str, Any] = field(default_factory=dict)
    key: bytes = ADA
    evidence: bytes | None = EVIDENCE


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """`codes`: a block has to name at least one of them; `refused` stands for a name that can be nothing.

    `barred`: the uses that must not pass; `duties`: what paid hosting has to ask for where the case is clean.
    """

    id: str
    base: str | Folder
    allowed: bool
    codes: frozenset[str] = frozenset()
    barred: tuple[str, ...] = ("train_adapter", "host_paid_inference")
    duties: frozenset[str] = frozenset()
    repos: Mapping[str, Repo] = field(default_factory=dict)
    revision: str | None = None
    components: Mapping[str, str | Folder] = field(default_factory=dict)
    dataset: str | Folder | None = None
    adapter: Adapted | None = None
    publisher: Mapping[str, Any] = field(default_factory=dict)
    waivers: tuple[Signed, ...] = ()
    trust: Trust | None = None
    as_of: str = DAY


def dirty(id: str, base: str | Folder, codes: str, **fields: Any) -> Case:
    """A case that must be blocked, for one of the named reasons."""
    return Case(id=id, base=base, allowed=False, codes=frozenset(codes.split()), **fields)


def clean(id: str, base: str | Folder, duties: str = "", **fields: Any) -> Case:
    """A case that must pass, with these duties among its own."""
    return Case(id=id, base=base, allowed=True, duties=frozenset(duties.split()), **fields)
