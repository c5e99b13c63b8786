"""Equal texts of a call are encoded once, and every row gets what it would have got."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModelWithProjection

from serving.app.drawing.texts import equal_texts_once

TEXTS = torch.tensor([[1, 2, 3], [4, 5, 6], [1, 2, 3], [1, 2, 3]])
MASKS = torch.tensor([[1, 1, 1], [1, 1, 0], [1, 1, 1], [1, 1, 0]])


@pytest.fixture(scope="module")
def encoder() -> nn.Module:
    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "projection_dim": 4}
    config = CLIPTextConfig(vocab_size=8, max_position_embeddings=4, bos_token_id=0, eos_token_id=3, pad_token_id=0, **sizes)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder: nn.Module = CLIPTextModelWithProjection(config).eval()
        return encoder


@pytest.mark.parametrize(
    ("given", "rows"),
    [
        (((TEXTS,), {}), 2),
        (((), {"input_ids": TEXTS}), 2),
        (((TEXTS,), {"attention_mask": MASKS}), 3),
        (((), {"input_ids": TEXTS, "attention_mask": MASKS, "output_hidden_states": True}), 3),
        (((TEXTS,), {"return_dict": False, "output_hidden_states": True}), 2),
        (((TEXTS[:2],), {}), 2),
        (((TEXTS[:1],), {}), 1),
        (((TEXTS, MASKS), {}), 4),  # by place, which only the encoder knows
        (((TEXTS,), {"position_ids": torch.arange(3).expand(4, 3)}), 4),  # more than text
    ],
)
def test_each_row_gets_its_text_however_the_encoder_is_called(encoder: nn.Module, given: Any, rows: int) -> None:
    args, kwargs = given
    run: list[int] = []
    words = encoder.get_submodule("text_model.embeddings")
    pipe = SimpleNamespace(components={"text_encoder_2": encoder, "text_encoder": None, "vae": nn.Linear(1, 1)})
    with torch.no_grad():
        expected = _flat(encoder(*args, **kwargs))
        with equal_texts_once(pipe):
            counting = words.register_forward_hook(lambda _module, _given, out: run.append(out.shape[0]))
            found = _flat(encoder(*args, **kwargs))
            counting.remove()
    assert run == [rows]
    assert len(expected) == len(found) > 0
    for one, other in zip(expected, found, strict=True):
        torch.testing.assert_close(one, other)
    assert not encoder._forward_hooks
    assert not encoder._forward_pre_hooks


def _flat(output: Any) -> list[Tensor]:
    """Every tensor of an encoder's output."""
    if isinstance(output, Tensor):
        return [output]
    parts = output.values() if hasattr(output, "values") else output
    return [tensor for part in parts for tensor in _flat(part)]
