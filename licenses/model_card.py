"""The modelCard block of a bill of materials: what the adapter is, what was measured, and what to think of before using it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeGuard

from licenses.papers import Work

LIMITS = (
    "The evaluation measures denoising loss on held-out pictures: it says that a style was learned, not that people prefer it.",
    "What the base can not draw, the adapter can not draw either.",
)
MADE_BY_A_MACHINE = {
    "name": "Pictures may be taken for photographs or for the work of a person",
    "mitigationStrategy": "Say that they are made by a machine wherever they are shown and the law asks for it.",
}
COPIES = {
    "name": "Pictures may come close to a picture of the training",
    "mitigationStrategy": "The evaluation looks for samples that are nearer to training pictures than held-out pictures are.",
}
PERSONS = {
    "name": "Pictures of persons",
    "mitigationStrategy": "The licence check asks for consent of the persons in the training pictures, and blocks without it.",
}


def model_card(
    verdict: Mapping[str, Any], work: Work, datasets: Sequence[str], evaluation: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Parameters, measured numbers where `evaluation` is given, and considerations; `datasets` are references in the document."""
    rank = f", rank {work.rank}" if work.rank is not None else ""
    card: dict[str, Any] = {
        "modelParameters": {
            "approach": {"type": "self-supervised"},
            "task": "text-to-image",
            **({"architectureFamily": work.family} if work.family else {}),
            "modelArchitecture": f"LoRA on {verdict['nodes'][0]['id']}{rank}",
            "datasets": [{"ref": ref} for ref in datasets],
            "inputs": [{"format": "text"}],
            "outputs": [{"format": "image"}],
        },
        "considerations": {
            "users": ["People who call the app for pictures, under its terms"],
            "useCases": ["Pictures in the trained style from a text, through a paid endpoint"],
            "technicalLimitations": list(LIMITS),
            "ethicalConsiderations": [MADE_BY_A_MACHINE, COPIES, PERSONS, *_restricted(verdict)],
        },
    }
    metrics = list(_metrics(evaluation or {}))
    return card | ({"quantitativeAnalysis": {"performanceMetrics": metrics}} if metrics else {})


def _restricted(verdict: Mapping[str, Any]) -> list[dict[str, str]]:
    names = list(dict.fromkeys(one["license"] for one in verdict["flowdown"]))
    return [
        {"name": f"Uses that {name} forbids", "mitigationStrategy": "TERMS.md of the package binds everyone who calls the app."}
        for name in names
    ]


def _metrics(evaluation: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    """Held-out losses with the bootstrap interval of their difference, and the copies that were counted."""
    loss, bootstrap = evaluation.get("loss") or {}, evaluation.get("bootstrap") or {}
    where = f"{evaluation['held_out']} held-out pictures" if "held_out" in evaluation else "held-out pictures"
    for side in ("base", "adapter"):
        if _is_number(loss.get(side)):
            yield {"type": f"denoising loss, {side}", "value": _shown(loss[side]), "slice": where}
    if _is_number(loss.get("base")) and _is_number(loss.get("adapter")):
        difference: dict[str, Any] = {
            "type": "denoising loss, adapter minus base",
            "value": _shown(loss["adapter"] - loss["base"]),
            "slice": where,
        }
        low, high = bootstrap.get("low"), bootstrap.get("high")
        if _is_number(low) and _is_number(high):
            difference["confidenceInterval"] = {"lowerBound": _shown(low), "upperBound": _shown(high)}
        yield difference
    copies = (evaluation.get("copies") or {}).get("copies")
    if _is_number(copies):
        yield {"type": "samples that may be copies of training pictures", "value": str(copies), "slice": "samples"}


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _shown(value: float) -> str:
    return f"{value:.6f}"
