"""The nearest codes by numpy alone: the same as the compiled kernels find, without the half second that it takes to
load the compiler. Good for a few queries of a process that ends after them, such as a search from the shell."""

from __future__ import annotations

import sys

import numpy as np
import numpy.typing as npt

from crossbit.bits.masks import from_mask_words

FEW = 1 << 20  # distances that numpy computes and sorts in some milliseconds


def is_enough(distances: int) -> bool:
    """Whether so few distances are computed faster than the compiler is loaded, if it is not loaded yet."""
    return distances <= FEW and "crossbit.bits.kernels" not in sys.modules


def top_k(
    queries: npt.NDArray[np.uint64], planes: npt.NDArray[np.uint64], mask: npt.NDArray[np.uint64], k: int
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    """The k nearest codes of each query by (distance, position), -1 where there are fewer.

    Args:
        queries: uint64 (m, words).
        planes: uint64 (words, n).
        mask: uint64 (ceil(n / 64),) of `mask_words`, or empty where all rows are allowed.
        k: how many, at most n.

    Returns:
        distances int32 and positions int64, both (m, k).

    >>> top_k(np.array([[0]], np.uint64), np.array([[7, 1, 0]], np.uint64), np.array([], np.uint64), 2)
    (array([[0, 1]], dtype=int32), array([[2, 1]]))
    """
    distances, positions = np.full((len(queries), k), -1, np.int32), np.full((len(queries), k), -1, np.int64)
    n = planes.shape[1]
    rows = np.flatnonzero(from_mask_words(mask, n)) if len(mask) else np.arange(n)
    for query, near, found in zip(queries, distances, positions, strict=True):
        far = np.bitwise_count(planes ^ query[:, None]).sum(axis=0, dtype=np.uint16)[rows]
        order = np.argsort(far, kind="stable")[:k]  # a radix sort, for 16 bits
        near[: len(order)], found[: len(order)] = far[order], rows[order]
    return distances, positions
