"""Rankings written out rank by rank, for what counts of tie groups cannot tell.

Only as many ranks are written out as a measure looks at, in whole tie groups: the order inside a group is settled here,
by the rule for ties.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from crossbit.evaluation.ties.gains import weigh
from crossbit.evaluation.ties.grades import Gain, Grades

_RANKS = 1 << 21  # held at a time


@dataclass(frozen=True)
class Written:
    """What stands at each rank of some queries' rankings.

    Attributes:
        items: int64 (m, p), positions in the database; ties in its order.
        group: int64 (m, p), the number of each rank's tie group, from 0.
    """

    items: np.ndarray
    group: np.ndarray

    def counts(self, which: np.ndarray) -> np.ndarray:
        """How many of the ranks `which` bool (m, p) each tie group has, int64 (m, p).

        >>> Written(np.array([[7, 8, 9]]), np.array([[0, 0, 1]])).counts(np.array([[True, True, True]])).tolist()
        [[2, 1, 0]]
        """
        return np.bincount(self._bins()[which], minlength=self.group.size).reshape(self.group.shape)

    def gains(self, grades: Grades, gain: Gain, weight: np.ndarray, ties: str) -> np.ndarray:
        """Sum over ranks of gain times weight, (m,); `weight` (n + 1,) is what the first r ranks weigh together.

        >>> written = Written(np.array([[0, 1]]), np.array([[0, 0]]))
        >>> grades = Grades.over(np.array([5]), np.array([6, 5]))
        >>> [written.gains(grades, "overlap", np.array([0, 1, 1]), ties).item() for ties in ("index", "expected")]
        [0.0, 0.5]
        """
        grade = grades.of(gain, self.items)
        if ties == "expected":
            total = np.bincount(self._bins().ravel(), grade.ravel(), grade.size).reshape(grade.shape)
            mean = total / np.maximum(self.counts(np.ones(grade.shape, bool)), 1)
            grade = np.take_along_axis(mean, self.group, axis=1)
        elif ties != "index":
            order = np.lexsort((-grade if ties == "best" else grade, self.group), axis=1)
            grade = np.take_along_axis(grade, order, axis=1)
        return weigh(np.ones(grade.shape, np.int64), grade, weight)

    def hits_in_order(self, grades: Grades, k: list[int], of_relevant: bool) -> tuple[np.ndarray, np.ndarray]:
        """As `order.hits_in_order`."""
        relevant = grades.relevant(self.items)
        hits = relevant.cumsum(axis=1)
        ranks = np.arange(1, relevant.shape[1] + 1)
        precision = np.where(relevant, hits / ranks, 0.0)
        place = hits if of_relevant else np.broadcast_to(ranks, hits.shape)
        found = [(relevant & (place <= cut)).sum(axis=1) for cut in k]
        sums = [np.where(place <= cut, precision, 0.0).sum(axis=1) for cut in k]
        return np.stack(found, axis=1), np.stack(sums, axis=1)

    def _bins(self) -> np.ndarray:
        """A number for each query's tie groups, of its own."""
        return np.arange(len(self.group))[:, None] * self.group.shape[1] + self.group


def groups_of(*ranked: np.ndarray) -> np.ndarray:
    """The number of the tie group at each rank: a new one begins where any of these (m, p) changes.

    >>> groups_of(np.array([[0.5, 0.5, 0.2, 0.2]]), np.array([[1, 1, 1, 2]])).tolist()
    [[0, 0, 1, 2]]
    """
    group = np.zeros(ranked[0].shape, np.int64)
    changes = np.any([values[:, 1:] != values[:, :-1] for values in ranked], axis=0)
    np.cumsum(changes, axis=1, out=group[:, 1:])
    return group


def depths(size: np.ndarray, k: int) -> np.ndarray:
    """How many items are as near as the k-th nearest, int64 (m,), from the items of each tie group (m, groups).

    >>> depths(np.array([[1, 3, 2]]), 2)
    array([4])
    """
    end = size.cumsum(axis=1)
    edge = (end < np.minimum(k, end[:, -1:])).sum(axis=1)
    return np.take_along_axis(end, edge[:, None], axis=1)[:, 0]


def some_queries(depth: np.ndarray) -> Iterator[slice]:
    """Queries in parts of which so many ranks (m,) can be held."""
    step = max(1, _RANKS // max(int(depth.max(initial=1)), 1))
    return (slice(start, start + step) for start in range(0, len(depth), step))
