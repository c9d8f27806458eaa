"""Overlap of labels in Hamming rankings: |A and B| / |A or B| of a query's labels and an item's, by distance."""

from __future__ import annotations

from functools import partial

import numpy as np
from numba import njit

from crossbit.bits.compiled import JitKernel, popcount, run, thread_count
from crossbit.evaluation.ties.nearest import distances
from crossbit.evaluation.ties.order import label_words

_QUERIES = 16  # of one task
_TILE = 4096  # items whose distances stay in the first-level cache


def overlaps_by_distance(
    query: np.ndarray,
    database: np.ndarray,
    query_labels: np.ndarray,
    database_labels: np.ndarray,
    size: np.ndarray,
    k: int,
) -> np.ndarray:
    """The overlaps of all items at each Hamming distance, summed: float64 (m, bits + 1).

    Zero where nothing among the first k lies so far.

    Args:
        query, database: `planes` of the codes, uint64 (words, m) and (words, n).
        query_labels, database_labels: uint8 0/1 (m, c) and (n, c), or int64 (m,) and (n,): then an overlap is 0 or 1.
        size: the `distance_histograms` of the codes, int64 (m, bits + 1).
        k: how many ranks are looked at.

    >>> from crossbit.bits import distance_histograms, planes
    >>> codes, labels = np.array([[0], [1]], np.uint8), np.array([[1, 0], [1, 1]], np.uint8)
    >>> sides = planes(codes[1:]), planes(codes), labels[1:], labels
    >>> overlaps_by_distance(*sides, distance_histograms(codes[1:], codes), 2)[:, :3].tolist()
    [[1.0, 0.5, 0.0]]
    """
    words, other, equal = label_words(query_labels), label_words(database_labels), query_labels.ndim == 1
    sums, edge = np.zeros(size.shape), (size.cumsum(axis=1) < k).sum(axis=1).astype(np.uint64)

    def task(first: int) -> None:
        part = slice(first, first + _QUERIES)
        _sum(query[:, part], words[:, part], database, other, equal, edge[part], sums[part])

    run([partial(task, first) for first in range(0, len(sums), _QUERIES)], thread_count())
    return sums


@njit(nogil=True)
def _overlap(label, labels, j, equal):  # type: ignore[no-untyped-def]
    """Labels that both have over those that one has, as float; 0 where none has any."""
    shared, either = np.uint64(0), np.uint64(0)
    for w in range(len(label)):
        if equal:
            return 1.0 if labels[w, j] == label[w] else 0.0
        shared += popcount(labels[w, j] & label[w])
    if not shared:
        return 0.0
    for w in range(len(label)):
        either += popcount(labels[w, j] | label[w])
    return shared / either


@JitKernel
def _sum(queries, query_labels, database, labels, equal, edge, out):  # type: ignore[no-untyped-def]
    """out (m, bits + 1): the overlaps at each distance, up to that of the `edge` (m,)."""
    distance = np.empty(_TILE, np.uint64)
    for q in range(queries.shape[1]):
        query, label, last = queries[:, q].copy(), query_labels[:, q].copy(), edge[q]
        for start in range(0, database.shape[1], _TILE):
            tile = database[:, start : start + _TILE]
            near, of_tile = distance[: tile.shape[1]], labels[:, start : start + _TILE]
            distances(query, tile, near)
            for j in range(len(near)):
                if near[j] <= last:
                    out[q, near[j]] += _overlap(label, of_tile, j, equal)
