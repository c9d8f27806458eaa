"""The first ranks of Hamming rankings, in the order of (distance, position).

The number of items at each distance is known, so each item's rank is, too: one pass puts all in their places, however
many there are.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from numba import njit

from crossbit.bits.compiled import JitKernel, popcount, run, thread_count

_QUERIES = 16  # of one task
_TILE = 4096  # items whose distances stay in the first-level cache


def nearest(query: np.ndarray, database: np.ndarray, size: np.ndarray, depth: np.ndarray) -> tuple[np.ndarray, ...]:
    """Distances and positions of the first items of each ranking, both int64 (m, p), p the largest depth.

    Args:
        query, database: `planes` of the codes, uint64 (words, m) and (words, n).
        size: the `distance_histograms` of the codes, int64 (m, bits + 1).
        depth: how many items of each ranking, int64 (m,), in whole tie groups. What is behind has a distance of its
            own, beyond all others, and stands for the first item.

    >>> from crossbit.bits import distance_histograms, planes
    >>> codes = np.array([[3], [0], [1], [0]], np.uint8)
    >>> size = distance_histograms(codes[1:2], codes)
    >>> distance, items = nearest(planes(codes[1:2]), planes(codes), size, np.array([3]))
    >>> distance.tolist(), items.tolist()
    ([[0, 0, 1]], [[1, 3, 2]])
    """
    shape = len(depth), int(depth.max(initial=0))
    distance, items = np.full(shape, size.shape[1], np.int64), np.zeros(shape, np.int64)
    before = size.cumsum(axis=1) - size

    def task(first: int) -> None:
        part = slice(first, first + _QUERIES)
        _place(query[:, part], database, before[part], depth[part], distance[part], items[part])

    run([partial(task, first) for first in range(0, len(depth), _QUERIES)], thread_count())
    return distance, items


@njit(nogil=True)
def distances(query, tile, out):  # type: ignore[no-untyped-def]
    """Hamming distances of one query to one tile of the database."""
    out[:] = 0
    for w in range(len(query)):
        word, plane = query[w], tile[w]
        for j in range(len(plane)):
            out[j] += popcount(plane[j] ^ word)


@JitKernel
def _place(queries, database, before, depth, distance, items):  # type: ignore[no-untyped-def]
    """Fill distance and items (m, p) with what is among the first `depth` (m,); `before` (m, bits + 1) lie nearer."""
    block = np.empty(_TILE, np.uint64)
    for q in range(queries.shape[1]):
        query, ranks, last = queries[:, q].copy(), before[q].copy(), np.uint64(0)
        for d in range(before.shape[1]):
            if before[q, d] < depth[q]:
                last = np.uint64(d)
        for start in range(0, database.shape[1], _TILE):
            tile = database[:, start : start + _TILE]
            near = block[: tile.shape[1]]
            distances(query, tile, near)
            for j in range(len(near)):
                if near[j] <= last:
                    rank = ranks[near[j]]
                    ranks[near[j]] = rank + 1
                    distance[q, rank], items[q, rank] = near[j], start + j
