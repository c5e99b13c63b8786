"""Losses and pictures of one denoiser after another: the plain base, the live adapter, the new one, asked the same questions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from PIL import Image

from training.adapter import remove, set_strength
from training.comparison import Losses
from training.config import TrainConfig
from training.export import load_adapter
from training.families import Family
from training.shots import STRENGTHS, Shot, Shots, drawn
from training.validation import HeldOut, stable_losses

Part = Literal["own", "neutral", "varied", "recalled"]
PARTS: tuple[Part, ...] = ("own", "neutral", "varied", "recalled")


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """What was seen: losses [pictures, levels], and pictures by set of shots."""

    losses: Losses
    own: list[Image.Image]
    neutral: list[Image.Image]
    varied: list[Image.Image]
    recalled: list[Image.Image]


@dataclass(frozen=True, kw_only=True, slots=True)
class Eye:
    """Looks at the pipeline as it stands, the same way every time; `asked` and `drew` hear of each picture."""

    pipe: Any
    family: Family
    held_out: HeldOut
    shots: Shots
    config: TrainConfig
    asked: Callable[[], None]
    drew: Callable[[], None]

    @property
    def denoiser(self) -> Any:
        return getattr(self.pipe, self.family.denoiser)

    def look(self, *parts: Part) -> Look:
        """Losses, and pictures of these parts of the shots."""
        losses = self.losses()
        drawn_of: dict[str, list[Image.Image]] = {
            part: self._drawn(getattr(self.shots, part)) if part in parts else [] for part in PARTS
        }
        return Look(losses=losses, **drawn_of)

    def losses(self) -> Losses:
        """Stable losses [pictures, levels]."""
        rows = self.config.batch_size
        denoiser, scheduler = self.denoiser, self.pipe.scheduler
        return stable_losses(denoiser, scheduler, self.family, self.held_out, rows=rows, done=lambda number: self.asked())

    def strip(self, base: Look, adapter: Look) -> list[Image.Image]:
        """The first shot at each of STRENGTHS; what was drawn already is not drawn again."""
        known = {0.0: base.own[0], 1.0: adapter.own[0]}
        pictures = []
        for value in STRENGTHS:
            set_strength(self.denoiser, value)
            pictures.append(known[value] if value in known else self._drawn(self.shots.own[:1])[0])
        set_strength(self.denoiser, 1.0)
        return pictures

    @contextmanager
    def wearing(self, file: Path) -> Iterator[None]:
        """The base with another adapter, for the while; AdapterError where it does not fit."""
        try:
            load_adapter(self.pipe, file)
            yield
        finally:
            remove(self.denoiser)

    def _drawn(self, shots: Sequence[Shot]) -> list[Image.Image]:
        return drawn(self.pipe, self.family, shots, self.config.inference, self.drew)
