"""Where a training runs, and over how many processes."""

import pytest
from pydantic import TypeAdapter, ValidationError

from flows.machines.placing import Compute, Here, Place, Pool, Remote, place, processes_for


@pytest.mark.parametrize(
    ("compute", "deployed", "where"),
    [
        ("auto", False, Here()),
        ("auto", True, Pool()),
        ("here", True, Here()),
        ("pool", False, Pool()),
        ("fal:GPU-H100", False, Remote(machine="GPU-H100")),
        ("fal:GPU-H100", True, Remote(machine="GPU-H100")),
    ],
)
def test_the_place_of_a_training(compute: str, deployed: bool, where: Place) -> None:
    assert place(compute, deployed=deployed) == where


@pytest.mark.parametrize("compute", ["", "gpu", "fal:", "fal: GPU", "FAL:GPU-H100", "here\n"])
def test_a_place_that_there_is_none_of_is_refused(compute: str) -> None:
    with pytest.raises(ValidationError, match="must be auto, here, pool, or fal:MACHINE"):
        TypeAdapter(Compute).validate_python(compute)


@pytest.mark.parametrize(
    ("gpus", "pictures", "processes"), [(0, 4, 1), (1, 4, 1), (2, 4, 2), (3, 4, 2), (8, 4, 4), (8, 1, 1), (4, 6, 3), (2, 3, 1)]
)
def test_processes_share_the_pictures_of_a_step_evenly(gpus: int, pictures: int, processes: int) -> None:
    assert processes_for(gpus, pictures) == processes
