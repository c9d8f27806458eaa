"""Codes ranked as a search ranks them: by Hamming distance, and a shortlist of the nearest once more by real vectors.

The shortlist is all that are as near as the hundredth nearest (`bits.SHORTLIST`); it is ordered by the cosine of the
vectors, then by distance. What lies farther stays behind it, by distance. Equal in both are ties.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from crossbit.bits import SHORTLIST, planes
from crossbit.bits.compiled import JitKernel
from crossbit.errors import UserError
from crossbit.evaluation.cosine import DECIMALS, unit
from crossbit.evaluation.rankings import NAMES, Array, Block, HammingRanking
from crossbit.evaluation.ties.gains import ranks_that_weigh
from crossbit.evaluation.ties.grades import Gain, Grades
from crossbit.evaluation.ties.nearest import nearest
from crossbit.evaluation.ties.written import Written, depths, groups_of

_BEHIND = -2.0  # below any cosine: what is not on the shortlist
_PAIRS = 1 << 21  # of a query and an item, looked at together


class Ordered(NamedTuple):
    """Codes, and what orders them where they are near: uint8 (rows, bytes) and real (rows, d)."""

    codes: npt.ArrayLike
    vectors: npt.ArrayLike


@dataclass(frozen=True)
class RerankedRanking:
    """Database codes ranked by Hamming distance to each query's code, the shortlist by cosine of other vectors.

    The vectors may be those that the codes are signs of, or others, of any length.
    """

    codes: HammingRanking
    query: Array  # float64 (m, d), unit rows
    database: Array  # float64 (n, d), unit rows

    @classmethod
    def of(
        cls,
        query: Ordered,
        database: Ordered,
        query_labels: npt.ArrayLike,
        database_labels: npt.ArrayLike,
        names: tuple[str, str, str, str] = NAMES,
    ) -> RerankedRanking:
        """The ranking of codes by codes, with labels 0/1 (rows, classes) or classes (rows,).

        Raises:
            UserError: codes, vectors or labels that do not fit; NaN or infinite values.

        >>> codes, vectors = np.array([[1], [0]], np.uint8), [[1.0, 2.0], [1.0, 0.0]]
        >>> RerankedRanking.of(Ordered(codes[:1], vectors[:1]), Ordered(codes, vectors), [1], [1, 0]).items
        2
        """
        codes = HammingRanking.of(query.codes, database.codes, query_labels, database_labels, names)
        vectors, other = unit(query.vectors, names[0]), unit(database.vectors, names[1])
        if vectors.shape[1] != other.shape[1]:
            raise UserError(
                f"{names[0]} is ordered by vectors of length {vectors.shape[1]} but {names[1]} of {other.shape[1]}; "
                "both must have the same length"
            )
        for name, rows, count in ((names[0], vectors, codes.queries), (names[1], other, codes.items)):
            if len(rows) != count:
                raise UserError(f"{name} has {count} codes but {len(rows)} vectors that order them; give one for each")
        return cls(codes, vectors, other)

    @property
    def queries(self) -> int:
        """How many codes ask."""
        return self.codes.queries

    @property
    def items(self) -> int:
        """How many codes are in the database."""
        return self.codes.items

    def of_pairs(self) -> RerankedRanking:
        """The same where item i alone is relevant to query i."""
        return replace(self, codes=self.codes.of_pairs())

    def blocks(self) -> Iterator[Block]:
        """Tie groups are the distinct (cosine, distance) of each query's shortlist, then the distances behind it."""
        step, start = max(1, _PAIRS // max(self.items, 1)), 0
        for block in self.codes.blocks():
            for first in range(0, len(block.size), step):
                size, relevant = (counts[first : first + step] for counts in (block.size, block.relevant))
                yield _Part(self, slice(start + first, start + first + len(size)), size, relevant).block()
            start += len(block.size)


@dataclass(frozen=True)
class _Part:
    """Some of the queries."""

    whole: RerankedRanking
    rows: slice
    size: Array  # int64 (m, bits + 1), items at each distance
    relevant: Array  # and relevant ones

    def block(self) -> Block:
        first, shortlisted = self._first, self._shortlisted(self._first.items)
        behind = self.size.cumsum(axis=1) > self._length
        found = shortlisted & self._grades.relevant(first.items)
        size = np.concatenate([first.counts(shortlisted), self.size * behind], axis=1)
        relevant = np.concatenate([first.counts(found), self.relevant * behind], axis=1)
        return Block(
            size, relevant, self._in_order, self._gains, self._grades.ideal, lambda: (self.size, self.relevant)
        )

    def _in_order(self, k: list[int], of_relevant: bool) -> tuple[Array, Array]:
        return self._written(self.whole.items if of_relevant else max(k)).hits_in_order(self._grades, k, of_relevant)

    def _gains(self, gain: Gain, weight: Array, ties: str) -> Array:
        return self._written(ranks_that_weigh(weight)).gains(self._grades, gain, weight, ties)

    @cached_property
    def _grades(self) -> Grades:
        return Grades.over(self.whole.codes.query_labels[self.rows], self.whole.codes.database_labels)

    @cached_property
    def _length(self) -> Array:
        """Of each query's shortlist, (m, 1)."""
        return depths(self.size, SHORTLIST)[:, None]

    def _shortlisted(self, ranked: Array) -> Array:
        """Which ranks (m, p) are the shortlist's: by distance as by cosine the first."""
        return np.arange(ranked.shape[1]) < self._length

    @cached_property
    def _first(self) -> Written:
        return self._written_out(SHORTLIST)

    def _written(self, k: int) -> Written:
        return self._first if k <= SHORTLIST else self._written_out(k)

    def _written_out(self, k: int) -> Written:
        """The first k ranks, and the shortlist, in whole tie groups."""
        codes, vectors = self.whole.codes, self.whole.query[self.rows]
        near, items = nearest(planes(codes.query[self.rows]), codes.database, self.size, depths(self.size, k))
        cosine = np.full(near.shape, _BEHIND)
        _cosines(vectors, self.whole.database, items, self._length[:, 0], cosine)
        cosine = cosine.round(DECIMALS)
        order = np.lexsort((near, -cosine), axis=1)
        near, items, cosine = (np.take_along_axis(ranked, order, axis=1) for ranked in (near, items, cosine))
        return Written(items, groups_of(cosine, near))


@JitKernel
def _cosines(query, database, items, count, out):  # type: ignore[no-untyped-def]
    """out (m, p): products of rows (m, d) with those of the first `count` (m,) items; equal rows, equal products."""
    for q in range(len(items)):
        for j in range(count[q]):
            total, row = 0.0, items[q, j]
            for i in range(query.shape[1]):
                total += query[q, i] * database[row, i]
            out[q, j] = total
