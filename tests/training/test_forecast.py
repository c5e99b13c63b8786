"""Memory, time and money of a job before a download: sums, tables, and where a base's configs are from."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
import torch

from training.config import OptimizerName, Recipe, TrainConfig
from training.errors import BaseModelError, HubError
from training.families import FAMILIES
from training.fit import LADDER, Fit, fit_for
from training.forecast import anatomy_of, fits, forecast, memory_needed, study
from training.forecast.bases import Anatomy, Part, facts
from training.forecast.memory import GIB, STATE_BYTES, WORKSPACE, Counts, weight_bytes
from training.forecast.speed import cost, gpus, seconds_per_step, utilisation
from training.forecast.speed import facts as speeds
from training.forecast.study import Study
from training.forecast.trace import Trace
from training.forecast.typical import typical
from training.optimizers import make_optimizer

RECIPE = Recipe(resolution=32, steps=1000, batch_size=2, rank=2, alpha=2, learning_rate=1e-4)
COUNTS = Counts(
    denoiser=10_000_000_000,
    linear=9_000_000_000,
    largest_linear=50_000_000,
    adapter=20_000_000,
    encoders=5_000_000_000,
    autoencoder=100_000_000,
)
TRACE = Trace(
    forward_flops=50 * 10**12,
    backward_flops=60 * 10**12,
    block_flops=49 * 10**12,
    saved_bytes=20 * GIB,
    kept_bytes=1 * GIB,
    largest_block_bytes=1 * GIB,
    transient_bytes=1 * GIB,
    operations=5000,
)
PART = Part(library="diffusers", kind="FluxTransformer2DModel", config={})
COUNTED = Study(
    anatomy=Anatomy(name="a/b", family=FAMILIES["flux.1"], denoiser=PART, autoencoder=PART, encoders=(), source="test"),
    counts=COUNTS,
    trace=TRACE,
    autoencoder_bytes=GIB,
    optimizer="adamw",
    parts=1,
    passes=1,
)


def config_of(base: str, **changes: object) -> TrainConfig:
    return TrainConfig.model_validate({**RECIPE.model_dump(), "base": base, "dataset": "data", "cache": "cache", **changes})


@pytest.mark.parametrize(("precision", "expected"), [("fp32", 40e9), ("bf16", 20e9), ("int8", 11e9), ("nf4", 6.64e9)])
def test_weights_take_what_their_precision_takes(precision: str, expected: float) -> None:
    assert weight_bytes(COUNTS, precision) == pytest.approx(expected, rel=0.01)


def test_a_run_needs_its_larger_phase() -> None:
    plain, checkpointed = (COUNTED.memory("bf16", checkpointing=on) for on in (False, True))
    assert plain.adapter == 20_000_000 * (4 + 4 + 8)
    assert plain.train == plain.weights + plain.adapter + 21 * GIB + WORKSPACE
    assert checkpointed.activations == 3 * GIB
    assert checkpointed.encode == pytest.approx(2 * 15.1e9 + GIB + WORKSPACE)
    assert checkpointed.peak == checkpointed.encode
    assert plain.peak == plain.train


def test_prior_preservation_runs_the_denoiser_thrice() -> None:
    prior = replace(COUNTED, passes=2)
    assert prior.step_flops(checkpointing=False) == (2 * 110 + 50) * 10**12
    assert prior.memory("bf16", checkpointing=False).activations == 2 * COUNTED.memory("bf16", checkpointing=False).activations


@pytest.mark.parametrize(
    ("gigabytes", "expected"), [(80, LADDER[0]), (40, LADDER[1]), (27, LADDER[2]), (22, LADDER[3]), (10, None)]
)
def test_the_first_of_the_ladder_that_has_room_is_taken(gigabytes: int, expected: Fit | None) -> None:
    assert fits(COUNTED, RECIPE, gigabytes * 1e9) == expected


def test_what_the_recipe_fixes_stays_fixed() -> None:
    fixed = RECIPE.model_copy(update={"precision": "bf16", "gradient_checkpointing": "off"})
    assert fits(COUNTED, fixed, 80e9) == Fit(precision="bf16", checkpointing=False)
    assert fits(COUNTED, fixed, 40e9) is None


def test_every_anchor_lies_within_the_range_that_is_made_of_them() -> None:
    peaks = {gpu.name: gpu.peak for gpu in gpus()}
    for anchor in speeds()["anchors"]:
        low, high = seconds_per_step(anchor["tflop"] * 1e12, peaks[anchor["gpu"]])
        assert low <= anchor["seconds"] <= high, anchor["what"]


def test_larger_steps_reach_more_of_the_peak_and_a_range_is_a_range() -> None:
    shares = [utilisation(floor) for floor in (1e-6, 2e-3, 20e-3, 0.1, 0.5, 1.0, 10.0)]
    assert shares == sorted(shares)
    assert all(0 < low < high <= 0.5 for low, high in shares)
    assert shares[-1] == shares[-2]


def test_quantised_bases_are_slower_and_small_steps_wait_for_their_calls() -> None:
    plain, nf4 = seconds_per_step(1e14, 1e15), seconds_per_step(1e14, 1e15, precision="nf4")
    assert nf4[0] > 2 * plain[0]
    assert seconds_per_step(1e6, 1e15, operations=10_000)[1] == pytest.approx(0.52)


def test_dollars_span_the_rates_that_are_known() -> None:
    assert cost((10, 20), None) is None
    assert cost((10, 20), (0.1, None)) == (1, 2)
    assert cost((10, 20), (0.1, 0.5)) == (1, 10)


def test_a_gpu_that_is_too_small_says_what_would_be_needed() -> None:
    outlooks = {outlook.gpu.name: outlook for outlook in forecast(COUNTED, RECIPE.model_copy(update={"precision": "bf16"}))}
    small, large = outlooks["RTX 4090"], outlooks["H200"]
    assert small.fit is None
    assert small.hours is None
    assert small.memory.peak > small.gpu.memory
    assert large.fit == LADDER[0]
    assert large.hours
    assert large.usd
    assert large.hours[0] < large.hours[1]


@pytest.mark.parametrize("name", ["adamw", "adam", "radam", "sgd"])
def test_optimizers_keep_what_the_table_says(name: str) -> None:
    weight = torch.nn.Parameter(torch.zeros(64, 64))
    optimizer = make_optimizer({"weight": weight}, config_of("a/b", optimizer=name))
    weight.grad = torch.ones_like(weight)
    optimizer.step()
    kept = sum(value.numel() * value.element_size() for value in optimizer.state[weight].values() if torch.is_tensor(value))
    assert kept == pytest.approx(STATE_BYTES[name] * weight.numel(), rel=0.01)


def test_every_optimizer_has_a_figure() -> None:
    assert set(STATE_BYTES) == set(get_args(OptimizerName))


@pytest.mark.parametrize("name", ["flux.2-klein-4b", "z-image", "hidream-i1", "kandinsky-5-lite", "ernie-image", "qwen-image-2.1"])
def test_known_values_make_denoisers_of_the_known_size(name: str) -> None:
    entry = facts()["bases"][name]
    denoiser = anatomy_of(entry["repositories"][0]).denoiser.build()
    assert sum(parameter.numel() for parameter in denoiser.parameters()) == entry["check"]
    assert all(parameter.is_meta for parameter in denoiser.parameters())


@pytest.mark.parametrize("name", ["sana", "ovis-image"])
def test_the_memory_of_a_row_is_what_the_forecast_counts(name: str) -> None:
    counted, family = typical(FAMILIES[name]), FAMILIES[name]
    assert counted
    assert counted.gib == pytest.approx(family.memory, rel=0.02), "python bench/flops.py --memory"


def test_a_row_has_a_figure_for_its_memory_where_a_base_of_the_family_is_known() -> None:
    known = {entry["pipeline"] for entry in facts()["bases"].values()}
    assert [family.name for family in FAMILIES.values() if (family.memory is not None) != (family.pipeline in known)] == []
    assert typical(replace(FAMILIES["sana"], pipeline="NewPipeline")) is None


def test_every_known_base_has_its_parts_and_names_its_source() -> None:
    repositories = [name for entry in facts()["bases"].values() for name in entry["repositories"]]
    assert len(repositories) == len(set(repositories)) >= 20
    for base in map(anatomy_of, repositories):
        assert base.encoders
        assert base.source.startswith("known values (")


def test_a_folder_is_counted_from_its_configs(base_folder: Path) -> None:
    counted = study(anatomy_of(str(base_folder)), RECIPE, torch.bfloat16)
    assert counted.anatomy.family.name == "z-image"
    assert counted.counts.encoders > 0
    assert counted.step_flops(checkpointing=True) > counted.step_flops(checkpointing=False) > 0
    assert counted.autoencoder_bytes > 0


def test_weights_are_never_opened(base_folder: Path, tmp_path: Path) -> None:
    for config in base_folder.rglob("*.json"):
        place = tmp_path / config.relative_to(base_folder)
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(config.read_bytes())
    assert anatomy_of(str(tmp_path)).denoiser.kind == "ZImageTransformer2DModel"


def test_the_loop_is_told_what_a_run_needs(base_folder: Path, tmp_path: Path) -> None:
    config = config_of(str(base_folder))
    memory = memory_needed(config)
    assert memory
    assert memory("bf16", False) > memory("bf16", True) * 0.5 > 0
    assert fit_for(config, device="cuda", free=80e9, memory=memory) == LADDER[0]
    assert memory_needed(config.model_copy(update={"base": str(tmp_path)})) is None


def test_a_base_that_is_none_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(BaseModelError, match=r"no model_index.json"):
        anatomy_of(str(tmp_path))
    with pytest.raises(BaseModelError, match="neither a folder nor"):
        anatomy_of("not a name")


@pytest.fixture
def hub(base_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A Hub on loopback that has owner/base; the paths that were asked for."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            _, _, name = self.path.partition("/owner/base/resolve/main/")
            file = base_folder / name if name else base_folder / "nothing"
            self.send_response(200 if file.is_file() else 404)
            self.end_headers()
            if file.is_file():
                self.wfile.write(file.read_bytes())

        def log_message(self, *arguments: object) -> None:
            """Quiet."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    yield asked
    server.shutdown()
    server.server_close()
    thread.join()


def test_an_unknown_base_is_read_from_the_hub_config_by_config(hub: list[str], base_folder: Path) -> None:
    anatomy = anatomy_of("owner/base")
    assert anatomy.source == "configs on the Hub"
    assert anatomy.denoiser.config == json.loads((base_folder / "transformer" / "config.json").read_text())
    assert all(path.endswith(".json") for path in hub)
    with pytest.raises(BaseModelError, match="not on the Hub"):
        anatomy_of("owner/other")


def test_a_hub_that_is_away_is_a_hub_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(HubError, match="known here") as failure:
        anatomy_of("owner/base")
    assert failure.value.exit_code == 5
    assert anatomy_of("Tongyi-MAI/Z-Image").family.name == "z-image"
