"""The job file: one pydantic model for job.yaml, for Prefect's parameter schema and for `lorasmith job schema`."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, field_validator

from flows.app_fields import Serving
from flows.approvals.approving import Approvals
from flows.hub import ADAPTER, HubTarget
from flows.job_values import HUB_REF, AppName, Folder, Part, Ref, Source
from flows.listing_fields import Listing
from flows.machines.placing import Compute
from flows.monitoring.thresholds import Thresholds
from flows.retraining.policy import Retrain
from flows.rollout import Rollout
from training.config import CLIP, DINO, Recipe


def absolute_file(path: str) -> str:
    if Path(path).is_absolute() or ADAPTER.fullmatch(path):
        return path
    raise ValueError("must be the absolute path of a .safetensors file, or hf://owner/name@revision")


class Base(Part):
    ref: Ref = Field(
        description="Folder of a diffusers base, or owner/name on the Hub", examples=["black-forest-labs/FLUX.2-klein-base-4B"]
    )
    revision: str | None = Field(None, description="Commit, tag or branch on the Hub; pinned to the commit when the job runs")
    components: dict[str, str] = Field(
        default_factory=dict, description="Other parts by role, such as vae: owner/name, for the licence check"
    )

    @property
    def folder(self) -> Path | None:
        """The base as a local folder; None where it lives on the Hub."""
        return Path(self.ref) if Path(self.ref).is_absolute() else None

    @property
    def repo(self) -> str:
        """owner/name on the Hub."""
        match = HUB_REF.match(self.ref)
        assert match, self.ref
        return match["repo"]

    @property
    def pinned(self) -> str | None:
        """The revision, wherever it was written."""
        match = None if self.folder else HUB_REF.match(self.ref)
        return self.revision or (match["revision"] if match else None)


class Dataset(Part):
    """Where the pictures are and how they are judged; docs/data.md tells of layouts, findings and defaults."""

    path: Source = Field(
        description="Folder or zip of pictures with captions beside them (NAME.txt), and dataset.yaml with the licence; "
        "what `datasets` saved to disk; or hf://owner/name@revision, pinned to the commit when the job runs"
    )
    held_out: str | Annotated[int, Field(ge=1)] = Field(
        20, description="Folder of pictures kept from training, split:NAME of one inside the source, or how many to keep back"
    )
    trigger: str | None = Field(None, description="Word that calls the adapter; with it, pictures need no captions", max_length=64)
    template: str = Field("{trigger}, {caption}", description="How trigger and caption become what is trained", max_length=200)
    generic: str | None = Field(
        None, description="Ordinary words that the trigger stands for, such as dog; for prior preservation", max_length=64
    )
    policy: dict[str, Literal["error", "warning", "ignore"]] = Field(
        default_factory=dict, description="Level of a finding where it is not the default, such as blurred: error"
    )
    masks: Literal["none", "files", "alpha"] = Field(
        "files", description="Where the loss looks: NAME.mask.png where there is one (files), else the picture's alpha (alpha)"
    )
    mask_background: float = Field(0.1, ge=0, le=1, description="Weight of what a mask leaves black")
    symmetric: bool = Field(False, description="Mirrored pictures show the subject as well; training flips them")
    blur: float = Field(25.0, ge=0, description="Least sharpness: variance of the Laplacian in the sharpest part, at training size")
    near_duplicate: int = Field(28, ge=0, le=144, description="Differing bits of 144 up to which two pictures look alike")
    detectors: dict[Literal["faces", "nsfw"], Folder] = Field(
        default_factory=dict, description="Folder of a local model that takes the place of what is installed"
    )
    min_side: int | None = Field(None, ge=8, description="Smaller pictures are an error, in pixels; default is half the resolution")
    on_error: Literal["stop", "drop"] = Field("stop", description="What to do with a picture that can not be used")

    @field_validator("policy")
    @classmethod
    def _known_findings(cls, policy: dict[str, Any]) -> dict[str, Any]:
        from training.data.policy import check_policy
        from training.errors import DatasetError

        try:
            check_policy(policy)
        except DatasetError as error:
            raise ValueError(str(error).removeprefix("policy: ")) from None
        return policy

    @property
    def repo(self) -> str | None:
        """owner/name on the Hub; None for what lies on this disk."""
        match = HUB_REF.match(self.path) if self.path.startswith("hf://") else None
        return match["repo"] if match else None

    @property
    def pinned(self) -> str | None:
        """The revision of a Hub dataset."""
        match = HUB_REF.match(self.path) if self.repo else None
        return match["revision"] if match else None


class Training(Recipe):
    """The recipe, with defaults for a base of full size; docs/training.md tells of each field."""

    resolution: int = Field(1024, ge=32, le=4096, description="Side of a square bucket, in pixels")
    steps: int = Field(1500, ge=1, le=100_000, description="Optimizer steps")
    batch_size: int = Field(1, ge=1, le=256, description="Pictures a step, over all processes and parts")
    rank: int = Field(16, ge=1, le=128, description="Rank of the adapter's matrices")
    alpha: float = Field(16.0, gt=0, le=4096, description="Strength of the adapter: alpha / rank")
    learning_rate: float = Field(1e-4, gt=0, le=1, description="At the end of the warm-up")


class Inference(Part):
    steps: int = Field(28, ge=1, le=100, description="Sampling steps")
    guidance_scale: float = Field(4.0, ge=0, le=30)


class Evaluation(Part):
    clip: Ref = Field(CLIP, description="CLIP that scores pictures against prompts: a folder, or a name in the Hub's cache here")
    dino: Ref = Field(DINO, description="DINO that scores likeness: a folder, or a name in the Hub's cache here")


class Gate(Part):
    min_held_out: int = Field(20, ge=1, description="Held-out pictures that the evaluation must have")
    min_improvement: float = Field(0.05, ge=0, lt=1, description="How far below the base's the held-out loss must be, relative")
    require_learned: bool = Field(True, description="False lets an adapter pass that did not measurably learn; the report says so")
    review: Literal["stop", "accept"] = Field("stop", description="What to do with an adapter that only a person can judge")
    review_from: float | None = Field(
        None, ge=0, lt=1, description="A sure improvement from here up to min_improvement is for a person to judge; default none"
    )
    beat_champion: bool = Field(True, description="Be better than what is live; false compares with the base only")
    noise_floor: float | None = Field(
        None, ge=0, lt=1, description="Relative difference that is chance; default is what a second training of the recipe shows"
    )
    max_copies: int | None = Field(0, ge=0, description="Samples that may be copies of training pictures; null does not ask")
    min_diversity: float | None = Field(
        0.25, ge=0, description="How much pictures of one prompt must differ, as a fraction of the base's; null does not ask"
    )
    max_drift: float | None = Field(
        None, gt=0, description="How far prompts without the trigger may move, as a fraction of those with it; default does not ask"
    )
    max_prompt_drop: float | None = Field(0.05, ge=0, lt=2, description="How much lower CLIP-T may be; null does not ask")
    max_concept_drop: float | None = Field(0.05, ge=0, lt=2, description="How much lower DINO or CLIP-I may be; null does not ask")
    demand: tuple[Literal["drift", "prompt_score", "concept_score"], ...] = Field(
        (), description="Checks that fail where they could not be measured, beside those that always do"
    )


class Adapter(Part):
    """An adapter that was trained elsewhere; a path alone will do where its header and the job say the rest."""

    path: Annotated[str, AfterValidator(absolute_file)] = Field(
        description="LoRA as .safetensors in the keys of diffusers, kohya or ComfyUI; a file, or hf://owner/name@revision/file"
    )
    license: str | None = Field(None, description="own where you made it, or an SPDX id with the text beside the file as LICENSE")

    @property
    def file(self) -> Path:
        """The file on this disk; what lies on the Hub is brought to the Hub's cache first."""
        if not self.path.startswith("hf://"):
            return Path(self.path)
        from flows.hub import adapter_file

        return adapter_file(self.path)


class Job(Part):
    """From a folder of pictures to a billed endpoint with a listing. Paths in a file are relative to it."""

    name: AppName = Field(description="Name of the job")
    base: Base
    dataset: Dataset
    adapter: Adapter | None = Field(
        None, description="LoRA trained elsewhere, taken over in place of training; the dataset is what it is measured on"
    )
    publisher: dict[str, Any] = Field(
        default_factory=dict, description="Fields of publisher.yaml: revenue, territories, registrations, waivers"
    )
    training: Training = Training()
    compute: Compute = Field(
        "auto",
        description="Where training runs: here, pool (a GPU worker of Prefect), or fal:MACHINE; auto is pool where a worker runs "
        "the flow, else here",
        examples=["fal:GPU-H100"],
    )
    inference: Inference = Inference()
    serving: Serving
    listing: Listing
    evaluation: Evaluation = Evaluation()
    gate: Gate = Gate()
    rollout: Rollout = Rollout()
    monitor: Thresholds = Thresholds()
    retrain: Retrain = Retrain()
    approvals: Approvals = Approvals()
    hub: HubTarget | None = Field(None, description="Bring the adapter to the Hugging Face Hub too, once its release is live")
    budget_usd: float | None = Field(
        None,
        gt=0,
        description="What a deploy and its tests may cost by the forecast, and a training on fal's machines by the clock; "
        "what would cost more is not begun",
    )


def job_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of the job file."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": "lorasmith/job/1"} | Job.model_json_schema()
