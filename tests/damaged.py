"""Picture files of twenty kinds that people's folders hold: odd ones that can be read, and damaged ones that cannot."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

Kind = Callable[[Image.Image], bytes]


def encoded(picture: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def _sideways(picture: Image.Image) -> bytes:
    notes = Image.Exif()
    notes[0x0112] = 6
    return encoded(picture, "jpeg", exif=notes)


def _in_16_bits(picture: Image.Image) -> bytes:
    return encoded(Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 257), "png")


def _animated(picture: Image.Image) -> bytes:
    return encoded(picture, "gif", save_all=True, append_images=[picture.rotate(90)])


def _huge(picture: Image.Image) -> bytes:
    """A header that promises 40,000 by 40,000 pixels."""
    whole = encoded(picture, "bmp")
    return whole[:18] + struct.pack("<ii", 40_000, 40_000) + whole[26:]


def _broken_header(picture: Image.Image) -> bytes:
    whole = bytearray(encoded(picture, "png"))
    whole[18] ^= 0xFF
    return bytes(whole)


# What can be read ...
SOUND: dict[str, Kind] = {
    "grey.png": lambda p: encoded(p.convert("L"), "png"),
    "16 bits.png": _in_16_bits,
    "cmyk.jpg": lambda p: encoded(p.convert("CMYK"), "jpeg"),
    "palette.png": lambda p: encoded(p.convert("P"), "png"),
    "animated.gif": _animated,
    "sideways.jpg": _sideways,
    "transparent.png": lambda p: encoded(p.convert("RGBA"), "png"),
    "one bit.png": lambda p: encoded(p.convert("1"), "png"),
    "floats.tiff": lambda p: encoded(p.convert("F"), "tiff"),
    "a jpeg by content.png": lambda p: encoded(p, "jpeg"),
}
# ... and what cannot, with the reason.
UNSOUND: dict[str, tuple[Kind, str]] = {
    "empty.png": (lambda p: b"", "empty"),
    "cut.jpg": (lambda p: encoded(p, "jpeg")[:-200], "damaged"),
    "cut.png": (lambda p: encoded(p, "png")[:-60], "damaged"),
    "a header alone.gif": (lambda p: encoded(p, "gif")[:20], "damaged"),
    "a text.jpg": (lambda p: b"no picture at all", "not a picture"),
    "a web page.png": (lambda p: b"<!DOCTYPE html><html>Sign in</html>", "not a picture"),
    "zeros.bmp": (lambda p: bytes(500), "not a picture"),
    "huge.bmp": (_huge, "too large"),
    "a broken header.png": (_broken_header, "damaged"),
    "heic.heic": (lambda p: b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(80), "HEIC"),
}


def make_damaged(folder: Path, of_each: int = 10) -> dict[str, str]:
    """Write `of_each` files of each of the twenty kinds; returns by name the reason why one cannot be read, or ""."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    kinds = {kind: (make, "") for kind, make in SOUND.items()} | UNSOUND
    reasons = {}
    for kind, (make, reason) in kinds.items():
        for number in range(of_each):
            pixels = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
            picture = Image.fromarray(pixels).resize((40, 30), Image.Resampling.NEAREST)
            (folder / f"{number} {kind}").write_bytes(make(picture))
            reasons[f"{number} {kind}"] = reason
    return reasons
