"""The posterior of rows with several labels from a few numbers a row, compiled.

Shapes: n rows, c classes; odds (n, c), exp of the logits, 0 for classes that are not judged. The labels of row i that
are judged are the classes `column[start[i]:start[i + 1]]`.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from crossbit.bits.compiled import JitKernel

LANES = 8  # classes at a time: sums of their own, added in the end
ROUNDS = 4  # of lanes, after which it is looked whether a product grows too large
MUCH = 1e200  # for a product of odds: with so many more factors of e^50 it is no overflow
SMALL = 0.05  # odds up to which classes are counted together


@JitKernel
def label_sums(odds, start, column, kept, out, into):  # type: ignore[no-untyped-def]
    """Fill `kept`, `out` and `into` (n,), those of `crossbit.posterior.kinds.Observed`."""
    n, classes = odds.shape
    least, row = np.finfo(np.float64).tiny, np.zeros(-(-classes // (ROUNDS * LANES)) * ROUNDS * LANES)
    products, sums = np.empty(LANES), np.empty(LANES)
    for i in range(n):
        row[:classes] = odds[i]
        own, less = 0.0, 0.0
        for c in column[start[i] : start[i + 1]]:
            own += np.log(row[c]) - np.log1p(row[c])
            less += 1 / row[c]
            row[c] = 0.0
        products[:], sums[:] = 1.0, 0.0
        for start_of_round in range(0, len(row), ROUNDS * LANES):
            for first in range(start_of_round, start_of_round + ROUNDS * LANES, LANES):
                for k in range(LANES):
                    sums[k] += row[first + k]
                    products[k] *= 1 + row[first + k]
            most = 0.0
            for k in range(LANES):
                most = max(most, products[k])
            if most > MUCH:
                own -= np.log(products).sum()
                products[:] = 1.0
        kept[i] = own - np.log(products).sum()
        out[i], into[i] = np.log(max(less, least)), np.log(max(sums.sum(), least))


@JitKernel
def size_parts(odds, rows, size, small, whole):  # type: ignore[no-untyped-def]
    """Fill small and whole (q, most + 1): probabilities that 0, 1, ... hold of the classes of `rows` (q,) with odds of
    at most `SMALL`, and of all of them, up to `size` (n,)."""
    lanes = np.empty((small.shape[1], LANES))
    row = np.zeros(-(-odds.shape[1] // LANES) * LANES)
    for q in range(len(rows)):
        k = size[rows[q]]
        row[: odds.shape[1]] = odds[rows[q]]
        _sizes_of_small(row, lanes[: k + 1], small[q, : k + 1])
        whole[q, : k + 1] = small[q, : k + 1]
        for one in row:
            if one > SMALL:
                _with_one_more(whole[q, : k + 1], one, whole[q, : k + 1])


@njit(nogil=True)
def _sizes_of_small(row, lanes, found):  # type: ignore[no-untyped-def]
    """Into found (k + 1,): the probabilities of the sizes of the small odds of row; lanes are (k + 1, `LANES`)."""
    lanes[:] = 0.0
    lanes[0] = 1.0
    none = np.ones(LANES)
    for first in range(0, len(row), LANES):
        for j in range(len(lanes) - 1, 0, -1):
            for lane in range(LANES):
                one = row[first + lane]
                lanes[j, lane] += (one if one <= SMALL else 0.0) * lanes[j - 1, lane]
        for lane in range(LANES):
            one = row[first + lane]
            none[lane] *= 1 + (one if one <= SMALL else 0.0)
    found[:] = 0.0
    found[0] = 1.0
    for lane in range(LANES):
        for j in range(len(found) - 1, -1, -1):
            total = 0.0
            for i in range(j + 1):
                total += found[i] * lanes[j - i, lane]
            found[j] = total / none[lane]


@njit(nogil=True)
def _with_one_more(p, odds, found):  # type: ignore[no-untyped-def]
    """Into found (k + 1,), which may be p: the probabilities of sizes with one class more."""
    one, not_one = odds / (1 + odds), 1 / (1 + odds)
    for j in range(len(p) - 1, 0, -1):
        found[j] = p[j] * not_one + p[j - 1] * one
    found[0] = p[0] * not_one


@njit(nogil=True)
def _among_large(odds, far, small, row):  # type: ignore[no-untyped-def]
    """Into row (c,), for each class whose odds are above `far`: that it holds and k - 1 of all others do.

    Args: small (k + 1,) the probabilities of the sizes of the others.
    """
    large, k = np.flatnonzero(odds > far), len(small) - 1
    before, after = np.zeros((len(large) + 1, k + 1)), np.zeros((len(large) + 1, k + 1))
    before[0] = small
    after[len(large), 0] = 1.0
    for number, c in enumerate(large):
        _with_one_more(before[number], odds[c], before[number + 1])
    for number in range(len(large) - 1, -1, -1):
        _with_one_more(after[number + 1], odds[large[number]], after[number])
    for number, c in enumerate(large):
        row[c] = 0.0
        for j in range(k):
            row[c] += before[number, j] * after[number + 1, k - 1 - j]
        row[c] *= odds[c] / (1 + odds[c])


@njit(nogil=True)
def _resampled(odds, small, whole, row):  # type: ignore[no-untyped-def]
    """Into row (c,): the probability of each class among random sets of k, from the probabilities (k + 1,) of sizes.

    It is Q_(k-1) / p_k, where Q_j = odds (p_j - Q_(j-1)) is that of the class and of j others, and p the sizes of all
    classes. Where p_k is nothing in digits, it is the class's own probability.
    """
    least, k = np.finfo(np.float64).tiny, len(whole) - 1
    row[:] = 0.0
    if whole[k] <= least:
        row[:] = odds / (1 + odds)
        return
    if k == 0:
        return
    for j in range(k):
        for c in range(len(odds)):
            row[c] = odds[c] * (whole[j] - row[c])
    far = whole[k] / (2 * max(whole[k - 1], least))  # above it the recursion loses digits
    if far < SMALL:
        small = small.copy()
        small[:] = 0.0
        small[0] = 1.0
        for one in odds:
            if one <= far:
                _with_one_more(small, one, small)
    _among_large(odds, min(far, SMALL), small, row)
    row /= whole[k]


@JitKernel
def fill_labels(odds, start, column, rows, more, lost, resampled, part, small, whole, found):  # type: ignore[no-untyped-def]
    """Fill found (q, c): the probability of each class of `rows` (q,), where no classes are taken for one another.

    Args: with odds e, a label that a row lacks has more e + r P, one that it has 1 - r + r P - lost / e. `more`, `lost`
    and `resampled`, r, are (n,). P is that of random sets of the row's size: `small[part[i]]` and `whole[part[i]]` are
    those of `size_parts`; `part` is -1 where r is 0.
    """
    for q in range(len(rows)):
        i, row = rows[q], found[q]
        own, r, e = column[start[i] : start[i + 1]], 0.0, odds[i]
        row[:] = 0.0
        if part[i] >= 0:
            r, k = resampled[i], len(own)
            _resampled(e, small[part[i], : k + 1], whole[part[i], : k + 1], row)
            row *= r
        among = row[own]
        row += more[i] * e
        for number, c in enumerate(own):
            row[c] = among[number] + 1 - r - lost[i] / e[c]
