"""Where evidence hides: odd kinds of files, limits, lone weights files, and data that a card names."""

import json

from tests.licenses.adversarial.build import DEV, FRONT, bare, card, files, folder, index, safetensors
from tests.licenses.adversarial.case import LINKS_ITSELF, PIPE, Case, Folder, Repo, clean, dirty
from tests.licenses.adversarial.texts import APACHE, MIT, synthetic

NC = "non_commercial"
NAMED = f"{NC} copy_of_barred file_of_barred header_of_barred ancestor_unresolved"
CARD = {"README.md": card(), "LICENSE": APACHE}
BAN = "For non-commercial use only."


def lone(
    id: str, codes: str, header: dict[str, str], beside: dict[str, str | bytes] | None = None, name: str = "leaves.safetensors"
) -> Case:
    return dirty(f"lone file: {id}", Folder(files={name: safetensors(header), **(beside or {})}, file=name), codes)


FILES: tuple[Case, ...] = (
    dirty("a card that is a pipe", folder({"README.md": PIPE}), "file_unreadable"),
    dirty("a second text that is a pipe", folder({"LICENSE-MODEL": PIPE}), "file_unreadable"),
    dirty("a text that links to itself", folder({"LICENSE": LINKS_ITSELF}), "file_unreadable"),
    dirty("a second text that links to itself", folder({"LICENSE-MODEL": LINKS_ITSELF}), "file_unreadable"),
    dirty(
        "a second text as JSON under a longer name",
        folder({"LICENSE-NC.json": '{"use": "research"}'}),
        "text_not_plain text_unknown",
    ),
    dirty(
        "a second text as YAML under a longer name",
        folder({"MODEL_LICENSE_v2.yaml": "use: research"}),
        "text_not_plain text_unknown",
    ),
    dirty(
        "a second text as a picture in vectors",
        folder({"LICENSE.svg": "<svg><text>Non-commercial</text></svg>"}),
        "text_not_plain text_unknown",
    ),
    dirty(
        "a second text packed", folder({"LICENSE-MODEL.gz": b"\x1f\x8b\x08\x00abc"}), "text_not_utf8 text_not_plain text_unknown"
    ),
    dirty(
        "a card far below that bars",
        folder({"lora/style/README.md": card("license: cc-by-nc-4.0", BAN)}),
        "card_body_restricts component_tag tag_contradicts_text",
    ),
    dirty(
        "a card of a part in other letters that bars",
        folder({"vae/Readme.md": card("license: cc-by-nc-4.0", BAN)}),
        "card_body_restricts component_tag tag_contradicts_text card_ambiguous",
    ),
    dirty(
        "the ninth adapter config names a barred base",
        folder(
            {f"style{number}/adapter_config.json": '{"base_model_name_or_path": "a/clean"}' for number in range(8)}
            | {"style9/adapter_config.json": json.dumps({"base_model_name_or_path": DEV})}
        ),
        f"{NC} hub_not_found texts_too_many",
    ),
    dirty(
        "the fortieth card below bars",
        folder({f"part{number:02}/README.md": "Leaves." for number in range(39)} | {"zz/README.md": BAN}),
        "card_body_restricts texts_too_many",
    ),
    dirty(
        "the seventieth weights file names a barred model",
        folder(
            {f"unet/part-{number:02}.safetensors": safetensors({}) for number in range(69)}
            | {"unet/zz.safetensors": safetensors({"modelspec.architecture": "flux-1-dev"})}
        ),
        f"{NAMED} texts_too_many headers_too_many",
    ),
    dirty(
        "an index below that loads Gemma",
        folder({"pipeline/model_index.json": index(text_encoder=["transformers", "Gemma2Model"])}),
        "component_license json_invalid",
    ),
    dirty(
        "an index below that was saved from a barred model", folder({"pipeline/model_index.json": index(_name_or_path=DEV)}), NAMED
    ),
    dirty(
        "a licence in a config",
        folder({"transformer/config.json": json.dumps({"_class_name": "ZImageTransformer2DModel", "license": "cc-by-nc-4.0"})}),
        "config_contradicts component_tag header_contradicts json_invalid tag_contradicts_text component_license",
    ),
    dirty(
        "a licence in the index",
        folder({"model_index.json": index(license="cc-by-nc-4.0")}),
        "config_contradicts header_contradicts json_invalid tag_contradicts_text",
    ),
    dirty("a tokenizer of a barred model", folder({"tokenizer/tokenizer_config.json": json.dumps({"name_or_path": DEV})}), NAMED),
    dirty("a link without a scheme", folder(front=f"{FRONT}\nlicense_link: //leaves.example/LICENSE"), "link_off_hub link_broken"),
    dirty(
        "a link with another scheme",
        folder(front=f"{FRONT}\nlicense_link: ftp://leaves.example/LICENSE"),
        "link_off_hub link_broken",
    ),
    dirty(
        "a link to a host that looks like a licence's",
        folder(front=f"{FRONT}\nlicense_link: https://www.apache.org.leaves.example/licenses/LICENSE-2.0"),
        "link_off_hub link_broken",
    ),
    dirty(
        "a link with a user in front of the host",
        folder(front=f"{FRONT}\nlicense_link: https://www.apache.org@leaves.example/licenses/LICENSE-2.0"),
        "link_off_hub link_broken",
    ),
)

LONE: tuple[Case, ...] = (
    lone("no licence beside", "file_without_license license_missing", {}),
    lone("a card alone beside", "file_without_license license_text_missing", {}, {"README.md": card()}),
    lone("a text that bars beside", NC, {}, {"LICENSE": synthetic("cc-by-nc-4.0")}),
    lone("a text that nobody knows beside", "text_unknown", {}, {"LICENSE": "Ask Jane."}),
    lone("its head names a barred base", NAMED, {"ss_sd_model_name": "flux1-dev.safetensors"}, CARD),
    lone("its head names a barred base by its id", NAMED, {"lorasmith.base": DEV}, CARD),
    lone("its head names a barred architecture", NAMED, {"modelspec.architecture": "flux-1-dev/lora"}, CARD),
    lone("its head names another licence", "header_contradicts", {"modelspec.license": "cc-by-nc-4.0"}, CARD),
    lone(
        "its head says non-commercial",
        "header_contradicts header_restricts card_body_restricts",
        {"modelspec.usage_hint": BAN},
        CARD,
    ),
    lone(
        "its head has a description that bars",
        "header_contradicts header_restricts card_body_restricts",
        {"modelspec.description": f"Leaves. {BAN}"},
        CARD,
    ),
    lone(
        "its head has a comment of its trainer that bars",
        "header_contradicts header_restricts card_body_restricts",
        {"ss_training_comment": BAN},
        CARD,
    ),
    lone("its name is that of a barred model", NAMED, {}, CARD, name="flux1-dev-fp8.safetensors"),
    lone("a card beside names a barred base", NC, {}, {"README.md": card(f"{FRONT}\nbase_model: {DEV}"), "LICENSE": APACHE}),
    dirty(
        "lone file: its head is broken",
        Folder(files={"leaves.safetensors": b"\xff" * 20, **CARD}, file="leaves.safetensors"),
        "header_invalid",
    ),
    dirty(
        "lone file: its head is longer than the file",
        Folder(files={"leaves.safetensors": b"\x00\x10\x00\x00\x00\x00\x00\x00{}", **CARD}, file="leaves.safetensors"),
        "header_invalid",
    ),
)

DATA: tuple[Case, ...] = (
    dirty(
        "data in a card: non-commercial",
        "a/base",
        f"data_non_commercial {NC}",
        repos={
            "a/base": Repo(files=files(f"{FRONT}\ndatasets: [p/pics]")),
            "p/pics": Repo(files=bare("license: cc-by-nc-4.0", synthetic("cc-by-nc-4.0")), kind="dataset"),
        },
    ),
    dirty(
        "data in a card: no derivatives",
        "a/base",
        "data_no_derivatives license_unclear",
        repos={
            "a/base": Repo(files=files(f"{FRONT}\ndatasets:\n- p/pics")),
            "p/pics": Repo(files=bare("license: cc-by-nd-4.0", None), kind="dataset"),
        },
    ),
    dirty(
        "data in a card: no licence",
        "a/base",
        "data_license_missing license_missing",
        repos={
            "a/base": Repo(files=files(f"{FRONT}\ndatasets: p/pics")),
            "p/pics": Repo(files={"README.md": "Leaves."}, kind="dataset"),
        },
    ),
    dirty(
        "data in a card: a source that bars",
        "a/base",
        f"data_non_commercial {NC}",
        repos={
            "a/base": Repo(files=files(f"{FRONT}\ndatasets: [p/pics]")),
            "p/pics": Repo(files=bare("license: cc-by-4.0\nsource_datasets: [p/origin]", None), kind="dataset"),
            "p/origin": Repo(files=bare("license: cc-by-nc-4.0", None), kind="dataset"),
        },
    ),
    dirty(
        "data in a card of a parent: non-commercial",
        "a/base",
        f"data_non_commercial {NC}",
        repos={
            "a/base": Repo(files=files(f"{FRONT}\nbase_model: b/root")),
            "b/root": Repo(files=bare(f"{FRONT}\ndatasets: [p/pics]")),
            "p/pics": Repo(files=bare("license: cc-by-nc-4.0", None), kind="dataset"),
        },
    ),
    dirty(
        "data in tags of the Hub alone: non-commercial",
        "a/base",
        f"data_non_commercial {NC}",
        repos={
            "a/base": Repo(files=files(), api={"tags": ["dataset:p/pics", "license:apache-2.0"]}),
            "p/pics": Repo(files=bare("license: cc-by-nc-4.0", None), kind="dataset"),
        },
    ),
)

CLEAN: tuple[Case, ...] = (
    clean(
        "lone file: card and text beside", Folder(files={"leaves.safetensors": safetensors({}), **CARD}, file="leaves.safetensors")
    ),
    clean(
        "lone file: an ordinary head",
        Folder(
            files={
                "leaves.safetensors": safetensors({"format": "pt", "modelspec.title": "Leaves", "modelspec.license": "Apache-2.0"}),
                **CARD,
            },
            file="leaves.safetensors",
        ),
    ),
    clean(
        "seventy weights files",
        folder({f"transformer/part-{number:05}-of-00070.safetensors": safetensors({"format": "pt"}) for number in range(70)}),
    ),
    clean("a notice in a part that credits", folder({"vae/NOTICE": "Autoencoder, copyright 2024 Jane Doe."})),
    clean("a card in a part", folder({"vae/README.md": card(FRONT, "The autoencoder.")})),
    clean("a card below of another matter", folder({"assets/README.md": "Pictures for the card, all drawn by the model."})),
    clean(
        "a link to itself on the Hub",
        "a/base",
        repos={"a/base": Repo(files=files(f"{FRONT}\nlicense_link: https://huggingface.co/a/base/blob/main/LICENSE"))},
    ),
    clean(
        "a link to its parent's text",
        "a/base",
        repos={
            "a/base": Repo(
                files=files(f"{FRONT}\nbase_model: b/root\nlicense_link: https://huggingface.co/b/root/blob/main/LICENSE")
            ),
            "b/root": Repo(files=bare()),
        },
    ),
    clean(
        "a chosen licence of two",
        folder({"LICENSE": None, "LICENSE-APACHE": APACHE, "LICENSE-MIT": MIT}, "license: Apache-2.0 OR MIT"),
        publisher={"license_choices": {"model": "apache-2.0"}},
    ),
    clean(
        "data in a card: permissive by its tag",
        "a/base",
        repos={
            "a/base": Repo(files=files(f"{FRONT}\ndatasets: [p/pics]")),
            "p/pics": Repo(files=bare("license: cc-by-4.0", None), kind="dataset"),
        },
    ),
    clean(
        "data in a card: with its text",
        "a/base",
        repos={"a/base": Repo(files=files(f"{FRONT}\ndatasets:\n- p/pics")), "p/pics": Repo(files=bare(), kind="dataset")},
    ),
    clean("hub: a file in chunks", "a/base", repos={"a/base": Repo(files=files(), fault="chunked")}),
)

CASES = (*FILES, *LONE, *DATA, *CLEAN)
