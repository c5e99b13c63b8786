"""The adapter on the Hugging Face Hub: a folder with card, weights and papers, and one commit that brings it there.

Only where the verdict allows to distribute the adapter. A push that was killed goes on: large files that the Hub has are not sent
again, and the commit comes last. What is there already is found by lorasmith.json, which stands in the repository; what else the
author put there stays.
"""

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

from flows.errors import HubFailed, JobError, LicenceBlocked
from flows.store import file_digest

if TYPE_CHECKING:
    from huggingface_hub import HfApi

    from flows.job import Job
    from flows.store import Artefact

RECORD = "lorasmith.json"
SCHEMA = "lorasmith/hub/1"
CARD = "README.md"
PAPERS = ("", ".md", ".txt")
ADAPTER = re.compile(r"hf://(?P<repo>[A-Za-z0-9][\w.-]*/[\w.-]+)(?:@(?P<revision>[\w.-]+))?(?:/(?P<file>[\w./ -]+[.]safetensors))?")
TOP_LEVEL = {"allow_patterns": ["*.safetensors", "LICENSE*"], "ignore_patterns": ["*/*"]}
EXPORTS = {"kohya": "adapter.kohya.safetensors", "comfyui": "adapter.comfyui.safetensors"}


class HubTarget(BaseModel):
    """Where the adapter goes on the Hub once its release is live; only where the licences allow to distribute it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    repo: str = Field(description="owner/name", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=96)
    private: bool = Field(True, description="Make it private where it is made now; a repository that is there stays as it is")


def require_distributable(job: "Job", verdict: Mapping[str, Any]) -> None:
    """LicenceBlocked unless the verdict lets the adapter's weights be offered, and the publisher says that they are."""
    use = verdict["uses"]["distribute_adapter"]
    if use["verdict"] not in ("allow", "duties"):
        why = next((reason["text"] for reason in use["reasons"] if reason["text"]), "no licence grants it")
        raise LicenceBlocked(f"the adapter may not be put on the Hub ({use['verdict']}): {why}")
    if not job.publisher.get("publish_weights"):
        raise LicenceBlocked(
            "the adapter may not be put on the Hub: the licence check was made for weights that stay with you; "
            "set publisher.publish_weights: true, which some licences judge otherwise"
        )


def write_folder(
    job: "Job", bundle: Path, verdict: Mapping[str, Any], out: Path, *, repo: str, revision: str | None, endpoint: str | None
) -> None:
    """Fill the empty folder `out` with what the repository shall hold; lorasmith.json there says what, by sha256."""
    from flows import papers
    from serving.listing.hub_card import CARD_SAMPLES, LICENCE_FILE, WEIGHTS, Shared, card, licence_page

    manifest, evaluation = (
        json.loads((bundle / name).read_text(encoding="utf-8")) for name in ("manifest.json", "evaluation.json")
    )
    shutil.copyfile(bundle / "adapter.safetensors", out / WEIGHTS)
    for kind, file in EXPORTS.items():
        if (bundle / file).is_file():
            (out / kind).mkdir()
            shutil.copyfile(bundle / file, out / kind / file)
    drawn = [sample["adapter"] for sample in evaluation["samples"]][:CARD_SAMPLES]
    (out / "samples").mkdir()
    for file in drawn:
        shutil.copyfile(bundle / file, out / "samples" / Path(file).name)
    with papers.written(job, bundle, verdict, ()) as notices:
        _copy_papers(notices, out)
    shared = Shared(
        repo=repo,
        title=job.listing.title,
        summary=job.listing.short_description,
        base=job.base.folder.name if job.base.folder else job.base.repo,
        base_revision=revision,
        manifest=manifest,
        evaluation=evaluation,
        verdict=verdict,
        adapter_licence=job.publisher.get("adapter_license"),
        tags=job.listing.tags,
        samples={file: f"samples/{Path(file).name}" for file in drawn},
        papers=sorted(
            str(path.relative_to(out)) for path in out.rglob("*") if path.suffix in ("", ".md", ".txt") and path.is_file()
        ),
        endpoint=endpoint,
    )
    (out / LICENCE_FILE).write_text(licence_page(shared), encoding="utf-8")
    (out / CARD).write_text(card(shared), encoding="utf-8")
    files = {str(path.relative_to(out)): file_digest(path) for path in sorted(out.rglob("*")) if path.is_file()}
    record = {"schema": SCHEMA, "adapter_sha256": manifest["adapter_sha256"], "verdict": verdict["hash"], "files": files}
    (out / RECORD).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def _copy_papers(notices: Path, out: Path) -> None:
    """NOTICE, terms, credits, the bill of materials and the licences' texts; what is said of a served package stays with that."""
    for name in ("NOTICE", "ATTRIBUTION.md", "TERMS.md", "bom.json"):
        if (notices / name).is_file():
            shutil.copyfile(notices / name, out / name)
    if (notices / "LICENSES").is_dir():
        shutil.copytree(notices / "LICENSES", out / "LICENSES")


def push(folder: Path, target: HubTarget, *, message: str, overwrite: bool = False) -> dict[str, Any]:
    """Bring the folder to the repository in one commit: {"repo", "commit", "url", "pushed"}; pushed is False where it is there.

    HubFailed (exit code 5) where the Hub can not be asked or refuses; JobError where the card was edited on the Hub since the last
    push, unless `overwrite`.
    """
    with _asked(target.repo) as api:
        api.create_repo(target.repo, private=target.private, exist_ok=True)
        head = api.model_info(target.repo).sha
        there = _record(api, target.repo, head)
        wanted = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        if there == wanted:
            return _said(api, target.repo, head, pushed=False)
        if there and not overwrite:
            _require_own_card(api, target.repo, head, there)
        commit = api.create_commit(
            target.repo, operations=_operations(folder, wanted, there or {}), commit_message=message, parent_commit=head
        )
        return _said(api, target.repo, commit.oid, pushed=True)


def _operations(folder: Path, wanted: Mapping[str, Any], there: Mapping[str, Any]) -> list[Any]:
    """Add what is ours now, take away what was ours and is not any more."""
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    gone = sorted(set(there.get("files", ())) - set(wanted["files"]))
    changed = [name for name, sha256 in wanted["files"].items() if there.get("files", {}).get(name) != sha256]
    added = [CommitOperationAdd(path_in_repo=name, path_or_fileobj=folder / name) for name in [*changed, RECORD]]
    return [*added, *(CommitOperationDelete(path_in_repo=name) for name in gone)]


def _record(api: "HfApi", repo: str, revision: str | None) -> dict[str, Any] | None:
    """What a push before left, or None; what can not be read as one of ours is none."""
    from huggingface_hub.errors import EntryNotFoundError

    try:
        found = json.loads(Path(api.hf_hub_download(repo, RECORD, revision=revision)).read_text(encoding="utf-8"))
    except (EntryNotFoundError, ValueError):
        return None
    return found if isinstance(found, dict) and found.get("schema") == SCHEMA else None


def _require_own_card(api: "HfApi", repo: str, revision: str | None, there: Mapping[str, Any]) -> None:
    from huggingface_hub.errors import EntryNotFoundError

    try:
        found = file_digest(Path(api.hf_hub_download(repo, CARD, revision=revision)))
    except EntryNotFoundError:
        return
    if found != there.get("files", {}).get(CARD):
        raise JobError(
            f"{CARD} of {repo} was edited on the Hub since the last push: keep a copy of what you wrote, then --overwrite"
        )


def _said(api: "HfApi", repo: str, commit: str | None, *, pushed: bool) -> dict[str, Any]:
    return {"repo": repo, "commit": commit, "url": f"{api.endpoint}/{repo}", "pushed": pushed}


@contextmanager
def _asked(repo: str) -> "Iterator[HfApi]":
    """The Hub that HF_ENDPOINT names; whatever it refuses becomes one line and exit code 5."""
    import httpx2
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    try:
        yield HfApi(endpoint=os.environ.get("HF_ENDPOINT"), library_name="lorasmith")
    except OfflineModeIsEnabled:
        raise HubFailed(f"{repo}: HF_HUB_OFFLINE is set, so the Hub is not asked; unset it to push") from None
    except HfHubHTTPError as error:
        raise HubFailed(f"{repo}: {_reason(error)}") from None
    except (httpx2.HTTPError, OSError, RuntimeError) as error:  # an upload that failed is a RuntimeError
        raise HubFailed(f"{repo}: the Hub can not be asked ({_flat(error)}); run the same command again") from None


def _reason(error: Any) -> str:
    status = getattr(error.response, "status_code", None)
    if status in (401, 403):
        return f"the Hub refuses ({status}): set HF_TOKEN to a token that may write there"
    if status == 412:
        return "somebody changed the repository at the same moment; run the same command again"
    return f"the Hub answered {status or 'nothing'} ({_flat(error)}); run the same command again"


def _flat(error: object) -> str:
    return " ".join(str(error).split())[:160]


def folder_for(
    job: "Job", bundle: "Artefact", verdict: Mapping[str, Any], *, repo: str, revision: str | None, endpoint: str | None
) -> "Artefact":
    """The folder for the Hub in the store, found or made."""
    from flows import papers
    from flows.home import home
    from flows.step_inputs import SOURCE
    from flows.store import make, tree_digest

    inputs = {
        "bundle": bundle.key,
        "verdict": verdict["hash"],
        "said": [job.listing.title, job.listing.short_description, list(job.listing.tags), job.publisher.get("adapter_license")],
        "base": [job.base.folder.name if job.base.folder else job.base.repo, revision],
        "to": [repo, endpoint],
        "code": [tree_digest(SOURCE / "serving" / "listing"), file_digest(Path(__file__)), papers.code_digest()],
    }
    return make(
        home(), "hub", inputs, partial(write_folder, job, bundle.path, verdict, repo=repo, revision=revision, endpoint=endpoint)
    )


def pulled(ref: str, kind: str) -> Path:
    """The folder (adapter: the file) in the Hub's cache, complete. Raises the room's own errors where it can not be had."""
    on_hub = ref if ref.startswith("hf://") else f"hf://{ref}"
    if kind == "base":
        from training.base import locate

        return locate(ref).folder
    if kind == "dataset":
        from training.data.sources import fetched

        return fetched(on_hub)
    return adapter_file(on_hub)


def adapter_file(ref: str) -> Path:
    """The LoRA of hf://owner/name@revision/path in the Hub's cache; without a path it is the one that diffusers would load.

    Its licence's text comes along, since the licence check looks beside the file. JobError where the reference names no LoRA,
    HubFailed where the Hub can not be asked and the cache does not have it.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError

    match = ADAPTER.fullmatch(ref)
    if match is None:
        raise JobError(
            f"adapter: got {ref!r}; write hf://owner/name@revision, with /file.safetensors after it where there are several"
        )
    repo, file = match["repo"], match["file"]
    below = file is not None and "/" in file
    wanted = {"allow_patterns": [file, f"{Path(file or '').parent}/LICENSE*"]} if below else TOP_LEVEL
    with _asked(repo):
        try:
            folder = Path(snapshot_download(repo, revision=match["revision"], endpoint=os.environ.get("HF_ENDPOINT"), **wanted))
        except (RepositoryNotFoundError, RevisionNotFoundError):
            raise JobError(f"adapter {ref!r} is not on the Hub (or is gated): check the name, or set HF_TOKEN") from None
        except LocalEntryNotFoundError as error:
            raise HubFailed(f"adapter {ref!r}: not in the cache here, and the Hub can not be asked ({_flat(error)})") from None
    found = folder / file if file else _only_lora(repo, folder)
    if not found.is_file():
        raise JobError(f"adapter {ref!r}: no such file in that repository; its files are listed on the Hub's page")
    return found


def _only_lora(repo: str, folder: Path) -> Path:
    from serving.listing.hub_card import WEIGHTS

    found = sorted(folder.glob("*.safetensors"))
    if folder / WEIGHTS in found:
        return folder / WEIGHTS
    if len(found) != 1:
        raise JobError(f"adapter {repo!r} has {len(found)} .safetensors files: name one, as in hf://{repo}/FILE.safetensors")
    return found[0]
