"""The sum behind a price, as a document that the listing's figures point into. Pure."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from serving.listing.anchors import band
from serving.listing.economics import Machine, Scaling, Terms, Work, advise, curve
from serving.listing.model_price import Anchor, Reckoning, Volume
from serving.listing.model_values import Figure

RECEIPT = "pricing"


@dataclass(frozen=True, kw_only=True, slots=True)
class Basis:
    """What a price is reckoned from; `images` of one unit: a megapixel is less than an image, a request may be more."""

    family: str
    work: Work
    machine: Machine
    scaling: Scaling
    terms: Terms
    images: float = 1.0
    assumed: tuple[str, ...] = ()


def reckoned(basis: Basis) -> dict[str, Any]:
    """The whole sum as JSON: inputs, costs of a unit at three volumes, comparable prices, advice, and curves over volume."""
    compared = band(basis.family)
    advice = advise(basis.work, basis.machine, basis.scaling, basis.terms, compared, images=basis.images)
    low, high = basis.work.seconds
    curves = {"low": low, "middle": basis.work.middle, "high": high}
    return {
        "inputs": asdict(basis),
        "volumes": {
            name: {
                "requests_a_day": basis.terms.traffic[name],
                "usd": one.usd * basis.images,
                "drawing": one.drawing * basis.images,
                "starting": one.starting * basis.images,
                "idling": one.idling * basis.images,
                "storage": one.storage * basis.images,
                "starts_a_day": one.day.starts,
                "wait_p95": one.day.wait_p95,
            }
            for name, one in advice.costs.items()
        },
        "advice": {
            "floor": advice.floor,
            "recommended": advice.recommended,
            "ceiling": advice.ceiling,
            "break_even": advice.break_even,
            "warnings": list(advice.warnings),
        },
        "comparable": {
            "as_of": compared.as_of.isoformat(),
            "of": compared.note,
            "low": compared.low,
            "middle": compared.middle,
            "high": compared.high,
            "endpoints": [asdict(one) for one in compared.of],
        }
        if compared
        else None,
        "curves": {
            name: [
                [volume, usd * basis.images]
                for volume, usd in curve(basis.work, basis.machine, basis.scaling, basis.terms, seconds=each)
            ]
            for name, each in curves.items()
        },
    }


def basis_in(document: Mapping[str, Any]) -> Basis:
    """The basis that a document of `reckoned` was made from."""
    inputs = document["inputs"]
    work = inputs["work"]
    return Basis(
        family=inputs["family"],
        work=Work(**{**work, "seconds": tuple(work["seconds"])}),
        machine=Machine(**inputs["machine"]),
        scaling=Scaling(**inputs["scaling"]),
        terms=Terms(**inputs["terms"]),
        images=inputs["images"],
        assumed=tuple(inputs["assumed"]),
    )


def reckoning_of(document: Mapping[str, Any]) -> Reckoning:
    """The figures that texts show, each with its place in the document."""
    advice, compared = document["advice"], document["comparable"]
    return Reckoning(
        floor=_usd(advice["floor"], "/advice/floor"),
        recommended=_usd(advice["recommended"], "/advice/recommended"),
        ceiling=_usd(advice["ceiling"], "/advice/ceiling") if advice["ceiling"] is not None else None,
        break_even=_figure(advice["break_even"], "{:,.0f}", "/advice/break_even") if advice["break_even"] is not None else None,
        volumes=tuple(_volume(name, row) for name, row in document["volumes"].items()),
        anchors=tuple(
            Anchor(endpoint=row["endpoint"], unit=row["unit"], usd=_usd(row["usd"], f"/comparable/endpoints/{number}/usd"))
            for number, row in enumerate(compared["endpoints"] if compared else ())
        ),
        anchors_as_of=compared["as_of"] if compared else None,
        assumptions=tuple(document["inputs"]["assumed"]),
        warnings=tuple(advice["warnings"]),
    )


def _volume(name: str, row: Mapping[str, float]) -> Volume:
    where = f"/volumes/{name}"
    return Volume(
        name=name,
        requests_a_day=_figure(row["requests_a_day"], "{:,.0f}", f"{where}/requests_a_day"),
        usd=_usd(row["usd"], f"{where}/usd"),
        drawing=_usd(row["drawing"], f"{where}/drawing"),
        starting=_usd(row["starting"], f"{where}/starting"),
        idling=_usd(row["idling"], f"{where}/idling"),
        wait_p95=_figure(row["wait_p95"], "{:.0f} s", f"{where}/wait_p95"),
    )


def _usd(amount: float, pointer: str) -> Figure:
    return _figure(amount, "${:.4f}" if amount < 0.1 else "${:.2f}", pointer)


def _figure(value: float, shown: str, pointer: str) -> Figure:
    return Figure(value=value, text=shown.format(value), receipt=RECEIPT, pointer=pointer)
