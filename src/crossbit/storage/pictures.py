"""Picture files as arrays."""

from __future__ import annotations

import os
import warnings

import numpy as np
from PIL import Image, ImageOps

from crossbit.errors import UserError


def read_picture(path: str | os.PathLike[str]) -> np.ndarray:
    """A picture file as uint8 (1, h, w, 3): upright, transparent parts on white.

    Raises:
        UserError: no such file, or not a picture that can be decoded.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as opened:
                picture = ImageOps.exif_transpose(opened)
                if picture.has_transparency_data:
                    colours = picture.convert("RGBA")
                    picture = Image.alpha_composite(Image.new("RGBA", colours.size, "white"), colours)
                return np.asarray(picture.convert("RGB"))[None]
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; give a picture file such as .png or .jpg") from None
    except Exception as error:  # decoders raise whatever damaged bytes lead them to
        why = getattr(error, "strerror", None) or "it is damaged, too large, or not a picture"
        raise UserError(f"{path} cannot be read as a picture: {why}; give a file such as .png or .jpg") from error
