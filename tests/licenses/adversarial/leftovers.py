"""What trainers, clones and downloads leave behind: pointers, links of git, settings of a run, cards of checkpoints."""

import json

from tests.licenses.adversarial.build import DEV, FRONT, bare, card, files, folder, index, with_files
from tests.licenses.adversarial.case import Case, Folder, Repo, clean, dirty
from tests.licenses.adversarial.texts import APACHE, MIT, synthetic

NC = "non_commercial"
NAMED = f"{NC} copy_of_barred ancestor_unresolved ancestor_in_body"
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 4096\n"
KOHYA = f'pretrained_model_name_or_path = "{DEV}"\noutput_name = "leaves"\nmax_train_steps = 2000\n'
TOOLKIT = (
    f"job: extension\nconfig:\n  process:\n  - type: sd_trainer\n    model:\n      name_or_path: {DEV}\n      quantize: true\n"
)

CASES: tuple[Case, ...] = (
    dirty(
        "a card that is a pointer", folder({"README.md": POINTER}), "card_is_pointer text_is_pointer card_invalid file_unreadable"
    ),
    dirty("a second text that is a pointer", folder({"LICENSE-MODEL": POINTER}), "text_is_pointer"),
    dirty("an index that is a pointer", folder({"model_index.json": POINTER}), "json_invalid"),
    dirty(
        "a card that is a link of git to one that bars",
        folder({"README.md": "docs/README.md", "docs/README.md": card("license: cc-by-nc-4.0")}),
        "card_body_restricts component_tag tag_contradicts_text card_ambiguous",
    ),
    dirty(
        "a card that is a link of git to one with a barred parent",
        folder({"README.md": "docs/README.md", "docs/README.md": card(f"{FRONT}\nbase_model: {DEV}")}),
        NAMED,
    ),
    dirty(
        "a checkpoint with a card of its own",
        folder(
            {
                "checkpoint-500/README.md": card(f"base_model: {DEV}\nlibrary_name: peft"),
                "checkpoint-500/adapter_model.safetensors": b"",
            }
        ),
        f"{NAMED} component_parent header_invalid",
    ),
    dirty("a config at the top from somebody's disk", folder({"config.json": '{"_name_or_path": "/data/flux1-dev"}'}), NAMED),
    dirty("the settings of a run in YAML", folder({"config.yaml": TOOLKIT}), NAMED),
    dirty("the settings of a run in TOML", folder({"leaves.toml": KOHYA}), NAMED),
    dirty(
        "the settings of a run in JSON", folder({"training_args.json": json.dumps({"pretrained_model_name_or_path": DEV})}), NAMED
    ),
    dirty(
        "a component that is a pipeline with a foreign encoder",
        "a/base",
        "component_license",
        repos={
            "a/base": Repo(files=files()),
            "b/pipe": Repo(files=with_files({"model_index.json": index(text_encoder=["kolors", "ChatGLMModel"])})),
        },
        components={"text_encoder": "b/pipe"},
    ),
    dirty(
        "a component that is a pipeline with a text that bars inside",
        "a/base",
        NC,
        repos={
            "a/base": Repo(files=files()),
            "b/pipe": Repo(files=with_files({"text_encoder/LICENSE": synthetic("qwen-research")})),
        },
        components={"text_encoder": "b/pipe"},
    ),
    dirty(
        "two cards in one list of the Hub",
        "a/base",
        "card_ambiguous",
        repos={"a/base": Repo(files=with_files({"readme.md": card("license: cc-by-nc-4.0")}))},
    ),
    dirty(
        "a parent whose part bars",
        "a/one",
        NC,
        repos={
            "a/one": Repo(files=bare(f"{FRONT}\nbase_model: b/root")),
            "b/root": Repo(files=with_files({"vae/LICENSE": synthetic("cc-by-nc-4.0")})),
        },
    ),
    dirty(
        "a chosen licence where the other text lies there alone",
        Folder(files={"README.md": card("license: Apache-2.0 OR CC-BY-NC-4.0"), "LICENSE": synthetic("cc-by-nc-4.0")}),
        f"{NC} tag_contradicts_text license_text_missing",
        publisher={"license_choices": {"model": "apache-2.0"}},
    ),
    dirty(
        "a chosen licence that nobody offers",
        Folder(files=bare("license: cc-by-nc-4.0", synthetic("cc-by-nc-4.0"))),
        NC,
        publisher={"license_choices": {"model": "apache-2.0"}},
    ),
    dirty(
        "a chosen licence where both have to hold",
        Folder(files=bare("license: Apache-2.0 AND CC-BY-NC-4.0")),
        "licenses_together tag_ambiguous tag_unknown tag_contradicts_text",
        publisher={"license_choices": {"model": "apache-2.0"}},
    ),
    dirty(
        "a choice for another asset",
        Folder(files={"README.md": card("license: Apache-2.0 OR MIT"), "LICENSE-APACHE": APACHE, "LICENSE-MIT": MIT}),
        "tag_ambiguous texts_disagree license_choice_missing licenses_offered license_choice",
        publisher={"license_choices": {"other": "apache-2.0"}},
    ),
    clean(
        "the settings of a run on a clean base",
        folder(
            {"config.yaml": TOOLKIT.replace(DEV, "b/root"), "leaves.toml": KOHYA.replace(DEV, "b/root")},
            f"{FRONT}\nbase_model: b/root",
        ),
        repos={"b/root": Repo(files=bare())},
    ),
    clean(
        "a checkpoint with a card of a clean base",
        folder(
            {"checkpoint-500/README.md": card(f"{FRONT}\nbase_model: b/root\nlibrary_name: peft")}, f"{FRONT}\nbase_model: b/root"
        ),
        repos={"b/root": Repo(files=bare())},
    ),
    clean("weights that are pointers", folder({"transformer/model.safetensors": POINTER})),
    clean(
        "a config at the top of its own class", folder({"config.json": '{"_class_name": "ZImagePipeline", "_name_or_path": "./"}'})
    ),
)
