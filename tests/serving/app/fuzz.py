"""Requests made up from the app's own OpenAPI, good and bad: no answer may be an error of ours, off the schema or without units.

`python -m tests.serving.app.fuzz --cases 2000` prints how the answers were spread.
"""

import argparse
import io
import re
from collections import Counter
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from schemathesis import Case, CheckContext, GenerationMode, Response
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance, status_code_conformance

from serving.app.requests.schema import EXAMPLE_PICTURE
from tests.serving.app.surfaces import WHOLE, served

UNITS = "x-fal-billable-units"
# What callers send as pictures; what the schema makes up is text that is none.
PICTURES = [
    *[EXAMPLE_PICTURE] * 5,
    EXAMPLE_PICTURE[:-8],
    "data:image/png;base64,AAAA",
    "http://127.0.0.1/",
    "https://localhost/a.png",
    "",
]


def units_are_stated(_context: CheckContext, response: Response, _case: Case) -> None:
    """Every answer says once what it costs, in digits, and only a whole answer costs anything."""
    stated = response.headers.get(UNITS, [])
    assert len(stated) == 1, stated
    assert re.fullmatch(r"0|[1-9][0-9]*", stated[0]), stated
    images = response.json().get("images", []) if response.status_code == 200 else []
    assert int(stated[0]) == len(images), (stated, len(images))


CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance, units_are_stated]


def fuzz(url: str, cases: int, *, start: int = 0) -> Counter[tuple[str, int]]:
    """Answers by operation and status of about so many requests, the same for the same `start`. Raises what a check finds."""
    schema = schemathesis.openapi.from_dict(requests.get(f"{url}/openapi.json", timeout=10).json())
    answers: Counter[tuple[str, int]] = Counter()
    operations = [found.ok() for found in schema.get_all_operations()]
    share = cases // (2 * sum(bool(operation.body) for operation in operations))
    with requests.Session() as session:
        for operation in operations:
            for mode in GenerationMode if operation.body else [GenerationMode.POSITIVE]:
                count = share if operation.body else 2
                answers += _run(operation.as_strategy(generation_mode=mode), url, session, count, start)
    return answers


def _run(cases: st.SearchStrategy[Case], url: str, session: requests.Session, count: int, start: int) -> Counter[tuple[str, int]]:
    answers: Counter[tuple[str, int]] = Counter()

    @seed(start)
    @hypothesis_settings(
        max_examples=count, deadline=None, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
    )
    @given(case=cases, picture=st.sampled_from([None, *PICTURES]))
    def ask(case: Case, picture: str | None) -> None:
        if picture is not None and isinstance(case.body, dict) and "image_url" in case.body:
            case.body["image_url"] = picture
        response = case.call(base_url=url, session=session, timeout=30)
        case.validate_response(response, checks=CHECKS)
        answers[f"{case.method} {case.path}", response.status_code] += 1

    ask()
    return answers


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args(arguments)
    with TemporaryDirectory() as folder, redirect_stdout(io.StringIO()), served(Path(folder), small_whole()) as url:
        answers = fuzz(url, asked.cases, start=asked.seed)
    for (operation, status), count in sorted(answers.items()):
        print(f"{operation:24} {status} {count:6}")
    print(f"{sum(answers.values())} requests, no finding")


def small_whole() -> dict[str, Any]:
    """A package that offers everything, in sizes that are drawn at once."""
    limits = WHOLE["limits"] | {"min_side": 16, "max_side": 64, "max_area": 64 * 64, "max_work": 64 * 64 * 100}
    return WHOLE | {"limits": limits, "default_size": {"width": 32, "height": 32}}


if __name__ == "__main__":
    main()
