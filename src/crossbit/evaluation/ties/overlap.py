"""Overlap of labels in Hamming rankings: |A and B| / |A or B| of a query's labels and an item's, over the first ranks.

Only one tie group can be cut, that in which rank k falls; nearer ones count whole. So one pass over the database is
enough: it sums what lies nearer, and gathers the overlaps of the group that is cut, in the order of the database.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from numba import njit

from crossbit.bits.compiled import JitKernel, popcount, run, thread_count
from crossbit.evaluation.ties.order import label_words

_QUERIES = 16  # of one task


def mean_overlaps(
    query: np.ndarray,
    database: np.ndarray,
    query_labels: np.ndarray,
    database_labels: np.ndarray,
    size: np.ndarray,
    k: int,
    ties: str,
) -> np.ndarray:
    """Mean overlap of labels of the first k items, float64 (m,); 0 where two items without labels meet.

    Args:
        query, database: `planes` of the codes, uint64 (words, m) and (words, n).
        query_labels, database_labels: uint8 0/1 (m, c) and (n, c), or int64 (m,) and (n,): then it is 0 or 1.
        size: the `distance_histograms` of the codes, int64 (m, bits + 1).
        k: how many, from 1 to n.
        ties: "expected", "index", "best" or "worst".

    >>> from crossbit.bits import distance_histograms, planes
    >>> codes, labels = np.array([[0], [1]], np.uint8), np.array([[1, 0], [1, 1]], np.uint8)
    >>> sides = planes(codes[1:]), planes(codes[::-1]), labels[1:], labels[::-1]
    >>> mean_overlaps(*sides, distance_histograms(codes[1:], codes[::-1]), 2, "expected").tolist()
    [0.75]
    """
    end = size.cumsum(axis=1)
    edge = (end < k).sum(axis=1)  # the distance at which rank k falls
    taken = k - np.take_along_axis(end - size, edge[:, None], axis=1)[:, 0]
    words, other = label_words(query_labels), label_words(database_labels)
    sums, largest = np.zeros(len(size)), int(np.take_along_axis(size, edge[:, None], axis=1).max(initial=0))

    def task(first: int) -> None:
        part = slice(first, first + _QUERIES)
        side = database, other, query_labels.ndim == 1, np.empty(largest)
        _sum(query[:, part], words[:, part], *side, edge[part], taken[part], _RULES.index(ties), sums[part])

    run([partial(task, first) for first in range(0, len(size), _QUERIES)], thread_count())
    return sums / k


_RULES = ["index", "expected", "worst", "best"]  # as numbers, to compiled code


@njit(nogil=True)
def _overlap(label, labels, j, equal):  # type: ignore[no-untyped-def]
    """Labels that both have over those that one has, as float; 0 where none has any."""
    shared, either = np.uint64(0), np.uint64(0)
    for w in range(len(label)):
        if equal:
            return 1.0 if labels[w, j] == label[w] else 0.0
        shared += popcount(labels[w, j] & label[w])
        either += popcount(labels[w, j] | label[w])
    return shared / either if either else 0.0


@JitKernel
def _sum(queries, query_labels, database, labels, equal, group, edge, taken, rule, out):  # type: ignore[no-untyped-def]
    """out (m,): the overlaps of all nearer than `edge`, and of `taken` at it; `group` has room for these."""
    for q in range(queries.shape[1]):
        query, label, total, held = queries[:, q].copy(), query_labels[:, q].copy(), 0.0, 0
        near = np.uint64(edge[q])
        for j in range(database.shape[1]):
            distance = np.uint64(0)
            for w in range(len(query)):
                distance += popcount(database[w, j] ^ query[w])
            if distance < near:
                total += _overlap(label, labels, j, equal)
            elif distance == near:
                group[held] = _overlap(label, labels, j, equal)
                held += 1
        found = np.sort(group[:held]) if rule >= 2 else group[:held]
        if rule == 1:
            total += found.sum() * taken[q] / held
        elif rule == 3:
            total += found[held - taken[q] :].sum()
        else:
            total += found[: taken[q]].sum()
        out[q] = total
