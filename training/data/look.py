"""One picture at a time: decoded, measured, cropped to its bucket and written, with everything that is remarkable about it."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from training.config import DatasetOptions
from training.data import buckets as shapes
from training.data import gate, scan
from training.data.captions import Caption, leak_remark
from training.data.detectors import Detector
from training.data.policy import Remark

_HASHED = 4 * gate.HASH_SIDE  # pixels a side that a hash is taken of


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """A picture that could be decoded: measurements, content hash, bucket, caption, detectors' scores, and the hash of its mask."""

    measured: gate.Measured
    sha256: str
    bucket: shapes.Bucket
    caption: Caption
    held_out: bool
    scores: Mapping[str, float]  # by detector
    mask: str | None = None

    @property
    def name(self) -> str:
        return self.measured.name

    @property
    def file(self) -> str:
        return f"pictures/{self.sha256[:16]}.png"

    @property
    def mask_file(self) -> str | None:
        return None if self.mask is None else f"masks/{self.sha256[:16]}-{self.mask[:8]}.png"


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """What looking came to: the picture, unless it could not be decoded, and the remarks."""

    seen: Seen | None
    remarks: tuple[Remark, ...]


def look_at(item: scan.Found, caption: Caption, out: Path, options: DatasetOptions, detectors: Sequence[Detector]) -> Look:
    """Decode and measure a picture, and write its crop (and mask) into the dataset folder `out`."""
    said = [remark for remark in (caption.remark, leak_remark(item.name, caption, options.trigger)) if remark]
    try:
        decoded = scan.decode(item.path, max_pixels=options.max_pixels)
    except scan.TooLarge as error:
        message = f"{error}, at most {options.max_pixels} and {scan.MAX_SIDE} a side: scale it down; it was not decoded"
        return Look(seen=None, remarks=(*said, Remark(file=item.name, code="too_large", message=message)))
    except scan.Unreadable as error:
        message = f"cannot be decoded ({error}): save it again"
        return Look(seen=None, remarks=(*said, Remark(file=item.name, code="unreadable", message=message)))
    picture = decoded.picture
    bucket = shapes.bucket_of(*picture.size, shapes.buckets_for(options.resolution, options.multiple))
    crop = _cropped(picture, picture.size, bucket)
    mask, remark = _mask(item, decoded, bucket, options)
    seen = Seen(
        measured=measured(item.name, picture, crop),
        sha256=hashlib.sha256(item.path.read_bytes()).hexdigest(),
        bucket=bucket,
        caption=caption,
        held_out=item.held_out,
        scores={detector.name: detector.score(picture) for detector in detectors},
        mask=None if mask is None else hashlib.sha256(mask.tobytes()).hexdigest(),
    )
    crop.save(out / seen.file, format="PNG")
    if mask is not None and seen.mask_file:
        (out / "masks").mkdir(exist_ok=True)
        mask.save(out / seen.mask_file, format="PNG")
    least = options.resolution // 2 if options.min_side is None else options.min_side
    small = gate.size_remark(seen.measured, least)
    judged = (remark, small or gate.blur_remark(seen.measured, options.blur))  # a picture scaled up is soft: one fault, told once
    found = (detector.remark(item.name, seen.scores[detector.name]) for detector in detectors)
    return Look(seen=seen, remarks=(*said, *(one for one in (*judged, *found) if one)))


def measured(name: str, picture: Image.Image, crop: Image.Image) -> gate.Measured:
    """Sides and hashes of the whole picture, sharpness of what is trained of it."""
    pixels = hashlib.sha256(f"{picture.size}".encode() + picture.tobytes()).hexdigest()
    small = picture.convert("L").resize((_HASHED, _HASHED), Image.Resampling.LANCZOS, reducing_gap=3.0)
    return gate.Measured(
        name=name,
        width=picture.width,
        height=picture.height,
        pixels=pixels,
        look=_hash(small),
        mirrored=_hash(small.transpose(Image.Transpose.FLIP_LEFT_RIGHT)),
        sharpness=gate.sharpness(np.asarray(crop.convert("L"), dtype=np.uint8)),
    )


def _mask(
    item: scan.Found, decoded: scan.Decoded, bucket: shapes.Bucket, options: DatasetOptions
) -> tuple[Image.Image | None, Remark | None]:
    """The mask at training size, black lifted to the weight of the background; or what is wrong with it."""
    if options.masks == "none" or (item.mask is None and (options.masks != "alpha" or decoded.alpha is None)):
        return None, None
    try:
        mask = scan.decode(item.mask, max_pixels=options.max_pixels).picture.convert("L") if item.mask else decoded.alpha
    except (scan.TooLarge, scan.Unreadable) as error:
        return None, _unusable(item, f"its mask cannot be decoded ({error})")
    assert mask is not None
    if mask.size != decoded.picture.size:
        return None, _unusable(item, f"its mask has {mask.width} x {mask.height} pixels, the picture has other sides")
    small = np.asarray(_cropped(mask, mask.size, bucket), dtype=np.float32) / 255
    if not small.any():
        return None, _unusable(item, "its mask is black all over what is trained of it")
    weights = options.mask_background + (1 - options.mask_background) * small
    return Image.fromarray((weights * 255).round().astype(np.uint8)), None


def _unusable(item: scan.Found, fault: str) -> Remark:
    return Remark(file=item.name, code="mask_unusable", message=f"{fault}: draw it again at the picture's size, or remove it")


def _cropped(picture: Image.Image, size: tuple[int, int], bucket: shapes.Bucket) -> Image.Image:
    return picture.resize((bucket[1], bucket[0]), Image.Resampling.LANCZOS, box=shapes.cover(*size, bucket), reducing_gap=3.0)


def _hash(grey: Image.Image) -> bytes:
    """Which low frequencies of a small grey picture are above their median. (Zauner 2010)"""
    import imagehash

    return np.packbits(imagehash.phash(grey, hash_size=gate.HASH_SIDE).hash).tobytes()
