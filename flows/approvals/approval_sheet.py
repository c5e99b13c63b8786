"""What a person reads before they say yes or no: the evidence behind one question, as Markdown for the form and the terminal."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.approvals.approving import WORDS, Standing
from flows.money.deploy_cost import deploy_cost

if TYPE_CHECKING:
    from flows.job import Job
    from flows.store import Artefact
    from training.gate import GateDecision


def evidence_of(
    job: "Job", standing: Standing, subject: Mapping[str, Any], decision: "GateDecision", bundle: "Artefact", licences: "Artefact"
) -> dict[str, Any]:
    """Facts about what is to be approved, as JSON; paths are of this disk."""
    evaluation = json.loads((bundle.path / "evaluation.json").read_text())
    verdict = json.loads((licences.path / "verdict.json").read_text())
    cost = deploy_cost(job)
    return {
        "job": job.name,
        "package": {"new": subject["package"], "live": standing.live},
        "gate": {
            "outcome": decision.outcome,
            "checks": [{"name": one.name, "outcome": one.outcome, "sentence": one.sentence} for one in decision.checks],
        },
        "loss": {name: evaluation["loss"][name] for name in ("base", "adapter")},
        "price": {"listed": standing.price_usd, "new": subject["price_usd"], "unit": job.serving.billing_unit},
        "licence": {
            "verdict": verdict["verdict"],
            "uses": {name: use["verdict"] for name, use in verdict["uses"].items()},
            "report": str(licences.path / "report.html"),
        },
        "pictures": pictures_of(bundle.path),
        "deploy_usd": list(cost) if cost and subject["target"] == "fal" else None,
    }


def pictures_of(bundle: Path) -> list[str]:
    """The grid that compares base, live and new, and what else the evaluation drew."""
    grid = bundle / "samples" / "grid.png"
    return [str(grid), str(grid.parent)] if grid.is_file() else [str(bundle)]


def sheet(row: Mapping[str, Any], *, paths: bool = True) -> str:
    """The question and its evidence. What is in it was measured; a licence can not be waived by an answer.

    paths: where report and pictures lie, for who reads it on that machine; a page of Prefect's could open none of them.
    """
    return "\n".join(lines_of(row, paths)) + "\n"


def lines_of(row: Mapping[str, Any], paths: bool) -> Iterator[str]:
    evidence, loss = row["evidence"], row["evidence"]["loss"]
    package, licence = evidence["package"], evidence["licence"]
    yield f"# {row['app']} on {row['target']}: {', '.join(WORDS[reason] for reason in row['reasons'])}"
    yield f"\nApproval {row['id']}, open until {row['until'][:16]} UTC; no answer is a no."
    yield "It counts for this package, price and decision of the gate alone."
    yield "A licence is not waived here: that takes a signed file.\n"
    live = f"replaces {package['live'][:12]}" if package["live"] else "nothing is live"
    same = package["live"] == package["new"]
    yield f"- package: {package['new'][:12]}, {'live already' if same else live}"
    yield f"- price of one {evidence['price']['unit']}: {price_of(evidence['price'])}"
    yield f"- licences: {licence['verdict']} ({', '.join(f'{use}: {said}' for use, said in licence['uses'].items())})"
    if paths:
        yield f"- license report: {licence['report']}"
    yield f"- held-out loss: base {loss['base']:.4f} -> adapter {loss['adapter']:.4f} ({loss['adapter'] / loss['base'] - 1:+.1%})"
    if paths:
        yield from (f"- pictures: {path}" for path in evidence["pictures"])
    else:
        yield f"- where pictures and license report lie: `lorasmith approvals show {row['id']}`"
    yield f"- deploy and its tests: {cost_of(evidence['deploy_usd'], row['target'])}"
    yield f"- gate: {evidence['gate']['outcome']}"
    yield from (f"  - {one['outcome']}: {one['sentence']}" for one in evidence["gate"]["checks"])


def price_of(price: Mapping[str, Any]) -> str:
    return f"{dollars(price['listed'], 'nothing is listed')} -> {dollars(price['new'], 'recommended after the deploy')}"


def cost_of(usd: list[float] | None, target: str) -> str:
    if target != "fal":
        return "nothing on the sandbox"
    return f"${usd[0]:.2f} to ${usd[1]:.2f} by forecast" if usd else "not known for this machine"


def dollars(usd: float | None, otherwise: str) -> str:
    return otherwise if usd is None else f"${usd:g}"
