"""Kinds of values that a job file has in several places, each checked as it is read."""

import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict

HUB_REF = re.compile(r"^(?:hf://)?(?P<repo>[A-Za-z0-9][\w.-]*/[\w.-]+)(?:@(?P<revision>[\w./-]+))?$")
APP_NAME = re.compile(r"^[a-z0-9][a-z0-9-]{0,62}$")


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def hub_or_absolute(ref: str) -> str:
    """A folder as an absolute path, or a Hub reference; anything else can not be told apart from a typo."""
    if Path(ref).is_absolute() or HUB_REF.match(ref):
        return ref
    raise ValueError("must be an absolute folder, a Hub id such as owner/name, or hf://owner/name@revision")


def app_name(name: str) -> str:
    if APP_NAME.fullmatch(name):
        return name
    raise ValueError("must be lower-case letters, digits and dashes, and start with a letter or digit")


def absolute_folder(path: str) -> str:
    if Path(path).is_absolute():
        return path
    raise ValueError("must be an absolute folder")


def hub_or_absolute_path(path: str) -> str:
    """Pictures on this disk, or hf://owner/name@revision."""
    if Path(path).is_absolute() or (path.startswith("hf://") and HUB_REF.match(path)):
        return path
    raise ValueError("must be an absolute folder or zip, or hf://owner/name@revision")


Ref = Annotated[str, AfterValidator(hub_or_absolute)]
Folder = Annotated[str, AfterValidator(absolute_folder)]
Source = Annotated[str, AfterValidator(hub_or_absolute_path)]
AppName = Annotated[str, AfterValidator(app_name)]
