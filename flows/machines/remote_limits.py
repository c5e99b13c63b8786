"""How long a training may hold a rented machine: by what it is forecast to take, and by the money that the job allows. Pure."""

from dataclasses import dataclass

from flows.errors import JobError

Range = tuple[float, float]
Rate = tuple[float, float | None]  # dollars a second: the lowest, and the listed one where it is known

LEAST_START, LONGEST_START = 60.0, 1800.0  # seconds beside the steps: weights are fetched and loaded, pictures encoded
SLACK = 2.0  # times the slow end of the forecast
UNKNOWN = 4 * 3600.0  # where nothing can be forecast
LONGEST = 23 * 3600.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Limit:
    """Seconds on the machine over all attempts, and what they would cost from and to; None without a rate."""

    seconds: float
    usd: Range | None


def limit_for(machine: str, *, forecast: Range | None, rate: Rate | None, budget: float | None) -> Limit:
    """The limit of a training on `machine` whose steps are forecast to take from and to so many seconds; `budget` in dollars.

    JobError where even the quickest that the forecast has costs more than the budget, or where a budget can not be kept since
    nobody knows what the machine costs.
    """
    usual = UNKNOWN if forecast is None else LONGEST_START + SLACK * forecast[1]
    usual = min(usual, LONGEST)
    if budget is None:
        return Limit(seconds=usual, usd=_cost(usual, rate))
    if rate is None:
        raise JobError(
            f"budget_usd: got {budget:g}, and what {machine} costs is not known here (training/facts/gpus.yaml), so that it could "
            "not be kept: leave it out, or name another machine"
        )
    dearest = rate[1] or rate[0]
    least = (LEAST_START + forecast[0]) * rate[0] if forecast else 0.0
    if least > budget:
        raise JobError(
            f"budget_usd: got {budget:g}; this training costs at least {least:.2f} USD on {machine} by the forecast: raise it, or "
            "take fewer steps or another machine (lorasmith plan)"
        )
    seconds = min(usual, budget / dearest)
    return Limit(seconds=seconds, usd=_cost(seconds, rate))


def _cost(seconds: float, rate: Rate | None) -> Range | None:
    return None if rate is None else (seconds * rate[0], seconds * (rate[1] or rate[0]))
