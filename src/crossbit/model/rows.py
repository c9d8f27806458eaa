"""What a user gives to be encoded - one thing or many, arrays, texts, files, PIL pictures - as rows and as features."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from crossbit.data.checks import Kind
from crossbit.errors import UserError
from crossbit.features import Featuriser
from crossbit.storage.picture_files import PictureFiles

MOST = 1 << 26  # bytes of pictures that are featurised together


def as_rows(given: Any, reads: Kind) -> Any:
    """Rows that have a length and can be sliced; one text, picture or vector alone becomes one row.

    Args:
        given: texts; pictures as uint8 (n, h, w, 3), `PictureFiles`, or a list of paths, PIL pictures, arrays; vectors
            (n, d); or one of them.
        reads: what the featuriser reads.

    Raises:
        UserError: it is neither one nor many.

    >>> as_rows("red fox", "words"), as_rows([1.0, 2.0], "vectors").shape
    (['red fox'], (1, 2))
    """
    if isinstance(given, np.ndarray) and given.ndim == 0:
        given = given.item()
    if reads == "vectors" and (isinstance(given, list | tuple) or np.ndim(given) == 1):
        return _vectors(given)
    if (reads == "words" and isinstance(given, str)) or (reads == "pictures" and _is_picture(given)):
        return [given]
    if not isinstance(given, Iterable) or isinstance(given, bytes):
        raise UserError(f"a {type(given).__name__} holds no {reads}; give one row, or a list of rows")
    return given if hasattr(given, "__getitem__") and not isinstance(given, Mapping) else list(given)


def features_of_some(featuriser: Featuriser, rows: Any) -> np.ndarray:
    """Features of a slice of `as_rows`: in C order and writable, as PyTorch wants them."""
    together = isinstance(rows, PictureFiles) or (isinstance(rows, np.ndarray) and rows.ndim > 1)
    apart = featuriser.reads == "pictures" and not together
    parts = [featuriser.transform(some) for some in (_stacks(rows) if apart else [rows])]
    return np.require(np.concatenate(parts) if len(parts) > 1 else parts[0], requirements=["C", "W"])


def _vectors(given: Any) -> np.ndarray:
    try:
        array = np.asarray(given)
    except ValueError:
        raise UserError("vectors must be numbers (n, d): they are not all of one length") from None
    return array[None] if array.ndim == 1 and len(array) else array


def _is_picture(given: Any) -> bool:
    """Whether it is one picture, not many."""
    if isinstance(given, np.ndarray | PictureFiles):
        return given.ndim in (2, 3)
    from PIL import Image

    return isinstance(given, str | os.PathLike | bytes | Image.Image) or hasattr(given, "read")


def _stacks(sources: Iterable[Any]) -> Iterator[np.ndarray]:
    """Pictures uint8 (some, h, w, 3): neighbours of one size together, as far as they take little memory."""
    from crossbit.storage.pictures import read_picture

    held: list[np.ndarray] = []
    for source in sources:
        picture = read_picture(source)
        if held and (picture.shape != held[0].shape or len(held) * picture.nbytes >= MOST):
            yield np.stack(held)
            held = []
        held.append(picture)
    if held:
        yield np.stack(held)
