"""Rankings of a database for every query, as what the measures need: counts per tie group, and hits in order."""

from __future__ import annotations

import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from crossbit.bits import check_codes, distance_histograms, planes
from crossbit.bits.labels import check_labels
from crossbit.errors import UserError
from crossbit.evaluation.ties.gains import ranks_that_weigh, weigh, weighted_gains
from crossbit.evaluation.ties.grades import Gain, Grades
from crossbit.evaluation.ties.nearest import nearest
from crossbit.evaluation.ties.order import hits_in_order
from crossbit.evaluation.ties.overlap import overlaps_by_distance
from crossbit.evaluation.ties.written import Written, depths, groups_of, some_queries

Array = npt.NDArray[Any]
Metric = Literal["hamming", "cosine", "reranked"]
NAMES = ("query_codes", "db_codes", "query_labels", "db_labels")  # of the arguments, for messages

_COUNTS = 1 << 22  # counts held at a time, so that a million queries need no more memory than a few thousand


@dataclass(frozen=True)
class Block:
    """The rankings of some of the queries."""

    size: Array  # int64 (queries, groups): items in each tie group, nearest group first
    relevant: Array  # int64 (queries, groups): relevant ones among them
    in_order: Callable[[list[int], bool], tuple[Array, Array]]  # ties by position; `hits_in_order` of (k, of_relevant)
    gains: Callable[[Gain, Array, str], Array]  # (queries,): sum over ranks of gain times weight, by the rule for ties
    ideal: Callable[[Gain, Array], Array]  # (queries,): the same of the best possible ranking
    by_radius: Callable[[], tuple[Array, Array]]  # size and relevant by Hamming radius 0..bits


class Ranking(typing.Protocol):
    """What the measures are computed from: every query's ranking of the same items."""

    @property
    def queries(self) -> int:
        """How many queries there are."""

    @property
    def items(self) -> int:
        """How many items each query ranks."""

    def blocks(self) -> Iterator[Block]:
        """The rankings of all queries, in order, some at a time."""

    def of_pairs(self) -> Ranking:
        """The same where item i alone is relevant to query i."""


@dataclass(frozen=True)
class HammingRanking:
    """Database codes ranked by Hamming distance to each query's code.

    >>> ranking = HammingRanking.of([[0]], [[3], [1]], [5], [5, 6])
    Traceback (most recent call last):
    crossbit.errors.UserError: query_codes: packed codes are uint8 (n, bits // 8), got int64 of shape (1, 1)
    """

    query: Array  # uint8 (m, bytes)
    database: Array  # uint64 (words, n)
    query_labels: Array
    database_labels: Array

    @classmethod
    def of(
        cls,
        query: npt.ArrayLike,
        database: npt.ArrayLike,
        query_labels: npt.ArrayLike,
        database_labels: npt.ArrayLike,
        names: tuple[str, str, str, str] = NAMES,
    ) -> HammingRanking:
        """The ranking of codes uint8 (m, bytes), (n, bytes) with labels 0/1 (rows, classes) or classes (rows,)."""
        codes, other = check_codes(query, names[0]), check_codes(database, names[1])
        if codes.shape[1] != other.shape[1]:
            raise UserError(
                f"{names[0]} has codes of {8 * codes.shape[1]} bits but {names[1]} of {8 * other.shape[1]}; "
                "both must have the same length"
            )
        labels = check_both_labels(query_labels, database_labels, len(codes), len(other), names)
        return cls(codes, planes(other), *labels)

    @property
    def queries(self) -> int:
        """How many codes ask."""
        return len(self.query)

    @property
    def items(self) -> int:
        """How many codes are in the database."""
        return self.database.shape[1]

    def of_pairs(self) -> HammingRanking:
        """The same where item i alone is relevant to query i."""
        return replace(self, query_labels=np.arange(self.queries), database_labels=np.arange(self.items))

    def blocks(self) -> Iterator[Block]:
        """Tie groups are the distances 0..bits."""
        step = max(1, _COUNTS // (8 * self.query.shape[1] + 1))
        for start in range(0, len(self.query), step):
            yield self._block(slice(start, start + step))

    def _block(self, rows: slice) -> Block:
        query, grades = self.query[rows], Grades.over(self.query_labels[rows], self.database_labels)
        sides = planes(query), self.database, grades.query_labels, grades.database_labels
        size, relevant = distance_histograms(query, *sides[1:])

        def in_order(k: list[int], of_relevant: bool) -> tuple[Array, Array]:
            return hits_in_order(*sides, size, relevant, k=k, of_relevant=of_relevant)

        @cache
        def overlaps(k: int) -> Array:
            return overlaps_by_distance(*sides, size, k) / np.maximum(size, 1)

        def gains(gain: Gain, weight: Array, ties: str) -> Array:
            if gain == "labels":
                return weighted_gains(*sides, size, weight, ties)
            if ties == "expected":
                return weigh(size, overlaps(ranks_that_weigh(weight)), weight)
            return self._gains(query, grades, size, (gain, weight, ties))

        return Block(size, relevant, in_order, gains, grades.ideal, lambda: (size, relevant))

    def _gains(self, query: Array, grades: Grades, size: Array, asked: tuple[Gain, Array, str]) -> Array:
        """As `Block.gains`, from the rankings written out."""
        depth, found = depths(size, ranks_that_weigh(asked[1])), [np.empty(0)]
        for rows in some_queries(depth):
            distance, items = nearest(planes(query[rows]), self.database, size[rows], depth[rows])
            found.append(Written(items, groups_of(distance)).gains(grades.some(rows), *asked))
        return np.concatenate(found)


def check_both_labels(
    query: npt.ArrayLike, database: npt.ArrayLike, m: int, n: int, names: tuple[str, str, str, str] = NAMES
) -> tuple[Array, Array]:
    """Labels of m queries and n database items in the form that `distance_histograms` takes.

    Raises:
        UserError: wrong type, shape or values, or the two sides differ in form or in the number of classes.

    >>> [side.dtype.name for side in check_both_labels([[True, False]], [[0.0, 1.0]], 1, 1)]
    ['uint8', 'uint8']
    """
    labels, other = check_labels(query, names[2]), check_labels(database, names[3])
    for array, rows, what, codes in ((labels, m, names[2], names[0]), (other, n, names[3], names[1])):
        if len(array) != rows:
            raise UserError(f"{what} has {len(array)} rows but {codes} has {rows}; row i of both must be item i")
    if labels.shape[1:] != other.shape[1:]:
        raise UserError(
            f"{names[2]} has shape {labels.shape} but {names[3]} has {other.shape}; "
            "both must be (rows, the same classes) or both (rows,) class numbers"
        )
    return labels, other
