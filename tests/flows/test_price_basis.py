"""What a price is reckoned from: known GPUs with a rate only, and everything that was not measured is said."""

import pytest

from flows.errors import JobError
from flows.job_file import parse_job
from flows.money.price_basis import basis_of, images_of_a_unit, texts_of
from serving.listing.reckoning import reckoned
from tests.flows.test_sizing import job

SETTINGS = {"family": "z-image"}


def test_a_cpu_and_a_gpu_without_a_rate_give_no_basis() -> None:
    assert basis_of(job(machine_type="S"), SETTINGS) is None
    assert basis_of(job(machine_type="GPU-RTX4090"), SETTINGS) is None


def test_the_basis_is_the_forecast_the_rate_and_the_scaling_of_the_job() -> None:
    basis = basis_of(job(machine_type="GPU-H200", keep_alive=30, min_concurrency=1, max_concurrency=6, num_gpus=2), SETTINGS)
    assert basis is not None
    assert basis.machine.usd_per_second == pytest.approx(2 * 0.00125)  # the list rate, where one is known
    assert (basis.scaling.keep_alive, basis.scaling.least, basis.scaling.most) == (30, 1, 6)
    assert basis.terms.traffic == {"low": 20, "mid": 300, "high": 5000}
    told = " ".join(basis.assumed)
    for words in (
        "by forecast; nothing was measured",
        "list rate",
        "is not public and is counted as none",
        "20, 300, 5,000 requests",
    ):
        assert words in told
    assert reckoned(basis)["advice"]["recommended"] > 0


def test_a_share_that_was_agreed_is_counted() -> None:
    wanted = job(machine_type="GPU-H100")
    agreed = wanted.model_copy(update={"listing": wanted.listing.model_copy(update={"platform_share": 0.5})})
    open_, closed = (basis_of(one, SETTINGS) for one in (wanted, agreed))
    assert open_ is not None
    assert closed is not None
    assert "fal keeps 50% of the price" in " ".join(closed.assumed)
    assert reckoned(closed)["advice"]["floor"] == pytest.approx(2 * reckoned(open_)["advice"]["floor"], rel=0.1)


@pytest.mark.parametrize(
    ("unit", "area", "images"),
    [("image", 2**21, 1.0), ("megapixel", 2**20, 1.0), ("megapixel", 2**21, 0.5), ("request", 2**20, 3.0)],
)
def test_images_of_a_unit(unit: str, area: int, images: float) -> None:
    wanted = job(billing_unit=unit, max_area=area)
    assert (
        images_of_a_unit(wanted.model_copy(update={"listing": wanted.listing.model_copy(update={"images_per_request": 3.0})}))
        == images
    )


def test_traffic_rises() -> None:
    raw = job().model_dump(mode="json")
    with pytest.raises(JobError, match=r"listing\.traffic: got .* must rise"):
        parse_job(raw | {"listing": raw["listing"] | {"traffic": [300, 20, 5000]}})


def test_texts_are_the_author_s_words() -> None:
    texts = texts_of(job())
    assert (texts.title, texts.sender) == ("Tiny emoji", "author@example.org")
