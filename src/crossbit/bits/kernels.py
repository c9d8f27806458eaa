"""The compiled Hamming kernels: exact top-k and distance histograms over 64-bit words.

Database codes arrive as planes, uint64 (words, n): one contiguous array per word, so that XOR and popcount vectorise;
queries as rows, uint64 (m, words). The kernels release the GIL, allocate their own scratch memory and start no
threads: `bits` calls them from the process's pool (`run`). That is safe from any number of a caller's threads and after
a fork, which numba's `prange` is not (its portable threading layer allows one caller).

Two rules keep them fast. Inline what is called per block. Add up unsigned indices (`a[w, start + j]`): signed ones keep
a branch for negative values, `a[:, s:e]` forgets that rows are contiguous, so that nothing vectorises, and any slice
counts a reference. One keeps them right: what a kernel calls is in its file, the only one whose changes numba's
cache notices.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from crossbit.bits.compiled import JitKernel, popcount

BLOCK = 512  # codes whose distances are computed together: 4 KiB in the first-level cache
WIDE = 1024  # codes of one word passed over at once where none of them is near enough
PART = 64  # codes looked at one by one where one of them is near enough: a word of a mask; BLOCK is a multiple
COPY = 24  # what copying a code costs, in looks at one by a query
TILE = 8192  # codes that stay in the cache while all queries of a task pass over them

inline = njit(nogil=True, forceinline=True)


@inline
def _distances(query, planes, words, start, size, out):  # type: ignore[no-untyped-def]
    """out[j] = Hamming distance of a query's first `words` words to those of code start + j, for j below `size`."""
    word = query[0]
    for j in range(size):
        out[j] = popcount(planes[0, start + j] ^ word)
    for w in range(1, words):
        word = query[w]
        for j in range(size):
            out[j] += popcount(planes[w, start + j] ^ word)


@inline
def _any_near(query, planes, start, size, limit, out):  # type: ignore[no-untyped-def]
    """Whether one of codes start..start + size is nearer than the limit: then their difference, modulo 2^64, has its
    highest bit set. One word or two are looked at once and nothing is stored; `out` takes what more of them add."""
    highest, words = np.uint64(0), len(query)
    last = query[words - 1]
    if words == 1:
        for j in range(size):
            highest |= popcount(planes[0, start + j] ^ last) - limit
        return (highest >> np.uint64(63)) != 0
    v, w = words - 2, words - 1
    other = query[v]
    if words == 2:
        for j in range(size):
            highest |= popcount(planes[0, start + j] ^ other) + popcount(planes[1, start + j] ^ last) - limit
        return (highest >> np.uint64(63)) != 0
    _distances(query, planes, words - 2, start, size, out)
    for j in range(size):
        highest |= out[j] + popcount(planes[v, start + j] ^ other) + popcount(planes[w, start + j] ^ last) - limit
    return (highest >> np.uint64(63)) != 0


@inline
def _window(mask, at):  # type: ignore[no-untyped-def]
    """Bits at .. at + 63 of a mask, as one word; 0 past its end."""
    word, rest = at >> np.uint64(6), at & np.uint64(63)
    bits = mask[word] >> rest
    if rest and word + np.uint64(1) < np.uint64(len(mask)):
        bits |= mask[word + np.uint64(1)] << (np.uint64(64) - rest)
    return bits


@inline
def _any_below(distances, start, size, limit):  # type: ignore[no-untyped-def]
    """Whether one of distances[start : start + size] is below the limit.

    Then their difference, modulo 2^64, has its highest bit set.
    """
    highest = np.uint64(0)
    for j in range(size):
        highest |= distances[start + j] - limit
    return (highest >> np.uint64(63)) != 0


@inline
def _any_allowed_below(distances, start, bits, limit):  # type: ignore[no-untyped-def]
    """Whether one of distances[start : start + 64] that a mask's 64 bits allow is below the limit."""
    highest = np.uint64(0)
    for j in range(np.uint64(PART)):
        highest |= (distances[start + j] - limit) & (bits << (np.uint64(63) - j))  # whose highest bit is bit j
    return (highest >> np.uint64(63)) != 0


@inline
def _lowest(bits):  # type: ignore[no-untyped-def]
    """Which is the lowest bit of a word that is set."""
    return popcount(~bits & (bits - np.uint64(1)))


@njit(nogil=True)
def _is_worth_gathering(mask, start, stop, m):  # type: ignore[no-untyped-def]
    """Whether copying what the mask allows costs less than m queries' looks at what it does not allow."""
    allowed = np.uint64(0)
    for w in range(np.uint64(start) >> np.uint64(6), (np.uint64(stop) + np.uint64(63)) >> np.uint64(6)):
        allowed += popcount(mask[w])
    return COPY * np.int64(allowed) < m * (stop - start - np.int64(allowed))


@njit(nogil=True)
def _gather(planes, mask, start, stop, tile, rows):  # type: ignore[no-untyped-def]
    """Copy the allowed codes among start..stop to the front of `tile` (words, TILE), their positions to `rows`."""
    size, one = np.uint64(0), np.uint64(1)
    for w in range(np.uint64(start) >> np.uint64(6), (np.uint64(stop) + np.uint64(63)) >> np.uint64(6)):
        bits = mask[w]
        while bits:
            rows[size] = np.int64((w << np.uint64(6)) + _lowest(bits))
            bits &= bits - one
            size += one
    for w in range(len(planes)):
        for j in range(size):
            tile[w, j] = planes[w, np.uint64(rows[j])]
    return np.int64(size)


@njit(nogil=True)
def _keep(candidates, size, k, levels):  # type: ignore[no-untyped-def]
    """Sort the first `size` candidates, int64 (2, room), by distance, stably, keep the first k; return how many."""
    near, rows = np.empty(size, np.int64), np.empty(size, np.int64)
    places = np.zeros(levels + 1, np.int64)
    for j in range(size):
        near[j], rows[j] = candidates[0, j], candidates[1, j]
        places[near[j] + 1] += 1
    for d in range(levels):
        places[d + 1] += places[d]
    for j in range(size):
        place = places[near[j]]
        places[near[j]] += 1
        if place < k:
            candidates[0, place], candidates[1, place] = near[j], rows[j]
    return min(size, k)


@njit(nogil=True)
def _offer(d, row, k, candidates, found, state):  # type: ignore[no-untyped-def]
    """Take up a code if it is nearer than the k-th nearest so far. `state`: candidates, limit, how many below it.

    `found` (levels,) counts what was taken up at each distance; so the limit is exact at every moment, and a code as
    far as the k-th nearest is passed over: its position is higher.
    """
    if d >= state[1]:
        return
    if state[0] == candidates.shape[1]:
        state[0] = _keep(candidates, state[0], k, len(found))
    candidates[0, state[0]], candidates[1, state[0]] = d, row
    state[0] += 1
    found[d] += 1
    state[2] += 1
    while state[2] >= k:
        state[1] -= 1
        state[2] -= found[state[1]]


@njit(nogil=True)
def _search(query, planes, start, stop, rows, mask, block, k, candidates, found, state):  # type: ignore[no-untyped-def]
    """Offer codes start..stop to one query's candidates, if `mask` allows them or is empty; rows[j] is code j's
    position, or none are given: j itself. The mask is looked at where a code is near enough alone."""
    part, allowed, near, at = np.uint64(PART), ~np.uint64(0), True, start
    while at < stop:
        s, limit = np.uint64(at), np.uint64(state[1])
        if not near:
            if len(query) == 1 and at + WIDE <= stop and not _any_near(query, planes, s, np.uint64(WIDE), limit, block):
                at += WIDE
                continue
            if at + BLOCK <= stop and not _any_near(query, planes, s, np.uint64(BLOCK), limit, block):
                at += BLOCK
                continue
        size = np.uint64(min(BLOCK, stop - at))
        _distances(query, planes, len(query), s, size, block)
        near = False
        for p in range(np.uint64(0), size, part):
            if not _any_below(block, p, part, np.uint64(state[1])):  # leftovers past `size` cost a look at most
                continue
            near = True  # so may be what follows, and is looked at but once
            if len(mask):
                allowed = _window(mask, s + p)
                if not _any_allowed_below(block, p, allowed, np.uint64(state[1])):
                    continue
            for j in range(p, min(p + part, size)):
                if block[j] < np.uint64(state[1]) and (allowed >> (j - p)) & np.uint64(1):
                    row = rows[at + np.int64(j)] if len(rows) else at + np.int64(j)
                    _offer(np.int64(block[j]), row, k, candidates, found, state)
        at += BLOCK


@JitKernel
def top_k(queries, planes, mask, start, stop, distances, positions):  # type: ignore[no-untyped-def]
    """Fill `distances` int32 and `positions` int64, both (m, k), with each query's nearest codes.

    Args: `queries` uint64 (m, words); `planes` uint64 (words, n); `mask` uint64 (ceil(n / 64),) of `mask_words`, or
    empty where all rows are allowed; only rows start..stop are looked at, where start is a multiple of 64. Ordered by
    (distance, position); -1 where there are fewer than k.
    """
    (m, words), k = queries.shape, distances.shape[1]
    levels = 64 * words + 1
    candidates = np.empty((m, 2, max(min(4 * k + 64, stop - start), 1)), np.int64)
    found, state = np.zeros((m, levels), np.int64), np.zeros((m, 3), np.int64)
    block, masked, none, all_rows = np.empty(BLOCK, np.uint64), len(mask) > 0, np.empty(0, np.int64), mask[:0]
    tile, rows = np.empty((words, TILE), np.uint64), np.empty(TILE if masked else 0, np.int64)
    for q in range(m):
        state[q, 1] = levels
    for s in range(start, stop, TILE):
        e = min(s + TILE, stop)
        gathered = masked and _is_worth_gathering(mask, s, e, m)
        size = _gather(planes, mask, s, e, tile, rows) if gathered else 0
        for q in range(m):
            if gathered:
                _search(queries[q], tile, 0, size, rows, all_rows, block, k, candidates[q], found[q], state[q])
            else:
                _search(queries[q], planes, s, e, none, mask, block, k, candidates[q], found[q], state[q])
    for q in range(m):
        size = _keep(candidates[q], state[q, 0], k, levels)
        for j in range(k):
            distances[q, j] = candidates[q, 0, j] if j < size else -1
            positions[q, j] = candidates[q, 1, j] if j < size else -1


@JitKernel
def top_k_in_cells(queries, planes, starts, chosen, mask, distances, positions):  # type: ignore[no-untyped-def]
    """As `top_k`, each query among some cells alone, and in ties in the order in which their codes are met.

    Args: `planes` uint64 (words, n), those of a cell together; `starts` int64 (cells + 1): cell c is starts[c] to
    starts[c + 1]; `chosen` int64 (m, probes): the cells that each query looks into, in this order; `mask` as there.
    Returns the number of codes that were compared.
    """
    (m, words), k = queries.shape, distances.shape[1]
    levels, compared = 64 * words + 1, 0
    candidates, none, block = np.empty((2, 4 * k + 64), np.int64), np.empty(0, np.int64), np.empty(BLOCK, np.uint64)
    for q in range(m):
        found, state = np.zeros(levels, np.int64), np.zeros(3, np.int64)
        state[1] = levels
        for c in chosen[q]:
            _search(queries[q], planes, starts[c], starts[c + 1], none, mask, block, k, candidates, found, state)
            compared += starts[c + 1] - starts[c]
        size = _keep(candidates, state[0], k, levels)
        for j in range(k):
            distances[q, j] = candidates[0, j] if j < size else -1
            positions[q, j] = candidates[1, j] if j < size else -1
    return compared


@inline
def _places(query, planes, label, labels, equal, start, size, out):  # type: ignore[no-untyped-def]
    """out[j] = 2 * distance + mark of code start + j; marked are equal labels or, unless `equal`, disjoint ones.

    Two words a pass, an odd one first: every pass over `out` costs as much as a third of a word.
    """
    odd, name, one = len(query) % 2, label[0], np.uint64(1)
    first, second = query[0], query[1 - odd]
    for j in range(size):
        shared = labels[0, start + j] ^ name if equal else labels[0, start + j] & name
        near = popcount(planes[0, start + j] ^ first)
        if not odd:
            near += popcount(planes[1, start + j] ^ second)
        out[j] = (near << one) + np.uint64(shared == 0)
    for w in range(2 - odd, len(query), 2):
        first, second = query[w], query[w + 1]
        for j in range(size):
            out[j] += (popcount(planes[w, start + j] ^ first) + popcount(planes[w + 1, start + j] ^ second)) << one
    for w in range(1, len(label)):
        name = label[w]
        for j in range(size):
            out[j] &= ~np.uint64((labels[w, start + j] & name) != 0)


@inline
def _count(places, size, counts):  # type: ignore[no-untyped-def]
    """counts[:, place] += 1, in four rows by turns: increments of one place wait for one another."""
    one, fours = np.uint64(1), size & ~np.uint64(3)
    for j in range(np.uint64(0), fours, np.uint64(4)):
        counts[0, places[j]] += 1
        counts[1, places[j + one]] += 1
        counts[2, places[j + one + one]] += 1
        counts[3, places[j + one + one + one]] += 1
    for j in range(fours, size):
        counts[0, places[j]] += 1


@JitKernel
def histograms(queries, planes, query_labels, labels, equal, everything, relevant):  # type: ignore[no-untyped-def]
    """Fill `everything` and `relevant`, int64 (m, bits + 1): how many codes lie at each distance of each query.

    Args: `queries` uint64 (m, words); `planes` uint64 (words, n); `query_labels` uint64 (m, label words); `labels`
    uint64 (label words, n); `equal`: labels are classes, one word, relevant when equal; else sets, when they meet.
    """
    (m, words), n = queries.shape, planes.shape[1]
    counts = np.zeros((m, 4, 2 * (64 * words + 1)), np.uint32)
    block = np.empty(BLOCK, np.uint64)
    for tile in range(0, n, TILE):
        for q in range(m):
            query, label, count = queries[q], query_labels[q], counts[q]
            for s in range(tile, min(tile + TILE, n), BLOCK):
                size = np.uint64(min(BLOCK, n - s))
                _places(query, planes, label, labels, equal, np.uint64(s), size, block)
                _count(block, size, count)
    for q in range(m):
        for d in range(everything.shape[1]):
            unmarked, marked = np.int64(0), np.int64(0)
            for row in range(4):
                unmarked += counts[q, row, 2 * d]
                marked += counts[q, row, 2 * d + 1]
            everything[q, d] = unmarked + marked
            relevant[q, d] = marked if equal else unmarked
