"""Rows to add, checked before anything is changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from crossbit.bits import check_codes
from crossbit.errors import UserError
from crossbit.index.base import Items
from crossbit.index.columns import Column, typed_columns
from crossbit.index.ids import check_ids


@dataclass(frozen=True)
class Batch:
    """Rows that fit each other; `checked` makes it.

    Attributes:
        ids: int64 (n,); None to number them on.
        codes: uint8 (n, bytes).
        columns: of their items.
        hashes: text or None, objects (n,); None for none at all.
        embeddings: real (n, bits); None for none at all.
    """

    ids: npt.NDArray[np.int64] | None
    codes: npt.NDArray[np.uint8]
    columns: dict[str, Column]
    hashes: npt.NDArray[Any] | None
    embeddings: npt.NDArray[Any] | None

    def __len__(self) -> int:
        return len(self.codes)


def checked(
    ids: npt.ArrayLike | None,
    codes: npt.ArrayLike | None,
    items: Items | None,
    embeddings: npt.ArrayLike | None,
    hashes: Sequence[str | None] | None,
) -> Batch:
    """The arguments of `Index.add`; UserError where they do not fit each other."""
    if codes is None:
        raise UserError("there are no codes; write add(ids, codes), or add(codes=codes) to have the ids numbered on")
    packed = check_codes(codes)
    wanted = None if ids is None else check_ids(ids)
    if wanted is not None and len(wanted) != len(packed):
        raise UserError(f"{len(packed)} codes for {len(wanted)} ids; give one code for each id")
    columns = typed_columns(items, len(packed))
    texts = None if hashes is None else check_hashes(hashes, len(packed))
    return Batch(wanted, packed, columns, texts, None if embeddings is None else check_embeddings(embeddings, packed))


def check_hashes(hashes: Sequence[str | None], n: int) -> npt.NDArray[Any]:
    """Hashes as an array of objects; UserError where they are not n texts (or None)."""
    if isinstance(hashes, str) or len(hashes) != n or not all(isinstance(each, str | None) for each in hashes):
        raise UserError(f"hashes are a text (or None) for each of the {n} codes")
    return np.fromiter(hashes, object, n)


def check_embeddings(embeddings: npt.ArrayLike, codes: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
    """Embeddings as an array; UserError where they are not finite real numbers whose first signs are the codes."""
    array = np.asarray(embeddings)
    n, bits = len(codes), 8 * codes.shape[1]
    if array.dtype.kind != "f" or array.ndim != 2 or len(array) != n or array.shape[1] < bits:
        raise UserError(
            f"embeddings are real numbers ({n}, {bits}), or wider, got {array.dtype} of shape {array.shape}"
        )
    if not np.isfinite(array).all():
        raise UserError("embeddings hold a value that is not finite")
    if not np.array_equal(np.packbits(array[:, :bits] >= 0, axis=1), codes):
        raise UserError("the codes are not the signs of the embeddings; crossbit.bits.pack makes codes of embeddings")
    return array
