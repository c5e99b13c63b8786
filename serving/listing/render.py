"""From listing.json to what people read: page, card, about text, llms.txt and letter. Pure; hostile texts stay texts."""

import base64
import io
import re
from collections.abc import Mapping, Sequence
from functools import cache
from textwrap import fill
from typing import Any
from urllib.parse import quote

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

from serving.listing.banner import CARD, shown
from serving.listing.curves import Curve, sensitivity
from serving.listing.diff import HEADINGS, Change
from serving.listing.model import Example, Listing
from serving.listing.playground import address, policy, script
from serving.listing.snippets import FENCES, snippets

INLINE_SIDE = 640  # pixels; larger pictures travel in the page as a smaller JPEG, so that the page fits into a mail
HUB_LICENCES = frozenset(
    {
        "apache-2.0",
        "mit",
        "bsd-2-clause",
        "bsd-3-clause",
        "cc-by-4.0",
        "cc-by-sa-4.0",
        "cc0-1.0",
        "openrail",
        "openrail++",
        "unlicense",
    }
)
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
MARKDOWN = re.compile(r"([\\`*_{}\[\]<>#|~!])")


class Verbatim(str):
    """Text that a Markdown or plain template prints as it is: code, or a licence text inside a fence."""

    __slots__ = ()


def page(listing: Listing, files: Mapping[str, bytes], changes: Sequence[Change] = ()) -> str:
    """index.html: one file, pictures as data URIs, the playground's script inside, nothing fetched unless a reader asks for it."""
    given = {
        "src": lambda file: inlined(files[file]),
        "icon": icon(files[listing.metadata.thumbnail_url]),
        "policy": policy(listing),
        "script": Markup(script()),  # ours, the same on each page; its hash is in the policy
        "address": address(listing),
        "asked": [row for row in listing.api.input if row.control],
        "inline": any(row.name == "sync_mode" for row in listing.api.input),
    }
    return html().get_template("index.html.j2").render(**context(listing, changes), **given, rows=chart(listing))


def model_card(listing: Listing, changes: Sequence[Change] = ()) -> str:
    """MODEL_CARD.md with the front-matter that the Hugging Face Hub reads."""
    fields = front_matter(listing)
    front = yaml.safe_dump(fields, sort_keys=False, allow_unicode=True, width=120)
    return f"---\n{front}---\n\n" + markdown().get_template("MODEL_CARD.md.j2").render(**context(listing, changes), front=fields)


def about(listing: Listing) -> str:
    """about.md: the docstring of the root endpoint, which fal shows above the API."""
    return markdown().get_template("about.md.j2").render(**context(listing))


def llms_txt(listing: Listing, changes: Sequence[Change] = ()) -> str:
    """llms.txt: overview, pricing, input, output and usage, as plain as can be."""
    return plain().get_template("llms.txt.j2").render(**context(listing, changes))


def mail_body(listing: Listing, changes: Sequence[Change] = ()) -> str:
    """The letter itself, plain text."""
    return plain().get_template("request.txt.j2").render(**context(listing, changes))


def changelog_body(listing: Listing, changes: Sequence[Change], *, before: Listing, prices: Sequence[str]) -> str:
    """The letter between releases, plain text."""
    return plain().get_template("changelog.txt.j2").render(**context(listing, changes), before=before, prices=prices)


def pricing(listing: Listing) -> str:
    """PRICING.md, for the author alone: the sum behind the price."""
    return markdown().get_template("PRICING.md.j2").render(**context(listing), reckoning=listing.pricing.reckoning)


def pricing_plot(listing: Listing, curves: Mapping[str, Curve]) -> str:
    """pricing.svg: cost of a unit over volume, with the price that is asked."""
    title = f"Cost of a unit of {listing.metadata.display_name}, US dollars"
    return sensitivity(curves, price=listing.pricing.unit_price_usd, title=title)


def front_matter(listing: Listing) -> dict[str, Any]:
    """YAML of the card. A base that is no Hub id is left out: the Hub would link it to somebody else's model."""
    facts = listing.facts
    claim = listing.licence.claim
    front: dict[str, Any] = (
        {"license": claim} if claim in HUB_LICENCES else {"license": "other", "license_name": "served-not-distributed"}
    )
    if HUB_ID.fullmatch(facts.base):
        front |= {"base_model": facts.base, "base_model_relation": "adapter"}
    front |= {"library_name": "diffusers", "pipeline_tag": listing.metadata.category}
    front["tags"] = list(dict.fromkeys(("lora", "diffusers", facts.family, *listing.metadata.tags)))
    if facts.trigger:
        front["instance_prompt"] = facts.trigger
    usual = [example for example in listing.examples if example.role == "pair"]  # at the strength and with the words of a caller
    front["widget"] = [{"text": example.input["prompt"], "output": {"url": example.output.file}} for example in usual]
    return front | {"thumbnail": listing.metadata.thumbnail_url}


def context(listing: Listing, changes: Sequence[Change] = ()) -> dict[str, Any]:
    """What every template gets; `changes` are those since the release before."""
    return {
        "listing": listing,
        "card": listing.metadata,
        "facts": listing.facts,
        "licence": listing.licence,
        "release": listing.release,
        "pricing": listing.pricing,
        "shown": shown(listing.examples),
        "groups": grouped([example for example in listing.examples if example.role == "pair" and example.base]),
        "compared": [example for example in listing.examples if example.role == "pair" and example.base],
        "others": [example for example in listing.examples if example.role == "pair" and not example.base],
        "strengths": [example for example in listing.examples if example.role == "strength"],
        "untriggered": [example for example in listing.examples if example.role == "trigger"],
        "hard": [example for example in listing.examples if example.role == "hard"],
        "snippets": snippets(listing),
        "fences": FENCES,
        "changes": [(heading, [one for one in changes if one.weight == weight]) for weight, heading in HEADINGS.items()],
        "changed": bool(changes),
        "social": CARD,
    }


def grouped(examples: Sequence[Example]) -> list[tuple[str, list[Example]]]:
    """Examples of a prompt beside each other, seed by seed."""
    groups: dict[str, list[Example]] = {}
    for example in examples:
        groups.setdefault(str(example.input["prompt"]), []).append(example)
    return list(groups.items())


def chart(listing: Listing) -> list[dict[str, Any]]:
    """Held-out pictures by base loss, with the two dots of each row in percent of the track's width."""
    pictures = sorted(listing.facts.evaluation.per_picture, key=lambda picture: (-picture.base, picture.caption))
    losses = [loss for picture in pictures for loss in (picture.base, picture.adapter)]
    low, span = min(losses, default=0.0), (max(losses, default=1.0) - min(losses, default=0.0)) or 1.0
    return [
        {
            "picture": picture,
            "base": round(100 * (picture.base - low) / span, 2),
            "adapter": round(100 * (picture.adapter - low) / span, 2),
            "better": picture.adapter < picture.base,
        }
        for picture in pictures
    ]


def inlined(content: bytes) -> str:
    """A data URI of a picture; small ones as they are, large ones scaled down to INLINE_SIDE."""
    with Image.open(io.BytesIO(content)) as picture:
        kind, small = str(picture.format or "png").lower(), max(picture.size) <= INLINE_SIDE
        if not small:
            picture.thumbnail((INLINE_SIDE, INLINE_SIDE), Image.Resampling.LANCZOS)
            buffer = io.BytesIO()
            picture.convert("RGB").save(buffer, "JPEG", quality=88)
            kind, content = "jpeg", buffer.getvalue()
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def icon(content: bytes) -> str:
    """A data URI of a picture as a browser's tab shows it."""
    with Image.open(io.BytesIO(content)) as picture:
        small = picture.convert("RGB").resize((64, 64), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


@cache
def html() -> Environment:
    return environment(autoescape=True)


@cache
def markdown() -> Environment:
    """Every value is escaped for inline Markdown unless a template says `code` or `fenced`."""
    return environment(
        autoescape=False, finalize=lambda value: value if isinstance(value, Verbatim) else inline_markdown(str(value))
    )


@cache
def plain() -> Environment:
    return environment(
        autoescape=False, finalize=lambda value: value if isinstance(value, Verbatim) else " ".join(str(value).split())
    )


def environment(**options: Any) -> Environment:
    made = Environment(
        loader=PackageLoader("serving.listing"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        **options,
    )
    made.filters |= {"code": code, "fenced": fenced, "link": link, "wrapped": wrapped}
    return made


def inline_markdown(text: str) -> str:
    """One line of Markdown that shows `text` and nothing else."""
    return MARKDOWN.sub(r"\\\1", " ".join(text.split()))


def code(text: object) -> Verbatim:
    """An inline code span; backticks would end it, so they become apostrophes, and pipes stay out of table cells."""
    return Verbatim("`" + " ".join(str(text).split()).replace("`", "'").replace("|", "\\|") + "`")


def wrapped(text: object) -> Verbatim:
    """A paragraph of a letter: two spaces in, short enough for a mail window."""
    return Verbatim(fill(" ".join(str(text).split()), 92, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False))


def link(path: str) -> Verbatim:
    """A relative address inside of parentheses."""
    return Verbatim(quote(path))


def fenced(text: str, language: str = "") -> Verbatim:
    """A code block whose fence is longer than any run of backticks inside."""
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall(r"`+", text)), default=0))
    return Verbatim(f"{fence}{language}\n{text.rstrip()}\n{fence}")
