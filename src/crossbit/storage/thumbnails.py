"""Small pictures, as pages show them."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from crossbit.storage.pictures import read_picture

SIDE = 192  # pixels of a thumbnail, at most
TINY = 96  # pixels; a picture that is no larger keeps every pixel


def thumbnail(picture: str | np.ndarray) -> bytes:
    """A WebP of at most 192 pixels, without loss of a picture of up to 96; raises what `read_picture` does."""
    image = Image.fromarray(read_picture(picture))
    is_tiny = max(image.size) <= TINY
    image.thumbnail((SIDE, SIDE))
    held = io.BytesIO()
    image.save(held, "WEBP", lossless=is_tiny)
    return held.getvalue()
