"""The compiled search for small pictures that nearly agree; `duplicates` says what is compared."""

from __future__ import annotations

import numpy as np
from numba import njit

from crossbit.bits.compiled import JitKernel

RUN = 16  # values: a row of a small picture
HEAD = 8  # values that are compared first: they part nearly all pairs, and lie close together in memory
PAIRS = 10_000  # that tell which values part most
LEVELS = 256  # of a value


def group_alike(values: np.ndarray, limit: int) -> np.ndarray:
    """For each row (n, d) of uint8 values the number of a row of its group: rows that differ by at most `limit`
    everywhere are in one, and so is who is alike with one of a group.

    Exact. What parts most pairs is compared first: a value, or the mean of neighbouring ones, which differs no more
    than they do. Rows are sorted by the first two, so that only neighbours are compared.

    >>> group_alike(np.array([[10, 0], [90, 0], [14, 3], [18, 0]], np.uint8), 5).tolist()
    [0, 1, 0, 0]
    """
    runs = np.add.reduceat(values, range(0, values.shape[1], RUN), axis=1, dtype=np.uint16) // RUN
    keys = np.column_stack([values, runs.astype(np.uint8)])
    keys = keys[:, _telling(keys, limit)]
    cell = keys[:, 0].astype(np.int64) // (limit + 1) * LEVELS
    order = np.argsort(cell + keys[:, 1], kind="stable")
    keys, place = keys[order], (cell + keys[:, 1])[order]
    beside = np.searchsorted(place, cell[order] + LEVELS + np.maximum(keys[:, 1].astype(np.int64) - limit, 0))
    root = _join(place, beside, np.ascontiguousarray(keys[:, :HEAD]), np.ascontiguousarray(keys[:, HEAD:]), limit)
    first = np.full(len(values), len(values))
    np.minimum.at(first, root, order)
    group = np.empty(len(values), np.int64)
    group[order] = first[root]
    return group


def _telling(keys: np.ndarray, limit: int) -> np.ndarray:
    """The columns of keys (n, d), at least two, those first that part most of what the ones before have left."""
    one, other = keys[np.random.default_rng(0).integers(len(keys), size=(2, PAIRS))].astype(np.int16)
    near = np.abs(one - other) <= limit
    left, order = np.ones(PAIRS, bool), list[int]()
    for _ in range(min(HEAD, keys.shape[1])):
        counts = near[left].sum(axis=0)
        counts[order] = PAIRS + 1
        order.append(int(counts.argmin()))
        left &= near[:, order[-1]]
    return np.concatenate([order, np.setdiff1d(np.arange(keys.shape[1]), order)])


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
def _join(place, beside, head, rest, limit):  # type: ignore[no-untyped-def]
    """The group of each row, as the number of one of its rows.

    Rows ascend by `place`: 256 times the cell of their first value, of limit + 1 levels, and their second value. Those
    within the limit are in the same cell or in the one beside it, which for row i are looked for from beside[i] on.
    """
    parent = np.arange(len(head))
    for i in range(len(head)):
        for start, reach in ((i + 1, place[i] + limit), (beside[i], place[i] + LEVELS + limit)):
            for j in range(start, len(head)):
                if place[j] > reach:
                    break
                if _near(head[i], head[j], limit) and _near(rest[i], rest[j], limit):
                    parent[_root(parent, j)] = _root(parent, i)
    for i in range(len(head)):
        parent[i] = _root(parent, i)
    return parent
