"""An exception from the first key to the verdict that rests on it, by the commands that a person types."""

import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from flows import keys
from flows.cli.main import app, ended
from flows.errors import JobError
from flows.job_file import absolute, load_job, read_publisher
from flows.licensing.rights import verdict_of
from licenses.hard import HARD
from tests.licenses.signing import ADA, EVE, public_of

TERMS = "Studio terms, first edition.\n\nWhoever holds a letter of the studio may do as the letter says.\n"
CARD = "---\nlicense: other\nlicense_name: studio-terms\n---\nA small base.\n"
LETTER = "Dear Studio Example, you may train on it and host it for money.\n"
FILES = ("LICENSE", "README.md")  # the text that nobody knows, and the name for it in the card
USES = ("train_adapter", "host_paid_inference")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A base under terms that nobody knows, a letter that allows, and a home with a key that is not trusted yet."""
    monkeypatch.setenv("LORASMITH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "LICENSE").write_text(TERMS)
    (tmp_path / "base" / "README.md").write_text(CARD)
    (tmp_path / "waivers").mkdir()
    (tmp_path / "waivers" / "letter.eml").write_text(LETTER)
    profile = {"name": "Studio Example", "waivers": [f"waivers/{use}-{file}.yaml" for use in USES for file in FILES]}
    (tmp_path / "publisher.yaml").write_text(yaml.safe_dump(profile))
    lorasmith("keys", "init")
    return tmp_path


def lorasmith(*arguments: str) -> int:
    """The exit code of a command, as main would end with."""
    try:
        code = typer.main.get_command(app).main(list(arguments), standalone_mode=False, prog_name="lorasmith")
    except (ValueError, OSError, SystemExit) as error:
        code = ended(error)
    return code if isinstance(code, int) else 0


def said_by(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    capsys.readouterr()
    code = lorasmith(*arguments)
    found = capsys.readouterr()
    assert "Traceback" not in found.err
    return code, found.out + found.err


def check(place: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, Any]]:
    code, said = said_by(capsys, "license", "check", str(place / "base"), "--publisher", str(place / "publisher.yaml"), "--json")
    return code, json.loads(said)


def write_drafts(place: Path, verdict: dict[str, Any], **changes: Any) -> None:
    """A waiver for each file that stands against each use, from what the verdict says, as the documents tell it."""
    node = verdict["nodes"][0]
    for use in USES:
        for reason in verdict["uses"][use]["reasons"]:
            if reason["file"] in FILES:
                fields = {
                    "repo": node["id"],
                    "revision": node["revision"],
                    "text_sha256": reason["sha256"],
                    "use": use,
                    "publisher": "Studio Example",
                    "by": "Ada",
                    "reason": "the studio's letter of this month",
                    "evidence": "letter.eml",
                    "expires": date.today() + timedelta(days=300),
                }
                path(place, use, reason["file"]).write_text(yaml.safe_dump(fields | changes))


def path(place: Path, use: str, file: str = "LICENSE") -> Path:
    return place / "waivers" / f"{use}-{file}.yaml"


def trust_own_key() -> None:
    own = keys.public_half(keys.private_key(keys.own_key(Path(keys_home()))))
    assert lorasmith("keys", "trust", keys.written(own), "--name", "Ada") == 0


def keys_home() -> str:
    from flows.home import home

    return str(home())


def sign_all(place: Path) -> None:
    for use in USES:
        for file in FILES:
            assert lorasmith("waiver", "sign", str(path(place, use, file))) == 0


def test_from_block_to_allow_and_back(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, verdict = check(place, capsys)
    assert code == 3
    assert [row["counted"] for row in verdict["waivers"]] == [False] * 4
    write_drafts(place, verdict)
    code, unsigned = check(place, capsys)
    assert code == 3
    assert all("not signed" in row["why"] for row in unsigned["waivers"])
    sign_all(place)
    code, untrusted = check(place, capsys)
    assert code == 3
    assert all("not trusted" in row["why"] for row in untrusted["waivers"])
    trust_own_key()
    code, allowed = check(place, capsys)
    assert code == 0, allowed
    assert [row["counted"] for row in allowed["waivers"]] == [True] * 4
    assert "waived" in {reason["code"] for use in USES for reason in allowed["uses"][use]["reasons"]}
    assert allowed["uses"]["sell_outputs"]["verdict"] == "block"
    assert allowed["hash"] not in (verdict["hash"], untrusted["hash"])
    assert lorasmith("keys", "distrust", "Ada") == 0
    code, again = check(place, capsys)
    assert code == 3
    assert again["hash"] == untrusted["hash"]


def test_a_renewal_keeps_the_identity_and_an_end_changes_it(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    verdict = check(place, capsys)[1]
    trust_own_key()
    write_drafts(place, verdict)
    sign_all(place)
    first = check(place, capsys)[1]
    write_drafts(place, verdict, expires=date.today() + timedelta(days=200))
    sign_all(place)
    code, renewed = check(place, capsys)
    assert (code, renewed["hash"]) == (0, first["hash"])
    (place / "waivers" / "letter.eml").write_text("No.\n")
    code, ended_ = check(place, capsys)
    assert code == 3
    assert ended_["hash"] != first["hash"]


@pytest.mark.parametrize("changed", ["LICENSE", "README.md"])
def test_a_changed_base_voids_what_was_approved(place: Path, capsys: pytest.CaptureFixture[str], changed: str) -> None:
    verdict = check(place, capsys)[1]
    trust_own_key()
    write_drafts(place, verdict)
    sign_all(place)
    with (place / "base" / changed).open("a") as file:
        file.write("One more sentence.\n")
    code, after = check(place, capsys)
    assert code == 3
    assert all("for revision" in row["why"] for row in after["waivers"])


def test_every_report_says_it_loudly(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    verdict = check(place, capsys)[1]
    write_drafts(place, verdict)
    sign_all(place)
    page = place / "report.html"
    for counts in ("DOES NOT COUNT", "COUNTS"):
        if counts == "COUNTS":
            trust_own_key()
        arguments = (str(place / "base"), "--publisher", str(place / "publisher.yaml"))
        line = said_by(capsys, "license", "check", *arguments)[1]
        markdown = said_by(capsys, "license", "report", *arguments, "--html", str(page))[1]
        assert f"WAIVER {counts}" in line
        assert len(line.strip().splitlines()) == 1
        section = markdown.split("## Waivers")[1].split("\n###")[0]
        assert section.count(f"\n- {counts}: base") == 4
        assert page.read_text().count(f"<strong>{counts}: base") == 4
        for text in (line, markdown, page.read_text()):
            assert "Ada" in text
            assert "letter of this month" in text


def test_a_job_carries_its_waivers_wherever_it_is_read(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_drafts(place, check(place, capsys)[1])
    trust_own_key()
    sign_all(place)
    (place / "pictures").mkdir()
    (place / "pictures" / "dataset.yaml").write_text("license: own\n")
    signed = [yaml.safe_load(path(place, use, file).read_text()) for use in USES for file in FILES]
    inline = [one | {"evidence": "waivers/letter.eml"} for one in signed]
    profiles: list[Any] = ["publisher.yaml", {"name": "Studio Example", "waivers": inline}]
    for profile in profiles:
        job = {
            "name": "small",
            "base": {"ref": "./base"},
            "dataset": {"path": "pictures"},
            "publisher": profile,
            "serving": {"app": "small"},
            "listing": {"title": "Small", "short_description": "Small pictures"},
        }
        (place / "job.yaml").write_text(yaml.safe_dump(job))
        verdict = verdict_of(load_job(place / "job.yaml"))
        assert [row["counted"] for row in verdict["waivers"]] == [True] * 4, verdict["waivers"]
        assert verdict["uses"]["train_adapter"]["verdict"] == "duties"


def test_paths_of_a_publisher_file_are_relative_to_it(place: Path) -> None:
    (place / "profiles").mkdir()
    inline = {"repo": "a/b", "evidence": "letter.eml"}
    (place / "profiles" / "publisher.yaml").write_text(yaml.safe_dump({"waivers": ["one.yaml", "/abs/two.yaml", inline]}))
    read = absolute({"publisher": "profiles/publisher.yaml"}, place)["publisher"]
    folder = str(place / "profiles")
    assert read["waivers"] == [f"{folder}/one.yaml", "/abs/two.yaml", {"repo": "a/b", "evidence": f"{folder}/letter.eml"}]
    assert read == read_publisher(place / "profiles" / "publisher.yaml")
    odd = {"waivers": [5, None, {"evidence": 7}]}
    assert absolute({"publisher": odd}, place)["publisher"] == odd


@pytest.mark.parametrize(
    "content", ["name: A\nname: B\n", "waivers: &a [*a]\n", "[]", "name: !!python/name:os.system ''\n", "\x00"]
)
def test_a_publisher_file_that_could_be_read_two_ways_is_refused(place: Path, content: str) -> None:
    (place / "publisher.yaml").write_text(content)
    with pytest.raises(JobError, match="publisher"):
        read_publisher(place / "publisher.yaml")


def test_a_job_does_not_bring_its_own_trust(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_drafts(place, check(place, capsys)[1])
    sign_all(place)
    own = keys.public_half(keys.private_key(keys.own_key(place / "home")))
    for folder in (place, place / "base", place / "waivers"):
        keys.pin(folder, own, "Ada", date.today())
        (folder / "trusted.yaml").write_bytes((folder / "keys" / "trusted.yaml").read_bytes())
    code, verdict = check(place, capsys)
    assert code == 3
    assert not any(row["counted"] for row in verdict["waivers"])
    for field in ("trust", "keys", "trusted"):
        profile = {"name": "Studio Example", field: str(place / "keys" / "trusted.yaml")}
        (place / "publisher.yaml").write_text(yaml.safe_dump(profile))
        code, said = said_by(capsys, "license", "check", str(place / "base"), "--publisher", str(place / "publisher.yaml"))
        assert (code, len(said.strip().splitlines())) == (2, 1)


def test_a_loose_list_of_keys_stops_a_check_with_waivers_and_no_other(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trust_own_key()
    (place / "home" / "keys" / "trusted.yaml").chmod(0o666)
    code, said = said_by(capsys, "license", "check", str(place / "base"), "--publisher", str(place / "publisher.yaml"))
    assert code == 2
    assert "open to other users" in said
    assert len(said.strip().splitlines()) == 1
    assert said_by(capsys, "license", "check", str(place / "base"))[0] == 3


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"text_sha256": None}, "text_sha256"),
        ({"use": None}, "use"),
        ({"publisher": None}, "publisher"),
        ({"revision": "main"}, "not a full commit"),
        ({"expires": date.today()}, "366 days"),
        ({"expires": date.today() - timedelta(days=3)}, "366 days"),
        ({"expires": date.today() + timedelta(days=367)}, "366 days"),
        ({"evidence": "nothing.eml"}, "nothing.eml"),
        ({"evidence": "../base/LICENSE"}, "without .."),
        ({"evidence_sha256": "0" * 64}, "look at the file"),
        ({"by": None}, "by"),
    ],
)
def test_what_could_never_count_is_not_signed(
    place: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, Any], words: str
) -> None:
    write_drafts(place, check(place, capsys)[1], **changes)
    draft = path(place, "train_adapter")
    draft.write_text(yaml.safe_dump({key: value for key, value in yaml.safe_load(draft.read_text()).items() if value is not None}))
    before, names = draft.read_bytes(), sorted(one.name for one in draft.parent.iterdir())
    code, said = said_by(capsys, "waiver", "sign", str(draft))
    assert code == 2
    assert words in said
    assert len(said.strip().splitlines()) == 1
    assert draft.read_bytes() == before
    assert sorted(one.name for one in draft.parent.iterdir()) == names


def test_a_waiver_says_whether_it_would_count(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_drafts(place, check(place, capsys)[1])
    draft = str(path(place, "train_adapter"))
    assert said_by(capsys, "waiver", "check", draft)[0] == 3
    code, said = said_by(capsys, "waiver", "sign", draft)
    assert code == 0
    assert "here it would not count: its key" in said
    assert "no key is pinned for" in said
    trust_own_key()
    code, said = said_by(capsys, "waiver", "check", draft)
    assert (code, "would count" in said) == (0, True)
    code, said = said_by(capsys, "waiver", "check", draft, "--publisher", str(place / "publisher.yaml"), "--json")
    assert (code, json.loads(said)["counted"]) == (0, True)
    (place / "publisher.yaml").write_text("name: Others\n")
    code, said = said_by(capsys, "waiver", "check", draft, "--publisher", str(place / "publisher.yaml"))
    assert (code, "for the publisher 'Studio Example'" in said) == (3, True)
    for missing in ("nowhere.yaml", str(place), ""):
        assert said_by(capsys, "waiver", "check", missing)[0] == 3


def test_a_key_from_elsewhere_signs_where_it_is_its_owners_alone(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_drafts(place, check(place, capsys)[1])
    (place / "other").mkdir()
    keys.make_key(place / "other")
    key, draft = place / "other" / "keys" / "private.pem", path(place, "train_adapter")
    assert said_by(capsys, "waiver", "sign", str(draft), "--key", str(key))[0] == 0
    key.chmod(0o644)
    code, said = said_by(capsys, "waiver", "sign", str(draft), "--key", str(key))
    assert (code, "chmod 600" in said) == (2, True)
    assert said_by(capsys, "waiver", "sign", str(draft), "--key", str(place / "nowhere.pem"))[0] == 2


def test_hard_blocks_are_listed_by_name(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = said_by(capsys, "waiver", "hard")
    assert (code, {line.partition(":")[0] for line in said.splitlines()}) == (0, HARD)


def test_keys_by_command(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, shown = said_by(capsys, "keys", "show")
    assert code == 0
    assert "PRIVATE" not in shown
    (place / "own.pub").write_text(shown)
    assert "no key is trusted here" in said_by(capsys, "keys", "trusted")[1]
    assert said_by(capsys, "keys", "init")[0] == 2
    assert said_by(capsys, "keys", "trust", str(place / "own.pub"), "--name", "Ada")[0] == 0
    assert said_by(capsys, "keys", "trust", keys.written(public_of(EVE)), "--name", "Eve")[0] == 0
    listed = said_by(capsys, "keys", "trusted")[1]
    assert [line.split()[-1] for line in listed.splitlines()] == ["Ada", "Eve"]
    code, said = said_by(capsys, "keys", "trust", str(place / "home" / "keys" / "private.pem"), "--name", "Eve")
    assert (code, "PRIVATE key" in said) == (2, True)
    assert said_by(capsys, "keys", "distrust", "Nobody")[0] == 2
    assert said_by(capsys, "keys", "distrust", "Eve")[0] == 0
    assert public_of(ADA) not in keys.trust(place / "home").keys.values()


@pytest.mark.parametrize(
    "command",
    ["keys init", "keys show", "keys trust", "keys trusted", "keys distrust", "waiver sign", "waiver check", "waiver hard"],
)
def test_help_has_an_example_of_this_very_command(place: Path, capsys: pytest.CaptureFixture[str], command: str) -> None:
    said = said_by(capsys, *command.split(), "--help")[1]
    assert f"lorasmith {command}" in said.split("Example", 1)[1]
