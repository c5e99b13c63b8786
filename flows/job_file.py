"""Reading a job file: relative paths made absolute, and one line that says what is wrong with it."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType, NoneType, UnionType
from typing import Any, Union, get_args, get_origin

import yaml
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from flows.errors import JobError
from flows.job import Job
from flows.job_values import HUB_REF


def load_job(path: Path, changes: Mapping[str, Mapping[str, Any]] = MappingProxyType({})) -> Job:
    """Read job.yaml; relative paths become absolute. JobError names the field, what was got and what would do.

    `changes`, by section and field, take the place of what the file says.
    """
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise JobError(f"{path}: no such job file; `lorasmith init` writes one") from None
    except OSError as error:
        raise JobError(f"{path}: can not be read ({error.strerror}); give the path of a job.yaml") from None
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise JobError(f"{path}: not readable as YAML: {' '.join(str(error).split())}") from None
    if not isinstance(raw, dict):
        raise JobError(f"{path}: got {type(raw).__name__}, a job is a mapping with name, base, dataset, serving and listing")
    whole = absolute(raw, path.resolve().parent)
    for section, fields in changes.items():
        said = whole.get(section)
        whole[section] = (said if isinstance(said, dict) else {}) | dict(fields)
    return parse_job(whole, source=str(path))


def parse_job(raw: Mapping[str, Any], source: str = "job") -> Job:
    """Validate a mapping; one line for the first fault, with the number of further ones."""
    try:
        return Job.model_validate(raw)
    except ValidationError as error:
        faults = error.errors(include_url=False)
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        raise JobError(f"{source}: {described(faults[0])}{more}") from None


def described(fault: Mapping[str, Any]) -> str:
    """`training.rank: got 999; input should be less than or equal to 128`."""
    path, about = place(fault["loc"])
    field = ".".join(path) or "job"
    wanted = str(fault["msg"]).removeprefix("Value error, ")
    if len(path) < len(fault["loc"]) and about and about.description:  # one of several kinds: what each would take helps nobody
        wanted = f"wanted is: {about.description}"
    wanted = wanted[:1].lower() + wanted[1:]
    if fault["type"] in ("tuple_type", "list_type"):
        wanted = "a list is wanted"
    if fault["type"] != "missing" and fault["input"] is None:
        mend = "it needs a value" if about is None or about.is_required() else "leave the line out for the default"
        return f"{field}: got nothing (null); {mend}"
    if fault["type"] == "missing" and path and path[-1].isdigit():  # of a list of fixed length
        said = about.description if about and about.description else "a list of another length"
        return f"{'.'.join(path[:-1])}: got {fault['input']!r}, too short; wanted is: {said}"
    if fault["type"] == "missing":
        return f"{field}: missing; add it"
    if fault["type"] == "extra_forbidden":
        return f"{field}: got {fault['input']!r}; there is no such field (`lorasmith job schema` prints them all)"
    return f"{field}: got {fault['input']!r}; {wanted}"


def place(loc: Sequence[str | int]) -> tuple[list[str], FieldInfo | None]:
    """The path to a field as the job file has it, without pydantic's name for one kind of several, and the last known field."""
    model: Any = Job
    about = None
    for depth, part in enumerate(loc):
        fields = getattr(model, "model_fields", {})
        if part not in fields:
            one_of_several = get_origin(model) in (Union, UnionType)
            return [str(each) for each in (loc[:depth] if one_of_several else loc)], about
        about = fields[part]
        kinds = [kind for kind in get_args(about.annotation) if kind is not NoneType]
        model = kinds[0] if len(kinds) == 1 else about.annotation
    return [str(each) for each in loc], about


def absolute(raw: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The same job with its relative paths resolved against `folder`."""
    result = dict(raw)
    if isinstance(result.get("adapter"), str):
        result["adapter"] = {"path": result["adapter"]}
    of_this_disk = (("dataset", "path"), ("dataset", "held_out"), ("adapter", "path"))
    for part, field in (*of_this_disk, ("base", "ref"), ("evaluation", "clip"), ("evaluation", "dino")):
        section = result.get(part)
        if isinstance(section, dict) and isinstance(section.get(field), str):
            result[part] = section | {field: resolved(section[field], folder, may_be_hub=(part, field) not in of_this_disk)}
    dataset = result.get("dataset")
    if isinstance(dataset, dict) and isinstance(dataset.get("detectors"), dict):
        models = {name: resolved(ref, folder) if isinstance(ref, str) else ref for name, ref in dataset["detectors"].items()}
        result["dataset"] = dataset | {"detectors": models}
    publisher = result.get("publisher")
    if isinstance(publisher, str):
        result["publisher"] = read_publisher(Path(resolved(publisher, folder)))
    elif isinstance(publisher, dict):
        result["publisher"] = with_absolute_waivers(publisher, folder)
    return result


def with_absolute_waivers(publisher: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The same profile with the paths of waivers, and of the evidence of inline ones, below `folder`; links stay as they are."""
    listed = publisher.get("waivers")
    if not isinstance(listed, list):
        return publisher
    waivers = [
        item | {"evidence": below(item["evidence"], folder)}
        if isinstance(item, dict) and isinstance(item.get("evidence"), str)
        else below(item, folder)
        for item in listed
    ]
    return publisher | {"waivers": waivers}


def below(path: Any, folder: Path) -> Any:
    return os.path.join(folder, os.path.expanduser(path)) if isinstance(path, str) else path


def resolved(ref: str, folder: Path, *, may_be_hub: bool = False) -> str:
    """A path; where the Hub may be meant, only what looks like a path or is there."""
    if ref.startswith(("hf://", "split:")):
        return ref
    path = folder / Path(ref).expanduser()
    if not may_be_hub or ref.startswith(("./", "../", "~")) or path.exists() or not HUB_REF.match(ref):
        return str(path.resolve())
    return ref


def read_publisher(path: Path) -> dict[str, Any]:
    """The fields of publisher.yaml, read as strictly as evidence is: a field that stands twice is refused."""
    from licenses.card import read_mapping
    from licenses.errors import SourceFailure

    try:
        fields = read_mapping(path.read_text(encoding="utf-8"), path.name)
    except (OSError, UnicodeDecodeError, SourceFailure) as error:
        raise JobError(f"publisher: {path} is not readable: {' '.join(str(error).split())}") from None
    return with_absolute_waivers(fields, path.resolve().parent)
