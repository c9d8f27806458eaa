"""Which codes may be found, as one bit for each: 64 in a word, an eighth of the memory of bools."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from crossbit.bits.packing import Array, as_words, frozen
from crossbit.errors import UserError

WORD = "<u8"  # so that byte b of a word holds the bits 8b to 8b + 7


def mask_words(mask: npt.ArrayLike) -> npt.NDArray[np.uint64]:
    """A mask, bool (n,), as uint64 (ceil(n / 64),): bit j of word w stands for position 64 w + j, the lowest bit first.

    Raises:
        UserError: another type or shape.

    >>> mask_words([True, False, True] + 61 * [False] + [True])
    array([5, 1], dtype=uint64)
    """
    array = np.asarray(mask)
    if array.dtype != np.bool_ or array.ndim != 1:
        raise UserError(f"a mask is bool (n,), got {array.dtype} of shape {array.shape}")
    packed = np.packbits(array, bitorder="little")
    return as_words(packed[None], WORD)[:, 0].astype(np.uint64, copy=False)


def from_mask_words(words: npt.NDArray[np.uint64], n: int) -> npt.NDArray[np.bool_]:
    """The mask, bool (n,), of its words, uint64 (ceil(n / 64),): the inverse of `mask_words`.

    >>> from_mask_words(np.array([5], np.uint64), 4)
    array([ True, False,  True, False])
    """
    found = np.unpackbits(words.astype(WORD, copy=False).view(np.uint8), count=n, bitorder="little")
    return found.view(np.bool_)


def check_mask(mask: npt.ArrayLike | None, n: int) -> Array:
    """The words of a mask of n codes, given as bools or as words; none stand for all codes."""
    if mask is None:
        return frozen(np.empty(0, np.uint64))
    array = np.asarray(mask)
    if array.dtype == np.bool_ and array.shape == (n,):
        return frozen(mask_words(array))
    if array.dtype != np.uint64 or array.shape != (-(-n // 64),):
        right = f"bool ({n},), one entry per database code, or its words uint64 ({-(-n // 64)},)"
        raise UserError(f"the mask must be {right}; got {array.dtype} {array.shape}")
    if n % 64 and array[-1] >> np.uint64(n % 64):
        raise UserError(f"the words of the mask allow positions from {n} on, where there is no database code")
    return frozen(array)
