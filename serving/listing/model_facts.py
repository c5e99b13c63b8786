"""What a listing says of the adapter as data: what it was made of, how it was measured, how to prompt it."""

from pydantic import Field

from serving.listing.model_values import Figure, Part


class TrainingData(Part):
    statement: str
    train: Figure
    held_out: Figure
    license: str | None
    source: str | None


class HeldOut(Part):
    caption: str
    base: float
    adapter: float


class Memorisation(Part):
    """Whether drawn pictures are copies of training pictures; `copies` one for each way to compare that was taken."""

    statement: str
    drawn: Figure
    copies: tuple[Figure, ...]
    chance: Figure = Field(description="Of such a gain at training captions over held-out ones, if both were alike")
    method: str


class Champion(Part):
    """Against the adapter that was live before; the interval is that of the loss, new minus live."""

    statement: str
    loss: Figure
    relative: Figure
    interval: tuple[Figure, Figure] | None


class Measure(Part):
    name: str
    meaning: str
    adapter: Figure
    base: Figure | None


class StrengthRange(Part):
    low: Figure
    high: Figure
    statement: str


class Evaluation(Part):
    statement: str
    learned: bool
    held_out: Figure
    base_loss: Figure
    adapter_loss: Figure
    relative: Figure
    interval: tuple[Figure, Figure] | None
    better: Figure | None = Field(description="Held-out pictures on which the adapter's loss is below the base's")
    per_picture: tuple[HeldOut, ...]
    champion: Champion | None = None
    memorisation: Memorisation | None = None
    measures: tuple[Measure, ...] = ()


class Speed(Part):
    """What callers waited for a picture, measured; `usd` is the machine's time of the middle one, where its rate is known."""

    statement: str
    calls: Figure
    middle: Figure
    slowest: Figure
    usd: Figure | None = None


class Facts(Part):
    base: str
    family: str
    training_data: TrainingData
    evaluation: Evaluation
    trigger: str | None
    purpose: str = Field("", description="What it is for")
    prompting: tuple[str, ...] = Field((), description="Tips, a sentence or two each")
    caption_words: Figure | None = Field(None, description="Median words of a caption")
    strength: Figure
    strengths: StrengthRange | None = None
    resolution: Figure
    settings: dict[str, Figure] = Field(description="Recommended inference settings, as request fields")
    limits: tuple[str, ...]
    safety: str
    marking: str
    speed: Speed | None = Field(None, description="Measured when the gallery was made; None where no call was timed")
