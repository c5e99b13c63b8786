"""Cards as tools and teams write them: whole pages that bar nothing, and the same pages with the one line that does."""

from tests.licenses.adversarial.build import DEV, FRONT, bare, files, folder
from tests.licenses.adversarial.case import Case, Folder, Repo, clean, dirty
from tests.licenses.adversarial.texts import synthetic

TEAM = """## Introduction

Leaves is a 12 billion parameter rectified flow transformer that draws leaves from text descriptions.

## Key features

1. Sharp output and good prompt following, close to closed-source alternatives.
2. Trained with step distillation, so that 1 to 4 steps are enough.
3. Released under the Apache-2.0 license: the model can be used for personal, scientific, and commercial purposes.

## Usage

```shell
pip install -U diffusers
```

```python
from diffusers import ZImagePipeline
pipe = ZImagePipeline.from_pretrained("a/leaves", torch_dtype=torch.bfloat16)
pipe.enable_model_cpu_offload()  # not needed with 24 GB
image = pipe("a leaf holding a sign that says hello", guidance_scale=0.0, num_inference_steps=4).images[0]
```

### API endpoints

The model is also available via API from our partners, see [our page](https://leaves.example/api).

## Limitations

- This model is not intended or able to provide factual information.
- As a statistical model it might amplify existing societal biases.
- The model may fail to generate output that matches the prompts.

## Out-of-scope use

The model and its derivatives may not be used

- in any way that violates any applicable law or regulation;
- to exploit or harm minors;
- to generate false information with the purpose of harming others;
- for fully automated decision making that adversely impacts an individual's legal rights.
"""
RAIL = """This model is open to all, under a CreativeML OpenRAIL-M license that specifies rights and usage:

1. You can't use the model to deliberately produce or share illegal or harmful content.
2. The authors claim no rights on the outputs you generate; you are free to use them and accountable for their use.
3. You may redistribute the weights and use the model commercially and as a service. If you do, you have to include the same use
   restrictions as in the license and share a copy of it with all your users.
"""
TRAINER = """# leaves

Model trained with AI Toolkit by a hobbyist.

<Gallery />

## Trigger words

You should use `leaf style` to trigger the image generation.

## Download model and use it with ComfyUI, AUTOMATIC1111, SD.Next, Invoke AI, etc.

Weights for this model are available in Safetensors format.

[Download](/a/leaves/tree/main) them in the Files & versions tab.
"""
SCRIPT = """# LoRA text2image fine-tuning - a/leaves

These are LoRA adaption weights for {base}. The weights were fine-tuned on our own drawings of leaves.

LoRA for the text encoder was enabled: False.

## License

{license}
"""
PAPER = """Official weights of the paper "Leaves by flow matching" (arXiv 2401.00001).

| Method | FID | CLIP | Parameters |
|---|---|---|---|
| FLUX.1-dev | 9.1 | 0.31 | 12 B |
| Stable Diffusion 3.5 Large | 10.2 | 0.30 | 8 B |
| Ours | 30.2 | 0.25 | 8 M |

We thank the authors of diffusers and of FLUX. Our method is compatible with FLUX.1-dev, on which we ran no training.

## Ethics

Our institution's review board approved the study; no personal data was used, and participants were paid for their time.
"""

CLEAN: tuple[Case, ...] = (
    clean("a page of a team", folder(body=TEAM)),
    clean(
        "a page of a team, on the Hub",
        "black-forest-labs/FLUX.1-schnell",
        repos={"black-forest-labs/FLUX.1-schnell": Repo(files=files(body=TEAM))},
    ),
    clean(
        "a page that explains rail",
        Folder(files=bare("license: creativeml-openrail-m", synthetic("creativeml-openrail-m"), RAIL)),
        "FLOWDOWN",
    ),
    clean("a page of a trainer", "a/leaves", repos={"a/leaves": Repo(files=files(body=TRAINER))}),
    clean(
        "a page of a script, over a clean base",
        "a/leaves",
        repos={
            "a/leaves": Repo(
                files=bare(
                    f"{FRONT}\nbase_model: b/root\ntags: [lora, text-to-image]",
                    body=SCRIPT.format(base="b/root", license="Apache-2.0."),
                )
            ),
            "b/root": Repo(files=files()),
        },
    ),
    clean("a page of a paper", folder(body=PAPER)),
    clean(
        "a page of a gate that asks who one is",
        folder(
            front=f"{FRONT}\nextra_gated_heading: Tell us who you are\n"
            "extra_gated_prompt: This counts readers.\nextra_gated_fields:\n  Name: text\n  I will follow the law: checkbox\n"
            "extra_gated_button_content: Send"
        ),
    ),
    clean(
        "a page with a widget of prompts",
        folder(
            front=f"{FRONT}\nwidget:\n- text: 'a shop sign that says not for sale'\n- text: 'a poster against whaling for sale'\n"
            "instance_prompt: leaf style"
        ),
    ),
)
DIRTY: tuple[Case, ...] = (
    dirty(
        "a page of a team whose list bars a thing more",
        folder(body=TEAM.rstrip() + "\n- for any commercial purpose without our written consent.\n"),
        "card_body_restricts",
    ),
    dirty(
        "a page of a team whose feature takes it back",
        folder(body=TEAM.replace("commercial purposes", "non-commercial purposes")),
        "card_body_restricts",
    ),
    dirty(
        "a page that explains rail and takes it back",
        Folder(
            files=bare(
                "license: creativeml-openrail-m",
                synthetic("creativeml-openrail-m"),
                RAIL.replace(
                    "use the model commercially and as a service", "use the model, but not commercially and not as a service"
                ),
            )
        ),
        "card_body_restricts",
    ),
    dirty("a page of a script, over a barred base", folder(body=SCRIPT.format(base=DEV, license="Apache-2.0.")), "non_commercial"),
    dirty(
        "a page of a script that points at the licence of a barred base",
        folder(
            body=SCRIPT.format(
                base="our base",
                license=f"Please adhere to the licensing terms as described [here](https://huggingface.co/{DEV}/blob/main/LICENSE.md)",
            )
        ),
        "non_commercial body_contradicts_text",
    ),
    dirty(
        "a page of a script that points at conditions",
        folder(
            body=SCRIPT.format(
                base="our base",
                license="Please adhere to the terms [here](https://huggingface.co/stabilityai/stable-diffusion-3-medium/blob/main/LICENSE)",
            )
        ),
        "revenue_cap_unknown registration_missing body_contradicts_text",
    ),
    dirty(
        "a page of a trainer that was trained on a barred base",
        "a/leaves",
        "non_commercial",
        repos={
            "a/leaves": Repo(
                files=files(
                    body=TRAINER
                    + f"\n```py\npipe = AutoPipelineForText2Image.from_pretrained('{DEV}')\npipe.load_lora_weights('leaves')\n```\n"
                )
            )
        },
    ),
    dirty(
        "a page of a paper whose method was trained on a barred model",
        folder(body=PAPER.replace("on which we ran no training", "from which our weights were distilled")),
        "non_commercial",
    ),
)

CASES = (*CLEAN, *DIRTY)
