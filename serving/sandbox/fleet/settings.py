"""What governs a pool: the settings of its revision as they are now, and the fleet's own pace."""

from dataclasses import dataclass
from typing import Any

from ..state import Alias, Revision, State
from .runners import HEALTH_SECONDS
from .scheduling import Scaling, scaling_of


@dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    """Seconds between the fleet's own doings. fal waits 30 s more after each failed start, up to 10 minutes; here it is shorter."""

    sweep: float = 0.5
    settle: float = 0.2
    close: float = 2.0
    health: float = HEALTH_SECONDS
    failure_step: float = 1.0
    failure_longest: float = 60.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """The settings of a revision as they are now: those of its alias where it is live, else those that it was deployed with."""

    state: State
    revision: Revision

    def number(self, name: str) -> float | None:
        value = self._all().get(name)
        return None if value is None else float(value)

    def scaling(self) -> Scaling:
        return scaling_of(self._all(), kept=self._live() is not None)

    def _all(self) -> dict[str, Any]:
        live = self._live()
        return self.revision.settings if live is None else self.revision.settings | live.settings

    def _live(self) -> Alias | None:
        alias = self.state.alias(self.revision.owner, self.revision.alias)
        return alias if alias is not None and alias.revision == self.revision.id else None
