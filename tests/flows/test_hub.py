"""Adapters on the Hub: what is pushed and what never is, one commit, a push that goes on, and a card that the Hub accepts."""

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from flows import hub
from flows.errors import HubFailed, JobError, LicenceBlocked
from flows.hub import HubTarget
from flows.hub_steps import share_adapter
from flows.job import Job
from flows.job_file import parse_job
from flows.licensing import rights
from flows.store import Artefact
from serving.listing.hub_card import LICENCE_FILE, WEIGHTS, licence_fields
from tests.flows.writable_hub import WritableHub, writable
from tests.licenses.made import COMMIT, RESTRICTED, asset, verdict_of
from tests.serving.listing.material import bundle, evaluation, manifest

TO = HubTarget(repo="me/my-style")
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<...>':DeprecationWarning")  # huggingface_hub's own upload says so


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[WritableHub]:
    """A Hub on loopback that huggingface_hub asks, with a cache and a token of its own."""
    from huggingface_hub import constants

    with writable() as hub_there:
        monkeypatch.setenv("HF_ENDPOINT", hub_there.address)
        monkeypatch.setenv("HF_TOKEN", hub_there.token)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        yield hub_there


def job(**publisher: Any) -> Job:
    return parse_job(
        {
            "name": "my-style",
            "base": {"ref": "made/base", "revision": COMMIT},
            "dataset": {"path": "/pictures"},
            "publisher": {"publish_weights": True} | publisher,
            "serving": {"app": "my-style"},
            "listing": {"title": "My style", "short_description": "Soft icons.", "tags": ["icons"]},
        }
    )


OPEN = verdict_of([asset("apache-2.0"), asset("mit", id="pictures", role="dataset")])
LIMITED = verdict_of([asset("creativeml-openrail-m", RESTRICTED), asset("mit", id="pictures", role="dataset")])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return written(tmp_path, "first", OPEN)


def written(tmp_path: Path, name: str, verdict: dict[str, Any], **publisher: Any) -> Path:
    """The folder for the Hub of a bundle whose weights are a few bytes with that name in them."""
    source, out = bundle(tmp_path / f"{name}-bundle"), tmp_path / name
    data = {"hash": "0" * 64, "train": 80, "held_out": 20, "license": "mit", "source": "Clay things"}
    whole = manifest() | {"dataset": data, "rank": 4, "adapter_sha256": "1" * 64}
    (source / "manifest.json").write_text(json.dumps(whole))
    for file in ("adapter.safetensors", "adapter.kohya.safetensors"):
        (source / file).write_bytes(f"{file} {name}".encode() * 100)
    out.mkdir()
    hub.write_folder(job(**publisher), source, verdict, out, repo=TO.repo, revision=COMMIT, endpoint=None)
    return out


def front(folder: Path) -> dict[str, Any]:
    return dict(yaml.safe_load((folder / "README.md").read_text().split("---\n")[1]))


def test_the_card_says_what_the_hub_and_a_person_need(folder: Path) -> None:
    from huggingface_hub import ModelCard

    said = front(folder)
    assert (said["base_model"], said["base_model_relation"]) == ("made/base", "adapter")
    assert (said["library_name"], said["pipeline_tag"]) == ("diffusers", "text-to-image")
    assert said["widget"]
    assert all((folder / one["output"]["url"]).is_file() for one in said["widget"])
    (found, *_) = ModelCard.load(folder / "README.md").data.eval_results or []
    assert found.metric_value == evaluation()["loss"]["adapter"]
    text = (folder / "README.md").read_text()
    assert "](NOTICE)" in text
    assert f'pipe.load_lora_weights("me/my-style", weight_name="{WEIGHTS}"' in text
    assert COMMIT in text
    assert not list(folder.glob("samples/real*")), "pictures of the dataset stay here"


@pytest.mark.parametrize(
    ("licences", "own", "fields"),
    [
        (("apache-2.0",), "apache-2.0", {"license": "apache-2.0"}),
        (("apache-2.0", "cc0-1.0", "own"), "apache-2.0", {"license": "apache-2.0"}),
        (("apache-2.0",), None, {"license": "other", "license_name": "apache-2.0"}),
        (("apache-2.0",), "mit", {"license": "other", "license_name": "mit-and-apache-2.0"}),
        (("creativeml-openrail-m", "mit"), "mit", {"license": "other", "license_name": "mit-and-creativeml-openrail-m"}),
        (("cc0-1.0",), None, {"license": "other", "license_name": "own"}),
    ],
)
def test_the_licence_field_is_never_looser_than_a_part(licences: tuple[str, ...], own: str | None, fields: dict[str, str]) -> None:
    link = {"license_link": LICENCE_FILE} if fields["license"] == "other" else {}
    assert licence_fields(SimpleNamespace(ids=licences), own) == fields | link  # type: ignore[arg-type]


def test_restrictions_travel_along(tmp_path: Path) -> None:
    made = written(tmp_path, "limited", LIMITED)
    for file in ("README.md", "TERMS.md"):
        assert "to harm minors" in (made / file).read_text()
    assert front(made)["license"] == "other"
    assert (made / "LICENSE.md").read_text().startswith("# Licence of My style\n")


def test_only_what_may_be_distributed_is_pushed() -> None:
    hub.require_distributable(job(), OPEN)
    with pytest.raises(LicenceBlocked, match=r"^the adapter may not be put on the Hub \(block\): "):
        hub.require_distributable(job(), verdict_of([asset("flux-1-dev-non-commercial")]))
    with pytest.raises(LicenceBlocked, match=r"set publisher[.]publish_weights: true"):
        hub.require_distributable(job(publish_weights=False), OPEN)


def test_a_push_is_one_commit_and_the_same_again_is_none(there: WritableHub, folder: Path) -> None:
    first = hub.push(folder, TO, message="first")
    assert (first["pushed"], len(there.commits)) == (True, 1)
    held = there.repos["me/my-style"].files
    assert held == {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert there.repos["me/my-style"].api == {"private": True}
    again = hub.push(folder, TO, message="again")
    assert again == first | {"pushed": False}
    assert len(there.commits) == 1


def test_a_push_that_broke_off_goes_on_where_it_was(there: WritableHub, folder: Path) -> None:
    there.refuse_uploads = 3
    with pytest.raises(HubFailed, match="run the same command again"):
        hub.push(folder, TO, message="first")
    assert there.commits == []
    sent, there.refuse_uploads = set(there.uploads), None
    hub.push(folder, TO, message="first")
    assert len(there.uploads) == len(set(there.uploads)) > len(sent) > 0, "no file was sent twice"
    assert len(there.commits) == 1


def test_another_adapter_replaces_the_first_and_leaves_what_the_author_put_there(
    there: WritableHub, folder: Path, tmp_path: Path
) -> None:
    hub.push(folder, TO, message="first")
    held = there.repos["me/my-style"].files
    held["notes.txt"] = b"mine"
    second = written(tmp_path, "second", OPEN)
    (second / "kohya" / "adapter.kohya.safetensors").unlink()
    record = json.loads((second / "lorasmith.json").read_text())
    del record["files"]["kohya/adapter.kohya.safetensors"]
    (second / "lorasmith.json").write_text(json.dumps(record))
    hub.push(second, TO, message="second")
    assert held["notes.txt"] == b"mine"
    assert held[WEIGHTS] == (second / WEIGHTS).read_bytes()
    assert "kohya/adapter.kohya.safetensors" not in held
    assert there.commits[1]["paths"] == sorted([WEIGHTS, "kohya/adapter.kohya.safetensors", "lorasmith.json"])


def test_words_that_were_written_on_the_hub_are_not_lost(there: WritableHub, folder: Path, tmp_path: Path) -> None:
    hub.push(folder, TO, message="first")
    held = there.repos["me/my-style"]
    held.files["README.md"] += b"My own words.\n"
    held.commit = "e" * 40
    second = written(tmp_path, "second", OPEN)
    with pytest.raises(JobError, match=r"README.md of me/my-style was edited on the Hub since the last push: .*--overwrite"):
        hub.push(second, TO, message="second")
    assert hub.push(second, TO, message="second", overwrite=True)["pushed"]


def test_a_repository_that_moves_under_a_push_is_not_overwritten(there: WritableHub, folder: Path) -> None:
    there.edit_before_commit = True
    with pytest.raises(HubFailed, match="somebody changed the repository at the same moment"):
        hub.push(folder, TO, message="first")


def test_without_the_right_without_a_hub_and_offline_one_line_says_so(
    there: WritableHub, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    there.token = "hf_another"
    with pytest.raises(HubFailed, match="set HF_TOKEN to a token that may write there"):
        hub.push(folder, TO, message="first")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(HubFailed, match="the Hub can not be asked"):
        hub.push(folder, TO, message="first")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(HubFailed, match="HF_HUB_OFFLINE is set"):
        hub.push(folder, TO, message="first")


def test_an_adapter_is_pulled_with_its_licence_and_found_offline(
    there: WritableHub, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    hub.push(folder, TO, message="first")
    file = hub.adapter_file("hf://me/my-style")
    assert file.read_bytes() == (folder / WEIGHTS).read_bytes()
    assert (file.parent / "LICENSE.md").is_file()
    commit = there.repos["me/my-style"].commit
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert hub.adapter_file(f"hf://me/my-style@{commit}/{WEIGHTS}") == file


@pytest.mark.parametrize(
    ("ref", "line"),
    [
        ("me/my-style/x", "write hf://owner/name@revision"),
        ("hf://me/nothing", "is not on the Hub"),
        ("hf://me/two", "has 2 .safetensors files: name one, as in hf://me/two/FILE.safetensors"),
        ("hf://me/two/c.safetensors", "no such file in that repository"),
    ],
)
def test_a_reference_that_names_no_adapter_is_one_line(there: WritableHub, ref: str, line: str) -> None:
    there.add("me/two", {"a.safetensors": "a", "b.safetensors": "b"})
    with pytest.raises(JobError, match=line):
        hub.adapter_file(ref)


def test_the_step_finds_its_folder_again_and_keeps_what_it_pushed(
    there: WritableHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LORASMITH_HOME", str(tmp_path / "home"))
    licences = rights.keep_report(OPEN)
    source = bundle(tmp_path / "bundle")
    (source / "adapter.safetensors").write_bytes(b"weights")
    data = {"hash": "0" * 64, "train": 80, "held_out": 20, "license": "mit", "source": ""}
    (source / "manifest.json").write_text(json.dumps(manifest() | {"dataset": data}))
    made = Artefact(kind="bundle", key="a" * 64, path=source, found=True)
    pushed = [share_adapter.fn(job(), made, licences, TO, "sandbox") for _ in range(2)]
    assert [one["pushed"] for one in pushed] == [True, False]
    assert pushed[0]["folder"] == pushed[1]["folder"]
    assert json.loads((tmp_path / "home" / "hub" / "me--my-style.json").read_text()) == pushed[1]
