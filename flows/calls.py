"""How a family's diffusers pipeline is called, in the words of the app; tests hold these tables against diffusers itself."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from serving.release.package import Pipeline
    from training.families import Family

# The pipeline that starts from a picture and is made of the same parts; families that are not here have no such pipeline.
IMAGE_TO_IMAGE: Mapping[str, str] = {
    "sd15": "StableDiffusionImg2ImgPipeline",
    "sdxl": "StableDiffusionXLImg2ImgPipeline",
    "sd3.5": "StableDiffusion3Img2ImgPipeline",
    "flux.1": "FluxImg2ImgPipeline",
    "qwen-image": "QwenImageImg2ImgPipeline",
    "chroma": "ChromaImg2ImgPipeline",
    "z-image": "ZImageImg2ImgPipeline",
}
# flux.2 takes no negative prompt; flux.1 takes one that has no effect at the guidance that it was trained with.
NO_NEGATIVE_PROMPT = frozenset({"flux.1", "flux.2", "flux.2-klein"})
# Prompts of unlike length change each other's pictures: they are padded in a call, and the denoiser reads the padding.
ONE_BY_ONE = frozenset({"kandinsky-5", "cogview4", "qwen-image-2.1"})


def called(family: "Family", *, image_to_image: bool = True) -> "Pipeline":
    """How the family's pipeline is called; with image-to-image where it is wanted and the family has it."""
    from serving.release.package import Pipeline

    options = dict(family.options)
    if family.guidance_argument == "true_cfg_scale":
        options["negative_prompt"] = " "  # without one these pipelines leave guidance out
    anywhere = SimpleNamespace(vae_scale_factor=8)  # only the names are wanted
    return Pipeline.model_validate(
        {
            "guidance_argument": family.guidance_argument,
            "options": options,
            "negative_prompt": family.name not in NO_NEGATIVE_PROMPT,
            "image_to_image": IMAGE_TO_IMAGE.get(family.name) if image_to_image else None,
            "batches": family.name not in ONE_BY_ONE,
            "sized_by": tuple(family.sized(anywhere, 64, 64)) if family.sized else (),
        }
    )
