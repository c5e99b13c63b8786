"""Facts past their age, a Hub that fails in every way, and the base of the demo."""

from typing import Any

from tests.licenses.adversarial.build import FRONT, bare, card, child, files, folder, under, with_files
from tests.licenses.adversarial.case import Case, Folder, Repo, clean, dirty
from tests.licenses.adversarial.publishers import under_license
from tests.licenses.adversarial.texts import ROOT_BASE, synthetic

EXPIRED = "facts_expired"
SDXL = "stabilityai/stable-diffusion-xl-base-1.0"
RESEARCH = {
    "README.md": card("license: openrail++", "The model is intended for research purposes only."),
    "LICENSE": synthetic("openrail++"),
}


def served(id: str, codes: str, **fields: Any) -> Case:
    return dirty(f"hub: {id}", "a/base", codes, repos={"a/base": Repo(**({"files": files()} | fields))})


AGES: tuple[Case, ...] = (
    dirty(
        "age: a card that a person read long ago",
        SDXL,
        f"{EXPIRED} card_body_restricts",
        repos={SDXL: Repo(files=RESEARCH)},
        as_of="2027-02-20",
    ),
    dirty(
        "age: the same in ten years", SDXL, f"{EXPIRED} card_body_restricts", repos={SDXL: Repo(files=RESEARCH)}, as_of="2036-11-22"
    ),
    dirty("age: a barred row in ten years", "black-forest-labs/FLUX.1-dev", f"non_commercial {EXPIRED}", as_of="2036-11-22"),
    dirty(
        "age: a ban of the catalogue alone, in ten years",
        "RunDiffusion/Juggernaut-XL-v9",
        f"catalogue_restricts {EXPIRED}",
        repos={"RunDiffusion/Juggernaut-XL-v9": under("openrail++", "license: openrail++")},
        as_of="2036-11-22",
    ),
    dirty("age: a barred text in ten years", under_license("cc-by-nc-4.0"), "non_commercial", as_of="2036-11-22"),
    dirty(
        "age: a copy of a barred model in ten years",
        "x/FLUX.1-dev-fp8",
        "copy_of_barred",
        repos={"x/FLUX.1-dev-fp8": Repo(files=files())},
        as_of="2036-11-22",
    ),
    dirty("age: a day that is none", folder(), "refused", as_of="2026-02-30"),
    clean("age: a card that a person read ninety days ago", SDXL, repos={SDXL: Repo(files=RESEARCH)}, as_of="2027-02-19"),
    clean("age: an exact text in ten years", folder(), as_of="2036-11-22"),
    clean("age: the embedded base in ten years", ROOT_BASE, as_of="2036-11-22"),
    clean("age: an unknown repository in ten years", "a/base", repos={"a/base": Repo(files=files())}, as_of="2036-11-22"),
    clean("age: a chain in ten years", "a/one", repos={"a/one": child("b/root"), "b/root": Repo(files=bare())}, as_of="2036-11-22"),
)

HUB: tuple[Case, ...] = (
    served("deleted or private", "hub_not_found", fault="missing"),
    served("gated", "hub_gated", fault="gated"),
    served("gated files", "hub_gated", fault="gated files"),
    served("disabled", "hub_disabled", fault="disabled"),
    served("a broken server", "hub_error", fault="broken"),
    served("too many requests", "hub_rate_limited", fault="throttled"),
    served("an answer that is no JSON", "hub_bad_answer", fault="garbage"),
    served("files on another host", "hub_bad_answer hub_other_host", fault="elsewhere"),
    served("a file cut short", "hub_unreachable hub_bad_answer hub_cut_short", fault="short"),
    served(
        "a card cut where nothing tells",
        "hub_bad_answer hub_cut_short card_body_restricts",
        fault="cut",
        files=files(body="Leaves.\n\n" + "A leaf. " * 50 + "\n\nNot for commercial use."),
    ),
    dirty(
        "hub: moved to a licence that bars",
        "a/old",
        "non_commercial hub_bad_answer hub_renamed",
        repos={"a/old": Repo(files=files(), fault="moved", name="b/new"), "b/new": under("cc-by-nc-4.0")},
    ),
    served("an answer about another kind of thing", "hub_bad_answer", api={"id": ["a/base"]}),
    served("an answer without a commit", "hub_bad_answer", api={"sha": None}),
    served("an answer without files", "hub_bad_answer license_missing", api={"siblings": None}),
    served("a file that leaves the repository", "hub_bad_answer", api={"siblings": [{"rfilename": "../../etc/passwd"}]}),
    served("an absolute file", "hub_bad_answer", api={"siblings": [{"rfilename": "/etc/passwd"}]}),
    served(
        "a card that is listed and gone",
        "hub_bad_answer hub_file_gone",
        api={"siblings": [{"rfilename": "README.md"}, {"rfilename": "LICENSE"}, {"rfilename": "LICENSE-WEIGHTS"}]},
    ),
    dirty(
        "hub: a commit that is not there",
        "a/base",
        "hub_revision_not_found",
        repos={"a/base": Repo(files=files())},
        revision="f" * 40,
    ),
    dirty("hub: a revision that can not be one", "a/base", "refused", repos={"a/base": Repo(files=files())}, revision="../main"),
    dirty("hub: a folder with a revision", folder(), "refused", revision="main"),
    dirty("hub: a name that is nobody's", "a/nobody", "hub_not_found"),
)

CLEAN: tuple[Case, ...] = (
    clean("the base of the demo", ROOT_BASE),
    clean(
        "the base of the demo with its data",
        ROOT_BASE,
        "ATTRIBUTION",
        dataset=Folder(
            files={"dataset.yaml": "license: mit\nsource: Fluent emoji 3D by Microsoft\npersons: none\nconsent: false\n"},
            name="pictures",
        ),
    ),
    clean(
        "hub: pinned by its commit",
        "a/base",
        repos={"a/base": Repo(files=files())},
        revision="0123456789abcdef0123456789abcdef01234567",
    ),
    clean(
        "hub: metadata of the ordinary kind",
        "a/base",
        repos={
            "a/base": Repo(
                files=files(),
                card_data={"license": "apache-2.0", "tags": ["leaves"]},
                api={
                    "tags": ["diffusers", "license:apache-2.0", "region:us"],
                    "downloads": 5,
                    "likes": 1,
                    "gated": False,
                    "disabled": False,
                    "lastModified": "2026-01-01T00:00:00.000Z",
                },
            )
        },
    ),
    clean(
        "hub: gated, and the terms accepted",
        "a/base",
        repos={
            "a/base": Repo(
                files=with_files(
                    {},
                    f"{FRONT}\nextra_gated_prompt: Tell us your name.\nextra_gated_fields:\n  Name: text\n  Country: country",
                ),
                api={"gated": "auto"},
            )
        },
    ),
)

CASES = (*AGES, *HUB, *CLEAN)
