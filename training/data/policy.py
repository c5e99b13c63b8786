"""What can be found in a dataset, and how grave it is: the defaults, what a job may change, and the findings themselves. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Literal

from training.errors import DatasetError

Level = Literal["error", "warning"]
Grade = Literal["error", "warning", "ignore"]

_ANY: tuple[Grade, ...] = ("error", "warning", "ignore")
_SAID: tuple[Grade, ...] = ("error", "warning")  # never silent
_FIXED: tuple[Grade, ...] = ("error",)  # nothing can be trained on it


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """A finding: its level unless the job says otherwise, the levels that it may have, and what it means."""

    default: Grade
    allowed: tuple[Grade, ...] = _ANY
    meaning: str


RULES: Mapping[str, Rule] = {
    "unreadable": Rule(default="error", allowed=_FIXED, meaning="the file is damaged, or of a kind that is not decoded"),
    "too_large": Rule(default="error", allowed=_FIXED, meaning="more pixels than are decoded"),
    "missing_picture": Rule(default="error", allowed=_FIXED, meaning="a metadata row names a picture that is not there"),
    "passed_over": Rule(default="warning", allowed=_SAID, meaning="pictures beside those that are taken to be the dataset"),
    "items_unmatched": Rule(default="warning", allowed=_SAID, meaning="`items` of dataset.yaml gives terms to no picture here"),
    "too_small": Rule(default="error", meaning="a side is shorter than `min_side` (half the resolution)"),
    "blurred": Rule(default="warning", meaning="no part of the picture is sharp at the size that is trained"),
    "exact_duplicate": Rule(default="warning", allowed=_SAID, meaning="the same pixels as an earlier picture; the copy is dropped"),
    "near_duplicate": Rule(default="warning", meaning="looks like an earlier picture"),
    "missing_caption": Rule(default="error", allowed=_SAID, meaning="no caption, where other pictures have one"),
    "empty_caption": Rule(default="error", allowed=_SAID, meaning="a caption without a word"),
    "caption_control_characters": Rule(default="error", allowed=_FIXED, meaning="a caption that is no UTF-8 text"),
    "duplicate_caption": Rule(default="warning", meaning="the same words as an earlier picture's"),
    "long_caption": Rule(default="warning", meaning="longer than every text encoder of the base reads; the rest is cut off"),
    "trigger_leak": Rule(default="warning", meaning="the trigger is still in the caption that should be without it"),
    "mask_unusable": Rule(default="error", meaning="a mask that cannot be decoded, has other sides, or is black all over"),
    "faces": Rule(default="warning", meaning="a face, drawn ones too, and dataset.yaml states no consent"),
    "nsfw": Rule(default="error", meaning="not safe for work"),
    "unmeasured": Rule(default="warning", allowed=_SAID, meaning="a check that could not be made; it has not passed"),
    "too_few": Rule(default="error", allowed=_FIXED, meaning="too few pictures are left to train on"),
}
WHOLE = "."  # the file of a finding about the dataset as a whole


class Unmeasured(ValueError):
    """A check cannot be made here; the message says why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Remark:
    """Something seen in a file, not yet judged."""

    file: str
    code: str
    message: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One remark about one file; an error keeps the picture out, a warning does not."""

    file: str
    code: str
    level: Level
    message: str

    def row(self) -> dict[str, str]:
        return asdict(self)


def check_policy(policy: Mapping[str, str]) -> None:
    """DatasetError for a finding that does not exist, or a level that it can not have."""
    for code, grade in policy.items():
        if code not in RULES:
            raise DatasetError(f"policy: {code!r} is no finding; the findings are {', '.join(RULES)}")
        if grade not in RULES[code].allowed:
            raise DatasetError(f"policy: {code} can be {' or '.join(RULES[code].allowed)}, not {grade!r}")


def judged(remarks: Iterable[Remark], policy: Mapping[str, str]) -> list[Finding]:
    """The remarks as findings, at the levels of a checked policy; what it ignores is gone."""
    findings = []
    for remark in remarks:
        grade = policy.get(remark.code, RULES[remark.code].default)
        if grade != "ignore":
            level: Level = "error" if grade == "error" else "warning"
            findings.append(Finding(file=remark.file, code=remark.code, level=level, message=remark.message))
    return findings


def failed(findings: Iterable[Finding]) -> set[str]:
    """Names of the pictures that an error keeps out."""
    return {finding.file for finding in findings if finding.level == "error" and finding.file != WHOLE}
