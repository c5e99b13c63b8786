"""What callers waited for the gallery's pictures, and what the machine's time of one is worth: measured, never forecast. Pure."""

from statistics import median

from serving.listing.figures import Documents, at, counted
from serving.listing.model_facts import Speed
from serving.listing.model_values import Figure

LEAST = 3  # calls, below which a middle says nothing


def speed(documents: Documents) -> Speed | None:
    """From the receipt of the gallery; None where fewer than LEAST of its calls were timed, as in an old one."""
    calls = at(documents, "gallery", "/calls") or []
    timed = [(call["seconds"], number) for number, call in enumerate(calls) if call.get("seconds")]
    if len(timed) < LEAST:
        return None
    middle = _seconds(median(seconds for seconds, _ in timed), "/calls", "median seconds of a call")
    most, place = max(timed)
    slowest = _seconds(most, f"/calls/{place}/seconds", None)
    number = counted(len(timed), "calls with one picture", "gallery", "/calls")
    usd = worth(documents, float(middle.value))
    cost = "" if usd is None else f" At the machine’s rate the middle one is worth {usd.text}, starts and idle runners aside."
    return Speed(
        statement=(
            f"{number.text} calls with one picture each took {middle.text} in the middle and {slowest.text} at most, as the caller "
            f"saw it, with queue and network. {where(documents)}{cost}"
        ),
        calls=number,
        middle=middle,
        slowest=slowest,
        usd=usd,
    )


def on_fal(documents: Documents) -> bool:
    return bool(documents["release"].get("target") == "fal")


def where(documents: Documents) -> str:
    return "Measured on fal." if on_fal(documents) else "Measured on the sandbox’s computer, not on fal’s GPUs."


def worth(documents: Documents, seconds: float) -> Figure | None:
    """US dollars of so many seconds; None off fal, whose machine it was not, and where its rate is not known."""
    rate = at(documents, "pricing", "/inputs/machine/usd_per_second")
    if not on_fal(documents) or rate is None:
        return None
    usd = seconds * rate
    what = "median seconds of a call x US dollars a second (pricing /inputs/machine/usd_per_second)"
    return Figure(value=usd, text=f"${usd:.2g}", receipt="gallery", pointer="/calls", count_of=what)


def _seconds(value: float, pointer: str, what: str | None) -> Figure:
    return Figure(value=value, text=f"{value:.2g} s", receipt="gallery", pointer=pointer, count_of=what)
