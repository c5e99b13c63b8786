"""What is drilled on a platform of one file: a publish over a live release, ways back from it; and the store."""

import hashlib
import itertools
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from flows.books.records import write_text
from flows.store import is_sound, make
from serving.release.budget import Budget
from serving.release.deploy import publish_package
from serving.release.errors import SmokeFailed
from serving.release.golden import Golden, GoldenPlan
from serving.release.package import _package_hash, _seal
from serving.release.platform import Seen
from serving.release.probation import on_probation, watch
from serving.release.registry import Registry, Row, sqlite_url
from serving.release.retire import retire
from serving.release.rollback import roll_back
from serving.release.smoke import SmokePlan
from tests.failpoints.effects import Effects, watch_files, watch_registry, watched
from tests.failpoints.kept_platform import KeptPlatform
from tests.serving.release.memory_platform import png

SMOKE = SmokePlan(arguments=[{"prompt": "a red fox"}])
GOLDEN = GoldenPlan(requests=[Golden(arguments={"seed": 7, "num_images": 1}, expected=png())], said=())
CONTENTS = {_package_hash({"content.txt": hashlib.sha256(name.encode()).hexdigest()}): name for name in "abc"}
START = datetime(2026, 1, 1, tzinfo=UTC)


class Toy:
    """An app whose packages are one letter each; `expected` is what must be live in the end."""

    expected = "b"
    asking = True

    def prepare(self, home: Path) -> None:
        platform = KeptPlatform(home / "platform.json")
        with opened(home) as registry:
            self.before(home, platform, registry)

    def run(self, home: Path, effects: Effects) -> None:
        watch_registry(effects)
        platform = watched(KeptPlatform(home / "platform.json"), effects)
        with opened(home) as registry:
            self.act(home, platform, registry)

    def struck(self, home: Path) -> str:
        return looked_at(home)

    def ended(self, home: Path) -> str:
        said = looked_at(home)
        platform = KeptPlatform(home / "platform.json")
        with opened(home) as registry:
            rows = registry.releases()
            (live,) = (row for row in rows if row["state"] == "live")
            assert not [row for row in rows if row["state"] in ("intent", "candidate") or row["evidence"].get("rollback")], said
            assert platform.aliases["toy", "main"] == live["revision"], said
            assert platform.on_main("toy") == self.expected, said
            times = [deploy[1:] for deploy in platform.deploys]
            assert len(set(times)) == len(times), f"deployed twice: {times}"
        return said

    def before(self, home: Path, platform: KeptPlatform, registry: Registry) -> None:
        publish(home, "a", platform, registry)

    def act(self, home: Path, platform: KeptPlatform, registry: Registry) -> None:
        publish(home, "b", platform, registry)


class Publish(Toy):
    """`a` is live; `b` is published."""


class PublishAnother(Publish):
    """The same, but whoever comes after the kill publishes `c`."""

    asking = False

    def act(self, home: Path, platform: KeptPlatform, registry: Registry) -> None:
        publish(home, "c" if self.was_struck(home) else "b", platform, registry)

    def struck(self, home: Path) -> str:
        (home / "struck").touch()
        return super().struck(home)

    def ended(self, home: Path) -> str:
        self.expected = "c" if self.was_struck(home) else "b"
        return super().ended(home)

    def was_struck(self, home: Path) -> bool:
        return (home / "struck").exists()


class SetBack(Toy):
    """`b` bills on main what it does not deliver; it is not to stay there."""

    expected = "a"
    asking = False

    def before(self, home: Path, platform: KeptPlatform, registry: Registry) -> None:
        super().before(home, platform, registry)
        platform.broken["b", "main"] = {"units": "9"}
        platform.keep()

    def act(self, home: Path, platform: KeptPlatform, registry: Registry) -> None:
        failed = [row for row in registry.releases() if row["state"] == "failed" and row["evidence"]["set_back"] != "pending"]
        if not failed:  # a person who reads that it failed does not try the same once more
            with suppress(SmokeFailed):
                publish(home, "b", platform, registry)


class RollBack(Toy):
    """`b` took over from `a`; a person goes back."""

    expected = "a"

    def before(self, home: Path, platform: KeptPlatform, registry: Registry) -> None:
        publish(home, "a", platform, registry)
        publish(home, "b", platform, registry)

    def act(self, home: Path, platform: KeptPlatform, registry: Registry) -> None:
        live = registry.live("toy", "memory")
        assert live is not None
        if content_of(live) == "b":  # a person sees what is live before asking again
            roll_back("toy", platform=platform, registry=registry, reason="it is worse", progress=print)


class Probation(RollBack):
    """`b` took over from `a` and fails its callers; whoever watches goes back by himself."""

    def before(self, home: Path, platform: KeptPlatform, registry: Registry) -> None:
        super().before(home, platform, registry)
        failed = [
            Seen(request_id=f"failed-{number}", status=503, seconds=1.0, units=None, ended_at=START.timestamp() + 30)
            for number in range(5)
        ]
        platform.seen["toy", "main"] = failed
        platform.keep()

    def act(self, home: Path, platform: KeptPlatform, registry: Registry) -> None:
        for row in registry.releases():
            if on_probation(row):
                watch(row, platform=platform, registry=registry, progress=print, pause=0.0)


class Retire(Toy):
    """`a` is live and is taken down: its owner alone may call it."""

    def act(self, home: Path, platform: KeptPlatform, registry: Registry) -> None:
        retire("toy", platform=platform, registry=registry, reason="takedown", mode="private", progress=print)

    def struck(self, home: Path) -> str:
        platform = KeptPlatform(home / "platform.json")
        with opened(home) as registry:
            registry.verify_journal()
            (row,) = registry.releases()
        begun = (row["evidence"].get("retirement") or {}).get("state") == "intent"
        main = platform.auth["toy", "main"]
        assert row["state"] == "live" or main == "private", f"retired, and main is {main}"
        assert main == "shared" or begun or row["state"] == "retired", f"main is {main} and nobody knows why"
        return f"a is {row['state']}, main {main}" + ("; to be retired" if begun else "")

    def ended(self, home: Path) -> str:
        said = self.struck(home)
        assert said == "a is retired, main private"
        assert list(KeptPlatform(home / "platform.json").aliases) == [("toy", "main")]
        return said


class Store:
    """An artefact of two files is made."""

    asking = True

    def prepare(self, home: Path) -> None:
        home.mkdir(exist_ok=True)

    def run(self, home: Path, effects: Effects) -> None:
        watch_files(effects, home)

        def build(out: Path) -> None:
            for name in ("one", "two"):
                write_text(out / name, name)

        make(home, "thing", {"of": 2}, build)

    def struck(self, home: Path) -> str:
        made = list((home / "store" / "thing").glob("[!.]*"))
        assert all(is_sound(path) for path in made)
        return f"{len(made)} artefacts"

    def ended(self, home: Path) -> str:
        said = self.struck(home)
        (path,) = (home / "store" / "thing").glob("[!.]*")
        assert [file.read_text() for file in sorted((path / "content").iterdir())] == ["one", "two"]
        assert not [half for half in (home / "store" / "thing").glob(".*") if half.is_dir()]
        return said


def publish(home: Path, content: str, platform: KeptPlatform, registry: Registry) -> Row:
    return publish_package(
        package(home, content),
        platform=platform,
        registry=registry,
        verdict_hash="v" * 64,
        smoke=SMOKE,
        golden=GOLDEN,
        budget=Budget(min_requests=5),
        progress=print,
    )


def package(home: Path, content: str) -> Path:
    folder = home / f"package-{content}"
    if not folder.exists():
        folder.mkdir()
        (folder / "content.txt").write_text(content)
        _seal("toy", folder)
    return folder


def content_of(row: Row) -> str:
    """What the package of a release was made of."""
    return CONTENTS[row["package"]]


def looked_at(home: Path) -> str:
    """What must hold at any moment, asserted, and told in a few words."""
    platform = KeptPlatform(home / "platform.json")
    with opened(home) as registry:
        registry.verify_journal()
        rows, lines = registry.releases(), registry.journal()
    contents = {row["id"]: content_of(row) for row in rows}
    live = [contents[row["id"]] for row in rows if row["state"] == "live"]
    assert len(live) == 1, f"{len(live)} releases are live"
    main = platform.on_main("toy")
    assert platform.call("toy", {"num_images": 1}).status == 200, "a caller was refused"
    pending = [f"{contents[row['id']]} {row['state']}" for row in rows if row["state"] in ("intent", "candidate")]
    pending += [f"rollback of {contents[row['id']]}" for row in rows if row["evidence"].get("rollback")]
    recorded = {line["row"][column] for line in lines for column in ("candidate_revision", "revision")}
    recorded |= {revision for row in rows for revision in row["evidence"].get("left_behind", {}).values()}
    orphans = platform.packages.keys() - recorded
    assert not orphans or pending, f"nobody knows of {orphans}"
    assert main == live[0] or pending, f"{live[0]} is live by the registry, main runs {main}"
    told = f"{live[0]} is live" if main == live[0] else f"{live[0]} is live, main runs {main}"
    return "; ".join([told, *pending])


@contextmanager
def opened(home: Path) -> Iterator[Registry]:
    seconds = itertools.count()
    registry = Registry(sqlite_url(home), clock=lambda: START + timedelta(milliseconds=next(seconds)))
    try:
        yield registry
    finally:
        registry.close()
