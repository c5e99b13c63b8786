"""The plain loop with latents and text states encoded once and kept: the strongest simple loop there is."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from baselines import encode_each_step


class Loop(encode_each_step.Loop):
    """Encodes every picture and caption at the start, then looks them up."""

    def __init__(self, base: Path, pictures: Tensor, captions: Sequence[str], **settings: Any) -> None:
        super().__init__(base, pictures, captions, **settings)
        self.known = []
        for index in range(len(pictures)):
            latents, states = super().encode([index])
            self.known.append((latents[0], states[0]))

    def encode(self, chosen: list[int]) -> tuple[Tensor, list[Tensor]]:
        import torch

        return torch.stack([self.known[i][0] for i in chosen]), [self.known[i][1] for i in chosen]
