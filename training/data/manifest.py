"""Reading a dataset folder that `prepare` made."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from training.errors import DatasetError


class Picture(BaseModel):
    """One prepared picture: `path` inside the dataset folder, `bucket` as height and width in pixels."""

    model_config = ConfigDict(frozen=True)

    file: str
    path: str
    sha256: str
    bucket: tuple[int, int]
    caption: str
    split: Literal["train", "held_out"]
    mask: str | None = None  # weights of the loss, inside the dataset folder
    generic: str | None = None  # the caption without its trigger; None where the dataset has none


class Dataset(BaseModel):
    """What training reads of a manifest, and the folder it stands in."""

    model_config = ConfigDict(frozen=True)

    schema_name: Literal["lorasmith/dataset/1"] = Field(alias="schema")
    resolution: int
    trigger: str | None
    license: str | None
    source: str
    hash: str
    pictures: tuple[Picture, ...]
    symmetric: bool = False  # mirrored pictures show the subject as well
    folder: Path = Path()

    def split(self, name: Literal["train", "held_out"]) -> tuple[Picture, ...]:
        return tuple(picture for picture in self.pictures if picture.split == name)


def read_dataset(folder: Path) -> Dataset:
    """The dataset in a folder; DatasetError where it is none."""
    path = folder / "manifest.json"
    try:
        return Dataset.model_validate_json(path.read_bytes()).model_copy(update={"folder": folder})
    except OSError as error:
        raise DatasetError(f"dataset '{folder}' has no manifest.json ({error.strerror}): prepare the pictures first") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise DatasetError(f"'{path}' is no dataset manifest ({field}: {first['msg']}): prepare the pictures again") from error
