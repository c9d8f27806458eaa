"""Real vectors ranked by cosine similarity; similarities that differ by no more than float64 rounds are ties."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt

from crossbit.errors import UserError
from crossbit.evaluation.rankings import NAMES, Array, Block, check_both_labels
from crossbit.evaluation.ties.grades import Grades
from crossbit.evaluation.ties.written import Written, groups_of

_SIMILARITIES = 1 << 21  # held at a time
DECIMALS = 12  # of a similarity: float64 rounds sums of products of unit vectors from about the 15th on
_ROUNDING = 1e-9  # of a radius, relative to the number of entries: far more than float64 rounds, far less than 1


@dataclass(frozen=True)
class CosineRanking:
    """Database vectors ranked by cosine similarity to each query's vector, to 12 decimals; that of a zero vector is 0.

    So similarities that are equal but for rounding, as those of scaled codes are at one Hamming distance, are ties.
    Equal database rows are compared once, so theirs are equal to the last bit.
    """

    query: Array  # float64 (m, d), unit rows
    distinct: Array  # float64 (u, d), unit rows
    place: Array  # int64 (n,), the row of `distinct` that each database item is
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
    ) -> CosineRanking:
        """The ranking of vectors (m, d) and (n, d) with labels 0/1 (rows, classes) or classes (rows,).

        Raises:
            UserError: vectors or labels that do not fit, NaN or infinite values.

        >>> CosineRanking.of([[1.0, 0.0]], [[2.0, 0.0], [2.0, 0.0]], [1], [1, 0]).place.tolist()
        [0, 0]
        """
        vectors, other = unit(query, names[0]), unit(database, names[1])
        if vectors.shape[1] != other.shape[1]:
            raise UserError(
                f"{names[0]} has vectors of length {vectors.shape[1]} but {names[1]} of {other.shape[1]}; "
                "both must have the same length"
            )
        labels = check_both_labels(query_labels, database_labels, len(vectors), len(other), names)
        distinct, place = np.unique(other, axis=0, return_inverse=True)
        return cls(vectors, distinct, place.reshape(-1), *labels)

    @property
    def queries(self) -> int:
        """How many vectors ask."""
        return len(self.query)

    @property
    def items(self) -> int:
        """How many vectors are in the database."""
        return len(self.place)

    def of_pairs(self) -> CosineRanking:
        """The same where item i alone is relevant to query i."""
        return replace(self, query_labels=np.arange(self.queries), database_labels=np.arange(self.items))

    def blocks(self) -> Iterator[Block]:
        """Tie groups are the distinct similarities of each query."""
        step = max(1, _SIMILARITIES // max(self.items, 1))
        for start in range(0, len(self.query), step):
            yield self._block(slice(start, start + step))

    def _block(self, rows: slice) -> Block:
        similarity = (self.query[rows] @ self.distinct.T).round(DECIMALS)[:, self.place]
        grades = Grades.over(self.query_labels[rows], self.database_labels)
        order = np.argsort(-similarity, axis=1, kind="stable")
        written = Written(order, groups_of(np.take_along_axis(similarity, order, axis=1)))
        relevant = grades.relevant(order)

        def by_radius() -> tuple[Array, Array]:
            shared = np.empty_like(relevant)
            np.put_along_axis(shared, order, relevant, axis=1)
            return _by_radius(similarity, shared, self.query.shape[1])

        return Block(
            written.counts(np.ones_like(relevant)),
            written.counts(relevant),
            partial(written.hits_in_order, grades),
            partial(written.gains, grades),
            grades.ideal,
            by_radius,
        )


def unit(vectors: npt.ArrayLike, what: str) -> Array:
    """Rows of length 1 (zero rows stay zero), float64 (n, d)."""
    array = np.asarray(vectors)
    if array.ndim != 2 or array.dtype.kind not in "fiu" or not array.shape[1]:
        raise UserError(f"{what} is {array.dtype} of shape {array.shape}; vectors must be real numbers (n, dimensions)")
    array = array.astype(np.float64)
    if not np.isfinite(array).all():
        raise UserError(f"{what} holds NaN or infinite values; vectors must be finite")
    largest = np.abs(array).max(axis=1, initial=0.0, keepdims=True)
    array /= np.where(largest > 0, largest, 1.0)  # first by the largest entry: squares neither overflow nor vanish
    length = np.linalg.norm(array, axis=1, keepdims=True)
    return array / np.where(length > 0, length, 1.0)


def _by_radius(similarity: Array, relevant: Array, entries: int) -> tuple[Array, Array]:
    """Items and relevant items by distance entries (1 - cosine) / 2, rounded up: int64 (m, entries + 1)."""
    distance = np.ceil(entries * ((1 - similarity) / 2 - _ROUNDING)).clip(0, entries).astype(np.int64)
    bins = np.arange(len(distance))[:, None] * (entries + 1) + distance
    shape = len(distance), entries + 1
    size, hits = (
        np.bincount(items, minlength=shape[0] * shape[1]).reshape(shape) for items in (bins.ravel(), bins[relevant])
    )
    return size, hits
