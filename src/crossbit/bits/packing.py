"""Codes in three forms: signs, packed bytes, 64-bit planes.

One bit order everywhere: `np.packbits`, big-endian; bit 1 stands for +1, and sign(0) = +1. A code of L bits is L // 8
bytes; L is a multiple of 8 from 8 to 1,024.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from crossbit.errors import UserError

MAX_BITS = 1024
SHORTLIST = 100  # what is ordered once more by real vectors: all codes that are as near as the hundredth nearest

Array = npt.NDArray[Any]


def check_bits(bits: int) -> int:
    """Return `bits` as int if it is a possible code length.

    Raises:
        UserError: not a multiple of 8 from 8 to 1,024.

    >>> check_bits(64)
    64
    """
    if isinstance(bits, bool) or not isinstance(bits, int | np.integer) or bits % 8 or not 8 <= bits <= MAX_BITS:
        raise UserError(f"the code length is {bits!r} bits; it must be a multiple of 8 from 8 to {MAX_BITS}")
    return int(bits)


def check_codes(codes: npt.ArrayLike, what: str = "codes") -> Array:
    """Return packed codes as a contiguous uint8 array (n, bytes).

    Raises:
        UserError: another type or shape; `what` names the array in the message.

    >>> check_codes(np.zeros((2, 8), np.uint8)).shape
    (2, 8)
    """
    array = np.asarray(codes)
    if array.dtype != np.uint8 or array.ndim != 2:
        right = "; crossbit.bits.pack packs real values" if array.dtype.kind == "f" else ""
        raise UserError(
            f"{what}: packed codes are uint8 (n, bits // 8), got {array.dtype} of shape {array.shape}{right}"
        )
    if not 1 <= array.shape[1] <= MAX_BITS // 8:
        raise UserError(f"{what}: a code has 1 to {MAX_BITS // 8} bytes, got {array.shape[1]}")
    return np.ascontiguousarray(array)


def check_values(x: npt.ArrayLike) -> Array:
    array = np.asarray(x)
    if not (np.issubdtype(array.dtype, np.floating) or np.issubdtype(array.dtype, np.signedinteger)):
        raise UserError(f"codes are signs of real values, got {array.dtype}; give 0/1 bits b as 2.0 * b - 1")
    if np.isnan(array).any():
        raise UserError(f"{int(np.isnan(array).sum())} values are NaN and have no sign; codes need real values")
    return array


def sign(x: npt.ArrayLike) -> npt.NDArray[np.int8]:
    """Signs of real values as int8 -1 and +1, with sign(0) = +1; any shape.

    Raises:
        UserError: NaN, or values that are not signed numbers.

    >>> sign([-0.5, 0.0, 2.0]).tolist()
    [-1, 1, 1]
    """
    return np.where(check_values(x) >= 0, 1, -1).astype(np.int8)


def pack(x: npt.ArrayLike) -> npt.NDArray[np.uint8]:
    """Pack the signs of `x`, real (n, bits), into uint8 (n, bits // 8): `np.packbits` of x >= 0.

    Raises:
        UserError: NaN, not two-dimensional, or a length that is not a multiple of 8 from 8 to 1,024.

    >>> pack([[1.0, -1, -1, -1, -1, -1, -1, 0]]).tolist()
    [[129]]
    """
    array = check_values(x)
    if array.ndim != 2:
        raise UserError(f"values to pack must have the shape (n, bits), got {array.shape}")
    check_bits(array.shape[1])
    return np.packbits(array >= 0, axis=1)


def unpack(codes: npt.ArrayLike) -> npt.NDArray[np.int8]:
    """Packed codes uint8 (n, bits // 8) as int8 (n, bits) of -1 and +1: the inverse of `pack`.

    >>> unpack(np.array([[129]], np.uint8)).tolist()
    [[1, -1, -1, -1, -1, -1, -1, 1]]
    """
    bits = np.unpackbits(check_codes(codes), axis=1).view(np.int8)
    return 2 * bits - 1


def planes(codes: npt.ArrayLike) -> npt.NDArray[np.uint64]:
    """Packed codes uint8 (n, bytes) as 64-bit words, uint64 (words, n), the form in which search is fastest.

    Word w of a code holds its bytes 8w..8w+7 read big-endian; missing bytes at the end are 0.

    >>> planes(np.array([[0, 0, 0, 0, 0, 0, 1, 2, 255]], np.uint8)).tolist() == [[258], [255 << 56]]
    True
    """
    return np.ascontiguousarray(as_words(check_codes(codes), ">u8"), dtype=np.uint64)


def as_words(codes: Array, order: str) -> Array:
    """(n, bytes) seen as (words, n) of the given byte order; a copy only where bytes must be added."""
    spare = -codes.shape[1] % 8
    padded = np.pad(codes, ((0, 0), (0, spare))) if spare else codes
    return padded.view(order).T


def from_planes(words: npt.ArrayLike, bits: int) -> npt.NDArray[np.uint8]:
    """Codes uint8 (n, bits // 8) from their planes uint64 (words, n): the inverse of `planes`.

    >>> from_planes(np.array([[258]], np.uint64), 64).tolist()
    [[0, 0, 0, 0, 0, 0, 1, 2]]
    """
    array = check_planes(np.asarray(words), check_bits(bits) // 8)
    codes = np.ascontiguousarray(array.T).astype(">u8").view(np.uint8)
    return np.ascontiguousarray(codes[:, : bits // 8])


def check_planes(words: Array, width: int) -> Array:
    need = -(-width // 8)
    if words.dtype != np.uint64 or words.ndim != 2 or len(words) != need:
        raise UserError(
            f"planes of {8 * width}-bit codes are uint64 ({need}, n), got {words.dtype} of shape {words.shape}"
        )
    return words


def frozen(array: Array) -> Array:
    """Contiguous, aligned and read-only: one compiled kernel serves arrays in memory and memory-mapped ones."""
    view = np.require(array, requirements=["C", "A"]).view()
    view.flags.writeable = False
    return view
