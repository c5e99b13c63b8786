"""A plain Z-Image LoRA loop that encodes pictures and captions in every step, as text-to-image example scripts do without flags.

What a first version looks like: one file, one family, the forward written by hand. It is here to be measured against.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig
from torch import Tensor


class Loop:
    """Same optimizer, rank, batch, precision and clipping as the loop it is compared with."""

    def __init__(
        self, base: Path, pictures: Tensor, captions: Sequence[str], *, targets: str, rank: int, rate: float, batch: int
    ) -> None:
        from diffusers import ZImagePipeline

        self.pipe: Any = ZImagePipeline.from_pretrained(base, dtype=torch.float32)
        for part in (self.pipe.vae, self.pipe.text_encoder, self.pipe.transformer):
            part.requires_grad_(False).eval()
        self.pipe.transformer.add_adapter(LoraConfig(r=rank, lora_alpha=rank, target_modules=targets))
        self.weights = [weight for weight in self.pipe.transformer.parameters() if weight.requires_grad]
        self.optimizer = torch.optim.AdamW(self.weights, lr=rate, betas=(0.9, 0.99), weight_decay=0.01, fused=True)
        self.pictures, self.captions, self.batch = pictures, list(captions), batch
        self.rate, self.order = rate, list[int]()

    def encode(self, chosen: list[int]) -> tuple[Tensor, list[Tensor]]:
        """Normalised latents [B, C, H, W] and the text states of each caption."""
        with torch.no_grad():
            latents = self.pipe.vae.encode(self.pictures[chosen]).latent_dist.mode()
            states, _ = self.pipe.encode_prompt([self.captions[i] for i in chosen], do_classifier_free_guidance=False)
        config = self.pipe.vae.config
        return (latents - config.shift_factor) * config.scaling_factor, states

    def step(self) -> float:
        """One optimizer step; its loss."""
        if len(self.order) < self.batch:
            self.order = torch.randperm(len(self.pictures)).tolist()
        chosen, self.order = self.order[: self.batch], self.order[self.batch :]
        clean, states = self.encode(chosen)
        noise, sigma = torch.randn_like(clean), torch.sigmoid(torch.randn(len(clean)))
        mix = sigma.view(-1, 1, 1, 1)
        noisy = (1 - mix) * clean + mix * noise
        answer = self.pipe.transformer(list(noisy.unsqueeze(2)), 1 - sigma, states, return_dict=False)[0]
        loss = torch.nn.functional.mse_loss(-torch.stack(answer).squeeze(2).float(), noise - clean)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.weights, 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return loss.detach().item()

    def set_rate(self, step: int, steps: int) -> None:
        """Warm-up over 20 steps, then linear decay."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate * min(1.0, (step + 1) / 20) * (1 - step / steps)

    def seconds(self, steps: int) -> float:
        """Wall time of `steps` warm steps, after as many to warm up."""
        for _ in range(steps):
            self.step()
        begun = time.perf_counter()
        for _ in range(steps):
            self.step()
        return time.perf_counter() - begun
