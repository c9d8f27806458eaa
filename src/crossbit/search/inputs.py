"""What is to be encoded: files of pictures, as many as can be read, and whether rows are what a model takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from crossbit.errors import UserError, unknown
from crossbit.model import Model
from crossbit.model.rows import MOST
from crossbit.storage.picture_files import PictureFiles
from crossbit.storage.pictures import PictureError, read_picture

PICTURES = 64  # files looked at and encoded at a time, or fewer where they take much memory


def encode_pictures(
    model: Model,
    modality: str,
    paths: Sequence[Path],
    *,
    skip: Callable[[Path, PictureError], Any],
    real: bool = False,
    progress: Callable[[int, int], Any] = lambda done, of: None,
) -> tuple[np.ndarray, list[Path]]:
    """Codes uint8 (n, bytes), or real float32 (n, bits), of the picture files that can be read, and these; `skip` gets
    each other one and why."""
    kept: list[Path] = []
    codes = [(model.embed if real else model.encode)(modality, [])]
    calls = ((modality, list(paths[start : start + PICTURES]), real) for start in range(0, len(paths), PICTURES))
    for number, (some, mistakes) in enumerate(model.each(_encoded, calls)):
        codes.append(some)
        for path, mistake in zip(paths[number * PICTURES :], mistakes, strict=False):
            if mistake is None:
                kept.append(path)
            else:
                skip(path, PictureError(*mistake))
        progress(min((number + 1) * PICTURES, len(paths)), len(paths))
    return np.concatenate(codes), kept


def _encoded(model: Model, modality: str, paths: list[Path], real: bool) -> tuple[np.ndarray, list[Any]]:
    """Codes of the pictures among files; for each file None, or what its error is made of."""
    encode = model.embed if real else model.encode
    codes, mistakes = [encode(modality, [])], list[Any]()
    batch, size = list[np.ndarray](), 0
    for path in paths:
        try:
            pixels = read_picture(path)
        except PictureError as error:
            mistakes.append(list(error.args))
            continue
        check_takes(model, modality, pixels[None], str(path.parent))
        mistakes.append(None)
        batch.append(pixels)
        size += pixels.nbytes
        if size >= MOST:
            codes.append(encode(modality, batch))
            batch, size = [], 0
    if batch:
        codes.append(encode(modality, batch))
    return np.concatenate(codes), mistakes


def takes(model: Model, modality: str) -> str:
    """What the model encodes as this modality: "words", "pictures" or "vectors".

    Raises:
        UserError: a modality that the model does not know.
    """
    if modality not in model.featurisers:
        raise unknown("modality", modality, model.modalities)
    return model.featurisers[modality].reads


def check_takes(model: Model, modality: str, rows: Any, source: str) -> None:
    """UserError where `rows`, read from `source`, are something else than the modality takes."""
    held, right = _held(rows), takes(model, modality)
    if held not in (right, None):
        raise UserError(f"{source} holds {held}, and {modality} takes {right}; {_other(model, held)}")


def _held(rows: Any) -> str | None:
    """What rows are; None where they are nothing that a model takes, which the featuriser says best."""
    if isinstance(rows, PictureFiles):
        return "pictures"
    array = np.asarray(rows[:1])
    if array.dtype.kind == "U":
        return "words"
    if array.ndim == 4 and array.dtype == np.uint8:
        return "pictures"
    return "vectors" if array.ndim == 2 and array.dtype.kind == "f" else None


def _other(model: Model, held: str) -> str:
    fitting = [modality for modality in model.modalities if takes(model, modality) == held]
    return f"take --modality {fitting[0]}" if fitting else f"this run was trained on no {held}"
