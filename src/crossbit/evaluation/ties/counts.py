"""Measures of rankings with ties, in closed form from two counts per tie group: its items and its relevant items.

Items at one distance may be in any order. Expected values over all orders: McSherry & Najork, Computing Information
Retrieval Performance Measures Efficiently in the Presence of Tied Scores, ECIR 2008. In the formulas a group has n
items, r of them relevant, and stands behind N items, R of them relevant. Everything is summed in float64.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numba import njit

from crossbit.bits.compiled import JitKernel
from crossbit.errors import UserError

Cutoff = Literal["topk-R", "topk", "first-k-relevant"]
Ties = Literal["expected", "index", "best", "worst"]

_NEGLIGIBLE = 1e-20  # a probability, relative to the largest, that a float64 sum cannot notice


def average_precision_of_counts(
    size: np.ndarray,
    relevant: np.ndarray,
    *,
    k: int | None = None,
    cutoff: Cutoff = "topk-R",
    ties: Ties = "expected",
) -> np.ndarray:
    """Average precision of m rankings whose ties are "expected", "best" or "worst".

    "best" and "worst" are the highest and the lowest value that any order inside the tie groups gives.

    Args:
        size: int64 (m, groups), items in each tie group, nearest group first; every row has the same sum.
        relevant: int64 (m, groups), relevant items among them.
        k: where to cut the ranking; None, or as many as there are items and more: all of it.
        cutoff: which of the three meanings of "AP at k", see `mean_average_precision`.
        ties: "expected", "best" or "worst".

    Returns:
        (m,) float64, NaN where a ranking has no relevant item.

    Raises:
        UserError: cutoff="first-k-relevant" of less than all items with expected ties, which has no definition.

    >>> average_precision_of_counts(np.array([[1, 3, 2]]), np.array([[1, 1, 1]])) * 540
    array([409.])
    """
    size, relevant = _counts(size, relevant)
    items, total = int(size[:1].sum()), relevant.sum(axis=1)
    if k is None or k >= items:
        k, cutoff = items, "topk-R"  # all three meanings are the same
    refuse_undefined(cutoff, ties)
    values = np.empty(len(size))
    order = ties == "expected", ties == "best"
    if cutoff == "topk":
        _means_of_found(size, relevant, _harmonic(items), k, *order, values)
    else:
        _sums(size, relevant, _harmonic(items), k, cutoff == "first-k-relevant", *order, values)
        values /= np.maximum(np.minimum(k, total), 1)
    values[total == 0] = np.nan
    return values


def refuse_undefined(cutoff: str, ties: str) -> None:
    """Raise UserError for the one combination that has no definition."""
    if cutoff == "first-k-relevant" and ties == "expected":
        raise UserError(
            "cutoff='first-k-relevant' is not defined with ties='expected'; "
            "take ties='index', 'best' or 'worst', or cutoff='topk-R' or 'topk'"
        )


def _counts(size: np.ndarray, relevant: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The counts without the columns that are empty in every row: of the distances of long codes few occur."""
    used = size.any(axis=0)
    return np.compress(used, size, axis=1), np.compress(used, relevant, axis=1)


def _harmonic(items: int) -> np.ndarray:
    """H_0..H_items and, in a second row, the rounding error of each: differences are then exact to float64."""
    table = np.zeros((2, items + 1))
    _fill_harmonic(table)
    return table


@JitKernel
def _fill_harmonic(table):  # type: ignore[no-untyped-def]
    """Cumulative sum of 1/i with its error carried along (Knuth, TAOCP 4.2.2, two-sum)."""
    total = error = 0.0
    for i in range(1, table.shape[1]):
        term = 1.0 / i
        rounded = total + term
        back = rounded - total
        error += (total - (rounded - back)) + (term - back)
        total = rounded
        table[0, i], table[1, i] = total, error


@njit(nogil=True)
def _reach(harmonic, start, length):  # type: ignore[no-untyped-def]
    """1/(start + 1) + ... + 1/(start + length)."""
    end = start + length
    return (harmonic[0, end] - harmonic[0, start]) + (harmonic[1, end] - harmonic[1, start])


@njit(nogil=True)
def _expected(harmonic, before, hits, n, r, places):  # type: ignore[no-untyped-def]
    """(r/n) [(R + 1 - q (N + 1)) (H_{N+places} - H_N) + q places] with q = (r - 1)/(n - 1), 0 where n = 1."""
    q = (r - 1) / (n - 1) if n > 1 else 0.0
    return r / n * ((hits + 1 - q * (before + 1)) * _reach(harmonic, before, places) + q * places)


@njit(nogil=True)
def _run(harmonic, start, hits, count):  # type: ignore[no-untyped-def]
    """Sum over i = 1..count of (R + i)/(start + i): relevant items at consecutive ranks behind `start`."""
    return count - (start - hits) * _reach(harmonic, start, count)


@njit(nogil=True)
def _group(harmonic, before, hits, n, r, k, of_relevant, expected, best):  # type: ignore[no-untyped-def]
    """A group's share of the sum of P(rank) over relevant items, cut after k items or after k relevant items."""
    places = n if of_relevant else max(0, min(n, k - before))
    if expected:
        return _expected(harmonic, before, hits, n, r, places)
    ahead = 0 if best else n - r
    count = max(0, min(r, places - ahead))
    if of_relevant:
        count = max(0, min(count, k - hits))
    return _run(harmonic, before + ahead, hits, count)


@JitKernel
def _sums(size, relevant, harmonic, k, of_relevant, expected, best, out):  # type: ignore[no-untyped-def]
    """out (m,) = sum of P(rank) over relevant items, cut after k items or after k relevant items."""
    for row in range(len(size)):
        before = hits = 0
        total = 0.0
        for t in range(size.shape[1]):
            n, r = size[row, t], relevant[row, t]
            if r > 0:
                total += _group(harmonic, before, hits, n, r, k, of_relevant, expected, best)
            before += n
            hits += r
        out[row] = total


@JitKernel
def _means_of_found(size, relevant, harmonic, k, expected, best, out):  # type: ignore[no-untyped-def]
    """out (m,) = mean of P(rank) over the relevant items on the first k places, fewer than there are items."""
    for row in range(len(size)):
        before = hits = t = 0
        total = 0.0
        while before + size[row, t] <= k:
            n, r = size[row, t], relevant[row, t]
            if r > 0:
                total += _group(harmonic, before, hits, n, r, k, False, expected, best)
            before += n
            hits += r
            t += 1
        # how many relevant items are found depends on the ties of group t, which straddles rank k
        if expected:
            out[row] = _expected_mean(harmonic, total, before, hits, size[row, t], relevant[row, t], k - before)
        else:
            out[row] = _extreme_mean(total, before, hits, size[row, t], relevant[row, t], k - before, best)


@njit(nogil=True)
def _expected_mean(harmonic, prefix, before, hits, n, r, places):  # type: ignore[no-untyped-def]
    """E over x ~ hypergeometric(n, r, places) of [prefix + expected(N, R; n = places, r = x)] / (R + x)."""
    low, high = max(0, places - (n - r)), min(places, r)
    mode = max(low, min(high, (places + 1) * (r + 1) // (n + 2)))
    value = weights = 0.0
    for step in (1, -1):  # outwards from the likeliest x, by the ratios of neighbouring probabilities
        x, weight = mode, 1.0
        while low <= x <= high and weight > _NEGLIGIBLE:
            if step == 1 or x < mode:
                inside = _expected(harmonic, before, hits, places, x, places) if x > 0 else 0.0
                value += weight * (prefix + inside) / max(hits + x, 1)
                weights += weight
            if step == 1:
                weight *= (r - x) * (places - x) / ((x + 1) * (n - r - places + x + 1))
            else:
                weight *= x * (n - r - places + x) / ((r - x + 1) * (places - x + 1))
            x += step
    return value / weights


@njit(nogil=True)
def _extreme_mean(prefix, before, hits, n, r, places, best):  # type: ignore[no-untyped-def]
    """Highest or lowest [prefix + sum over x relevant items] / (R + x) over the x that can stand on the places.

    One hit more at a low precision lowers the mean, so every x is tried. Best: the x stand first, at ranks
    N + 1..N + x. Worst: last, at ranks k - x + 1..k; then one hit more lifts the precision of the x behind it, too.
    """
    low, high = max(0, places - (n - r)), min(places, r)
    total, lift, chosen = prefix, 0.0, -1.0
    for x in range(high + 1):
        value = total / max(hits + x, 1)
        if x >= low and (chosen < 0 or (value > chosen) == best):
            chosen = value
        if x < high and best:
            total += (hits + x + 1) / (before + x + 1)
        elif x < high:
            total += lift + (hits + 1) / (before + places - x)
            lift += 1 / (before + places - x)
    return chosen
