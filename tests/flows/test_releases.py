"""reconcile, retire and gc as commands: what they show, what they ask, and the codes that they end with."""

import email
import email.policy
import json
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from flows import garbage, retirement, targets
from flows.books.records import write_json
from flows.cli import journal, releases
from flows.errors import JobError
from flows.home import home
from flows.retrain import retrain
from flows.store import make
from flows.targets import job_file, registry_url
from serving.listing import takedown
from serving.release.deploy import publish_package
from serving.release.errors import NotRetired, UnknownRelease
from serving.release.package import _seal
from serving.release.registry import Registry, Row
from serving.release.smoke import SmokePlan
from tests.serving.release.memory_platform import MemoryPlatform

PLAN = SmokePlan(arguments=[{"prompt": "a red fox"}])
LISTING: dict[str, Any] = {
    "title": "Red Fox <Studio>",
    "sender": "Ann Author <ann@example.org>",
    "recipient": "Marketplace <marketplace@example.org>",
}


@pytest.fixture
def platform(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> MemoryPlatform:
    """A platform in this process in the place of both targets."""
    monkeypatch.setenv("LORASMITH_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("LORASMITH_REGISTRY", raising=False)
    platform = MemoryPlatform()

    @contextmanager
    def opened(target: str) -> Iterator[MemoryPlatform]:
        platform.name = target
        yield platform

    for module in (targets, retirement, garbage):
        monkeypatch.setattr(module, "open_platform", opened)
    return platform


@pytest.fixture
def publish(platform: MemoryPlatform, tmp_path: Path) -> Callable[..., Row]:
    """publish(content, target): a live release of the app `toy`, and its stored job."""

    def publish(content: str, target: str = "sandbox") -> Row:
        folder = tmp_path / content
        if not folder.exists():
            folder.mkdir()
            (folder / "content.txt").write_text(content)
            _seal("toy", folder)
        platform.name = target
        with closing(Registry(registry_url())) as registry:
            row = publish_package(
                folder, platform=platform, registry=registry, verdict_hash="v", smoke=PLAN, progress=lambda line: None
            )
        write_json(job_file("toy", target), {"listing": LISTING})
        return row

    return publish


def run(*arguments: str, answer: str | None = None) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a command; a fault of ours is its exit code."""
    app = typer.Typer()
    releases.register(app)
    journal.register(app)
    result = CliRunner().invoke(app, list(arguments), input=answer)
    fault = result.exception
    code = getattr(fault, "exit_code", result.exit_code)
    return code, result.stdout, result.stderr + (str(fault) if fault is not None and not isinstance(fault, SystemExit) else "")


def test_reconcile_says_that_all_is_in_order(publish: Callable[..., Row]) -> None:
    publish("a")
    assert run("reconcile")[:2] == (0, "registry and platform agree\n")
    assert json.loads(run("reconcile", "--json")[1]) == {"repaired": [], "left": []}


def test_reconcile_repairs_what_is_safe_and_asks_about_the_rest(
    publish: Callable[..., Row], platform: MemoryPlatform, tmp_path: Path
) -> None:
    publish("a")
    platform.deploy(tmp_path / "a", app="toy", environment="candidate")
    platform.set_auth("toy", "private", None)
    code, said, _ = run("reconcile")
    assert code == 5
    assert "safe" in said
    assert "ask" in said
    code, said, asked = run("reconcile", "--repair", answer="n\n")
    assert (code, platform.auth["toy", "main"]) == (5, "private")
    assert "auth mode is 'private'" in asked
    assert "repaired  toy (candidate)" in said
    assert run("reconcile", "--repair")[0] == 5, "nobody is there to answer"
    code, said, _ = run("reconcile", "--repair", "--yes", "--json")
    assert (code, platform.auth["toy", "main"]) == (0, "shared")
    assert [one["kind"] for one in json.loads(said)["repaired"]] == ["not_shared"]
    assert run("reconcile")[0] == 0


def test_retire_asks_first_and_says_what_callers_will_see(publish: Callable[..., Row], platform: MemoryPlatform) -> None:
    row = publish("a")
    code, _, asked = run("retire", "toy", "--reason", "withdrawn", answer="n\n")
    assert code == 2
    assert f"live as revision {row['revision']} at https://run.example.org/memory/toy" in asked
    assert "everybody but the owner is refused (401 or 403)" in asked
    assert "not retired" in asked
    assert platform.auth["toy", "main"] == "shared"
    assert run("retire", "toy", "--reason", "withdrawn")[0] == 2, "nobody is there to answer"
    assert job_file("toy", "sandbox").exists()
    code, said, _ = run("retire", "toy", "--reason", "withdrawn", answer="y\n")
    assert (code, platform.auth["toy", "main"]) == (0, "private")
    assert "toy on sandbox is retired (private): withdrawn\n" in said
    assert [Path(line).name for line in said.splitlines()[-2:] if Path(line).is_file()] == ["RETIRED.md", "takedown.eml"]


def test_a_retired_app_is_not_published_again_by_any_schedule_until_that_is_meant(
    publish: Callable[..., Row], platform: MemoryPlatform
) -> None:
    publish("a")
    retirement.require_not_retired("toy", "sandbox")
    run("retire", "toy", "--reason", "withdrawn", "--delete", "--yes")
    assert not job_file("toy", "sandbox").exists()
    assert json.loads(retirement.aside_file("toy", "sandbox").read_text()) == {"listing": LISTING}
    assert targets.live_releases() == []
    assert retrain.fn(None, None) == []
    with pytest.raises(JobError, match="was retired: withdrawn; to publish it again on purpose, run lorasmith retire toy --lift"):
        retirement.require_not_retired("toy", "sandbox")
    retirement.require_not_retired("toy", "fal")
    code, said, _ = run("retire", "toy", "--lift", "--reason", "the author agreed")
    assert (code, said) == (0, "toy on sandbox may be published again: lorasmith publish JOB --target sandbox\n")
    retirement.require_not_retired("toy", "sandbox")
    with pytest.raises(NotRetired):
        retirement.lift_retirement("toy", "sandbox", reason="twice")


def test_the_publish_flow_refuses_a_retired_app_before_it_does_anything(
    publish: Callable[..., Row], platform: MemoryPlatform
) -> None:
    from types import SimpleNamespace

    from flows.publish import publish as flow

    publish("a")
    run("retire", "toy", "--reason", "withdrawn", "--yes")
    job: Any = SimpleNamespace(serving=SimpleNamespace(app="toy"))
    with pytest.raises(JobError, match="was retired"):
        flow.fn(job, "sandbox", "deploy")


@pytest.mark.parametrize(("target", "words"), [("fal", "send the mail below"), ("sandbox", "Nothing at fal")])
def test_the_note_says_what_is_left_to_do_and_the_mail_is_one(publish: Callable[..., Row], target: str, words: str) -> None:
    row = publish("a", target)
    _, said, _ = run("retire", "toy", "--reason", "the licensor\nwithdrew it", "--target", target, "--yes")
    note, mail = (Path(line) for line in said.splitlines()[-2:])
    assert (note.name, mail.name) == ("RETIRED.md", "takedown.eml")
    text = note.read_text()
    for part in (words, "# memory/toy was retired", "the licensor withdrew it", row["revision"], row["package"], "is private"):
        assert " ".join(part.split()) in " ".join(text.split())
    parsed = email.message_from_bytes(mail.read_bytes(), policy=email.policy.default)
    assert parsed["To"] == LISTING["recipient"]
    assert parsed["Subject"] == "Marketplace takedown request: memory/toy (Red Fox <Studio>)"
    assert "please take the Marketplace entry of memory/toy down" in parsed.get_content()
    assert parsed.get_content().splitlines()[0] in text


def test_the_mail_needs_addresses_and_no_line_breaks() -> None:
    facts: dict[str, Any] = {"endpoint": "a/b", "title": "t", "target": "fal", "revision": "r", "package": "p"}
    facts |= {"reason": "x", "mode": "delete", "since": "2026-01-01", "sender": "", "recipient": ""}
    with pytest.raises(ValueError, match="write the mail by hand"):
        takedown.mail(takedown.Takedown(**facts))
    assert "whom you wrote to" in takedown.note(takedown.Takedown(**facts))
    forged = facts | {"sender": "a@b.c\nBcc: x@y.z", "recipient": "d@e.f"}
    with pytest.raises(ValueError, match="on one line"):
        takedown.mail(takedown.Takedown(**forged))


def test_an_app_that_was_never_released_is_named(platform: MemoryPlatform) -> None:
    assert run("retire", "nobody", "--reason", "x", "--yes")[0] == UnknownRelease.exit_code
    code, _, said = run("retire", "nobody", "--reason", " ", "--yes")
    assert (code, "say why" in said) == (2, True)


def test_gc_shows_and_removes_nothing_without_leave(publish: Callable[..., Row], platform: MemoryPlatform) -> None:
    for content in ("a", "b", "c"):
        publish(content)
    arguments = ("gc", "--older-than", "0h", "--keep", "0")
    platform.now = 0.0
    before = set(platform.packages)
    code, said, _ = run(*arguments)
    assert code == 0
    assert "sandbox revision" in said
    assert "nothing was removed" in said
    assert set(platform.packages) == before
    shown = json.loads(run(*arguments, "--json")[1])
    assert {one["kind"] for one in shown["items"]} == {"sandbox revision"}
    code, said, _ = run(*arguments, "--yes")
    gone = before - set(platform.packages)
    assert (code, {f"toy {revision}" for revision in gone}) == (0, {one["name"] for one in shown["items"]})
    assert "4 things went, 0 B on this disk" in said
    assert "0 things can go" in run(*arguments)[1]


def test_what_gc_notes_in_the_journal_keeps_nothing_that_it_showed(publish: Callable[..., Row], platform: MemoryPlatform) -> None:
    row = publish("a")
    package = make(
        home(), "package", {"of": "a"}, lambda out: (out / "package.json").write_text(json.dumps({"hash": row["package"]}))
    )
    run("retire", "toy", "--reason", "withdrawn", "--delete", "--yes")
    for path in (*package.path.rglob("*"), package.path.parent):
        os.utime(path, (0, 0))
    platform.now = 0.0
    arguments = ("gc", "--older-than", "0h", "--keep", "0")
    shown = json.loads(run(*arguments, "--json")[1])
    assert {one["kind"] for one in shown["items"]} == {"package", "sandbox revision"}
    assert "stays" not in run(*arguments, "--yes")[1]
    assert not package.path.exists()


def test_the_journal_is_proven_shown_and_written_down(publish: Callable[..., Row], tmp_path: Path) -> None:
    publish("a")
    code, said, _ = run("journal")
    assert code == 0
    number = len(said.splitlines()) - 1
    assert said.splitlines()[-1] == f"{number} lines, all proven"
    assert "live       toy (sandbox) package" in said
    run("journal", "--export", str(tmp_path / "journal.jsonl"))
    assert len((tmp_path / "journal.jsonl").read_text().splitlines()) == number > 0
    assert json.loads(run("journal", "another", "--json")[1]) == []


def test_a_journal_that_was_changed_is_neither_shown_nor_written(publish: Callable[..., Row], tmp_path: Path) -> None:
    publish("a")
    with closing(sqlite3.connect(tmp_path / "home" / "registry.db")) as database, database:
        database.execute("DROP TRIGGER journal_refuses_update")
        database.execute("UPDATE journal SET event = 'failed' WHERE seq = 1")
    code, said, fault = run("journal", "--export", str(tmp_path / "journal.jsonl"))
    assert (code, said) == (2, "")
    assert fault.startswith("journal line 1 (failed of release")
    assert not (tmp_path / "journal.jsonl").exists()
