"""Ways back that end nowhere, in a circle or too far, and parents that stand where a card does not say."""

import itertools
from collections.abc import Mapping

from tests.licenses.adversarial.build import DEV, FRONT, bare, card, child, files, under, with_files
from tests.licenses.adversarial.case import Case, Repo, dirty

NC = "non_commercial"
OTHER_COMMIT = "89abcdef0123456789abcdef0123456789abcdef"


def line(*hops: str, last: Repo) -> Mapping[str, Repo]:
    """Repositories that each name the next as their parent, and the last one as given."""
    return {hop: child(of) for hop, of in itertools.pairwise(hops)} | {hops[-1]: last}


STRAY: tuple[Case, ...] = (
    dirty("its own parent", "a/self", "ancestor_cycle", repos={"a/self": child("a/self")}),
    dirty("its own parent in other letters", "a/self", "ancestor_cycle", repos={"a/self": child("A/SELF")}),
    dirty("two that name each other", "a/one", "ancestor_cycle", repos={"a/one": child("a/two"), "a/two": child("a/one")}),
    dirty(
        "a cycle of three behind a clean front",
        "a/one",
        "ancestor_cycle",
        repos={"a/one": child("b/x"), "b/x": child("b/y"), "b/y": child("b/z"), "b/z": child("b/x")},
    ),
    dirty(
        "a cycle through an old name",
        "a/one",
        "ancestor_cycle hub_renamed",
        repos={"a/one": child("a/alias"), "a/alias": Repo(files=bare(f"{FRONT}\nbase_model: a/alias"), name="a/one")},
    ),
    dirty(
        "a diamond whose root bars",
        "a/top",
        NC,
        repos={
            "a/top": child("[b/left, b/right]"),
            "b/left": child("c/root"),
            "b/right": child("c/root"),
            "c/root": under("cc-by-nc-4.0"),
        },
    ),
    dirty(
        "a diamond whose right side alone bars",
        "a/top",
        NC,
        repos={
            "a/top": child("[b/left, b/right]"),
            "b/left": child("c/root"),
            "b/right": child(f"[c/root, {DEV}]"),
            "c/root": Repo(files=bare()),
        },
    ),
    dirty("a line without an end", "n/0", "ancestors_too_many", repos={f"n/{one}": child(f"n/{one + 1}") for one in range(30)}),
    dirty(
        "a barred root beyond the depth that is followed",
        "n/0",
        f"ancestors_too_many {NC}",
        repos={**{f"n/{one}": child(f"n/{one + 1}") for one in range(12)}, "n/12": child(DEV)},
    ),
    dirty(
        "a flood of parents with the barred one last",
        "a/flood",
        f"ancestors_too_many {NC}",
        repos={
            "a/flood": child("[" + ", ".join([f"p/{one}" for one in range(40)] + [DEV]) + "]"),
            **{f"p/{one}": Repo(files=bare()) for one in range(40)},
        },
    ),
    dirty("a parent that is not there", "a/one", "hub_not_found", repos={"a/one": child("b/deleted")}),
    dirty(
        "a private parent",
        "a/one",
        "hub_not_found hub_private",
        repos={"a/one": child("b/private"), "b/private": Repo(files=bare(), fault="missing")},
    ),
    dirty("a gated parent", "a/one", "hub_gated", repos={"a/one": child("b/gated"), "b/gated": Repo(files=bare(), fault="gated")}),
    dirty(
        "a parent whose files are gated",
        "a/one",
        "hub_gated",
        repos={"a/one": child("b/gated"), "b/gated": Repo(files=bare(), fault="gated files")},
    ),
    dirty(
        "a disabled parent",
        "a/one",
        "hub_disabled",
        repos={"a/one": child("b/taken"), "b/taken": Repo(files=bare(), fault="disabled")},
    ),
    dirty(
        "a parent behind a broken server",
        "a/one",
        "hub_error",
        repos={"a/one": child("b/broken"), "b/broken": Repo(files=bare(), fault="broken")},
    ),
    dirty("a parent by a bare name", "a/one", "ancestor_unresolved", repos={"a/one": child("FLUX.1-dev")}),
    dirty("a parent by a link", "a/one", f"ancestor_unresolved {NC}", repos={"a/one": child(f"https://huggingface.co/{DEV}")}),
    dirty("a parent with a slip of the pen", "a/one", "hub_not_found", repos={"a/one": child("black-forest-labs/FLUX.1-schnel")}),
    dirty("a parent as a mapping", "a/one", "card_invalid", repos={"a/one": child(f"{{name: {DEV}}}")}),
    dirty("a parent as an empty text", "a/one", "card_invalid", repos={"a/one": child("''")}),
    dirty("a parent as a number", "a/one", "card_invalid", repos={"a/one": child("1.5")}),
    dirty(
        "a dataset of the same name as the base",
        "a/leaves",
        "hub_not_found",
        repos={"a/leaves": Repo(files=files())},
        dataset="a/leaves",
    ),
    dirty(
        "a component at another commit of the base's repository",
        "a/base",
        NC,
        repos={"a/base": Repo(files=files(), revisions={OTHER_COMMIT: under("cc-by-nc-4.0").files})},
        components={"vae": f"hf://a/base@{OTHER_COMMIT}"},
    ),
    dirty(
        "the clean name pinned to a commit that bars",
        "a/base",
        NC,
        repos={"a/base": Repo(files=files(), revisions={OTHER_COMMIT: under("cc-by-nc-4.0").files})},
        revision=OTHER_COMMIT,
    ),
)

METADATA: tuple[Case, ...] = (
    dirty(
        "a parent known to the Hub's tree alone",
        "a/one",
        NC,
        repos={"a/one": Repo(files=files(), api={"baseModels": {"relation": "finetune", "models": [{"id": DEV}]}})},
    ),
    dirty(
        "a quantised parent in the tags of the Hub alone",
        "a/one",
        NC,
        repos={"a/one": Repo(files=files(), api={"tags": [f"base_model:{DEV}", f"base_model:quantized:{DEV}"]})},
    ),
    dirty(
        "a parent in the card data of the Hub alone",
        "a/one",
        f"{NC} tag_contradicts_hub",
        repos={"a/one": Repo(files=files(), card_data={"license": "apache-2.0", "base_model": DEV})},
    ),
    dirty(
        "a tag on the Hub that the card lacks",
        "a/one",
        "tag_contradicts_hub",
        repos={"a/one": Repo(files=files(), api={"tags": ["license:cc-by-nc-4.0"]})},
    ),
    dirty(
        "a list of tags on the Hub",
        "a/one",
        "tag_contradicts_hub tag_ambiguous hub_bad_answer",
        repos={"a/one": Repo(files=files(), card_data={"license": ["cc-by-nc-4.0"]})},
    ),
    dirty(
        "a licence name on the Hub that the card lacks",
        "a/one",
        "tag_contradicts_hub tag_contradicts_name tag_contradicts_text",
        repos={
            "a/one": Repo(
                files=files("license: other"), card_data={"license": "other", "license_name": "flux-1-dev-non-commercial-license"}
            )
        },
    ),
    dirty("disabled by a flag of the Hub", "a/one", "hub_disabled", repos={"a/one": Repo(files=files(), api={"disabled": True})}),
    dirty(
        "a parent in a key that is misspelt",
        "a/one",
        f"{NC} card_invalid card_key_unknown",
        repos={"a/one": Repo(files=files(f"{FRONT}\nbase_models: {DEV}"))},
    ),
    dirty(
        "a parent in a key with a hyphen",
        "a/one",
        f"{NC} card_invalid card_key_unknown",
        repos={"a/one": Repo(files=files(f"{FRONT}\nbase-model: {DEV}"))},
    ),
    dirty("a parent in a key in capitals", "a/one", NC, repos={"a/one": Repo(files=files(f"{FRONT}\nBase_Model: {DEV}"))}),
    dirty(
        "a parent that the body alone names",
        "a/one",
        f"{NC} card_body_names_barred ancestor_in_body copy_of_barred",
        repos={"a/one": Repo(files=files(body="Fine-tuned from FLUX.1-dev on three hundred drawings of leaves."))},
    ),
    dirty(
        "a parent that the body alone links",
        "a/one",
        f"{NC} card_body_names_barred ancestor_in_body copy_of_barred",
        repos={"a/one": Repo(files=files(body=f"Base model: [{DEV}](https://huggingface.co/{DEV})"))},
    ),
    dirty(
        "a second front matter in the body",
        "a/one",
        f"{NC} card_invalid card_ambiguous card_body_names_barred ancestor_in_body",
        repos={"a/one": Repo(files=with_files({"README.md": card() + f"\n---\nbase_model: {DEV}\n---\n"}))},
    ),
)

CASES = (*STRAY, *METADATA)
