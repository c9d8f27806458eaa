"""The compiled search for small pictures that nearly agree; `duplicates` says what is compared."""

from __future__ import annotations

import numpy as np
from numba import njit

from crossbit.bits.compiled import JitKernel

HEAD = 8  # values that are compared first: they part nearly all pairs, and lie close together in memory


def group_alike(values: np.ndarray, limit: int) -> np.ndarray:
    """For each row (n, d) of uint8 values the number of a row of its group: rows that differ by at most `limit`
    everywhere are in one, and so is who is alike with one of a group.

    Rows are sorted by the value that varies most, so that only neighbours are compared. Exact.

    >>> group_alike(np.array([[10, 0], [90, 0], [14, 3], [18, 0]], np.uint8), 5).tolist()
    [0, 1, 0, 0]
    """
    wide = values[:, np.argsort(-values.var(axis=0), kind="stable")]
    keys = np.column_stack([wide[:, :1], wide.mean(axis=1).astype(np.uint8)[:, None], wide[:, 1:]])
    order = np.argsort(keys[:, 0], kind="stable")
    keys = keys[order]
    root = _join(np.ascontiguousarray(keys[:, :HEAD]), np.ascontiguousarray(keys[:, HEAD:]), limit)
    first = np.full(len(values), len(values))
    np.minimum.at(first, root, order)
    group = np.empty(len(values), np.int64)
    group[order] = first[root]
    return group


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
