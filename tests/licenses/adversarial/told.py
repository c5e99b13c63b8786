"""Parents told between the lines of a card, and models that are only mentioned."""

from tests.licenses.adversarial.build import DEV, FRONT, bare, files, folder
from tests.licenses.adversarial.case import Case, Repo, clean, dirty
from tests.licenses.adversarial.places import NC


def told(id: str, body: str, codes: str = NC) -> Case:
    return dirty(f"told: {id}", folder(body=body), codes)


def mentioned(id: str, body: str, **fields: object) -> Case:
    return clean(f"mentioned: {id}", "a/leaves", **({"repos": {"a/leaves": Repo(files=files(body=body))}} | fields))  # type: ignore[arg-type]


BETWEEN_THE_LINES: tuple[Case, ...] = (
    told("unlike others", "Unlike most models it was fine-tuned from FLUX.1-dev."),
    told("not just", "Not just another merge: fine-tuned from FLUX.1-dev."),
    told("no tricks", "No prompt tricks needed, it is finetuned on FLUX.1-dev with love."),
    told(
        "after many words",
        "Fine-tuned for three weeks on eight GPUs with a rate of 1e-5 and batches of 64, starting from the weights of FLUX.1-dev.",
    ),
    told("on the next line", "Fine-tuned from\nFLUX.1-dev on drawings."),
    told("in a list", "Base model:\n\n- FLUX.1-dev"),
    told("in a table", "| Base | Steps |\n|---|---|\n| FLUX.1-dev | 4000 |"),
    told("in a table of fields", "| Field | Value |\n|---|---|\n| Base model | FLUX.1-dev |"),
    told("by one word", "Base: FLUX.1-dev"),
    told("as the backbone", "Backbone: FLUX.1 [dev]"),
    told("as what it was trained on", "Trained on Flux.1 Dev with ai-toolkit."),
    told("as what it is", "This is FLUX.1-dev with new colours."),
    told("as its weights", "The transformer weights are those of FLUX.1-dev, the text encoder is ours."),
    told("as its teacher", "Distilled with FLUX.1-dev as the teacher."),
    told(
        "in code that loads it", f"```python\npipe = FluxPipeline.from_pretrained('{DEV}')\npipe.load_lora_weights('a/leaves')\n```"
    ),
    told("as a derivative", "This model is a derivative of FLUX.1-dev by Black Forest Labs."),
    told("as one of two", "Merge of SDXL and FLUX.1-dev at 0.5."),
    told("as the file of its weights", "Weights: flux1-dev.safetensors, renamed."),
    told("in a footnote", "A new model[^1].\n\n[^1]: FLUX.1-dev, tuned."),
    told("as its family", "Family: FLUX.1-dev. License: Apache 2.0."),
    told("in German", "Feinabgestimmt auf Basis von FLUX.1-dev."),
    told("in Chinese", "本模型基于 FLUX.1-dev 微调。"),
    told("in Japanese", "FLUX.1-dev をベースにファインチューニングしました。"),
    told("in French", "Affiné à partir de FLUX.1-dev."),
)

CLEAN: tuple[Case, ...] = (
    mentioned("its trainer", "Fine-tuned with kohya-ss/sd-scripts and ostris/ai-toolkit on one GPU."),
    mentioned(
        "a link of its trainer", "Trained with [ai-toolkit](https://github.com/ostris/ai-toolkit), based on huggingface/diffusers."
    ),
    mentioned(
        "its quantised versions",
        "Quantized versions of this model: [a/leaves-gguf](https://huggingface.co/a/leaves-gguf)",
        repos={
            "a/leaves": Repo(
                files=files(body="Quantized versions of this model: [a/leaves-gguf](https://huggingface.co/a/leaves-gguf)")
            ),
            "a/leaves-gguf": Repo(files=bare(f"{FRONT}\nbase_model: a/leaves")),
        },
    ),
    mentioned("a LoRA trained on it", "A LoRA trained on this model: https://huggingface.co/x/leaf-lora"),
    mentioned("a distilled version", "The distilled version of this model is at https://huggingface.co/a/leaves-turbo."),
    mentioned("a demo", "Try the demo based on it: https://huggingface.co/spaces/a/leaves"),
    mentioned("a rival", "In our test people preferred it to FLUX.1-dev in 54 % of cases."),
    mentioned("a rival in a table", "| Model | Licence |\n|---|---|\n| FLUX.1-dev | no paid use |\n| Leaves | Apache-2.0 |"),
    mentioned("an autoencoder of a clean kin", "It is compatible with the autoencoder of FLUX.1-schnell."),
    mentioned("a paper", "The method is based on the paper 'Flow matching for leaves' (arXiv 2401.00001)."),
    mentioned("steps and files", "Converted from leaves.ckpt to leaves.safetensors with a script of our own, on 2026-01-02."),
    mentioned(
        "a parent that is clean",
        "Fine-tuned from b/root on our own drawings.",
        repos={
            "a/leaves": Repo(files=files(f"{FRONT}\nbase_model: b/root", "Fine-tuned from b/root on our own drawings.")),
            "b/root": Repo(files=bare()),
        },
    ),
)

CASES = (*BETWEEN_THE_LINES, *CLEAN)
