"""A deploy begins once nothing speaks against it; what is found is one line and the exit code that belongs to it."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from flows import preflight, signing
from flows.errors import NotReady
from flows.job import Job
from flows.job_file import load_job, parse_job
from flows.money.deploy_cost import deploy_cost, images_drawn
from serving.release.errors import SharedRefused
from serving.release.package import _seal, load_package
from serving.release.refusals import failure
from serving.release.registry import Registry, sqlite_url
from serving.release.signature import sign
from tests.serving.release.memory_platform import MemoryPlatform

ROOT = Path(__file__).resolve().parents[2]
VERDICT: dict[str, Any] = {"hash": "a" * 64, "as_of": "2999-01-01", "uses": {"host_paid_inference": {"verdict": "allow"}}}


def job(budget: float | None = None, **serving: Any) -> Job:
    raw = json.loads(load_job(ROOT / "examples/emoji/job.yaml").model_dump_json())
    raw["serving"] |= {"app": "toy", **serving}
    return parse_job(raw | {"budget_usd": budget})


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LORASMITH_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def registry(home: Path) -> Iterator[Registry]:
    with closing(Registry(sqlite_url(home))) as registry:
        yield registry


@pytest.fixture
def platform() -> MemoryPlatform:
    """Its clock is right: the tests' now is the platform's."""
    import time

    platform = MemoryPlatform()
    platform.now = time.time()
    return platform


@pytest.fixture
def package(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package that is fit, but for files that only lint asks for."""
    folder = home / "store" / "package" / "0" / "content"
    folder.mkdir(parents=True)
    (folder / "verdict.json").write_text(json.dumps(VERDICT))
    (folder / "pyproject.toml").write_text('[tool.fal.apps.toy]\nmachine_type = "S"\nsecrets = ["HF_TOKEN"]\nrequirements = []\n')
    _seal("toy", folder)
    sign(load_package(folder), signing.own_key())
    monkeypatch.setattr("serving.release.preflight.lint", lambda folder: [])  # test_preflight.py of the release room has it
    return folder


def begun(job: Job, package: Path, registry: Registry, platform: MemoryPlatform) -> bool:
    with preflight.passed(job, package, VERDICT, registry, platform):
        return True


def test_a_deploy_begins_where_all_is_there(
    package: Path, registry: Registry, platform: MemoryPlatform, capsys: pytest.CaptureFixture[str]
) -> None:
    platform.account_secrets = {"main": ["HF_TOKEN"], "candidate": ["HF_TOKEN"]}
    platform.aliases["other", "candidate"] = "r1"  # so that the environment is there
    assert begun(job(), package, registry, platform)
    said = capsys.readouterr().err.splitlines()
    assert said[-1].startswith("✓ preflight")
    assert platform.deploys == []


def test_what_is_missing_stops_it_with_the_way_to_mend_it(package: Path, registry: Registry, platform: MemoryPlatform) -> None:
    with pytest.raises(
        NotReady, match="not deployed: secrets: main lacks HF_TOKEN; candidate lacks HF_TOKEN; fal secrets set"
    ) as lacking:
        begun(job(), package, registry, platform)
    assert lacking.value.exit_code == 2
    with pytest.raises(NotReady, match="and 1 more: `lorasmith preflight` lists all"):
        begun(job(machine_type="GPU-NONE"), package, registry, platform)
    assert platform.deploys == []


def test_another_verdict_than_the_packaged_one_has_the_licences_exit_code(
    package: Path, registry: Registry, platform: MemoryPlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform.account_secrets = {"main": ["HF_TOKEN"], "candidate": ["HF_TOKEN"]}
    platform.aliases["other", "candidate"] = "r1"
    monkeypatch.setitem(VERDICT, "hash", "b" * 64)
    with pytest.raises(NotReady, match=r"the package carries verdict a{12}, today's is b{12}") as changed:
        begun(job(), package, registry, platform)
    assert changed.value.exit_code == 3


def test_an_old_verdict_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.licensing.rights.verdict_of", lambda job: {"hash": "new"})
    assert preflight.fresh(job(), {"hash": "old", "as_of": "2020-01-01"}) == {"hash": "new"}
    assert preflight.fresh(job(), VERDICT) == VERDICT


def test_shared_mode_refused_leaves_the_mail_to_send(
    package: Path, registry: Registry, platform: MemoryPlatform, home: Path
) -> None:
    platform.account_secrets = {"main": ["HF_TOKEN"], "candidate": ["HF_TOKEN"]}
    platform.aliases["other", "candidate"] = "r1"
    for _ in range(2):  # the same request is the same file
        with (
            pytest.raises(SharedRefused, match=r"not enabled \(the mail is written: .*/outbox/shared-mode-toy.eml\)") as refused,
            preflight.passed(job(), package, VERDICT, registry, platform),
        ):
            raise SharedRefused("not enabled", tail=("a line",))
        assert (refused.value.tail, refused.value.exit_code) == (("a line",), 5)
    (mail,) = (home / "outbox").iterdir()
    assert "account          memory" in mail.read_text()
    said = failure("shared", "account 'memory' may not", (), what="deploy", target="fal", log=home)
    assert isinstance(said, SharedRefused)
    preflight.write_mail(job(), VERDICT, "memory", said)
    assert "refused shared mode in deploy: account 'memory' may not\n" in mail.read_text().replace("=\n", "")


def test_the_newest_package_of_the_app_is_looked_at(package: Path, home: Path) -> None:
    assert preflight.newest_package("toy") == package
    assert preflight.newest_package("other") is None


def test_secrets_are_known_before_there_is_a_package() -> None:
    assert preflight.secrets_before(job()) == ()
    assert preflight.secrets_before(job(marking="on", certificate="secret")) == ("LORASMITH_C2PA_CERTIFICATE", "LORASMITH_C2PA_KEY")


def test_what_was_tried_replaces_what_was_unknown() -> None:
    from serving.release.preflight import Finding

    before = [Finding(check=name, state="unknown", got="") for name in ("rights", "quota")]
    tried = [Finding(check="rights", state="passed", got="")]
    assert [(one.check, one.state) for one in preflight.merged(before, tried)] == [("quota", "unknown"), ("rights", "passed")]


def test_a_deploy_costs_two_starts_their_idling_and_the_pictures() -> None:
    from flows.money.sizing import gpu_of, needs_of

    wanted = job(machine_type="GPU-H200", keep_alive=60, num_gpus=2, startup_timeout=600)
    gpu, needs = gpu_of("GPU-H200"), needs_of(wanted)
    assert gpu is not None
    assert gpu.usd_per_second is not None
    assert needs is not None
    assert needs.seconds is not None
    low, high = deploy_cost(wanted) or (0.0, 0.0)
    drawn = images_drawn(wanted)
    assert low == pytest.approx(2 * (2 * (30 + 60) + drawn * needs.seconds[0]) * gpu.usd_per_second[0])
    assert high == pytest.approx(2 * (2 * (600 + 60) + drawn * needs.seconds[1]) * (gpu.usd_per_second[1] or 0))
    assert drawn == 2 * 2 + wanted.rollout.golden


@pytest.mark.parametrize("machine", ["S", "GPU-L40", "GPU-NONE"])
def test_a_machine_without_a_known_rate_has_no_forecast(machine: str) -> None:
    assert deploy_cost(job(machine_type=machine)) is None


def test_the_first_mail_says_that_nothing_was_tried_yet() -> None:
    tried, first = (preflight.access_mail(job(), VERDICT, "ada", refusal) for refusal in ("not enabled", None))
    assert b"was refused today with: not enabled" in tried
    assert b"nothing was deployed at fal yet" in first.replace(b"=\r\n", b"")
    assert b"refused" not in first
