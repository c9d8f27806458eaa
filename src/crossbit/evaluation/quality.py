"""What can be said of codes without any label: whether their bits are balanced, independent, and put to use."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from crossbit.bits import check_codes
from crossbit.errors import UserError
from crossbit.evaluation.rankings import Array

_ROWS = 1 << 14  # codes unpacked at a time
FEW = 10  # of fewer rows nothing is said


def code_quality(codes: npt.ArrayLike, *, bits: int | None = None) -> dict[str, float]:
    """Balance, correlation and number of codes; of real vectors, those of their signs, and how far from signs they are.

    Args:
        codes: packed codes uint8 (n, bytes), or real vectors (n, d), whose signs are the bits (the sign of 0 is +1).
        bits: how many of a packed code's bits count, the first ones; all by default.

    Returns:
        rows: how many codes there are.
        bits: their length.
        imbalance: mean over the bits of |mean of the bit as -1 or +1|: 0 where each is set in half of the codes, 1
            where all are constant.
        correlation: mean over pairs of different bits of |Pearson's correlation|; a constant bit correlates with none.
        constant: bits that are the same in all codes, which tell nothing.
        distinct: how many different codes there are.
        distance_to_signs: mean of | |h| - 1 | over the entries, for real vectors only.

    Raises:
        UserError: no codes; neither packed codes nor finite real vectors.

    >>> quality = code_quality(np.array([[0b1100_0000], [0b0000_0000]], np.uint8), bits=4)
    >>> quality["imbalance"], quality["constant"], quality["distinct"]  # of four bits two are constant
    (0.5, 2, 2)
    >>> code_quality([[0.5, -1.5], [0.75, 1.0]])["distance_to_signs"]
    0.3125
    """
    array = np.asarray(codes)
    if array.dtype == np.uint8:
        packed = check_codes(array)
        length = 8 * packed.shape[1] if bits is None else bits
        return _quality(packed, length)
    if array.ndim != 2 or not array.shape[1] or array.dtype.kind not in "fiu" or not np.isfinite(array).all():
        raise UserError(
            f"codes are {array.dtype} of shape {array.shape}; they must be packed uint8 (n, bits // 8), "
            "or finite real vectors (n, d)"
        )
    distance = float(np.abs(np.abs(array.astype(np.float64)) - 1).mean()) if len(array) else 0.0
    return {**_quality(np.packbits(array >= 0, axis=1), array.shape[1]), "distance_to_signs": distance}


def collapse(codes: npt.ArrayLike, labels: npt.ArrayLike | None = None) -> str | None:
    """What is wrong with codes that hardly tell rows apart, in half a sentence; None where they may well be sound.

    Codes, and sets of labels, are counted by how often they occur: 2 to the power of their entropy in bits, which is
    the number of different ones where all are equally frequent. Good codes may be as few as the classes. They have
    collapsed where they are fewer than 1 + (m - 1) / 4. Here m is the smaller of the number of label sets, so counted,
    and the number of classes; 2 where there are no labels, or all are the same.

    Args:
        codes: packed codes uint8 (n, bytes).
        labels: of the same rows, 0/1 (n, classes) or classes (n,); None if unknown.

    Raises:
        UserError: not packed codes.

    >>> collapse(np.zeros((20, 2), np.uint8), np.arange(20) % 4)
    '20 rows have 1 different code, 16 of 16 bits are the same in all of them'
    >>> collapse(np.arange(20, dtype=np.uint8)[:, None] % 4, np.arange(20) % 4) is None
    True
    """
    packed = check_codes(codes)
    if len(packed) < FEW:
        return None
    distinct, found = _occurring(packed)
    if found >= 1 + (_expected(labels) - 1) / 4:
        return None
    constant = int((np.unpackbits(packed ^ packed[0], axis=1) == 0).all(axis=0).sum())
    one = "1 different code" if distinct == 1 else f"{distinct:,} different codes"
    mostly = "" if distinct == 1 else f", as little as {found:.1f} equally frequent ones tell apart"
    return (
        f"{len(packed):,} rows have {one}{mostly}, {constant} of {8 * packed.shape[1]} bits are the same in all of them"
    )


def _expected(labels: npt.ArrayLike | None) -> float:
    """How many codes labels ask for."""
    if labels is None:
        return 2.0
    array = np.asarray(labels)
    _, sets = _occurring(array.reshape(len(array), -1))
    asked = min(sets, int(array.any(axis=0).sum())) if array.ndim == 2 else sets
    return asked if asked > 1 else 2.0


def _occurring(rows: Array) -> tuple[int, float]:
    """How many different rows there are, and how many equally frequent ones would have their entropy."""
    _, counts = np.unique(rows, axis=0, return_counts=True)
    share = counts / counts.sum()
    return len(counts), float(np.exp(-(share * np.log(share)).sum()))


def _quality(packed: Array, bits: int) -> dict[str, float]:
    if not len(packed):
        raise UserError("there are no codes; at least one is needed")
    total, product = np.zeros(bits), np.zeros((bits, bits))
    for start in range(0, len(packed), _ROWS):
        set_bits = np.unpackbits(packed[start : start + _ROWS], axis=1, count=bits)
        signs = 2 * set_bits.astype(np.float32) - 1  # sums of so few are exact
        total += signs.sum(axis=0)
        product += signs.T @ signs
    mean = total / len(packed)
    covariance = product / len(packed) - np.outer(mean, mean)
    some = np.abs(total) < len(packed)
    scale = np.where(some, np.sqrt(np.maximum(1 - mean**2, 1e-300)), np.inf)
    correlation = np.abs(covariance / np.outer(scale, scale))
    pairs = bits * (bits - 1)
    return {
        "rows": len(packed),
        "bits": bits,
        "imbalance": float(np.abs(mean).mean()),
        "correlation": float((correlation.sum() - correlation.trace()) / pairs) if pairs else 0.0,
        "constant": int((~some).sum()),
        "distinct": len(np.unique(packed, axis=0)),
    }
