"""The compiled search for small pictures that nearly agree; `duplicates` says what is compared."""

from __future__ import annotations

import numpy as np
from numba import njit

from crossbit.bits.compiled import JitKernel

RUN = 16  # values: a row of a small picture
HEAD = 8  # values that are compared first: they part nearly all pairs, and lie close together in memory


def group_alike(values: np.ndarray, limit: int) -> np.ndarray:
    """For each row (n, d) of uint8 values the number of a row of its group: rows that differ by at most `limit`
    everywhere are in one, and so is who is alike with one of a group.

    Exact. What parts most pairs is compared first: a value, or the mean of neighbouring ones, which differs no more
    than they do. Rows are sorted by the first, so that only neighbours are compared.

    >>> group_alike(np.array([[10, 0], [90, 0], [14, 3], [18, 0]], np.uint8), 5).tolist()
    [0, 1, 0, 0]
    """
    runs = [values[:, start : start + RUN].mean(axis=1).astype(np.uint8) for start in range(0, values.shape[1], RUN)]
    keys = np.column_stack([values, *runs])
    keys = keys[:, np.argsort([_left(column, limit) for column in keys.T], kind="stable")]
    order = np.argsort(keys[:, 0], kind="stable")
    keys = keys[order]
    root = _join(np.ascontiguousarray(keys[:, :HEAD]), np.ascontiguousarray(keys[:, HEAD:]), limit)
    first = np.full(len(values), len(values))
    np.minimum.at(first, root, order)
    group = np.empty(len(values), np.int64)
    group[order] = first[root]
    return group


def _left(column: np.ndarray, limit: int) -> float:
    """How many of all pairs, each counted twice, have values (n,) that differ by no more than the limit."""
    counts = np.bincount(column, minlength=256)
    return float(counts @ np.convolve(counts, np.ones(2 * limit + 1), "same"))


@njit(nogil=True)
def _root(parent, row):  # type: ignore[no-untyped-def]
    while parent[row] != row:
        parent[row] = parent[parent[row]]
        row = parent[row]
    return row


@njit(nogil=True)
def _near(a, b, limit):  # type: ignore[no-untyped-def]
    for c in range(len(a)):  # noqa: SIM110
        if abs(np.int16(a[c]) - np.int16(b[c])) > limit:
            return False
    return True


@JitKernel
def _join(head, rest, limit):  # type: ignore[no-untyped-def]
    """The group of each row, as the number of one of its rows; rows ascend by their first value."""
    parent = np.arange(len(head))
    for i in range(len(head)):
        for j in range(i + 1, len(head)):
            if np.int16(head[j, 0]) - np.int16(head[i, 0]) > limit:
                break
            if _near(head[i], head[j], limit) and _near(rest[i], rest[j], limit):
                parent[_root(parent, j)] = _root(parent, i)
    for i in range(len(head)):
        parent[i] = _root(parent, i)
    return parent
