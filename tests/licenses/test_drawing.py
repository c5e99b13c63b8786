"""The drawn graph: whole, escaped, self-contained, and its verdicts readable without colours."""

import re
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree

import pytest

from licenses.check import check
from licenses.drawing import mermaid, svg
from tests.licenses.loopback_hub import LoopbackHub
from tests.licenses.test_folder import GOOD
from tests.licenses.test_graph import PLAIN, child

SVG = "{http://www.w3.org/2000/svg}"
ODD = "a/<script>alert('x')</script>\"&]--> end\u202e\x07"


def node(id: str, verdict: str, **fields: Any) -> dict[str, Any]:
    return {
        "id": id,
        "role": "base",
        "license": "mit",
        "verdicts": {"train_adapter": verdict, "host_paid_inference": "allow"},
    } | fields


def drawn(nodes: list[dict[str, Any]], edges: list[tuple[str, str, str]]) -> dict[str, Any]:
    uses = {use: {"verdict": "block", "reasons": [], "duties": []} for use in ("train_adapter", "host_paid_inference")}
    return {"nodes": nodes, "edges": [{"from": one, "to": other, "relation": kind} for one, other, kind in edges], "uses": uses}


ALL = drawn(
    [
        node("a/top", "duties"),
        node("b/left", "allow"),
        node("b/right", "conditional"),
        node("c/root", "block"),
        node("d/alone", "allow"),
    ],
    [
        ("a/top", "b/left", "merge"),
        ("a/top", "b/right", "merge"),
        ("b/left", "c/root", "finetune"),
        ("b/right", "c/root", "finetune"),
    ],
)


def texts(picture: str) -> list[str]:
    return ["".join(one.itertext()) for one in ElementTree.fromstring(picture).iter(f"{SVG}text")]


def test_every_asset_stands_there_once_with_its_verdict_as_letter_and_word() -> None:
    said = texts(svg(ALL))
    assert [one for one in said if one in ("a/top", "b/left", "c/root", "b/right", "d/alone")] == [
        "a/top",
        "b/left",
        "c/root",
        "b/right",
        "d/alone",
    ]
    assert [one for one in said if len(one) == 1] == ["D", "A", "B", "C", "A"]
    assert sum("block" in one for one in said) == 1
    assert "c/root block" in ElementTree.fromstring(svg(ALL)).attrib["aria-label"]


def test_the_second_way_to_an_asset_is_drawn_too() -> None:
    paths = [one.attrib for one in ElementTree.fromstring(svg(ALL)).iter(f"{SVG}path")]
    assert len(paths) == 4
    assert len([one for one in paths if one.get("class") == "again"]) == 1


def test_no_two_boxes_overlap_and_none_leaves_the_picture() -> None:
    root = ElementTree.fromstring(svg(ALL))
    width, height = (float(one) for one in root.attrib["viewBox"].split()[2:])
    boxes = [[float(one.attrib[key]) for key in ("x", "y", "width", "height")] for one in root.iter(f"{SVG}rect")]
    assert all(x >= 0 and y >= 0 and x + w <= width and y + h <= height for x, y, w, h in boxes)
    assert all(low[1] + low[3] <= high[1] for low, high in pairwise(boxes))
    assert width <= 400


@pytest.mark.parametrize("draw", [svg, mermaid])
def test_a_hostile_name_is_only_a_name(draw: Any) -> None:
    picture = draw(drawn([node(ODD, "block"), node("b/x", "allow")], [(ODD, "b/x", "<i>")]))
    assert "<script" not in picture
    assert "\u202e" not in picture
    assert "\x07" not in picture
    if draw is svg:
        ElementTree.fromstring(picture)
    else:
        assert all(line.count('"') in (0, 2) for line in picture.splitlines())


def test_nothing_is_loaded_and_the_dark_is_thought_of() -> None:
    picture = svg(ALL)
    assert re.findall(r"(?:href|src|url\()", picture) == []
    assert "prefers-color-scheme:dark" in picture


def test_mermaid_holds_every_node_edge_and_class() -> None:
    lines = mermaid(ALL).splitlines()
    assert lines[0] == "flowchart TD"
    assert [line.split(":::")[1] for line in lines if ":::" in line] == ["duties", "allow", "block", "conditional", "allow"]
    assert len([line for line in lines if "-->|" in line]) == 4


def test_a_circle_and_an_edge_to_nothing_are_drawn_all_the_same() -> None:
    loop = drawn([node("a", "block"), node("b", "block")], [("a", "b", "merge"), ("b", "a", "merge"), ("a", "gone", "merge")])
    assert len(list(ElementTree.fromstring(svg(loop)).iter(f"{SVG}rect"))) == 2


def test_an_older_record_without_verdicts_of_assets_is_told_by_its_reasons() -> None:
    old = drawn([{"id": "a", "role": "base", "license": None}], [])
    old["uses"]["train_adapter"]["reasons"] = [{"node": "a"}]
    assert "B" in texts(svg(old))


def test_a_real_verdict_is_drawn(hub: LoopbackHub) -> None:
    hub.add("a/base", {**GOOD, **child("b/root")})
    hub.add("b/root", PLAIN)
    said = check("a/base").as_json()
    assert {"a/base", "b/root"} <= set(texts(svg(said)))
    assert "|ancestor|" in mermaid(said)


def test_what_passes_by_a_waiver_alone_says_so_in_its_box() -> None:
    signed = drawn([node("a/top", "duties"), node("b/other", "duties")], [("a/top", "b/other", "finetune")])
    signed["uses"]["train_adapter"]["reasons"] = [{"node": "a/top", "code": "waived"}]
    assert [one.partition(",")[0] for one in texts(svg(signed)) if "mit" in one] == ["duties by waiver", "duties"]
    assert mermaid(signed).count("by waiver") == 1


@pytest.mark.parametrize("sign", ["W", "w", "m", "漢", "M", "i"])
def test_wide_letters_stay_inside_of_their_box(sign: str) -> None:
    name = f"{sign * 40}/{sign * 40}"
    (shown,) = (one for one in texts(svg(drawn([node(name, "allow")], []))) if sign * 3 in one and "mit" not in one)
    room = {"W": 26, "w": 45, "m": 30, "漢": 26, "M": 30, "i": 81}[sign]
    assert 10 < len(shown) <= room
