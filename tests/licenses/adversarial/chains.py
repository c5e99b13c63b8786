"""Laundering: a clean-looking repository whose ancestors are not clean."""

import itertools
from collections.abc import Mapping

from tests.licenses.adversarial.build import DEV, FRONT, bare, child, files, folder, under, with_files
from tests.licenses.adversarial.case import Case, Repo, clean, dirty
from tests.licenses.adversarial.texts import MIT

NC = "non_commercial"
OTHER_COMMIT = "89abcdef0123456789abcdef0123456789abcdef"


def line(*hops: str, last: Repo) -> Mapping[str, Repo]:
    """Repositories that each name the next as their parent, and the last one as given."""
    return {hop: child(of) for hop, of in itertools.pairwise(hops)} | {hops[-1]: last}


LAUNDERED: tuple[Case, ...] = (
    dirty("one hop to a barred model", "a/one", NC, repos={"a/one": child(DEV)}),
    dirty("two hops to a barred model", "a/one", NC, repos=line("a/one", "b/two", last=child(DEV))),
    dirty("three hops to a barred model", "a/one", NC, repos=line("a/one", "b/two", "c/three", last=child(DEV))),
    dirty("four hops to a barred model", "a/one", NC, repos=line("a/one", "b/two", "c/three", "d/four", last=child(DEV))),
    dirty("one hop to a text that bars", "a/one", NC, repos=line("a/one", "b/root", last=under("cc-by-nc-4.0"))),
    dirty("two hops to a text that bars", "a/one", NC, repos=line("a/one", "b/two", "c/root", last=under("flux-nc-2.1"))),
    dirty(
        "three hops to a text that bars",
        "a/one",
        NC,
        repos=line("a/one", "b/two", "c/three", "d/root", last=under("sdxl-0.9-research")),
    ),
    dirty(
        "four hops to a text that bars",
        "a/one",
        NC,
        repos=line("a/one", "b/two", "c/three", "d/four", "e/root", last=under("qwen-research")),
    ),
    dirty(
        "a clean parent and a barred one",
        "a/merge",
        NC,
        repos={"a/merge": Repo(files=files(f"{FRONT}\nbase_model:\n- b/clean\n- {DEV}")), "b/clean": Repo(files=bare())},
    ),
    dirty(
        "a merge whose third parent bars",
        "a/merge",
        NC,
        repos={
            "a/merge": Repo(files=files(f"{FRONT}\nbase_model: [b/one, c/two, d/three]\nbase_model_relation: merge")),
            "b/one": Repo(files=bare()),
            "c/two": Repo(files=bare()),
            "d/three": under("cc-by-nc-sa-4.0"),
        },
    ),
    dirty(
        "a parent whose card says non-commercial and whose text is gone",
        "a/one",
        f"{NC} license_text_missing",
        repos=line("a/one", "b/root", last=Repo(files=bare("license: cc-by-nc-4.0", None))),
    ),
    dirty(
        "a parent whose conditions the publisher does not meet",
        "a/one",
        "revenue_cap_unknown registration_missing",
        repos=line("a/one", "b/root", last=under("stability-community")),
    ),
    dirty(
        "a parent under copyleft for networks, weights kept private",
        "a/one",
        "weights_not_public",
        barred=("host_paid_inference",),
        repos=line("a/one", "b/root", last=under("faipl-1.0-sd")),
    ),
    dirty("a local folder over a barred parent", folder(front=f"{FRONT}\nbase_model: {DEV}"), NC),
    dirty(
        "a local folder over a clean parent over a barred one",
        folder(front=f"{FRONT}\nbase_model: b/two"),
        NC,
        repos={"b/two": child(DEV)},
    ),
    dirty(
        "a quantised child that calls itself MIT",
        "a/q4",
        NC,
        repos={"a/q4": child(f"{DEV}\nbase_model_relation: quantized", "license: mit", MIT)},
    ),
    dirty(
        "a merge that calls itself a quantisation",
        "a/m",
        NC,
        repos={"a/m": child(f"[b/clean, {DEV}]\nbase_model_relation: quantized"), "b/clean": Repo(files=bare())},
    ),
    dirty(
        "an adapter repository merged into its base",
        "a/lora",
        NC,
        repos={"a/lora": child(f"{DEV}\nbase_model_relation: adapter\ntags: [lora]")},
    ),
    dirty("a barred parent in capitals", "a/one", NC, repos={"a/one": child("BLACK-FOREST-LABS/flux.1-DEV")}),
    dirty(
        "a parent under its old name",
        "a/one",
        NC,
        repos={"a/one": child("b/old-name"), "b/old-name": Repo(files=bare(), name=DEV)},
    ),
    dirty(
        "a parent that has moved to a barred one",
        "a/one",
        f"{NC} hub_bad_answer hub_renamed",
        repos={
            "a/one": child("b/moved"),
            "b/moved": Repo(files=bare(), fault="moved", name="c/now"),
            "c/now": under("cc-by-nc-4.0"),
        },
    ),
    dirty(
        "an adapter config that names a barred base",
        "a/peft",
        NC,
        repos={"a/peft": Repo(files=with_files({"adapter_config.json": f'{{"base_model_name_or_path": "{DEV}"}}'}))},
    ),
    dirty(
        "an adapter config that names a list",
        "a/peft",
        f"{NC} json_invalid ancestor_unresolved",
        repos={"a/peft": Repo(files=with_files({"adapter_config.json": f'{{"base_model_name_or_path": ["{DEV}"]}}'}))},
    ),
    dirty(
        "an adapter config with a path of somebody's disk",
        "a/peft",
        f"{NC} ancestor_unresolved copy_of_barred",
        repos={"a/peft": Repo(files=with_files({"adapter_config.json": '{"base_model_name_or_path": "/mnt/models/FLUX.1-dev"}'}))},
    ),
    dirty(
        "an adapter config deeper down",
        "a/peft",
        NC,
        repos={"a/peft": Repo(files=with_files({"transformer/adapter_config.json": f'{{"base_model_name_or_path": "{DEV}"}}'}))},
    ),
)

CLEAN: tuple[Case, ...] = (
    clean("a chain of one", "a/one", repos={"a/one": child("b/root"), "b/root": Repo(files=bare())}),
    clean("a chain of two", "a/one", repos=line("a/one", "b/two", "c/root", last=Repo(files=bare()))),
    clean(
        "a chain of three with MIT at its root",
        "a/one",
        repos=line("a/one", "b/two", "c/three", "d/root", last=Repo(files=bare("license: mit", MIT))),
    ),
    clean("a chain of four", "a/one", repos=line("a/one", "b/two", "c/three", "d/four", "e/root", last=Repo(files=bare()))),
    clean(
        "a diamond",
        "a/top",
        repos={
            "a/top": child("[b/left, b/right]"),
            "b/left": child("c/root"),
            "b/right": child("c/root"),
            "c/root": Repo(files=bare()),
        },
    ),
    clean(
        "a merge of two",
        "a/m",
        repos={
            "a/m": child("[b/one, b/two]\nbase_model_relation: merge"),
            "b/one": Repo(files=bare()),
            "b/two": Repo(files=bare("license: mit", MIT)),
        },
    ),
    clean("a quantised child", "a/q", repos={"a/q": child("b/root\nbase_model_relation: quantized"), "b/root": Repo(files=bare())}),
    clean("a parent in other letters", "a/one", repos={"a/one": child("B/ROOT"), "b/root": Repo(files=bare())}),
    clean("no parents in a list", "a/one", repos={"a/one": child("[]")}),
    clean("no parent at all", "a/one", repos={"a/one": child("null")}),
    clean(
        "a parent that metadata and card both name",
        "a/one",
        repos={
            "a/one": Repo(
                files=bare(f"{FRONT}\nbase_model: b/root"),
                card_data={"license": "apache-2.0", "base_model": "b/root"},
                api={
                    "tags": ["base_model:b/root", "base_model:finetune:b/root", "license:apache-2.0"],
                    "baseModels": {"relation": "finetune", "models": [{"id": "b/root"}]},
                    "gated": False,
                    "disabled": False,
                },
            ),
            "b/root": Repo(files=bare()),
        },
    ),
    clean(
        "a child that claims less than its parent keeps the parent's duties",
        "a/one",
        "FLOWDOWN LICENSE_COPY",
        repos={"a/one": child("b/root"), "b/root": under("openrail++", "license: openrail++")},
    ),
    clean("a folder over a parent on the Hub", folder(front=f"{FRONT}\nbase_model: b/root"), repos={"b/root": Repo(files=bare())}),
    dirty(
        "an adapter config that names nothing",
        "a/one",
        "parent_unnamed ancestor_unresolved",
        repos={"a/one": Repo(files=with_files({"adapter_config.json": '{"base_model_name_or_path": null, "r": 8}'}))},
    ),
    clean(
        "an adapter config that names a clean base",
        "a/one",
        repos={
            "a/one": Repo(files=with_files({"adapter_config.json": '{"base_model_name_or_path": "b/root"}'})),
            "b/root": Repo(files=bare()),
        },
    ),
    clean(
        "pinned to a clean commit while another bars",
        "a/base",
        repos={"a/base": Repo(files=files(), revisions={OTHER_COMMIT: under("cc-by-nc-4.0").files})},
        revision="main",
    ),
    clean(
        "a dataset of the same name as the base, itself clean",
        "a/leaves",
        repos={"a/leaves": Repo(files=files())},
        dataset=folder({"dataset.yaml": "license: own"}),
    ),
)

CASES = (*LAUNDERED, *CLEAN)
