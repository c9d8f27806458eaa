"""Measures of the ranking that a stable sort by distance gives: ties are in the order of the database.

No sort is needed. Once it is known how many items, and how many relevant ones, lie nearer than each distance, one pass
over the database in its own order gives every relevant item its rank and the number of hits up to it.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from numba import njit

from crossbit.bits.compiled import JitKernel, popcount, run, thread_count

_QUERIES = 64  # queries of one task: enough that starting it costs nothing, few enough that the tasks end together
_TILE = 4096  # items whose distances stay in the first-level cache


def hits_in_order(
    query: np.ndarray,
    database: np.ndarray,
    query_labels: np.ndarray,
    database_labels: np.ndarray,
    size: np.ndarray,
    relevant: np.ndarray,
    *,
    k: list[int],
    of_relevant: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Relevant items among the first k of the ranking by (distance, position), and the sum of their precisions.

    Args:
        query, database: `planes` of the codes, uint64 (words, m) and (words, n).
        query_labels, database_labels: uint8 0/1 (m, c) and (n, c), or int64 (m,) and (n,).
        size, relevant: the `distance_histograms` of them, int64 (m, bits + 1).
        k: the cuts.
        of_relevant: cut after the first k relevant items instead of the first k items.

    Returns:
        hits int64 and sums of P(r) float64, both (m, len(k)).

    >>> from crossbit.bits import distance_histograms, planes
    >>> codes, labels = np.array([[0], [1], [2]], np.uint8), np.array([5, 6, 5])
    >>> hits, sums = hits_in_order(planes(codes[:1]), planes(codes), labels[:1], labels,
    ...                            *distance_histograms(codes[:1], codes, labels[:1], labels), k=[1, 3])
    >>> hits.tolist(), (sums * 3).tolist()
    ([[1, 2]], [[3.0, 5.0]])
    """
    words = label_words(query_labels)
    before, hits_before = size.cumsum(axis=1) - size, relevant.cumsum(axis=1) - relevant
    found, sums = np.zeros((len(size), len(k)), np.int64), np.zeros((len(size), len(k)))
    side = database, label_words(database_labels), query_labels.ndim == 1, np.array(k, np.int64), of_relevant

    def task(first: int) -> None:
        rows = slice(first, first + _QUERIES)
        _scan(query[:, rows], words[:, rows], before[rows], hits_before[rows], *side, found[rows], sums[rows])

    run([partial(task, first) for first in range(0, len(size), _QUERIES)], thread_count())
    return found, sums


def label_words(labels: np.ndarray) -> np.ndarray:
    """Labels as uint64 (words, n): classes as they are, label sets as bits."""
    if labels.ndim == 1:
        return labels.astype(np.int64).view(np.uint64)[None]
    packed = np.packbits(labels, axis=1)
    packed = np.pad(packed, ((0, 0), (0, -packed.shape[1] % 8)))
    return np.ascontiguousarray(np.ascontiguousarray(packed).view(np.uint64).T)  # packbits keeps the order of columns


@njit(nogil=True)
def _look(query, label, database, labels, equal, distance, shared):  # type: ignore[no-untyped-def]
    """Hamming distances and shared (or, for classes, differing) label bits of one query to one tile of the database."""
    distance[:] = 0
    shared[:] = 0
    for w in range(len(query)):
        word, plane = query[w], database[w]
        for j in range(len(plane)):
            distance[j] += popcount(plane[j] ^ word)
    for w in range(len(label)):
        word, plane = label[w], labels[w]
        for j in range(len(plane)):
            shared[j] |= (plane[j] ^ word) if equal else (plane[j] & word)


@JitKernel
def _scan(queries, query_labels, before, hits_before, database, labels, equal, cuts, of_relevant, found, sums):  # type: ignore[no-untyped-def]
    """Fill found and sums (m, cuts); planes are uint64 (words, rows), `before` and `hits_before` are (m, bits + 1)."""
    n = database.shape[1]
    distance, shared = np.empty(_TILE, np.uint64), np.empty(_TILE, np.uint64)
    for q in range(queries.shape[1]):
        query, label = queries[:, q].copy(), query_labels[:, q].copy()
        ranks, hits = before[q].copy(), hits_before[q].copy()  # of the last item seen at each distance
        for start in range(0, n, _TILE):
            tile, tile_labels = database[:, start : start + _TILE], labels[:, start : start + _TILE]
            near, common = distance[: tile.shape[1]], shared[: tile.shape[1]]
            _look(query, label, tile, tile_labels, equal, near, common)
            for j in range(len(near)):
                d = near[j]
                ranks[d] += 1
                if (common[j] == 0) == equal:
                    hits[d] += 1
                    place = hits[d] if of_relevant else ranks[d]
                    for c in range(len(cuts)):
                        if place <= cuts[c]:
                            found[q, c] += 1
                            sums[q, c] += hits[d] / ranks[d]
