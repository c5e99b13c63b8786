"""The captions of a dataset on their own: what will be trained for each picture, and what is wrong with it. Nothing is decoded."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from training.config import DatasetOptions
from training.data import sources
from training.data.captions import duplicate_remarks, leak_remark
from training.data.find import take_stock
from training.data.policy import Finding, check_policy, judged
from training.data.windows import long_remarks


@dataclass(frozen=True, kw_only=True, slots=True)
class Lint:
    """Captions as they will be trained, by picture, and the findings on them."""

    captions: Mapping[str, str]
    findings: tuple[Finding, ...]

    @property
    def errors(self) -> int:
        return sum(finding.level == "error" for finding in self.findings)


def lint(source: Path | str, options: DatasetOptions) -> Lint:
    """The captions of any source that `prepare` takes, under the same rules; findings in the order of the pictures."""
    check_policy(options.policy)
    with tempfile.TemporaryDirectory() as scratch, sources.opened(source, Path(scratch)) as opened:
        stock = take_stock(opened, options)
    named = [(item.name, stock.captions[item.path]) for item in stock.pictures]
    remarks = [*stock.missing, *(caption.remark for _, caption in named if caption.remark)]
    remarks += [leak for name, caption in named if (leak := leak_remark(name, caption, options.trigger))]
    remarks += duplicate_remarks(named) + long_remarks([(name, caption.text) for name, caption in named], options.base)
    place = {name: number for number, (name, _) in enumerate(named)}
    ordered = sorted(judged(remarks, options.policy), key=lambda finding: place.get(finding.file, len(place)))
    return Lint(captions={name: caption.text for name, caption in named}, findings=tuple(ordered))
