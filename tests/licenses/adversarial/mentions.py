"""Barred models in one sentence each: what a model was made of, and what it is only compared with."""

from tests.licenses.adversarial.build import page
from tests.licenses.adversarial.case import Case, clean, dirty

MADE_OF = (
    "A FLUX.1-dev fine-tune.",
    "Flux dev LoRA, merged.",
    "LoRA for Flux Dev.",
    "My first Flux.1 D checkpoint!",
    "This checkpoint merges FLUX.1-dev with my own LoRAs.",
    "De-distilled FLUX.1-dev.",
    "FLUX.1-dev without the guidance distillation.",
    "An fp8 version of FLUX.1-dev.",
    "Pruned FLUX.1-dev.",
    "FLUX.1-dev converted to diffusers format.",
    "A copy of black-forest-labs/FLUX.1-dev, because the original is gated.",
    "Mirror of FLUX.1-dev.",
    "Re-upload of FLUX.1 [dev].",
    "FLUX.1-dev + FLUX.1-schnell, 50:50.",
    "The text encoder of Qwen-Image-2.1 was kept.",
    "Initialised with the weights of FLUX.1-dev.",
    "Weights were taken from FLUX.1-dev and changed by 3 %.",
    "Student of FLUX.1-dev.",
    "Knowledge distillation: teacher FLUX.1-dev.",
    "We started training at FLUX.1-dev.",
    "Full parameter tuning of Kolors on leaves.",
    "Noob AI XL merge.",
    "Made from Pony Diffusion V6 XL.",
    "Illustrious based checkpoint.",
    "SD3.5 Large finetune.",
    "ControlNet for FLUX.1-dev.",
    "IP-Adapter of FLUX.1-dev with leaf images.",
)
COMPARED = (
    "Prompts from the FLUX.1-dev model card were used for the comparison.",
    "Images in the gallery of rivals were made with FLUX.1-dev and are shown for comparison only.",
    "It works with the same samplers as FLUX.1-dev.",
    "LoRAs of FLUX.1-dev do not work with this model.",
    "Do not load FLUX.1-dev LoRAs with it.",
    "We compare with SDXL, FLUX.1-dev and Stable Diffusion 3.5 Large.",
    "Users rated it above FLUX.1-dev.",
    "As in FLUX.1-dev, rotary embeddings are used.",
    "The architecture follows that of FLUX.1-dev, trained from scratch.",
    "Trained from scratch; no weights of FLUX.1-dev were used.",
    "It is not based on FLUX.1-dev.",
    "This model is not a fine-tune of FLUX.1-dev or any other model.",
    "No part of FLUX.1-dev was used in training.",
    "Unlike FLUX.1-dev, it may be used commercially.",
    "FLUX.1-dev needs 50 steps, this one 4.",
    "For larger pictures use FLUX.1-dev instead.",
    "Inspired by FLUX.1-dev and SD3.",
    "The size of FLUX.1-dev is 12 B, ours 8 M.",
    "Our VAE is from FLUX.1-schnell, which is Apache-2.0.",
    "Related models: FLUX.1-dev, Qwen-Image-2.1, HunyuanImage-3.0.",
    "See also SDXL Turbo and Kolors.",
    "Cites: Black Forest Labs, FLUX.1-dev, 2024.",
)
BARRED = frozenset(
    {
        *("non_commercial", "license_forbids", "catalogue_restricts"),
        *("revenue_cap_unknown", "registration_missing", "users_cap_unknown", "weights_not_public"),
    }
)

CASES: tuple[Case, ...] = (
    *(dirty(f"made of: {text}", page(text), " ".join(sorted(BARRED))) for text in MADE_OF),
    *(clean(f"compared: {text}", page(text)) for text in COMPARED),
)
