"""Graded relevance of Hamming rankings: how many labels an item shares with the query, for discounted gains.

A gain is 2^g - 1 for g shared labels. Only ratios of sums are of use, so gains are scaled by 2^-top, top being the most
labels that a query has; so they cannot overflow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numba import njit

from crossbit.bits.compiled import JitKernel, popcount, run, thread_count
from crossbit.evaluation.ties.order import label_words

_COUNTS = 1 << 22  # counts held at a time
_QUERIES = 16  # of one task
_TILE = 4096  # items whose distances stay in the first-level cache


def weighted_gains(
    query: np.ndarray,
    database: np.ndarray,
    query_labels: np.ndarray,
    database_labels: np.ndarray,
    size: np.ndarray,
    weight: np.ndarray,
    ties: str,
) -> np.ndarray:
    """Sum over ranks of gain times weight, for the ranking by distance: (m,).

    Args:
        query, database: `planes` of the codes, uint64 (words, m) and (words, n).
        query_labels, database_labels: uint8 0/1 (m, c) and (n, c), or int64 (m,) and (n,): then g is 0 or 1.
        size: the `distance_histograms` of the codes, int64 (m, bits + 1).
        weight: float64 (n + 1,), what the first r ranks weigh together, for r = 0..n.
        ties: "expected", "index", "best" or "worst".

    >>> from crossbit.bits import distance_histograms, planes
    >>> codes, labels = np.array([[0], [1]], np.uint8), np.array([[1, 0], [1, 1]], np.uint8)
    >>> gain = weighted_gains(planes(codes[1:]), planes(codes[::-1]), labels[1:], labels[::-1],
    ...                       distance_histograms(codes[1:], codes[::-1]), np.array([0, 1.0, 1.5]), "expected")
    >>> (4 * gain).tolist()  # 3 * 1 + 1 * .5
    [3.5]
    """
    equal, words, other = query_labels.ndim == 1, label_words(query_labels), label_words(database_labels)
    gain = gain_levels(1 if equal else int(query_labels.sum(axis=1, dtype=np.int64).max(initial=0)))
    values = np.zeros(len(size))
    if ties == "index":
        before = size.cumsum(axis=1) - size
        side = database, other, equal, gain, weight
        _in_threads(_weigh, values, lambda part: (query[:, part], words[:, part], before[part], *side))
        return values
    for rows in _chunks(len(size), size.shape[1] * len(gain)):
        counts = np.zeros((len(size[rows]), size.shape[1], len(gain)), np.int64)
        _fill_counts(counts, query[:, rows], words[:, rows], database, other, equal)
        values[rows] = weigh(*by_ties(counts, gain, ties), weight)
    return values


def gain_levels(top: int) -> np.ndarray:
    """The gains of g = 0..top shared labels, (2^g - 1) / 2^top.

    >>> gain_levels(2) * 4
    array([0., 1., 3.])
    """
    return np.exp2(np.arange(top + 1.0) - top) - np.exp2(-float(top))


def by_ties(counts: np.ndarray, gain: np.ndarray, ties: str) -> tuple[np.ndarray, np.ndarray]:
    """Counts (m, groups, levels) and gains (levels,) as runs of equal gain: how many, (m, runs), and their gain."""
    if ties == "expected":
        size = counts.sum(axis=2)
        return size, counts @ gain / np.maximum(size, 1)
    step = -1 if ties == "best" else 1
    return counts[:, :, ::step].reshape(len(counts), -1), np.tile(gain[::step], counts.shape[1])


def weigh(count: np.ndarray, gain: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Sum of gain times weight over the ranks of consecutive runs: int (m, runs), (m, runs) or (runs,), (n + 1,)."""
    end = count.cumsum(axis=1)
    return ((weight[end] - weight[end - count]) * gain).sum(axis=1)


def ranks_that_weigh(weight: np.ndarray) -> int:
    """How many ranks have any weight, from the weight of the first r together.

    >>> ranks_that_weigh(np.array([0, 1.0, 1.5, 1.5]))
    2
    """
    return int(np.searchsorted(weight, weight[-1]))


def _chunks(rows: int, width: int) -> Iterator[slice]:
    step = max(1, _COUNTS // max(width, 1))
    return (slice(start, start + step) for start in range(0, rows, step))


def _fill_counts(counts: np.ndarray, query: np.ndarray, words: np.ndarray, *database: object) -> None:
    _in_threads(_count, counts, lambda part: (query[:, part], words[:, part], *database))


def _in_threads(kernel: JitKernel, out: np.ndarray, arguments: Callable[[slice], tuple[object, ...]]) -> None:
    """kernel(*arguments(rows), out[rows]) for a few rows at a time."""
    parts = [slice(start, start + _QUERIES) for start in range(0, len(out), _QUERIES)]
    run([lambda part=part: kernel(*arguments(part), out[part]) for part in parts], thread_count())  # type: ignore[misc]


@njit(nogil=True)
def _look(query, label, database, labels, equal, distance, shared):  # type: ignore[no-untyped-def]
    """Hamming distances and numbers of shared labels of one query to one tile of the database."""
    distance[:] = 0
    shared[:] = 0
    for w in range(len(query)):
        word, plane = query[w], database[w]
        for j in range(len(plane)):
            distance[j] += popcount(plane[j] ^ word)
    for w in range(len(label)):
        word, plane = label[w], labels[w]
        for j in range(len(plane)):
            shared[j] += np.uint64(plane[j] == word) if equal else popcount(plane[j] & word)


@JitKernel
def _count(queries, query_labels, database, labels, equal, out):  # type: ignore[no-untyped-def]
    """out (m, bits + 1, levels): items at each distance that share so many labels."""
    n = database.shape[1]
    distance, shared = np.empty(_TILE, np.uint64), np.empty(_TILE, np.uint64)
    for q in range(queries.shape[1]):
        query, label = queries[:, q].copy(), query_labels[:, q].copy()
        for start in range(0, n, _TILE):
            tile, tile_labels = database[:, start : start + _TILE], labels[:, start : start + _TILE]
            near, common = distance[: tile.shape[1]], shared[: tile.shape[1]]
            _look(query, label, tile, tile_labels, equal, near, common)
            for j in range(len(near)):
                out[q, near[j], common[j]] += 1


@JitKernel
def _weigh(queries, query_labels, before, database, labels, equal, gain, weight, out):  # type: ignore[no-untyped-def]
    """out (m,): gain times weight, ties in the order of the database; `before` (m, bits + 1) items lie nearer."""
    n = database.shape[1]
    distance, shared = np.empty(_TILE, np.uint64), np.empty(_TILE, np.uint64)
    for q in range(queries.shape[1]):
        query, label, ranks = queries[:, q].copy(), query_labels[:, q].copy(), before[q].copy()
        for start in range(0, n, _TILE):
            tile, tile_labels = database[:, start : start + _TILE], labels[:, start : start + _TILE]
            near, common = distance[: tile.shape[1]], shared[: tile.shape[1]]
            _look(query, label, tile, tile_labels, equal, near, common)
            for j in range(len(near)):
                rank = ranks[near[j]]
                ranks[near[j]] = rank + 1
                out[q] += gain[common[j]] * (weight[rank + 1] - weight[rank])
