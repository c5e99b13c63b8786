"""Examples come from the deployed app; what it delivers is decoded, and what it bills must be that."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from serving.app.billing import BillingUnit
from serving.listing.errors import GalleryError
from serving.listing.examples import collected
from serving.listing.gallery import as_png, decoded, delivered, photographed, unit_of
from serving.listing.planning import planned
from serving.listing.remake import remade
from tests.serving.listing.material import (
    SIDE,
    Answer,
    Call,
    app,
    bundle,
    data_uri,
    dataset,
    drawn,
    evaluation,
    files_in,
    listing_in,
    settings,
)

SHOTS = planned(evaluation(), dataset(), settings(), prompts=1, seeds=1)[:1]


def test_images_are_counted_from_decoded_files(tmp_path: Path) -> None:
    shots = planned(evaluation(), dataset(), settings())
    photographed(shots, out=tmp_path / "gallery", call=app, progress=lambda line: None)
    made = collected(shots, gallery=tmp_path / "gallery", bundle=bundle(tmp_path / "b"))
    assert (made.images, made.units) == (len(shots), len(shots)) == (len(made.calls),) * 2
    assert sorted(made.files) == sorted({picture.file for e in made.examples for picture in (e.output, e.base, e.real) if picture})
    assert {(e.output.width, e.output.height) for e in made.examples} == {(SIDE, SIDE)}
    assert all(example.base is not None for example in made.examples if example.role == "pair")
    assert all(e.seed == e.input["seed"] and "sync_mode" not in e.input for e in made.examples)


def test_files_are_those_that_were_delivered_and_receipts_are_of_their_pixels(tmp_path: Path) -> None:
    def signed(by: str) -> Call:
        def call(arguments: dict[str, Any]) -> Answer:
            note, file = PngInfo(), io.BytesIO()
            note.add_text("mark", by)
            Image.open(io.BytesIO(drawn(arguments["prompt"], arguments["seed"], "x"))).save(file, "PNG", pnginfo=note)
            return Answer(units="1", body=image(data_uri(file.getvalue())))

        return call

    made = {}
    for by in ("once", "again"):
        photographed(SHOTS[:1], out=tmp_path / by, call=signed(by), progress=lambda line: None)
        made[by] = collected(SHOTS[:1], gallery=tmp_path / by, bundle=bundle(tmp_path / f"bundle-{by}"))
        (shown,) = (content for name, content in made[by].files.items() if name == made[by].examples[0].output.file)
        assert Image.open(io.BytesIO(shown)).text == {"mark": by}  # type: ignore[attr-defined]
    assert made["once"].calls == made["again"].calls


def test_equal_pixels_give_equal_files() -> None:
    one = decoded({"url": data_uri(drawn("a", 1, "x"))}, "here")
    assert as_png(one) == as_png(one.copy())


def image(url: object) -> dict[str, Any]:
    return {"images": [{"url": url}]}


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (Answer(status=503, units="0", body={"detail": "out of\nmemory"}), "answered 503 (out of memory)"),
        (Answer(status=422, units="0", body={"detail": [{"msg": "seed too large"}]}), "answered 422 (seed too large)"),
        (Answer(units=None, body=image(data_uri(drawn("a", 1, "x")))), "got x-fal-billable-units None"),
        (Answer(units="1.5", body=image(data_uri(drawn("a", 1, "x")))), "got x-fal-billable-units '1.5'"),
        (Answer(units="2", body=image(data_uri(drawn("a", 1, "x")))), "2 units billed for 1 pictures"),
        (Answer(units="1", body={"images": []}), "1 units billed for 0 pictures"),
        (Answer(units="0", body={"images": []}), "no picture was delivered"),
        (Answer(body=image("https://example.org/a.png")), "a data URI was asked for"),
        (Answer(body=image("data:image/png;base64,AAAA")), "can not be decoded"),
        (Answer(body=image(data_uri(drawn("a", 1, "x")[:200]))), "can not be decoded"),
        (Answer(body={"images": ["text"]}), "a data URI was asked for"),
    ],
)
def test_failed_call_is_one_clear_line(tmp_path: Path, answer: Answer, says: str) -> None:
    call: Call = lambda arguments: answer  # noqa: E731
    with pytest.raises(GalleryError) as caught:
        photographed(SHOTS, out=tmp_path / "gallery", call=call, progress=lambda line: None)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 5


@pytest.mark.parametrize(("unit", "units"), [("image", "2"), ("megapixel", "2"), ("request", "1")])
def test_units_are_compared_by_the_unit_of_the_package(unit: BillingUnit, units: str) -> None:
    two = {"images": [{"url": data_uri(drawn("a", seed, "x"))} for seed in (1, 2)]}  # each far below a megapixel
    assert delivered(Answer(units=units, body=two), SHOTS[0], unit)[1] == int(units)
    with pytest.raises(GalleryError, match=f"3 units billed for 2 pictures delivered, {units} by {unit}"):
        delivered(Answer(units="3", body=two), SHOTS[0], unit)
    assert unit_of(settings() | {"billing": {"unit": unit}}) == unit


def test_an_old_package_bills_by_image() -> None:
    assert unit_of(None) == unit_of({}) == "image"


def test_missing_sample_of_the_bundle_is_one_clear_line(tmp_path: Path) -> None:
    folder = bundle(tmp_path / "b")
    (folder / str(SHOTS[0].base)).unlink()
    photographed(SHOTS, out=tmp_path / "gallery", call=app, progress=lambda line: None)
    with pytest.raises(GalleryError, match=r"sample samples/base_\d+.png is not readable"):
        collected(SHOTS, gallery=tmp_path / "gallery", bundle=folder)


def test_no_held_out_prompt_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(GalleryError, match="no held-out prompt"):
        photographed((), out=tmp_path, call=app, progress=lambda line: None)


def test_a_gallery_made_again_is_the_same_or_says_how_far_it_is(draft: Path) -> None:
    listing, files = listing_in(draft), files_in(draft)
    calls = json.loads(files["receipts/gallery.json"])["calls"]
    again = remade(listing, calls, files, call=app, progress=lambda line: None)
    assert len(again) == len(calls)
    assert all(one.same and one.difference == 0 for one in again)

    def other(arguments: dict[str, Any]) -> Answer:
        return Answer(body={"images": [{"url": data_uri(drawn(arguments["prompt"], arguments["seed"] + 100, "adapter"))}]})

    changed = remade(listing, calls, files, call=other, progress=lambda line: None)
    assert not any(one.same for one in changed)
    assert max(one.difference or 0 for one in changed) > 50
