"""From remarks to a decision: which pictures are kept, dropped and failed, and how they are split. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from training.config import DatasetOptions
from training.data import gate, policy
from training.data.captions import duplicate_remarks
from training.data.look import Seen
from training.data.policy import Finding, Remark


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """Pictures to keep with their split, all findings in the order of reading, and the names of copies that were dropped."""

    kept: tuple[Seen, ...]
    findings: tuple[Finding, ...]
    dropped: frozenset[str]

    @property
    def failed(self) -> set[str]:
        return policy.failed(self.findings)


def decide(seen: Sequence[Seen], remarks: Sequence[Remark], options: DatasetOptions) -> Verdict:
    """Errors fail a picture, copies are dropped, the rest is compared with each other and split."""
    levels = options.policy
    findings = policy.judged(remarks, levels)
    sound = _without(seen, policy.failed(findings))
    copies = policy.judged(gate.exact_duplicates([item.measured for item in sound]), levels)
    sound = _without(sound, {finding.file for finding in copies})
    alike = gate.near_duplicates([item.measured for item in sound], options.near_duplicate)
    alike += duplicate_remarks([(item.name, item.caption) for item in sound])
    findings += copies + policy.judged(alike, levels)
    kept = _split(_without(sound, policy.failed(findings)), options.held_out)
    scarce = gate.too_few(sum(not item.held_out for item in kept), options.minimum)
    findings += policy.judged([scarce] if scarce else [], levels)
    dropped = {finding.file for finding in copies if finding.level == "warning"}
    return Verdict(kept=tuple(kept), findings=tuple(findings), dropped=frozenset(dropped))


def stopping(findings: Sequence[Finding], on_error: str) -> list[Finding]:
    """The errors that end a preparation: all of them, or those about the dataset as a whole where pictures may be dropped."""
    errors = [finding for finding in findings if finding.level == "error"]
    return errors if on_error == "stop" else [finding for finding in errors if finding.file == policy.WHOLE]


def worst(findings: Sequence[Finding]) -> Mapping[str, Finding]:
    """The gravest finding of each file, the first among equals."""
    gravest: dict[str, Finding] = {}
    for finding in findings:
        if finding.file not in gravest or (finding.level, gravest[finding.file].level) == ("error", "warning"):
            gravest[finding.file] = finding
    return gravest


def _without(seen: Sequence[Seen], names: set[str]) -> list[Seen]:
    return [item for item in seen if item.name not in names]


def _split(kept: list[Seen], held_out: Path | str | float) -> list[Seen]:
    """Held-out pictures by rank of content hash, so that renaming or adding a few leaves most of the split as it was."""
    if not isinstance(held_out, int | float):
        return kept
    number = held_out if isinstance(held_out, int) else max(1, round(held_out * len(kept))) if held_out and len(kept) > 1 else 0
    chosen = {item.sha256 for item in sorted(kept, key=lambda item: item.sha256)[:number]}
    return [replace(item, held_out=item.sha256 in chosen) for item in kept]
