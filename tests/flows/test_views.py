"""What Prefect's pages are given: whole in themselves, without a path that a browser could open."""

import base64
import io
from pathlib import Path

import pytest
from PIL import Image

from flows.views import WIDTH, shown, summary_page


@pytest.fixture
def grid(tmp_path: Path) -> Path:
    path = tmp_path / "grid.png"
    Image.new("RGBA", (3 * WIDTH, WIDTH), "red").save(path)
    return path


def test_a_picture_is_in_the_page_itself_and_no_wider_than_it(grid: Path) -> None:
    kind, _, content = shown(grid).partition(";base64,")
    assert kind == "data:image/jpeg"
    with Image.open(io.BytesIO(base64.b64decode(content))) as picture:
        assert picture.width == WIDTH


def test_the_summary_of_a_run_names_no_path_of_this_disk(grid: Path) -> None:
    run = {
        "run": "fox-12345678",
        "verdict": "duties",
        "loss": {"base": 0.5, "adapter": 0.4},
        "app": "fox",
        "revision": "r1",
        "target": "sandbox",
        "urls": {"run": "https://127.0.0.1:1/me/fox"},
        "units": 3,
        "images": 3,
        "grid": str(grid),
        "listing": str(grid.parent / "listing"),
        "license_report": str(grid.parent / "report.html"),
        "seconds": {"train": 1.5},
    }
    page = summary_page(run)
    assert str(grid.parent) not in page
    assert "| held-out loss | base 0.5000 -> adapter 0.4000 (-20.0%) |" in page
    assert "`lorasmith runs show fox-12345678`" in page
    assert "](data:image/jpeg;base64," in page
