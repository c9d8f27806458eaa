"""The compiled Hamming kernels: exact top-k and distance histograms over 64-bit words.

Codes arrive as planes, uint64 (words, n): one contiguous array per word, so that XOR and popcount vectorise. The
kernels release the GIL, allocate their own scratch memory and never start threads: `bits` calls them from a
short-lived thread pool. That is safe from any number of caller's threads and after a fork, which numba's own
`prange` is not (its portable threading layer allows one caller at a time).

Everything that a kernel calls lives in this file, because numba's cache notices changes of this file alone.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core.errors import NumbaError
from numba.extending import intrinsic

BLOCK = 256  # codes whose distances are looked at together; a block without a hit is not looked at again
TILE = 16384  # codes that stay in the cache while all queries of a task pass over them


class Kernel:
    """A compiled function whose disk cache is a convenience: where it cannot be read or written, do without.

    numba raises when it finds no folder for its cache (a read-only installation without a home folder), when the
    disk is full, or when a cache file is damaged.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.__doc__, self.__name__ = function.__doc__, function.__name__
        try:
            self.compiled = njit(nogil=True, cache=True)(function)
        except (RuntimeError, OSError):
            self.compiled = njit(nogil=True)(function)

    def __call__(self, *arguments: Any) -> Any:
        try:
            return self.compiled(*arguments)
        except NumbaError:
            raise
        except (OSError, EOFError, pickle.UnpicklingError):
            self.compiled = njit(nogil=True)(self.function)
            return self.compiled(*arguments)


@intrinsic
def popcount(typing_context, word):  # type: ignore[no-untyped-def]
    """Number of one bits of a uint64, as uint64: the processor's instruction."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.ctpop(arguments[0])

    return types.uint64(types.uint64), generate


@njit(nogil=True)
def _distances(query, tile, start, stop, out):  # type: ignore[no-untyped-def]
    """out[:stop - start] = Hamming distances of one query (words,) to tile[:, start:stop]."""
    out = out[: stop - start]
    word, plane = query[0], tile[0, start:stop]
    for j in range(len(out)):
        out[j] = popcount(plane[j] ^ word)
    for w in range(1, len(query)):
        word, plane = query[w], tile[w, start:stop]
        for j in range(len(out)):
            out[j] += popcount(plane[j] ^ word)


@njit(nogil=True)
def _gather(planes, mask, start, stop, tile, rows):  # type: ignore[no-untyped-def]
    """Copy the allowed codes of planes[:, start:stop] to the front of `tile`, their positions to `rows`."""
    size = 0
    allowed = mask[start:stop]
    for j in range(len(allowed)):
        if allowed[j]:
            rows[size] = start + j
            size += 1
    for w in range(len(planes)):
        plane, target = planes[w], tile[w]
        for j in range(size):
            target[j] = plane[rows[j]]
    return size


@njit(nogil=True)
def _sort(near, rows, size, keep, counts, spare_near, spare_rows):  # type: ignore[no-untyped-def]
    """Stable counting sort of the first `size` candidates by distance; returns how many of `keep` there are."""
    counts[:] = 0
    for j in range(size):
        counts[near[j] + 1] += 1
    for d in range(1, len(counts)):
        counts[d] += counts[d - 1]
    for j in range(size):
        place = counts[near[j]]
        counts[near[j]] += 1
        spare_near[place], spare_rows[place] = near[j], rows[j]
    size = min(size, keep)
    near[:size], rows[:size] = spare_near[:size], spare_rows[:size]
    return size


@Kernel
def top_k(queries, planes, mask, start, stop, distances, positions):  # type: ignore[no-untyped-def]
    """Fill `distances` int32 and `positions` int64, both (m, k), with each query's nearest codes.

    Args: `queries` uint64 (words, m); `planes` uint64 (words, n); `mask` bool (n,), or empty where all rows are
    allowed; only rows start..stop are looked at. Ordered by (distance, position); -1 where there are fewer than k.
    """
    words, m = queries.shape
    k = distances.shape[1]
    room = min(4 * k + 64, max(stop - start, 1))
    near, rows = np.empty((m, room), np.int32), np.empty((m, room), np.int64)
    spare_near, spare_rows = np.empty(room, np.int32), np.empty(room, np.int64)
    counts, found = np.empty(64 * words + 2, np.int64), np.zeros((m, 64 * words + 1), np.int64)
    size, limit, below = np.zeros(m, np.int64), np.full(m, 64 * words + 1), np.zeros(m, np.int64)
    masked = len(mask) > 0
    local = np.empty((words, TILE if masked else 0), np.uint64)
    local_rows = np.empty(TILE if masked else 0, np.int64)
    block = np.empty(BLOCK, np.uint64)
    for tile_start in range(start, stop, TILE):
        tile_stop = min(tile_start + TILE, stop)
        length = tile_stop - tile_start
        tile = planes[:, tile_start:tile_stop]
        if masked:
            length = _gather(planes, mask, tile_start, tile_stop, local, local_rows)
            tile = local[:, :length]
        for q in range(m):
            query = queries[:, q].copy()
            for s in range(0, length, BLOCK):
                e = min(s + BLOCK, length)
                _distances(query, tile, s, e, block)
                ds = block[: e - s]
                bound = np.uint64(limit[q])
                hits = 0
                for j in range(len(ds)):
                    hits += ds[j] < bound
                if hits == 0:
                    continue
                for j in range(len(ds)):
                    d = np.int64(ds[j])
                    if d < limit[q]:
                        if size[q] == room:
                            size[q] = _sort(near[q], rows[q], room, k, counts, spare_near, spare_rows)
                        near[q, size[q]] = d
                        rows[q, size[q]] = local_rows[s + j] if masked else tile_start + s + j
                        size[q] += 1
                        found[q, d] += 1
                        below[q] += 1
                        while below[q] >= k:
                            limit[q] -= 1
                            below[q] -= found[q, limit[q]]
    for q in range(m):
        filled = _sort(near[q], rows[q], size[q], k, counts, spare_near, spare_rows)
        distances[q, :filled], positions[q, :filled] = near[q, :filled], rows[q, :filled]
        distances[q, filled:], positions[q, filled:] = -1, -1


@Kernel
def histograms(queries, planes, query_labels, labels, equal, everything, relevant):  # type: ignore[no-untyped-def]
    """Add to `everything` and `relevant`, int64 (m, bits + 1), how many codes lie at each distance of each query.

    Args: `queries` uint64 (words, m); `planes` uint64 (words, n); `query_labels` uint64 (label words, m); `labels`
    uint64 (label words, n); `equal`: labels are classes, relevant when equal, else sets, relevant when they meet.
    No label words: `relevant` stays as it is.
    """
    words, m = queries.shape
    n = planes.shape[1]
    label_words = len(labels)
    block, shared = np.empty(BLOCK, np.uint64), np.empty(BLOCK, np.uint64)
    counts = np.zeros((m, 2, 64 * words + 1), np.int64)
    for tile_start in range(0, n, TILE):
        tile_stop = min(tile_start + TILE, n)
        for q in range(m):
            query = queries[:, q].copy()
            for s in range(tile_start, tile_stop, BLOCK):
                e = min(s + BLOCK, tile_stop)
                _distances(query, planes, s, e, block)
                shared[:] = 0
                for w in range(label_words):
                    label, plane, out = query_labels[w, q], labels[w, s:e], shared[: e - s]
                    for j in range(len(out)):
                        out[j] |= (plane[j] ^ label) if equal else (plane[j] & label)
                for j in range(e - s):
                    hit = (shared[j] == 0) == equal
                    counts[q, np.int64(hit), block[j]] += 1
    for q in range(m):
        for d in range(everything.shape[1]):
            everything[q, d] += counts[q, 0, d] + counts[q, 1, d]
            if label_words:
                relevant[q, d] += counts[q, 1, d]
