"""What the pages show, as JSON: requests as they come, runners with their state, apps with price and revenue, one app's form."""

import time
from typing import Any

from starlette.requests import Request
from starlette.routing import Route

from ..fleet.fleet import Fleet
from ..fleet.runners import Runner
from ..gateway.queueing import RequestQueue
from ..gateway.replies import Refused
from ..money.prices import Prices
from ..state import Alias, Revision, State, split_name
from .tally import Name, Sum, Tally, as_json
from .visits import Visits

SHOWN_REQUESTS = 60
SHOWN_LINES = 60


class Live:
    """Routes of the pages' data; each asks Visits first."""

    def __init__(self, state: State, fleet: Fleet, queue: RequestQueue, prices: Prices, visits: Visits) -> None:
        self._state = state
        self._fleet = fleet
        self._queue = queue
        self._prices = prices
        self._visits = visits
        self._tally = Tally(state.db)
        self._since = time.time()

    def routes(self) -> list[Route]:
        data = self._visits.data
        return [
            Route("/sandbox/overview.json", data(self.all)),
            Route("/sandbox/apps/{owner}/{app}.json", data(self.app)),
            Route("/sandbox/apps/{owner}/{app}/log.json", data(self.log)),
            Route("/sandbox/requests/{id}.json", data(self.request)),
        ]

    def all(self, request: Request) -> dict[str, Any]:
        """Everything on the overview; times are Unix seconds, money is in nano-USD."""
        sums = self._tally.sums()
        return {
            "now": time.time(),
            "since": self._since,
            "at_work": [call.as_json() for call in self._queue.at_work()],
            "recent": self._tally.recent(),
            "requests": self._tally.latest(SHOWN_REQUESTS),
            "runners": [_runner(runner) for runner in self._fleet.all()],
            "apps": [self._app(alias, sums) for alias in self._state.aliases()],
            "gone": self._gone(sums),
        }

    def app(self, request: Request) -> dict[str, Any]:
        """What the playground needs to know of an app, with the OpenAPI that its live revision was deployed with."""
        alias, revision = self._live(request)
        return self._app(alias, self._tally.sums()) | {
            "openapi": revision.metadata.get("openapi") or {},
            "health_path": (revision.health or {}).get("path", "/health"),
            "created_at": revision.created_at,
        }

    def log(self, request: Request) -> dict[str, Any]:
        """The last lines of the live revision's latest runner; secrets were masked as they were written."""
        _, revision = self._live(request)
        log = self._fleet.log_of(revision.id)
        lines = log.tail()[-SHOWN_LINES:] if log is not None else []
        return {"revision": revision.id, "lines": lines}

    def request(self, request: Request) -> dict[str, Any]:
        """The ledger's row of a request that has ended."""
        found = self._tally.request(str(request.path_params["id"]))
        if found is None:
            raise Refused(status=404, detail="No such request in the ledger (yet).", error_type="not_found")
        return found

    def _live(self, request: Request) -> tuple[Alias, Revision]:
        owner, name = request.path_params["owner"], request.path_params["app"]
        alias = self._state.alias(owner, name)
        revision = self._state.revision(alias.revision) if alias is not None else None
        if alias is None or revision is None:
            raise Refused(status=404, detail=f"Application '{owner}/{name}' not found.", error_type="not_found")
        return alias, revision

    def _app(self, alias: Alias, sums: dict[Name, Sum]) -> dict[str, Any]:
        app, environment = split_name(alias.name)
        price = self._prices.of(f"{alias.owner}/{alias.name}")
        return {
            "owner": alias.owner,
            "name": alias.name,
            "environment": environment,
            "revision": alias.revision,
            "auth": alias.auth_mode,
            "machine_types": alias.settings.get("machine_types") or [],
            "unit": price.unit if price else None,
            "unit_price_nano": price.nano if price else None,
        } | as_json(sums.get((alias.owner, app, environment), Sum()))

    def _gone(self, sums: dict[Name, Sum]) -> list[dict[str, Any]]:
        """What was earned under names that are no more, so that the sum of the page is that of the ledger."""
        there = {(alias.owner, *split_name(alias.name)) for alias in self._state.aliases()}
        lost = [(name, found) for name, found in sums.items() if name not in there]
        return [{"owner": owner, "app": app, "environment": where} | as_json(found) for (owner, app, where), found in lost]


def _runner(runner: Runner) -> dict[str, Any]:
    return {
        "id": runner.id,
        "pid": runner.pid,
        "owner": runner.revision.owner,
        "app": runner.revision.alias,
        "revision": runner.revision.id,
        "state": runner.state,
        "in_flight": runner.in_flight,
        "places": runner.places,
        "machine_type": runner.machine_type,
        "started_at": runner.started_at,
        "ready_at": runner.ready_at,
    }
