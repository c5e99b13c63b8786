"""What trainings and deploys cost in a month: a book with lines for each as it begins, goes on and ends, and the sums of it.

A line is one write to HOME/spending/YYYY-MM.jsonl. Money is whole nano-USD, as in the sandbox's ledger, and is told as exact
decimals; what nobody knows is counted as unknown and is in no sum.
"""

import json
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path
from typing import Any, Literal

NANO = 10**9
Work = Literal["train", "evaluate", "deploy"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Rate:
    """What a second of a machine costs in USD, and who says so; None where nobody does."""

    usd_per_second: Decimal | None
    source: str

    def nano(self, seconds: Decimal) -> int | None:
        return None if self.usd_per_second is None else nano(seconds * self.usd_per_second)


@dataclass(frozen=True, kw_only=True, slots=True)
class Booked:
    """One line. The later of two with one `id` counts."""

    id: str
    at: str
    app: str
    work: Work
    recipe: str | None
    seconds: str  # measured up to now; of a forecast 0
    ended: bool
    usd_nano: int | None
    source: str


Meter = Callable[[], tuple[Decimal, int | None]]  # seconds so far, and nano-USD


def wall(rate: Rate) -> Meter:
    """Seconds since now, at a rate."""
    start = time.monotonic()

    def read() -> tuple[Decimal, int | None]:
        seconds = Decimal(round((time.monotonic() - start) * 10**6)).scaleb(-6)
        return seconds, rate.nano(seconds)

    return read


def metered(record: Path, rate: Rate) -> Meter:
    """Seconds that a job on rented machines has used from now on, by its own record: waiting for a machine costs nothing."""
    before = _rented(record)

    def read() -> tuple[Decimal, int | None]:
        seconds = _rented(record) - before
        return seconds, rate.nano(seconds)

    return read


@contextmanager
def booked(
    home: Path, app: str, work: Work, *, rate: Rate, recipe: str | None = None, meter: Meter | None = None, every: float = 60.0
) -> Iterator[None]:
    """Book what is done inside, in the month in which it began; of what is killed all but the last `every` seconds.

    meter: what tells how much it was; without one the seconds that pass here.
    """
    began, read, over = datetime.now(UTC), meter or wall(rate), threading.Event()
    blank = _line(began, app, work, recipe=recipe, usd_nano=rate.nano(Decimal(0)), source=rate.source)

    def book_so_far(*, ended: bool = False) -> None:
        seconds, cost = read()
        write(home, began, replace(blank, seconds=str(seconds), usd_nano=cost, ended=ended))

    def tick() -> None:
        while not over.wait(every):
            book_so_far()

    write(home, began, blank)
    clerk = threading.Thread(target=tick, name=f"book {work} of {app}", daemon=True)
    clerk.start()
    try:
        yield
    finally:
        over.set()
        clerk.join()
        book_so_far(ended=True)


def book_forecast(home: Path, app: str, work: Work, *, usd_nano: int | None, source: str) -> None:
    """Book what the platform is about to bill, and tells nobody here: the forecast is all that there is."""
    began = datetime.now(UTC)
    write(home, began, _line(began, app, work, recipe=None, usd_nano=usd_nano, source=source))


def spent(home: Path, month: str, *, app: str | None = None) -> dict[str, Any]:
    """The month (YYYY-MM, UTC), of one app or of all. USD as text; `usd` is what trainings and deploys cost, play money left out.

    {month, app, usd, unknown, training: {usd, runs, seconds, unfinished, unknown}, deploys: {usd, runs, unknown},
    sandbox: {usd, requests, unknown}}; the last is what our own calls cost in the sandbox, by its ledger.
    """
    lines = [line for line in latest(book(home, month)) if app in (None, line.app)]
    trained = [line for line in lines if line.work != "deploy"]
    deployed = [line for line in lines if line.work == "deploy"]
    unknown = sum(line.usd_nano is None for line in lines)
    return {
        "month": month,
        "app": app,
        "usd": usd(total(lines)),
        "unknown": unknown,
        "training": {
            **_summed(trained),
            "seconds": str(sum((Decimal(line.seconds) for line in trained), Decimal(0))),
            "unfinished": sum(not line.ended for line in trained),
        },
        "deploys": _summed(deployed),
        "sandbox": sandbox_usage(home, month, app),
    }


def month_of(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m}"


def measured(home: Path, months: Iterable[str], app: str, work: Work, recipe: str) -> Decimal | None:
    """Seconds that such a piece of work took last time; None where none was measured in these months."""
    lines = [line for month in months for line in latest(book(home, month)) if line.ended]
    alike = [line for line in lines if (line.app, line.work, line.recipe) == (app, work, recipe)]
    return Decimal(alike[-1].seconds) if alike else None


def sandbox_usage(home: Path, month: str, app: str | None) -> dict[str, Any]:
    """What the sandbox's two accounts, both ours, paid for requests; exact, by its ledger."""
    from serving.sandbox.accounts import CALLER, OWNER
    from serving.sandbox.control import ledger

    paid = [
        row
        for row in ledger(home)
        if row["payer"] in (OWNER, CALLER)
        and app in (None, row["app"])
        and month_of(datetime.fromtimestamp(row["ended_at"], UTC)) == month
    ]
    known = [row["cost_nano"] for row in paid if row["cost_nano"] is not None]
    return {"usd": usd(sum(known)), "requests": len(paid), "unknown": len(paid) - len(known)}


def book(home: Path, month: str) -> list[Booked]:
    """The month's lines in the order of writing; half a line of a full disk is passed over."""
    path = home / "spending" / f"{month}.jsonl"
    if not path.is_file():
        return []
    whole = (line for line in path.read_text(encoding="utf-8").split("\n") if line.endswith("}"))
    return [Booked(**json.loads(line)) for line in whole]


def latest(lines: Iterable[Booked]) -> list[Booked]:
    """The last line of each piece of work, in the order in which they began."""
    found: dict[str, Booked] = {}
    for line in lines:
        found[line.id] = line
    return list(found.values())


def total(lines: Iterable[Booked]) -> int:
    return sum(line.usd_nano or 0 for line in lines)


def nano(amount: Decimal) -> int:
    """USD as whole nano-USD, half to even."""
    return int((amount * NANO).quantize(Decimal(1), rounding=ROUND_HALF_EVEN))


def usd(nanos: int) -> str:
    """Nano-USD as USD in decimals, exact: at least the cents."""
    amount = Decimal(nanos).scaleb(-9).normalize()
    return f"{amount.quantize(Decimal('0.01')) if amount == round(amount, 2) else amount:f}"


def write(home: Path, month: datetime, line: Booked) -> None:
    """Append by one write, which has reached the disk when this returns: two processes never mix theirs."""
    folder = home / "spending"
    folder.mkdir(exist_ok=True)
    file = os.open(folder / f"{month_of(month)}.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(file, (json.dumps(asdict(line)) + "\n").encode())
        os.fsync(file)
    finally:
        os.close(file)


def _rented(record: Path) -> Decimal:
    if not record.is_file():
        return Decimal(0)
    requests = json.loads(record.read_text(encoding="utf-8"))["requests"]
    return sum((Decimal(str(request["seconds"])) for request in requests), Decimal(0))


def _line(began: datetime, app: str, work: Work, *, recipe: str | None, usd_nano: int | None, source: str) -> Booked:
    return Booked(
        id=uuid.uuid4().hex,
        at=began.isoformat(),
        app=app,
        work=work,
        recipe=recipe,
        seconds="0",
        ended=False,
        usd_nano=usd_nano,
        source=source,
    )


def _summed(lines: list[Booked]) -> Mapping[str, Any]:
    return {"usd": usd(total(lines)), "runs": len(lines), "unknown": sum(line.usd_nano is None for line in lines)}
