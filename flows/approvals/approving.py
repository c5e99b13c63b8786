"""When a person has to say yes before a run goes on: the job's field `approvals`, and what it asks of one package. Pure.

Nothing is asked by default that the one who starts a run has decided already: the price stands in the job, and a deploy to fal is
asked for at the terminal. What nobody has looked at is asked: an adapter that only a person can judge. Without an answer it is no,
as it was when there was nobody to ask.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from flows.store import digest

if TYPE_CHECKING:
    from training.gate import GateDecision

Reason = Literal["first_publication", "price_change", "gate_review"]
WORDS: Final[Mapping[Reason, str]] = {
    "first_publication": "first publication",
    "price_change": "the price changes",
    "gate_review": "the gate leaves it to a person",
}


class Approvals(BaseModel):
    """What waits for a person, and for how long; docs/operations.md tells how it is answered."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    first_publication: bool = Field(False, description="Ask before an app is deployed to a target where it was never live")
    price_change: bool = Field(False, description="Ask before another price than the listed one takes its place")
    gate_review: bool = Field(
        True, description="Ask where the gate says review and gate.review is stop; false ends such a run without asking"
    )
    timeout_hours: float = Field(72.0, gt=0, le=2160, description="Hours after which no answer is a no")


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """What is there before the run: whether the app was ever live, the package that is, and the price on the page."""

    published: bool
    live: str | None
    price_usd: float | None


def subject_of(app: str, target: str, package: str, price_usd: float | None, decision: "GateDecision") -> dict[str, Any]:
    """What an approval counts for: another package, price or decision is another question."""
    checks = [[check.name, check.outcome, check.sentence] for check in decision.checks]
    gate = digest({"outcome": decision.outcome, "checks": checks})
    return {"app": app, "target": target, "package": package, "price_usd": price_usd, "gate": gate}


def reasons(policy: Approvals, standing: Standing, subject: Mapping[str, Any], *, doubtful: bool) -> tuple[Reason, ...]:
    """Why a person has to be asked; empty where nothing changes that the policy cares about. doubtful: the gate says review."""
    is_live = subject["package"] == standing.live
    dearer_or_cheaper = None not in (standing.price_usd, subject["price_usd"]) and standing.price_usd != subject["price_usd"]
    asked: dict[Reason, bool] = {
        "first_publication": policy.first_publication and not standing.published,
        "price_change": policy.price_change and dearer_or_cheaper,
        "gate_review": policy.gate_review and doubtful and not is_live,
    }
    return tuple(reason for reason, wanted in asked.items() if wanted)
