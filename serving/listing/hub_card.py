"""The model card of an adapter whose weights are offered on the Hugging Face Hub, from its bundle and its verdict. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from serving.listing.licence import FREE, licence_of
from serving.listing.model_licence import Licence
from serving.listing.render import HUB_ID, HUB_LICENCES, markdown

WEIGHTS = "pytorch_lora_weights.safetensors"  # the name that diffusers' load_lora_weights looks for
LICENCE_FILE = "LICENSE.md"
NO_OWN = "no licence of its own, those of its parts hold"
CARD_SAMPLES = 8  # pictures that go along


@dataclass(frozen=True, kw_only=True, slots=True)
class Shared:
    """What a card is made of: the bundle's two records, the verdict as JSON, and what the job says.

    base: Hub id, or the name of a folder. samples: file in the repository by the evaluation's file. endpoint: where the adapter
    can be called, or None.
    """

    repo: str
    title: str
    summary: str
    base: str
    base_revision: str | None
    manifest: Mapping[str, Any]
    evaluation: Mapping[str, Any]
    verdict: Mapping[str, Any]
    adapter_licence: str | None
    tags: Sequence[str] = ()
    samples: Mapping[str, str]
    papers: Sequence[str] = ()
    endpoint: str | None = None


def card(shared: Shared) -> str:
    """README.md: YAML that the Hub reads, and what a person has to know before they use the weights."""
    import yaml

    licence = licence_of(shared.verdict)
    front = yaml.safe_dump(front_matter(shared, licence), sort_keys=False, allow_unicode=True, width=1000)
    body = (
        markdown()
        .get_template("HUB_CARD.md.j2")
        .render(
            shared=shared,
            manifest=shared.manifest,
            licence=licence,
            own=shared.adapter_licence or NO_OWN,
            weights=WEIGHTS,
            on_hub=HUB_ID.fullmatch(shared.base) is not None,
            loss=shared.evaluation["loss"],
            relative=percent(shared.evaluation["loss"]["relative"]),
            snippet=snippet(shared),
            samples=[(sample, shared.samples[sample["adapter"]]) for sample in pictures(shared)],
        )
    )
    return f"---\n{front}---\n\n{body}"


def licence_page(shared: Shared) -> str:
    """LICENSE.md: under what the weights come, where no single licence of the Hub's list says it all."""
    licence = licence_of(shared.verdict)
    return markdown().get_template("HUB_LICENSE.md.j2").render(shared=shared, licence=licence, own=shared.adapter_licence or NO_OWN)


def front_matter(shared: Shared, licence: Licence) -> dict[str, Any]:
    """The YAML. A base that is no Hub id is left out: the Hub would link it to somebody else's model."""
    front: dict[str, Any] = dict(licence_fields(licence, shared.adapter_licence))
    if HUB_ID.fullmatch(shared.base):
        front |= {"base_model": shared.base, "base_model_relation": "adapter"}
    front |= {"library_name": "diffusers", "pipeline_tag": "text-to-image"}
    front["tags"] = list(dict.fromkeys(("lora", "diffusers", "text-to-image", shared.manifest["family"], *shared.tags)))
    if trigger := shared.manifest.get("trigger"):
        front["instance_prompt"] = trigger
    front["widget"] = [
        {"text": sample["prompt"], "output": {"url": shared.samples[sample["adapter"]]}} for sample in pictures(shared)
    ]
    return front | {"model-index": [{"name": shared.title, "results": [results(shared)]}]}


def licence_fields(licence: Licence, own: str | None) -> dict[str, str]:
    """Never looser than a part: one licence of the Hub's list where all parts come under it or are free of terms, else `other`."""
    parts = {one.lower() for one in licence.ids}
    if own and own.lower() in HUB_LICENCES and parts <= {own.lower(), *FREE}:
        return {"license": own.lower()}
    named = dict.fromkeys(one for one in (own, *licence.ids) if one and one.lower() not in FREE)
    name = re.sub(r"[^a-z0-9.-]+", "-", "-and-".join(named).lower()).strip("-")
    return {"license": "other", "license_name": name or "own", "license_link": LICENCE_FILE}


def results(shared: Shared) -> dict[str, Any]:
    """One entry of the Hub's model-index: denoising loss on held-out pictures, of base and adapter, and what else was scored."""
    found, data = shared.evaluation, shared.manifest["dataset"]
    metrics = [
        {"type": "denoising-loss", "name": "Denoising loss, adapter", "value": found["loss"]["adapter"]},
        {"type": "denoising-loss", "name": "Denoising loss, base", "value": found["loss"]["base"]},
        {"type": "relative-loss", "name": "Change against the base", "value": found["loss"]["relative"]},
    ]
    return {
        "task": {"type": "text-to-image"},
        "dataset": {"type": "held-out", "name": f"{found['held_out']} held-out pictures of {data['source'] or 'the publisher'}"},
        "metrics": metrics,
    }


def pictures(shared: Shared) -> list[Mapping[str, Any]]:
    """Samples of the evaluation whose picture goes along."""
    return [sample for sample in shared.evaluation["samples"] if sample["adapter"] in shared.samples]


def snippet(shared: Shared) -> str:
    scale = float(shared.manifest["scale"])
    revision = f', revision="{shared.base_revision}"' if shared.base_revision and HUB_ID.fullmatch(shared.base) else ""
    settings = shared.manifest["inference"]
    prompt = pictures(shared)[0]["prompt"] if pictures(shared) else shared.title
    return "\n".join(
        (
            "from diffusers import DiffusionPipeline",
            "",
            f"pipe = DiffusionPipeline.from_pretrained({shared.base!r}{revision}, use_safetensors=True)",
            f'pipe.load_lora_weights("{shared.repo}", weight_name="{WEIGHTS}", adapter_name="adapter")',
            f'pipe.set_adapters("adapter", {scale:g})',
            f"picture = pipe({prompt!r}, num_inference_steps={settings['steps']}, guidance_scale={settings['guidance_scale']:g})",
            "picture.images[0].save('picture.png')",
        )
    )


def percent(share: float) -> str:
    return f"{100 * share:+.1f} %".replace("-", "−")
