"""Look-alike names: copies, mirrors, squatters, and names that only resemble."""

from tests.licenses.adversarial.build import DEV, FRONT, bare, child, files, folder, under
from tests.licenses.adversarial.case import Case, Folder, Repo, clean, dirty

COPY = "copy_of_barred parent_unnamed"


def copy(repo: str, codes: str = COPY) -> Case:
    """A repository of this name with clean evidence of its own."""
    return dirty(f"a copy called {repo}", repo, codes, repos={repo: Repo(files=files())})


def own(repo: str) -> Case:
    return clean(f"a model called {repo}", repo, repos={repo: Repo(files=files())})


COPIES: tuple[Case, ...] = (
    copy("somebody/FLUX.1-dev"),
    copy("somebody/flux-1-dev"),
    copy("somebody/FLUX_1_DEV_bf16"),
    copy("somebody/flux1-dev-bnb-nf4"),
    copy("somebody/FLUX.1-dev-gguf"),
    copy("somebody/FLUX.1-dev-fp8"),
    copy("somebody/flux-dev-fp8"),
    copy("somebody/FLUX.l-dev"),
    copy("somebody/FIUX.1-dev"),
    copy("black-forest-lab/FLUX.1-dev"),
    copy("black_forest_labs/FLUX.1-dev"),
    copy("black-forest-1abs/FLUX.1-Kontext-dev"),
    copy("somebody/FLUX.2-klein-9B-Q4_K_M"),
    copy("somebody/Qwen-Image-2.1-int8"),
    copy("somebody/qwen2.5-vl-3b-instruct-bf16"),
    copy("somebody/Kolors-bf16"),
    copy("somebody/kolors-diffusers-fp16"),
    copy("somebody/stable-diffusion-3.5-large-bf16"),
    copy("somebody/stable-diffusion-3-medium-gguf"),
    copy("somebody/sdxl-turbo-fp16"),
    copy("somebody/LTX-2-fp8"),
    copy("somebody/FIBO-fp8"),
    copy("somebody/CogVideoX-5b-int8"),
    copy("somebody/HunyuanVideo-gguf"),
    copy("somebody/noobai-XL-1.0-pruned"),
    copy("somebody/Juggernaut-XL-v9-fp16"),
    copy("somebody/DMD2-rank64"),
    copy("somebody/Flux1.Dev"),
    copy("somebody/flux-kontext-dev-gguf"),
    copy("somebody/FLUX-Fill-dev-fp8"),
    copy("somebody/hunyuan_image_3.0"),
    copy("somebody/HunyuanDiT-v1.2-Diffusers-Distilled"),
    copy("somebody/sd3.5-large"),
    copy("somebody/SD3-medium"),
    copy("somebody/klein-9B"),
    copy("somebody/ponyDiffusionV6XL"),
    copy("somebody/NoobAI-XL"),
    copy("somebody/LTX-Video-fp16"),
    copy("somebody/Kolors"),
    dirty("a folder called as a barred model", Folder(files=folder().files, name="FLUX.1-dev"), COPY),
    dirty("a folder called as a mirror of one", Folder(files=folder().files, name="models--black-forest-labs--FLUX.1-dev"), COPY),
    dirty(
        "a squatted parent",
        "a/one",
        COPY,
        repos={"a/one": child("black-forest-lab/FLUX.1-dev"), "black-forest-lab/FLUX.1-dev": Repo(files=bare())},
    ),
    dirty(
        "a mirror as a component",
        "a/base",
        COPY,
        repos={"a/base": Repo(files=files()), "m/Qwen2.5-VL-3B-Instruct-AWQ": Repo(files=bare())},
        components={"text_encoder": "m/Qwen2.5-VL-3B-Instruct-AWQ"},
    ),
    dirty("a barred id in other letters", "BLACK-FOREST-LABS/flux.1-dev", "non_commercial"),
    dirty("a barred id behind hf", f"hf://{DEV}@main", "non_commercial"),
    dirty("a barred id with a line break", f"{DEV}\n", "refused non_commercial"),
    dirty("a barred id with a slash at its end", f"{DEV}/", "refused non_commercial"),
    dirty("a barred id in wide letters", "black-forest-labs/ＦＬＵＸ.1-dev", "refused non_commercial"),
    dirty("a barred id with a foreign letter", "black-forest-labs/FLUX.1-dеv", "refused non_commercial"),
    dirty("a barred id with hyphens that do not break", "black‑forest‑labs/FLUX.1‑dev", "refused non_commercial"),
    dirty("a name longer than a path can be", "x" * 5_000, "refused"),
    dirty("a barred id as a link", f"https://huggingface.co/{DEV}", "refused non_commercial"),
    dirty("a barred id with its type", f"models/{DEV}", "refused non_commercial"),
    dirty(
        "a barred id in a revision",
        "hf://a/base@../../black-forest-labs/FLUX.1-dev",
        "refused hub_revision_not_found",
        repos={"a/base": Repo(files=files())},
    ),
    dirty("a new name for a barred model", "a/fresh", "non_commercial", repos={"a/fresh": Repo(files=files(), name=DEV)}),
    dirty("a new name for a copy of one", "a/fresh", COPY, repos={"a/fresh": Repo(files=files(), name="b/FLUX.1-dev-copy")}),
    dirty(
        "a repository that was removed",
        "runwayml/stable-diffusion-v1-5",
        "license_forbids license_unclear catalogue_restricts",
        repos={"runwayml/stable-diffusion-v1-5": Repo(files=files())},
    ),
    dirty(
        "a tag that lies where the catalogue knows better",
        "Kwai-Kolors/Kolors",
        "registration_missing users_cap_unknown",
        repos={"Kwai-Kolors/Kolors": Repo(files=files())},
    ),
    dirty(
        "a licence that changed under a known name",
        "stabilityai/stable-diffusion-xl-base-1.0",
        "license_changed",
        repos={"stabilityai/stable-diffusion-xl-base-1.0": Repo(files=files())},
    ),
    dirty(
        "a ban that the catalogue alone knows",
        "RunDiffusion/Juggernaut-XL-v9",
        "catalogue_restricts",
        repos={"RunDiffusion/Juggernaut-XL-v9": under("openrail++", "license: openrail++")},
    ),
    dirty(
        "a known base that needs an encoder from elsewhere",
        "HiDream-ai/HiDream-I1-Full",
        "component_missing",
        repos={"HiDream-ai/HiDream-I1-Full": under("mit", "license: mit")},
        publisher={"monthly_users": 5},
    ),
)

CLEAN: tuple[Case, ...] = (
    own("somebody/FLUX.1-schnell-mini"),
    own("somebody/klein-4B-emoji"),
    own("somebody/animated-z-image"),
    own("somebody/Qwen-Image-Lightning"),
    own("somebody/development-of-flux"),
    own("somebody/leaf-kolorist"),
    own("somebody/wan-2.2-leaves"),
    own("somebody/my.model_v2-final"),
    own("somebody/flux-capacitor"),
    own("somebody/qwen-leaf"),
    own("somebody/klein-bottle"),
    own("somebody/fibonacci-leaves"),
    own("somebody/gemmatology"),
    own("somebody/stable-leaves-v1.5"),
    own("leafworks/leaf-diffusion-xl-base-1.0"),
    clean(
        "an offered base by its own evidence",
        "black-forest-labs/FLUX.2-klein-base-4B",
        repos={"black-forest-labs/FLUX.2-klein-base-4B": Repo(files=files(), card_data={"license": "apache-2.0"})},
    ),
    clean(
        "an offered base in other letters",
        "BLACK-FOREST-LABS/flux.2-KLEIN-base-4b",
        repos={"black-forest-labs/FLUX.2-klein-base-4B": Repo(files=files())},
    ),
    clean(
        "schnell, a sister of a barred one",
        "black-forest-labs/FLUX.1-schnell",
        repos={"black-forest-labs/FLUX.1-schnell": Repo(files=files())},
    ),
    clean(
        "a fine-tune of schnell",
        "a/tuned",
        repos={"a/tuned": child("black-forest-labs/FLUX.1-schnell"), "black-forest-labs/FLUX.1-schnell": Repo(files=files())},
    ),
    clean(
        "SDXL by its own text, its card read by a person",
        "stabilityai/stable-diffusion-xl-base-1.0",
        "FLOWDOWN",
        repos={
            "stabilityai/stable-diffusion-xl-base-1.0": Repo(
                files=under("openrail++", f"{'license: openrail++'}").files
                | {"README.md": "---\nlicense: openrail++\n---\nThe model is intended for research purposes only.\n"}
            )
        },
    ),
    clean("Z-Image", "Tongyi-MAI/Z-Image-Turbo", repos={"Tongyi-MAI/Z-Image-Turbo": Repo(files=files())}),
    clean("a name with hf in front", "hf://a/base@main", repos={"a/base": Repo(files=files())}),
    clean("a new name whose catalogue row is clean", "a/old", repos={"a/old": Repo(files=files(), name="a/OLD")}),
)
assert FRONT

CASES = (*COPIES, *CLEAN)
