"""Every duty of every licence: what fulfils it in a package, and a refusal that names it where nothing does."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from licenses import notices
from licenses.catalogue import PAID_USES, load
from licenses.duties import TABLE, owed
from licenses.errors import NoticesRefused
from licenses.fulfilment import fulfilled, require_fulfilled, sentence
from licenses.headline import one_line
from licenses.identify import identify
from licenses.papers import Work, papers
from licenses.policy import decide
from licenses.publisher import Publisher
from licenses.stated import Item
from licenses.verdict import ALLOWED, Reason, UseVerdict, identity
from licenses.waivers import Weighed
from tests.licenses.conftest import ROOT
from tests.licenses.made import DAY, RESTRICTED, SMALL, asset, file_of, verdict_of
from tests.licenses.signing import made

LICENCES = load().licenses
WORK = Work(app="llama-clay", title="Llama Clay", scale=0.75, rank=4, pictures=60, adapter_sha256="ab" * 32, image_checker=True)
NOT_YET = {"gpl-3.0": {"STATE_CHANGES"}, "agpl-3.0": {"STATE_CHANGES", "NETWORK_SOURCE"}}  # a date, an address
OPEN = SMALL.model_copy(update={"publish_weights": True})


def profile(license: str) -> Publisher:
    """A publisher who meets every condition of a licence that a profile can meet."""
    return OPEN.model_copy(update={"adapter_license": license})


def text_of(license: str) -> str:
    """A text of our own with the licensor's line and a list of restrictions in it."""
    line = LICENCES[license].notice
    return f'{RESTRICTED}\nAttachment B\nKeep the following notice in a "Notice" text file: "{line}"\n' if line else RESTRICTED


def hosted() -> list[str]:
    """Licences under which a base can be hosted for money by somebody."""
    made = {one: decide([asset(one, text_of(one))], profile(one), load(), as_of=DAY) for one in LICENCES}
    return [one for one in made if all(made[one][use].verdict in ALLOWED for use in PAID_USES)]


def written(verdict: dict[str, Any], out: Path, work: Work = WORK) -> Path:
    notices.write(verdict, out, work=work)
    return out


def test_every_duty_of_the_facts_has_means_and_no_other_has() -> None:
    assert set(TABLE) == set(load().duties)
    assert {duty for one in LICENCES.values() for duty in one.duties} <= set(TABLE)


@pytest.mark.parametrize("license", hosted())
def test_a_package_under_each_licence_fulfils_what_it_owes(license: str, tmp_path: Path) -> None:
    said = verdict_of([asset(license, text_of(license))], profile(license))
    folder = written(said, tmp_path / "out")
    assert {row["duty"] for row in said["owed"]} == {duty for use in PAID_USES for duty in said["uses"][use]["duties"]}
    lacks = fulfilled(said, folder, work=WORK)
    assert {one["duty"] for one in lacks} == NOT_YET.get(license, set())
    if not lacks:
        require_fulfilled(said, work=WORK)
    schema = json.loads((ROOT / "docs/schemas/duties.schema.json").read_text())
    jsonschema.validate(json.loads((folder / "duties.json").read_text()), schema, cls=jsonschema.Draft202012Validator)


def test_the_licences_that_can_be_hosted_carry_nearly_every_duty() -> None:
    carried = {duty for one in hosted() for duty in LICENCES[one].duties}
    assert set(TABLE) - carried == {"TERRITORY", "NO_AFFILIATION", "DISCLAIMER_FLOWDOWN", "NO_EXTRA_TERMS"}


@pytest.mark.parametrize("duty", TABLE)
def test_each_duty_is_open_once_what_fulfils_it_is_gone(duty: str, tmp_path: Path) -> None:
    """Of a made licence that asks for one thing only; a file, a line, a setting or the name is taken away."""
    changed = {"id": "mit", "duties": (duty,), "naming": "Llama", "users_cap": 1e6, "territory_excluded": ("EU",), "filters": True}
    licence = replace(LICENCES["stability-community"], **changed)  # type: ignore[arg-type]
    catalogue = replace(load(), licenses={**LICENCES, "mit": licence})
    node = asset("mit", text_of("stability-community"))
    publisher = SMALL.model_copy(update={"publish_weights": True, "adapter_license": "mit", "registrations": ("mit",)})
    asked = UseVerdict(verdict="duties", reasons=(), duties=(duty,))
    texts = notices.texts([node], catalogue)
    (row,) = owed([node], dict.fromkeys(PAID_USES, asked), texts, publisher, catalogue, DAY)
    said = verdict_of([asset("mit", text_of("stability-community"))]) | {"owed": [json.loads(json.dumps(row.as_json()))]}
    said["notices"] = list(texts)
    said["hash"] = identity(said)
    folder = written(said, tmp_path / "out")
    assert fulfilled(said, folder, work=WORK) == []
    for file in row.files if row.by != "setting" else ():
        kept = (folder / file).read_bytes()
        (folder / file).write_text(" \n")
        assert [one["duty"] for one in fulfilled(said, folder, work=WORK)] == [duty]
        (folder / file).write_bytes(kept)
    if not row.files or row.by == "setting":
        (lack,) = fulfilled(said, folder, work=Work(app="clay"))
        assert lack["duty"] == duty
    assert fulfilled(said, folder, work=WORK) == []


@pytest.mark.parametrize(
    ("license", "publisher", "duty", "code", "says"),
    [
        (
            "stability-community",
            {"registrations": ()},
            "REGISTER",
            "registration_missing",
            "register and list stability-community under registrations",
        ),
        (
            "stability-community",
            {"revenue_usd_ttm": None},
            "REVENUE_CAP",
            "revenue_cap_unknown",
            "state it in the publisher profile",
        ),
        ("qwen-license", {"monthly_users": None}, "MAU_CAP", "users_cap_unknown", "state it in the publisher profile"),
        ("nvidia-open-model", {"content_filters": False}, "KEEP_GUARDRAILS", "filters_required", "content_filters: true"),
        ("faipl-1.0-sd", {"publish_weights": False}, "NETWORK_SOURCE", "weights_not_public", "publish_weights: true"),
        ("cc-by-sa-4.0", {"adapter_license": "mit"}, "SHARE_ALIKE", "share_alike_broken", "adapter_license: cc-by-sa-4.0"),
    ],
)
def test_what_the_profile_does_not_say_is_not_attested(
    license: str, publisher: dict[str, Any], duty: str, code: str, says: str
) -> None:
    node, catalogue = asset(license, text_of(license)), load()
    asked = UseVerdict(verdict="duties", reasons=(), duties=LICENCES[license].duties)
    texts = notices.texts([node], catalogue)
    poorer = profile(license).model_copy(update=publisher)
    rows = owed([node], dict.fromkeys(PAID_USES, asked), texts, poorer, catalogue, DAY)
    (lack,) = [row for row in rows if row.open]
    assert (lack.duty, says in lack.open) == (duty, True)
    for waived, open in ((code, False), ("card_body_restricts", True)):
        reason = Reason(code="waived", node=node.id, text=f"WAIVED ({waived}) by a signed waiver: {says}")
        lifted = UseVerdict(verdict="duties", reasons=(reason,), duties=LICENCES[license].duties)
        rows = owed([node], dict.fromkeys(PAID_USES, lifted), texts, poorer, catalogue, DAY)
        (row,) = [row for row in rows if row.duty == duty]
        assert bool(row.open) is open
        assert open or "signed waiver" in row.lines[0]


def test_a_waiver_that_the_policy_counts_stands_in_for_the_profile() -> None:
    node, catalogue = asset("stability-community", text_of("stability-community")), load()
    assert node.text
    assert node.revision
    bound: dict[str, Any] = {"repo": node.id, "revision": node.revision, "text_sha256": node.text.sha256}
    waivers = [Weighed(waiver=made(**bound, use=use), counted=True, why="signed") for use in PAID_USES]
    unregistered = SMALL.model_copy(update={"registrations": ()})
    uses = decide([node], unregistered, catalogue, as_of=DAY, waivers=waivers)
    assert {uses[use].verdict for use in PAID_USES} == {"duties"}
    rows = owed([node], uses, notices.texts([node], catalogue), unregistered, catalogue, DAY)
    (row,) = [row for row in rows if row.duty == "REGISTER"]
    assert (row.open, "signed waiver" in row.lines[0]) == ("", True)


def test_a_base_that_asks_for_filters_is_hosted_where_every_picture_is_checked() -> None:
    said = verdict_of([asset("krea-2-community", text_of("krea-2-community"))], profile("krea-2-community"))
    assert "FILTER" in {row["duty"] for row in said["owed"]}
    require_fulfilled(said, work=WORK)
    with pytest.raises(NoticesRefused, match=r"duty FILTER of KREA 2 .* set safety: required under serving in the job$") as refused:
        require_fulfilled(said, work=replace(WORK, image_checker=False))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("settings", "lacks"),
    [
        ({"safety": {"enabled": True, "optional": False}}, ""),
        ({"safety": {"enabled": True, "optional": True}}, "/safety/optional"),
        ({"safety": {"enabled": False, "optional": False}}, "/safety/enabled"),
        ({"safety": {"enabled": True}}, "/safety/optional"),
        ({"safety": {"enabled": 1, "optional": 0}}, "/safety/enabled"),
        ({"safety": None}, "/safety/enabled"),
        ([], "/safety/enabled"),
    ],
)
def test_filters_are_looked_for_in_the_packages_settings(settings: object, lacks: str, tmp_path: Path) -> None:
    said = verdict_of([asset("krea-2-community", text_of("krea-2-community"))], profile("krea-2-community"))
    unsure = replace(WORK, image_checker=False)
    folder = written(said, tmp_path / "out", unsure)
    (folder / "settings.json").write_text(json.dumps(settings))
    found = {one["duty"]: one["open"] for one in fulfilled(said, folder, work=unsure)}
    assert set(found) == ({"FILTER"} if lacks else set())
    assert lacks in found.get("FILTER", "")


def test_a_publisher_who_filters_nothing_leaves_filters_open() -> None:
    node, catalogue = asset("krea-2-community", text_of("krea-2-community")), load()
    unfiltered = profile("krea-2-community").model_copy(update={"content_filters": False})
    asked = UseVerdict(verdict="duties", reasons=(), duties=("FILTER",))
    (row,) = owed([node], dict.fromkeys(PAID_USES, asked), notices.texts([node], catalogue), unfiltered, catalogue, DAY)
    assert (row.duty, "set content_filters: true" in row.open) == ("FILTER", True)


@pytest.mark.parametrize(
    ("license", "duty", "says"),
    [
        ("gpl-3.0", "STATE_CHANGES", "section 5(a) wants a relevant date"),
        ("agpl-3.0", "STATE_CHANGES", "section 5(a) wants a relevant date"),
        ("agpl-3.0", "NETWORK_SOURCE", "section 13 wants a network server"),
    ],
)
def test_what_the_gpl_wants_and_nobody_writes_here_stays_open(license: str, duty: str, says: str) -> None:
    said = verdict_of([asset(license, text_of(license))], profile(license))
    (row,) = [row for row in said["owed"] if row["duty"] == duty]
    assert says in row["open"]
    assert "; choose another base" in row["open"]
    with pytest.raises(NoticesRefused, match="is open"):
        require_fulfilled(said, work=WORK)
    assert f"OPEN duty {duty} of {LICENCES[license].name} towards 'made/base' is open: section" in one_line(said)
    assert license == "gpl-3.0" or "at no charge" in papers(said, WORK)["TERMS.md"]


def test_the_line_of_a_check_says_what_is_open_and_what_to_do() -> None:
    nobody = replace(asset("cc-by-4.0", "", id="album", role="dataset"), revision=None)
    line = one_line(verdict_of([asset("cc0-1.0"), nobody]))
    assert "\n" not in line
    assert "may be used here" in line
    assert (
        "OPEN duty ATTRIBUTION of CC BY 4.0 towards 'album' is open: nothing says who made it and where it is from; name " in line
    )
    assert line.endswith("Nothing is packaged before that is done.")
    assert "OPEN" not in one_line(verdict_of([asset("cc0-1.0")]))


@pytest.mark.parametrize("license", ["mit", "apache-2.0", "bsd-2-clause"])
def test_of_pictures_nothing_is_said_to_travel_along_but_the_credit(license: str) -> None:
    said = verdict_of([asset(license), asset(license, "", id="album", role="dataset")])
    told = {reason["node"]: reason["text"] for reason in said["uses"]["train_adapter"]["reasons"] if reason["code"] == "licensed"}
    assert "travel along" in told["made/base"]
    assert "travel along" not in told["album"]
    assert {row["duty"] for row in said["owed"] if row["node"] == "album"} == {"ATTRIBUTION"}


def test_a_duty_that_no_licence_explains_is_open() -> None:
    asked = UseVerdict(verdict="duties", reasons=(), duties=("PAY_BY_THE_PICTURE",))
    (row,) = owed([asset("cc0-1.0")], dict.fromkeys(PAID_USES, asked), (), SMALL, load(), DAY)
    assert (row.duty, row.by, "nothing here fulfils PAY_BY_THE_PICTURE" in row.open) == ("PAY_BY_THE_PICTURE", "nothing", True)


@pytest.mark.parametrize(
    ("app", "title", "open"), [("llama-clay", "llama clay", 0), ("clay", "Llama", 1), ("llama-clay", "Clay", 1)]
)
def test_the_name_has_to_follow_the_licence(app: str, title: str, open: int) -> None:
    said = verdict_of([asset("llama3.x", text_of("llama3.x"))])
    work = Work(app=app, title=title)
    if not open:
        require_fulfilled(said, work=work)
        return
    with pytest.raises(
        NoticesRefused, match=r"^duty NAMING of Llama .* towards 'made/base' is open: .* begin with 'Llama'"
    ) as refused:
        require_fulfilled(said, work=work)
    assert "\n" not in str(refused.value)
    assert refused.value.exit_code == 3


@pytest.mark.parametrize("license", ["gemma", "openrail++", "stability-community"])
def test_a_text_that_is_owed_and_nowhere_to_be_had_leaves_the_duty_open(license: str, tmp_path: Path) -> None:
    said = verdict_of([asset(license, "")], profile(license))
    lacks = fulfilled(said, written(said, tmp_path / "out"), work=WORK)
    assert {"LICENSE_COPY"} <= {one["duty"] for one in lacks}
    line = sentence(lacks[0])
    assert LICENCES[license].name in line
    assert "'made/base'" in line
    assert "put the licence text beside the weights as LICENSE" in line


def test_a_text_that_upstream_lacks_comes_from_a_library_that_ships_it(tmp_path: Path) -> None:
    said = verdict_of([asset("apache-2.0", "")])
    (entry,) = said["notices"]
    assert (entry["file"], entry["origin"], entry["nodes"]) == ("LICENSES/apache-2.0.txt", "spdx", ["made/base"])
    match = identify(entry["text"], load())
    assert match
    assert match.known.license == "apache-2.0"
    require_fulfilled(said, work=WORK)
    assert "LICENSES/apache-2.0.txt is the text as SPDX has it" in (written(said, tmp_path / "out") / "NOTICE").read_text()


def test_credit_is_given_an_item_at_a_time_and_owed_where_nobody_is_named(tmp_path: Path) -> None:
    items = (Item(title="cat.png", license="cc-by-4.0", author="Ann"), Item(title="dog-*.png", license="cc-by-4.0", author="Ann"))
    named = asset("cc-by-4.0", "", id="album/cats", role="dataset", author="Ann", source="https://example.org/album", items=items)
    said = verdict_of([asset("cc0-1.0"), named])
    folder = written(said, tmp_path / "out")
    credit = (folder / "ATTRIBUTION.md").read_text()
    for part in (
        "cat.png, dog-*.png by Ann, from https://example.org/album",
        "CC BY 4.0, https://creativecommons.org/licenses/by/4.0/",
    ):
        assert part in credit
    assert "Changes: scaled" in credit
    nobody = replace(asset("cc-by-4.0", "", id="album", role="dataset"), revision=None)
    (lack,) = fulfilled(verdict_of([asset("cc0-1.0"), nobody]), folder, work=WORK)
    assert (lack["duty"], "name author and source in dataset.yaml" in lack["open"]) == ("ATTRIBUTION", True)


def test_restrictions_travel_letter_by_letter_or_by_the_whole_licence(tmp_path: Path) -> None:
    policy = "No pictures of real people.\n"
    llama = replace(
        asset("llama3.x", text_of("llama3.x").partition("Attachment A")[0] + text_of("llama3.x").partition("Attachment B")[2])
    )
    listed = verdict_of([asset("openrail++", RESTRICTED)])
    with_policy = verdict_of([replace(asset("gemma"), extra=(file_of(policy, "policy", "USE_POLICY.md"),))])
    whole = verdict_of([llama])
    assert [(one["section"], one["text"]) for one in listed["flowdown"]] == [
        ("Attachment A", RESTRICTED[RESTRICTED.index("Attachment A") :].strip())
    ]
    assert policy in [one["text"] for one in with_policy["flowdown"]]
    assert [(one["file"], one["text"]) for one in whole["flowdown"]] == [("LICENSES/llama3.x.txt", "")]
    for name, said in (("listed", listed), ("policy", with_policy), ("whole", whole)):
        terms = (written(said, tmp_path / name) / "TERMS.md").read_text()
        assert all((one["text"].strip() or one["file"]) in terms for one in said["flowdown"])


def test_the_papers_say_what_was_changed_and_by_whom_and_hold_no_clock(tmp_path: Path) -> None:
    said = verdict_of([asset("apache-2.0")])
    changes = (written(said, tmp_path / "out") / "MODIFICATIONS.md").read_text()
    for part in ("made/base, revision 0123", "the app llama-clay", "rank 4", "scale 0.75", "60 pictures", "ab" * 32):
        assert part in changes
    later = {**said, "as_of": "2031-01-01"}
    again = written(later, tmp_path / "later")
    assert {path.name: path.read_bytes() for path in again.iterdir() if path.is_file()} == {
        path.name: path.read_bytes() for path in (tmp_path / "out").iterdir() if path.is_file()
    }
