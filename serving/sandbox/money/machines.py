"""What an owner pays for machines: the seconds that its runners lived, less those in which they worked for callers who pay."""

import sqlite3
import time
from collections.abc import Mapping

from ..fleet.records import RunnerRecords
from ..state import full_name
from .ledger import Ledger, gpus_of
from .prices import machine_rate
from .reports import Line, Row, covered, machine_line, working
from .rest import LATEST
from .selection import Selection
from .windows import Span

Spans = list[tuple[float, float]]
# By revision and type of machine: for each runner when it worked for callers who pay.
Paid = Mapping[tuple[str, str], list[Spans]]
COLUMNS = "revision, machine_type, runner, ended_at, seconds, served_seconds"


def paid_work(ledger: Ledger, owner: str, *, since: float, upto: int) -> Paid:
    """Work that callers pay, of requests that ended at `since` or later; of several at once on a runner the time counts once."""
    wanted = Selection(span=Span(start=since, end=LATEST), upto=upto, owner=owner, billed=True)
    by_runner: dict[tuple[str, str, str], list[Row]] = {}
    for row in ledger.find(*wanted.where(), columns=COLUMNS):
        by_runner.setdefault((row["revision"], row["machine_type"], row["runner"]), []).append(row)
    found: dict[tuple[str, str], list[Spans]] = {}
    for (revision, machine_type, _), rows in by_runner.items():
        found.setdefault((revision, machine_type), []).append(working(rows))
    return found


def machine_lines(records: RunnerRecords, db: sqlite3.Connection, owner: str, span: Span, paid: Paid) -> list[Line]:
    """A line for each app, type of machine and rate, by name; runners that live count up to now."""
    sums: dict[tuple[str, str, str, int | None], float] = {}
    for used in records.seconds(owner=owner, since=span.start, until=min(span.end, time.time())):
        others = sum(covered(spans, span) for spans in paid.get((used.revision, used.machine_type), ()))
        rate = machine_rate(used.machine_type, gpus_of(db, used.revision))
        key = (full_name(used.app, used.environment), used.environment, used.machine_type, rate)
        sums[key] = sums.get(key, 0.0) + max(0.0, used.total - others)
    return [
        machine_line((("app", app), ("environment", environment), ("machine_type", machine)), seconds, rate)
        for (app, environment, machine, rate), seconds in sorted(sums.items(), key=lambda item: str(item[0]))
    ]
