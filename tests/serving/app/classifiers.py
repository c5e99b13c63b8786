"""An image classifier for tests: a tiny vision transformer that is as sure of each label as it is told to be, and a Hub for it."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from transformers import ViTConfig, ViTForImageClassification
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

from tests.licenses.loopback_hub import COMMIT, LoopbackHub, serving

NAME = f"owner/checker@{COMMIT}"
SIDE = 16


def files_of(folder: Path, scores: Mapping[str, float], *, problem: str | None = None) -> dict[str, bytes]:
    """A classifier's files; its scores are those given for a white picture, and for a black one the same for all labels."""
    labels = dict(enumerate(scores))
    config = ViTConfig(
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
        image_size=SIDE,
        patch_size=8,
        id2label=labels,
        label2id={label: place for place, label in labels.items()},
        problem_type=problem,
    )
    model = ViTForImageClassification(config)
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()
        # the first channel of a patch is its brightness; attention brings it to the token that is judged, the norm makes it a sign
        model.vit.embeddings.patch_embeddings.projection.weight[0] = 1.0
        layer = model.vit.layers[0]
        for norm in (layer.layernorm_before, model.vit.layernorm):
            norm.weight.fill_(1.0)
        for straight in (layer.attention.v_proj, layer.attention.o_proj):
            straight.weight.copy_(torch.eye(8))
        white = logits_of(scores, problem)
        model.classifier.weight[:, 0] = white / (2 * math.sqrt(7))
        model.classifier.bias.copy_(white / 2)
    model.save_pretrained(folder)
    ViTImageProcessorPil(size={"height": SIDE, "width": SIDE}).save_pretrained(folder)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def logits_of(scores: Mapping[str, float], problem: str | None) -> torch.Tensor:
    values = torch.tensor(list(scores.values()))
    return values.logit() if problem == "multi_label_classification" else values.log()


@contextmanager
def hub_with(files: Mapping[str, bytes], cache: Path) -> Iterator[LoopbackHub]:
    """A Hub on loopback that has owner/checker, as HF_ENDPOINT, with an empty cache."""
    with serving() as hub, pytest.MonkeyPatch.context() as patch:
        for name in ("HF_TOKEN", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
            patch.delenv(name, raising=False)
        patch.setenv("HF_ENDPOINT", hub.address)
        patch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
        patch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        patch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
        hub.add("owner/checker", files)
        yield hub
