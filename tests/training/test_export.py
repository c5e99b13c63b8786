"""An exported adapter, loaded by plain diffusers, is the trained one, and refused where it is not."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from tests.training.conftest import saved_base
from training.adapter import adapter_state, inject, strength
from training.base import Base, load_pipeline, locate
from training.data.cache import Example
from training.denoise import record
from training.errors import AdapterError, ExportError
from training.export import FILE, Trained, answer_of, check_reloaded, export, load_adapter
from training.latents import encode

CPU = torch.device("cpu")


class Work:
    """A base of one family with a random adapter in its denoiser, and an example to ask about."""

    def __init__(self, family: str, folder: Path) -> None:
        self.base: Base = locate(str(saved_base(family, folder / "base")))
        self.pipe = load_pipeline(self.base, torch.float32)
        side = self.base.family.multiple
        pixels = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(1)) * 2 - 1
        self.example = Example(
            mean=encode(self.pipe, self.base.family, pixels)[0],
            conditioning=record(self.pipe, self.base.family, "a small dog", side, side),
            bucket=(side, side),
            caption="a small dog",
        )
        self.denoiser = getattr(self.pipe, self.base.family.denoiser)
        self.plain = answer_of(self.pipe, self.base.family, self.example)
        parameters = inject(self.denoiser, self.base.family, rank=4, alpha=6.0, seed=0)
        for index, parameter in enumerate(parameters.values()):
            torch.nn.init.normal_(parameter, std=0.3, generator=torch.Generator().manual_seed(index))
        self.trained = Trained(state=adapter_state(self.denoiser), answer=answer_of(self.pipe, self.base.family, self.example))
        self.path = export(self.denoiser, self.base.family, folder / "out")

    def check(self) -> None:
        check_reloaded(self.path, self.base, torch.float32, self.trained, self.example, device=CPU)


@pytest.fixture(scope="module")
def z_image(tmp_path_factory: pytest.TempPathFactory) -> Work:
    return Work("z-image", tmp_path_factory.mktemp("z"))


@pytest.mark.parametrize("family", ["sd15", "z-image", "flux.2-klein", "pixart-sigma"])
def test_a_base_on_disk_and_its_adapter_come_back_as_they_were_trained(family: str, tmp_path: Path) -> None:
    work = Work(family, tmp_path)
    assert not torch.equal(work.trained.answer, work.plain)  # the adapter does something, so that equality below means something
    work.check()


def test_keys_rank_and_alpha_are_those_of_diffusers_and_no_clock_is_in_the_file(z_image: Work, tmp_path: Path) -> None:
    with safe_open(z_image.path, framework="pt") as file:
        assert all(name.startswith("transformer.") and name.endswith(("lora_A.weight", "lora_B.weight")) for name in file.keys())  # noqa: SIM118
        metadata = file.metadata()
    assert list(metadata) == ["lora_adapter_metadata"]
    about = json.loads(metadata["lora_adapter_metadata"])
    assert (about["transformer.r"], about["transformer.lora_alpha"]) == (4, 6.0)
    again = export(z_image.denoiser, z_image.base.family, tmp_path)
    assert again.read_bytes() == z_image.path.read_bytes()


def test_strength_zero_is_the_plain_base_bit_for_bit(z_image: Work) -> None:
    with strength(z_image.denoiser, 0.0):
        assert torch.equal(answer_of(z_image.pipe, z_image.base.family, z_image.example), z_image.plain)
    assert torch.equal(answer_of(z_image.pipe, z_image.base.family, z_image.example), z_image.trained.answer)


def _one_value(path: Path) -> None:
    tensors = load_file(path)
    name = sorted(tensors)[0]
    tensors[name][0, 0] += 1e-3
    _rewrite(path, tensors)


def _one_less(path: Path) -> None:
    tensors = load_file(path)
    module = sorted(tensors)[0].removesuffix("lora_A.weight")
    _rewrite(path, {name: tensor for name, tensor in tensors.items() if not name.startswith(module)})


def _other_alpha(path: Path) -> None:
    with safe_open(path, framework="pt") as file:
        about = json.loads(file.metadata()["lora_adapter_metadata"])
    _rewrite(path, load_file(path), {**about, "transformer.lora_alpha": 12.0})


def _rewrite(path: Path, tensors: dict[str, torch.Tensor], about: dict[str, object] | None = None) -> None:
    if about is None:
        with safe_open(path, framework="pt") as file:
            about = json.loads(file.metadata()["lora_adapter_metadata"])
    save_file(tensors, path, metadata={"lora_adapter_metadata": json.dumps(about)})


@pytest.mark.parametrize(("spoil", "said"), [(_one_value, "differ"), (_one_less, "does not fit"), (_other_alpha, "answer differs")])
def test_a_file_that_is_not_what_was_trained_fails(spoil: Callable[[Path], None], said: str, z_image: Work, tmp_path: Path) -> None:
    copy = Path(shutil.copy(z_image.path, tmp_path / FILE))
    spoil(copy)
    with pytest.raises(ExportError, match=said):
        check_reloaded(copy, z_image.base, torch.float32, z_image.trained, z_image.example, device=CPU)


def test_a_missing_or_foreign_adapter_is_named_in_one_line(z_image: Work, tmp_path: Path) -> None:
    with pytest.raises(AdapterError, match="is not there"):
        load_adapter(z_image.pipe, tmp_path / FILE)
    (tmp_path / FILE).write_bytes(b"no tensors")
    with pytest.raises(AdapterError, match="does not fit this base") as caught:
        load_adapter(load_pipeline(z_image.base, torch.float32), tmp_path / FILE)
    assert "\n" not in str(caught.value)
