"""Page, card and texts: they parse, hostile texts stay texts, and no number stands there without a source."""

import base64
import hashlib
import io
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard
from PIL import Image

from serving.listing.lint import NUMBER
from serving.listing.model import Listing, dumped
from serving.listing.render import about, front_matter, inline_markdown, inlined, llms_txt, mail_body, model_card, page
from serving.listing.snippets import snippets
from tests.serving.listing.material import evaluation, files_in, listing_in

HOSTILE = "<script>alert(1)</script>\" onload='x' & | `code` [a](javascript:x) </title></style>"
VOID = {"meta", "link", "img", "input", "br"}


class Page(HTMLParser):
    """Tags with attributes, visible text, and whether every tag is closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.scripts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "script" in self.open:
            self.scripts.append(data)
        elif "style" not in self.open:
            self.words.append(data)

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def hostile(listing: Listing) -> Listing:
    """The listing with hostile text in title, description, tag, trigger, prompt, alt, caption and licence."""
    example = listing.examples[0]
    example = example.model_copy(update={"input": {**example.input, "prompt": HOSTILE}, "alt": HOSTILE})
    rows = tuple(row.model_copy(update={"caption": HOSTILE}) for row in listing.facts.evaluation.per_picture)
    node = listing.licence.nodes[0].model_copy(update={"id": HOSTILE, "license": HOSTILE})
    measured = listing.facts.evaluation.model_copy(update={"per_picture": rows})
    return listing.model_copy(
        update={
            "metadata": listing.metadata.model_copy(update={"display_name": HOSTILE, "description": HOSTILE, "tags": (HOSTILE,)}),
            "examples": (example, *listing.examples[1:]),
            "facts": listing.facts.model_copy(update={"trigger": HOSTILE, "evaluation": measured}),
            "licence": listing.licence.model_copy(update={"nodes": (node,)}),
        }
    )


def test_page_is_whole_and_alone(draft: Path) -> None:
    text = (draft / "index.html").read_text(encoding="utf-8")
    parsed = Page(text)
    assert parsed.open == []
    assert parsed.named("html") == [{"lang": "en"}]
    assert parsed.named("script") == [{}]
    (policy,) = [one["content"] or "" for one in parsed.named("meta") if one.get("http-equiv")]
    digest = base64.b64encode(hashlib.sha256("".join(parsed.scripts).encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}';" in policy
    assert "connect-src https://fal.run https://127.0.0.1:* https://localhost:*;" in policy
    sources = [attributes["src"] or "" for attributes in parsed.named("img")]
    assert sources
    assert all(source.startswith("data:image/") for source in sources)
    assert all((link["href"] or "").startswith(("#", "data:")) for link in (*parsed.named("a"), *parsed.named("link")))
    assert "url(" not in text
    assert policy.startswith("default-src 'none'; ")


def test_page_can_be_heard(draft: Path) -> None:
    parsed = Page((draft / "index.html").read_text(encoding="utf-8"))
    assert all((attributes.get("alt") or "").strip() for attributes in parsed.named("img"))
    levels = [int(tag[1]) for tag, _ in parsed.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    ids = [attributes["id"] for _, attributes in parsed.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = {(link["href"] or "")[1:] for link in parsed.named("a")} | {label["for"] for label in parsed.named("label")}
    assert targets <= set(ids)


def test_hostile_text_stays_text_on_the_page(draft: Path) -> None:
    plain = Page(page(listing_in(draft), files_in(draft)))
    attacked = Page(page(hostile(listing_in(draft)), files_in(draft)))
    assert attacked.scripts == plain.scripts
    assert not [attributes for _, attributes in attacked.tags if any(name.startswith("on") for name in attributes)]
    assert [tag for tag, _ in attacked.tags].count("li") == [tag for tag, _ in plain.tags].count("li") - 1  # one tag instead of two
    assert HOSTILE in "".join(attacked.words)


@pytest.mark.parametrize("write", [model_card, about])
def test_hostile_text_stays_text_in_markdown(draft: Path, write: Any) -> None:
    _, _, body = write(hostile(listing_in(draft))).rpartition("\n---\n")
    outside = re.sub(r"(?ms)^(`{3,}).*?^\1$", "", body)  # code blocks show what they hold
    outside = re.sub(r"`[^`\n]*`", "", outside)
    assert not re.search(r"(?<!\\)<script", outside)
    assert not re.search(r"(?<!\\)\]\(javascript", outside)


def test_markdown_values_keep_to_one_line() -> None:
    assert inline_markdown("# a\n\n| b |") == r"\# a \| b \|"


def numbers(text: str) -> set[float]:
    return {float(number.replace(",", "")) for number in NUMBER.findall(text) if number.count(".") < 2}


@pytest.mark.parametrize("name", ["page", "card", "about", "llms", "mail"])
def test_every_number_is_in_listing_json(draft: Path, name: str) -> None:
    listing = listing_in(draft)
    written = {
        "page": lambda: " ".join(Page(page(listing, files_in(draft))).words),
        "card": lambda: model_card(listing),
        "about": lambda: about(listing),
        "llms": lambda: llms_txt(listing),
        "mail": lambda: mail_body(listing),
    }[name]()
    # [0] in a snippet is a place in a list, not a claim
    assert numbers(written.replace('["images"][0]', "").replace("images[0]", "")) - numbers(dumped(listing)) == set()


def test_numbers_are_the_computed_ones(draft: Path) -> None:
    measured = evaluation()
    words = " ".join(Page((draft / "index.html").read_text(encoding="utf-8")).words)
    better = sum(row["adapter"] < row["base"] for row in measured["per_picture"])
    assert f"{measured['loss']['base']:.4f}" in words
    assert f"{measured['loss']['adapter']:.4f}" in words
    assert f"−{abs(measured['loss']['relative']):.1%}".replace("%", " %") in words
    assert f"{better} of 20" in words


def test_no_folder_of_the_author_is_shown(draft: Path) -> None:
    shown = {name: content for name, content in files_in(draft).items() if not name.startswith(("receipts/", "examples/"))}
    assert [name for name, content in shown.items() if b"/home/author" in content] == []


def test_card_has_the_front_matter_of_the_hub(draft: Path) -> None:
    data = ModelCard((draft / "MODEL_CARD.md").read_text(encoding="utf-8")).data.to_dict()
    assert data["license"] == "other"
    assert data["license_name"] == "served-not-distributed"
    assert data["pipeline_tag"] == "text-to-image"
    assert data["tags"][:1] == ["lora"]
    assert data["instance_prompt"] == "softclay"
    assert [entry["output"]["url"] for entry in data["widget"]] == [
        example.output.file for example in listing_in(draft).examples if example.role == "pair"
    ]
    assert "base_model" not in data  # a folder is no id on the Hub


def test_card_names_a_base_of_the_hub(draft: Path) -> None:
    listing = listing_in(draft)
    facts = listing.facts.model_copy(update={"base": "studio/tiny-base"})
    front = front_matter(listing.model_copy(update={"facts": facts}))
    assert (front["base_model"], front["base_model_relation"]) == ("studio/tiny-base", "adapter")


def test_hostile_front_matter_is_still_the_same_yaml(draft: Path) -> None:
    data = ModelCard(model_card(hostile(listing_in(draft)))).data.to_dict()
    assert data["instance_prompt"] == HOSTILE
    assert data["widget"][0]["text"] == HOSTILE


def test_licence_text_with_a_fence_stays_in_its_block(draft: Path) -> None:
    card = (draft / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "\n````\nPermission is granted to test.\n```\n" in card


def test_snippets_are_code(draft: Path) -> None:
    code = snippets(hostile(listing_in(draft)))
    compile(code["Python"], "snippet", "exec")
    assert code["cURL"].startswith("curl https://fal.run/studio/clay ")
    assert '"Authorization: Key $FAL_KEY"' in code["cURL"]


def test_large_pictures_travel_smaller() -> None:
    buffer = io.BytesIO()
    Image.linear_gradient("L").resize((1024, 512)).save(buffer, "PNG")
    head, _, payload = inlined(buffer.getvalue()).partition(",")
    assert head == "data:image/jpeg;base64"
    with Image.open(io.BytesIO(base64.b64decode(payload))) as small:
        assert small.size == (640, 320)


def test_bare_listing_renders(draft: Path) -> None:
    """No trigger, interval, base side, notices, health or date: what is not there is not claimed."""
    listing = listing_in(draft)
    bare = [example.model_copy(update={"base": None, "real": None}) for example in listing.examples[:1]]
    measured = listing.facts.evaluation.model_copy(
        update={"interval": None, "better": None, "per_picture": (), "champion": None, "measures": ()}
    )
    licence = listing.licence.model_copy(update={"notices": (), "notice_lines": (), "display_lines": (), "duties": ()})
    listing = listing.model_copy(
        update={
            "examples": tuple(bare),
            "facts": listing.facts.model_copy(update={"trigger": None, "prompting": (), "evaluation": measured, "speed": None}),
            "licence": licence,
            "metadata": listing.metadata.model_copy(update={"tags": (), "date": None}),
            "release": listing.release.model_copy(update={"health": {}, "revision": None, "target": "fal"}),
        }
    )
    text = " ".join(Page(page(listing, files_in(draft))).words)
    for absent in ("trigger", "Bootstrap", "bootstrap", "same prompt with the same seed", "Notices", "Health", "not on fal"):
        assert absent not in text, absent
    assert all(write(listing) for write in (model_card, about, llms_txt, mail_body))


def contrast(one: str, other: str) -> float:
    """WCAG contrast ratio of two #rrggbb colours."""

    def luminance(colour: str) -> float:
        parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
        red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_in(draft: Path, scheme: str) -> None:
    text = (draft / "index.html").read_text(encoding="utf-8")
    light, dark = re.findall(r":root \{(.*?)\}", text, flags=re.S)[:2]
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", light if scheme == "light" else dark))
    pairs = [(front, back) for front in ("ink", "soft", "accent") for back in ("ground", "raised", "sunk")]
    pairs += [("on-accent", "accent"), ("good", "good-ground"), ("warn", "warn-ground")]
    assert [
        (pair, contrast(*(colours[name] for name in pair))) for pair in pairs if contrast(*(colours[name] for name in pair)) < 4.5
    ] == []


def test_tables_of_the_card_have_the_same_cells_in_each_row(draft: Path) -> None:
    card = re.sub(r"(?ms)^(`{3,}).*?^\1$", "", (draft / "MODEL_CARD.md").read_text(encoding="utf-8"))
    tables = [block.splitlines() for block in re.findall(r"(?m)(?:^\|.*\|$\n?)+", card)]
    assert len(tables) >= 6
    assert [rows[0] for rows in tables if len({len(re.split(r"(?<!\\)\|", row)) for row in rows}) != 1] == []
    assert all(set(rows[1]) <= set("|-") for rows in tables)
    assert "strength 0.5 |" in card
