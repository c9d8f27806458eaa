"""Hits among the first ranks of rankings with ties, in closed form from the counts of `ties`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numba import njit

from crossbit.bits.compiled import JitKernel


def hits_of_counts(size: np.ndarray, relevant: np.ndarray, cuts: Sequence[int], ties: str = "expected") -> np.ndarray:
    """Relevant items among the first n of m rankings, for every cut n: float64 (m, len(cuts)).

    Args:
        size, relevant: int64 (m, groups), items and relevant items of each tie group, nearest group first.
        cuts: the n, in any order.
        ties: "expected", "best" or "worst".

    >>> hits_of_counts(np.array([[1, 3, 2]]), np.array([[1, 1, 1]]), [3]) / 3  # E[P@3]
    array([[0.55555556]])
    """
    order = np.argsort(cuts, kind="stable")
    out = np.zeros((len(size), len(order)))
    _hits(size, relevant, np.asarray(cuts, np.int64)[order], ties == "expected", ties == "best", out)
    return out[:, np.argsort(order)]


def hit_chance_of_counts(size: np.ndarray, relevant: np.ndarray, k: int) -> np.ndarray:
    """The probability that one of the first k items is relevant, all orders inside ties being alike: float64 (m,).

    >>> hit_chance_of_counts(np.array([[1, 3]]), np.array([[0, 1]]), 2)
    array([0.33333333])
    """
    out = np.zeros(len(size))
    _hit_chance(size, relevant, k, out)
    return out


@JitKernel
def _hits(size, relevant, cuts, expected, best, out):  # type: ignore[no-untyped-def]
    """out (m, cuts), for ascending cuts."""
    for row in range(len(size)):
        before = hits = t = 0
        for c in range(len(cuts)):
            while t < size.shape[1] and before + size[row, t] <= cuts[c]:
                before += size[row, t]
                hits += relevant[row, t]
                t += 1
            out[row, c] = hits
            if t < size.shape[1]:  # group t straddles the cut, or begins behind it
                n, r, places = size[row, t], relevant[row, t], cuts[c] - before
                if expected:
                    out[row, c] += r / n * places
                elif best:
                    out[row, c] += min(r, places)
                else:
                    out[row, c] += max(0, places - (n - r))


@JitKernel
def _hit_chance(size, relevant, k, out):  # type: ignore[no-untyped-def]
    """out (m,): 1 where a whole group before rank k has a hit, else by the group that straddles it."""
    for row in range(len(size)):
        before = t = 0
        while t < size.shape[1] and before < k and relevant[row, t] == 0:
            before += size[row, t]
            t += 1
        if t < size.shape[1] and before < k:
            out[row] = 1 - _miss(size[row, t], relevant[row, t], min(size[row, t], k - before))


@njit(nogil=True)
def _miss(n, r, places):  # type: ignore[no-untyped-def]
    """C(n - r, places) / C(n, places): none of r relevant items stands on the first places; alike in r and places."""
    few, many = min(r, places), max(r, places)
    chance = 1.0
    for i in range(few):
        chance *= max(0, n - many - i) / (n - i)
    return chance
