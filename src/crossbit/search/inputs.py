"""What is to be encoded: files of pictures, as many as can be read, and whether rows are what a model takes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from crossbit.errors import UserError, unknown
from crossbit.model import Model
from crossbit.model.rows import MOST
from crossbit.storage.picture_files import PictureFiles
from crossbit.storage.pictures import PictureError, read_picture

PICTURES = 64  # pictures encoded at a time, or fewer where they take much memory


def encode_pictures(
    model: Model,
    modality: str,
    paths: Iterable[Path],
    *,
    skip: Callable[[Path, PictureError], Any],
    real: bool = False,
) -> tuple[np.ndarray, list[Path]]:
    """Codes uint8 (n, bytes), or real float32 (n, bits), of the picture files that can be read, and these; `skip` gets
    each other one and why."""
    encode = model.embed if real else model.encode
    kept: list[Path] = []
    codes = [encode(modality, [])]
    for batch in _batches(_readable(model, modality, paths, skip)):
        kept += [path for path, _ in batch]
        codes.append(encode(modality, [pixels for _, pixels in batch]))
    return np.concatenate(codes), kept


def _readable(
    model: Model, modality: str, paths: Iterable[Path], skip: Callable[[Path, PictureError], Any]
) -> Iterator[tuple[Path, np.ndarray]]:
    for path in paths:
        try:
            pixels = read_picture(path)
        except PictureError as error:
            skip(path, error)
            continue
        check_takes(model, modality, pixels[None], str(path.parent))
        yield path, pixels


def _batches(pictures: Iterable[tuple[Path, np.ndarray]]) -> Iterator[list[tuple[Path, np.ndarray]]]:
    batch: list[tuple[Path, np.ndarray]] = []
    size = 0
    for path, pixels in pictures:
        batch.append((path, pixels))
        size += pixels.nbytes
        if len(batch) == PICTURES or size >= MOST:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


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
