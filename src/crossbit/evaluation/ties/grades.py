"""How well an item answers a query, by their labels: whether they share any, how many, and how alike they are."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt

from crossbit.evaluation.ties.gains import gain_levels, ranks_that_weigh, weigh
from crossbit.evaluation.ties.order import label_words

Gain = Literal["labels", "overlap"]  # 2^g - 1 for g labels shared; or |A and B| / |A or B|
_PAIRS = 1 << 21  # of a query and an item, held at a time


@dataclass(frozen=True)
class Grades:
    """The labels of some queries and of a database; items are told by their positions.

    Attributes:
        query_labels, database_labels: uint8 0/1 (m, c) and (n, c), or int64 classes (m,) and (n,).
        most: the most labels that a query has.
    """

    query_labels: np.ndarray
    database_labels: np.ndarray
    most: int

    @classmethod
    def over(cls, query_labels: np.ndarray, database_labels: np.ndarray) -> Grades:
        """The grades of these labels."""
        classes = query_labels.ndim == 1
        most = 1 if classes else int(query_labels.sum(axis=1, dtype=np.int64).max(initial=0))
        return cls(query_labels, database_labels, most)

    def relevant(self, items: np.ndarray) -> npt.NDArray[np.bool_]:
        """Whether each item (m, p) shares a label with its query.

        >>> Grades.over(np.array([5]), np.array([6, 5])).relevant(np.array([[1, 0]])).tolist()
        [[True, False]]
        """
        return self._shared(self._query, self._database[:, items]) > 0

    def of(self, gain: Gain, items: np.ndarray) -> npt.NDArray[np.float64]:
        """The gain of each item (m, p); that of shared labels is scaled as `gain_levels` does.

        >>> labels = np.array([[1, 1, 0]], np.uint8), np.array([[1, 0, 0], [1, 1, 1]], np.uint8)
        >>> Grades.over(*labels).of("overlap", np.array([[0, 1]])).round(3).tolist()
        [[0.5, 0.667]]
        """
        return self._gains(gain, self._query, self._database[:, items])

    def ideal(self, gain: Gain, weight: np.ndarray) -> npt.NDArray[np.float64]:
        """Sum over ranks of gain times weight of each query's best possible ranking, (m,).

        Only sets of labels matter: each that occurs is looked at once.

        >>> labels = np.array([[1, 1]], np.uint8), np.array([[1, 0], [1, 1]], np.uint8)
        >>> Grades.over(*labels).ideal("overlap", np.array([0, 1.0, 1.5])).tolist()
        [1.25]
        """
        asked, place = np.unique(self._query, axis=1, return_inverse=True)
        held, count = np.unique(self._database, axis=1, return_counts=True)
        best, step = np.empty(asked.shape[1]), max(1, _PAIRS // max(held.shape[1], 1))
        for start in range(0, len(best), step):
            some = slice(start, start + step)
            grade = self._gains(gain, asked[:, some], held[:, None])
            first = min(ranks_that_weigh(weight), grade.shape[1])  # as many sets hold all the items that weigh
            order = np.argpartition(-grade, first - 1, axis=1)[:, :first] if first else np.empty((len(grade), 0), int)
            order = np.take_along_axis(order, np.take_along_axis(-grade, order, axis=1).argsort(axis=1), axis=1)
            best[some] = weigh(count[order], np.take_along_axis(grade, order, axis=1), weight)
        return best[place.reshape(-1)]

    def some(self, rows: slice) -> Grades:
        """Those of some of the queries, on the same scale."""
        return replace(self, query_labels=self.query_labels[rows])

    @property
    def classes(self) -> bool:
        """Whether labels are class numbers, hence equal or not."""
        return self.query_labels.ndim == 1

    @cached_property
    def _query(self) -> np.ndarray:
        return label_words(self.query_labels)

    @cached_property
    def _database(self) -> np.ndarray:
        return label_words(self.database_labels)

    def _shared(self, query: np.ndarray, items: np.ndarray) -> np.ndarray:
        """int64 (m, p): labels shared, from words (w, m) and (w, m or 1, p)."""
        if self.classes:
            return (items == query[:, :, None])[0].astype(np.int64)
        return np.bitwise_count(items & query[:, :, None]).sum(axis=0, dtype=np.int64)

    def _gains(self, gain: Gain, query: np.ndarray, items: np.ndarray) -> npt.NDArray[np.float64]:
        shared = self._shared(query, items)
        if gain == "labels":
            return gain_levels(self.most)[shared]
        if self.classes:
            return shared.astype(np.float64)
        either = np.bitwise_count(items | query[:, :, None]).sum(axis=0, dtype=np.int64)
        return shared / np.maximum(either, 1)
