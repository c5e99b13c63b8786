"""The licence gate: time of a check, identification of texts, and wrong answers on adversarial cases with real texts.

    python bench/licenses.py [--quick] [--json FILE]

Times are medians over a graph of twelve assets on a loopback Hub in a process of its own, whose clock at the server tells its
share. LORASMITH_LICENSE_TEXTS names a folder of real licence texts (`id__version.txt`); without it what needs them is left out.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "bench")]

AT_LEAST, AT_MOST = "at least", "at most"
GOALS: dict[str, tuple[float, str]] = {
    "check_warm_seconds": (0.3, AT_MOST),
    "check_cold_seconds_beyond_the_hub": (1.5, AT_MOST),
    "adversarial_wrong_allows": (0, AT_MOST),
    "adversarial_wrong_blocks": (0, AT_MOST),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    for name in [name for name in os.environ if name.casefold().endswith("_proxy")]:
        del os.environ[name]
    metrics = measured(quick=arguments.quick)
    if arguments.json:
        arguments.json.write_text(json.dumps(metrics, indent=2) + "\n")
    for name, value in metrics.items():
        print(f"{name}: {value['value']} (goal: {value['sense']} {value['goal']}) {'holds' if value['holds'] else 'DOES NOT HOLD'}")
    return 0 if all(value["holds"] for value in metrics.values()) else 1


def measured(*, quick: bool) -> dict[str, dict[str, Any]]:
    """Every metric by name."""
    given = os.environ.get("LORASMITH_LICENSE_TEXTS")
    texts = Path(given) if given else None
    return {**check_times(quick=quick), **identification(texts, quick=quick), **(adversarial(texts) if texts else {})}


def check_times(*, quick: bool) -> dict[str, dict[str, Any]]:
    from license_check_time import times

    found = times(quick=quick)
    print(
        f"a check of twelve assets, {found.requests:.0f} requests: cold {found.cold:.3f} s, of it the Hub {found.cold_hub:.3f} s; "
        f"warm {found.warm:.3f} s, of it the Hub {found.warm_hub:.3f} s, processor {found.warm_processor:.3f} s"
    )
    values = {"check_warm_seconds": found.warm, "check_cold_seconds_beyond_the_hub": found.cold - found.cold_hub}
    return {name: metric(value, *GOALS[name]) for name, value in values.items()}


def identification(texts: Path | None, *, quick: bool) -> dict[str, dict[str, Any]]:
    """Rate and speed against licenseclassifier on the same texts."""
    import license_identification

    return {name: metric(*figures) for name, figures in license_identification.measured(texts, quick=quick).items()}


def adversarial(texts: Path) -> dict[str, dict[str, Any]]:
    from license_cases import faults

    allows, blocks = faults(texts)
    for one in (*allows, *blocks):
        print(f"  {one[:300]}")
    values = {"adversarial_wrong_allows": len(allows), "adversarial_wrong_blocks": len(blocks)}
    return {name: metric(value, *GOALS[name]) for name, value in values.items()}


def metric(value: float, goal: float, sense: str) -> dict[str, Any]:
    holds = value >= goal if sense == AT_LEAST else value <= goal
    return {"value": round(value, 4), "goal": goal, "sense": sense, "holds": holds}


if __name__ == "__main__":
    sys.exit(main())
