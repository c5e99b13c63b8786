"""Components and accelerators: parts with rights of their own in a base that is clean."""

import json

from tests.licenses.adversarial.adapters import NC
from tests.licenses.adversarial.build import DEV, FRONT, bare, card, files, folder, index, safetensors, under, with_files
from tests.licenses.adversarial.case import Case, Folder, Repo, clean, dirty
from tests.licenses.adversarial.texts import APACHE, MIT, synthetic

NAMED = f"{NC} copy_of_barred origin_barred ancestor_unresolved json_invalid"
BASE = {"a/base": Repo(files=files())}


def of(id: str, change: dict[str, str | bytes | None], codes: str) -> Case:
    return dirty(f"part: {id}", folder(change), codes)


def with_part(id: str, role: str, part: str | Folder, codes: str, **repos: Repo) -> Case:
    return dirty(
        f"part: {id}",
        "a/base",
        codes,
        repos={**BASE, **{name.replace("__", "/"): repo for name, repo in repos.items()}},
        components={role: part},
    )


INSIDE: tuple[Case, ...] = (
    of("its own text that bars", {"text_encoder/LICENSE": synthetic("qwen-research")}, NC),
    of("its own text that nobody knows", {"vae/LICENSE.md": "For research."}, "text_unknown"),
    of("its own tag", {"text_encoder/README.md": card("license: cc-by-nc-4.0")}, "component_tag"),
    of("its own parent", {"transformer/README.md": card(f"{FRONT}\nbase_model: {DEV}")}, f"{NC} component_tag component_parent"),
    of(
        "its own ban in words",
        {"vae/README.md": "This autoencoder is for non-commercial use only."},
        "card_body_restricts component_tag",
    ),
    of("its own notice that bars", {"vae/NOTICE": "Non-commercial use only."}, "notice_restricts card_body_restricts text_unknown"),
    of(
        "a folder that no index names, with a card that bars",
        {"lora/README.md": card("license: cc-by-nc-4.0"), "lora/x.safetensors": safetensors({})},
        "component_tag card_body_restricts tag_contradicts_text card_ambiguous",
    ),
    of("a Gemma encoder", {"model_index.json": index(text_encoder=["transformers", "Gemma2Model"])}, "component_license"),
    of("a Gemma encoder by its config", {"text_encoder/config.json": '{"model_type": "gemma3_text"}'}, "component_license"),
    of("a T5Gemma encoder", {"model_index.json": index(text_encoder=["transformers", "T5GemmaEncoderModel"])}, "component_license"),
    of(
        "a PaliGemma encoder",
        {"text_encoder/config.json": '{"architectures": ["PaliGemmaForConditionalGeneration"]}'},
        "component_license",
    ),
    of(
        "a Gemma encoder inside of another config",
        {"text_encoder/config.json": '{"model_type": "leafnet", "text_config": {"model_type": "gemma3_text"}}'},
        "component_license",
    ),
    of("a ChatGLM encoder", {"model_index.json": index(text_encoder=["kolors", "ChatGLMModel"])}, "component_license"),
    of("an origin in the index", {"model_index.json": index(_name_or_path=DEV)}, NAMED),
    of("an origin in a config", {"transformer/config.json": json.dumps({"_name_or_path": DEV})}, NAMED),
    of(
        "an origin in a cache",
        {"vae/config.json": '{"_name_or_path": "/root/.cache/models--black-forest-labs--FLUX.2-dev/snapshots/ab/vae"}'},
        NAMED,
    ),
    of(
        "an origin with a folder behind it", {"transformer/config.json": json.dumps({"_name_or_path": f"{DEV}/transformer"})}, NAMED
    ),
    of("an origin as a link", {"transformer/config.json": json.dumps({"_name_or_path": f"https://huggingface.co/{DEV}"})}, NAMED),
    of(
        "an origin on somebody's disk",
        {"transformer/config.json": '{"_name_or_path": "/workspace/models/FLUX.1-dev/transformer"}'},
        NAMED,
    ),
    of("an origin on a disk of Windows", {"transformer/config.json": '{"_name_or_path": "D:\\\\models\\\\FLUX.1-dev"}'}, NAMED),
    of("an origin of research only", {"text_encoder/config.json": '{"_name_or_path": "Qwen/Qwen2.5-VL-3B-Instruct"}'}, NAMED),
    of(
        "an origin under another key",
        {"transformer/config.json": json.dumps({"_class_name": "FluxTransformer2DModel", "base_model_name_or_path": DEV})},
        NAMED,
    ),
    of(
        "a modular index that loads a barred part",
        {
            "modular_model_index.json": json.dumps(
                {
                    "transformer": [
                        "diffusers",
                        "FluxTransformer2DModel",
                        {"pretrained_model_name_or_path": DEV, "subfolder": "transformer"},
                    ]
                }
            )
        },
        NAMED,
    ),
    of(
        "a component written as a mapping",
        {"model_index.json": index(text_encoder={"class": "Gemma2Model"})},
        "json_invalid component_license",
    ),
    of("a role that leaves the folder", {"model_index.json": '{"../other": ["diffusers", "AutoencoderKL"]}'}, "json_invalid"),
    of(
        "a flood of roles",
        {"model_index.json": json.dumps({f"part_{number}": ["diffusers", "AutoencoderKL"] for number in range(60)})},
        "json_invalid",
    ),
    of("a config that does not parse", {"text_encoder/config.json": '{"model_type": "gem'}, "json_invalid"),
    of(
        "weights whose header names a barred model",
        {"transformer/model.safetensors": safetensors({"modelspec.architecture": "flux-1-dev", "modelspec.title": "leaves"})},
        f"{NAMED} header_of_barred",
    ),
    of(
        "weights whose header names a barred licence",
        {"transformer/model.safetensors": safetensors({"modelspec.license": "cc-by-nc-4.0"})},
        f"{NAMED} header_contradicts",
    ),
)

OUTSIDE: tuple[Case, ...] = (
    with_part("a barred encoder", "text_encoder", "Qwen/Qwen2.5-VL-3B-Instruct", NC),
    with_part("a copy of one that the catalogue knows", "text_encoder", "callgg/qwen2.5-vl-3b-it-bf16", NC),
    with_part("an accelerator that bars", "accelerator", "tianweiy/DMD2", NC),
    with_part(
        "an accelerator whose parent bars", "accelerator", "b/turbo", NC, b__turbo=Repo(files=bare(f"{FRONT}\nbase_model: {DEV}"))
    ),
    with_part("an accelerator of many bases", "accelerator", "ByteDance/Hyper-SD", "catalogue_restricts"),
    with_part(
        "an accelerator without a licence",
        "accelerator",
        "b/fast",
        "license_missing",
        b__fast=Repo(files={"model.safetensors": b""}),
    ),
    with_part("a safety checker that bars", "safety_checker", "b/checker", NC, b__checker=under("cc-by-nc-4.0")),
    with_part("an autoencoder by its tag alone", "vae", "b/vae", "license_text_missing", b__vae=Repo(files=bare(text=None))),
    with_part(
        "an autoencoder that leads back to the base",
        "vae",
        "b/vae",
        "ancestor_cycle",
        b__vae=Repo(files=bare(f"{FRONT}\nbase_model: b/vae")),
    ),
    with_part(
        "an encoder in a cycle of two",
        "text_encoder",
        "b/one",
        "ancestor_cycle",
        b__one=Repo(files=bare(f"{FRONT}\nbase_model: b/two")),
        b__two=Repo(files=bare(f"{FRONT}\nbase_model: b/one")),
    ),
    with_part("an encoder that is not there", "text_encoder", "b/nowhere", "hub_not_found"),
    with_part("a gated encoder", "text_encoder", "b/gated", "hub_gated", b__gated=Repo(files=bare(), fault="gated")),
    with_part(
        "an encoder in a folder that bars",
        "text_encoder",
        Folder(files={"LICENSE": synthetic("qwen-research")}, name="encoder"),
        NC,
    ),
    with_part("an encoder by a name that is nothing", "text_encoder", "not a name", "refused"),
    with_part(
        "a Llama encoder, users unknown",
        "text_encoder_4",
        "b/llama",
        "users_cap_unknown",
        b__llama=under("llama3.x", "license: llama3.1"),
    ),
    with_part("a part called dataset that bars", "dataset", "b/pics", f"{NC} hub_not_found refused", b__pics=under("cc-by-nc-4.0")),
    with_part(
        "a clean encoder and its dirty parent",
        "text_encoder",
        "b/enc",
        NC,
        b__enc=Repo(files=bare(f"{FRONT}\nbase_model: b/root")),
        b__root=under("qwen-research"),
    ),
)

CLEAN: tuple[Case, ...] = (
    clean(
        "part: an encoder from elsewhere",
        "a/base",
        repos={**BASE, "b/enc": Repo(files=bare("license: mit", MIT))},
        components={"text_encoder": "b/enc"},
    ),
    clean("part: an encoder in a folder", "a/base", repos=BASE, components={"text_encoder": Folder(files=bare(), name="encoder")}),
    clean(
        "part: a Gemma encoder with its own terms",
        "a/base",
        "FLOWDOWN",
        repos={
            "a/base": Repo(files=with_files({"model_index.json": index(text_encoder=["transformers", "Gemma2Model"])})),
            "google/gemma-2-2b": under("gemma", "license: gemma"),
        },
        components={"text_encoder": "google/gemma-2-2b"},
    ),
    clean(
        "part: a Llama encoder, users known",
        "a/base",
        "DISPLAY",
        repos={**BASE, "b/llama": under("llama3.x", "license: llama3.1")},
        components={"text_encoder_4": "b/llama"},
        publisher={"monthly_users": 5_000},
    ),
    clean(
        "part: an accelerator under rail",
        "a/base",
        "FLOWDOWN",
        repos={**BASE, "ByteDance/SDXL-Lightning": under("openrail++", "license: openrail++")},
        components={"accelerator": "ByteDance/SDXL-Lightning"},
    ),
    clean("part: a component with the same text", folder({"vae/LICENSE": APACHE})),
    clean("part: a component under MIT in a base under Apache", folder({"vae/LICENSE": MIT})),
    clean(
        "part: a component with a card of the same tag",
        folder({"vae/LICENSE": APACHE, "vae/notes.md": "The autoencoder, trained for a week."}),
    ),
    clean(
        "part: components that are not there",
        folder({"model_index.json": index(safety_checker=[None, None], feature_extractor=[None, None])}),
    ),
    clean(
        "part: flags in the index",
        folder({"model_index.json": index(requires_safety_checker=True, force_zeros_for_empty_prompt=1, is_distilled=False)}),
    ),
    clean(
        "part: a safety checker in the base",
        folder(
            {
                "model_index.json": index(safety_checker=["stable_diffusion", "StableDiffusionSafetyChecker"]),
                "safety_checker/config.json": '{"architectures": ["StableDiffusionSafetyChecker"]}',
            }
        ),
    ),
    clean(
        "part: origins inside of the base",
        folder(
            {
                "vae/config.json": '{"_name_or_path": "../vae"}',
                "text_encoder/config.json": '{"_name_or_path": "./text_encoder", "model_type": "qwen3"}',
            }
        ),
    ),
    clean("part: an origin that is clean", folder({"vae/config.json": '{"_name_or_path": "stabilityai/sdxl-vae"}'})),
    clean("part: weights with an ordinary header", folder({"transformer/model.safetensors": safetensors({"format": "pt"})})),
    clean(
        "part: HiDream with its encoder named",
        "HiDream-ai/HiDream-I1-Full",
        repos={
            "HiDream-ai/HiDream-I1-Full": Repo(files=with_files({"LICENSE": MIT}, "license: mit")),
            "b/llama": under("llama3.x", "license: llama3.1"),
        },
        components={"text_encoder_4": "b/llama"},
        publisher={"monthly_users": 5_000},
    ),
)

CASES = (*INSIDE, *OUTSIDE, *CLEAN)
