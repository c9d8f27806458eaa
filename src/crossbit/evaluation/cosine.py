"""Real vectors ranked by cosine similarity; similarities that differ by no more than float64 rounds are ties."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from crossbit.errors import UserError
from crossbit.evaluation.rankings import NAMES, Array, Block, check_both_labels
from crossbit.evaluation.ties.gains import gain_levels, weigh

_SIMILARITIES = 1 << 21  # held at a time
_DECIMALS = 12  # of a similarity: float64 rounds sums of products of unit vectors from about the 15th on
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
        vectors, other = _unit(query, names[0]), _unit(database, names[1])
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
        similarity = (self.query[rows] @ self.distinct.T).round(_DECIMALS)[:, self.place]
        shared = _shared(self.query_labels[rows], self.database_labels)
        order = np.argsort(-similarity, axis=1, kind="stable")
        relevant = np.take_along_axis(shared > 0, order, axis=1)
        group = _groups(np.take_along_axis(similarity, order, axis=1))
        bins = np.arange(len(group))[:, None] * self.items + group  # of its own for every query
        size, hits = (
            np.bincount(items, minlength=group.size).reshape(group.shape) for items in (bins.ravel(), bins[relevant])
        )

        def in_order(k: list[int], of_relevant: bool) -> tuple[Array, Array]:
            return _hits_in_order(relevant, k, of_relevant)

        def gains(weight: Array, ties: str) -> tuple[Array, Array]:
            return _weighted_gains(np.take_along_axis(shared, order, axis=1), group, size, weight, ties)

        def by_radius() -> tuple[Array, Array]:
            return _by_radius(similarity, shared > 0, self.query.shape[1])

        def overlaps(k: int, ties: str) -> Array:
            overlap = _overlap(shared, self.query_labels[rows], self.database_labels)
            return _mean_overlaps(np.take_along_axis(overlap, order, axis=1), group, size, k, ties)

        return Block(size, hits, in_order, gains, overlaps, by_radius)


def _groups(ranked: Array) -> Array:
    """Of each rank (m, n) the number of its tie group, from 0."""
    group = np.zeros(ranked.shape, np.int64)
    np.cumsum(ranked[:, 1:] < ranked[:, :-1], axis=1, out=group[:, 1:])
    return group


def _unit(vectors: npt.ArrayLike, what: str) -> Array:
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


def _shared(query: Array, database: Array) -> Array:
    """int32 (m, n): how many labels are shared; of classes, whether they are equal."""
    if query.ndim == 1:
        return (query[:, None] == database).astype(np.int32)
    return (query.astype(np.float32) @ database.astype(np.float32).T).astype(np.int32)


def _weighted_gains(shared: Array, group: Array, size: Array, weight: Array, ties: str) -> tuple[Array, Array]:
    """As `gains.weighted_gains`, from the labels shared and the tie group of each rank, both (m, n)."""
    level = gain_levels(int(shared.max(initial=0)))
    one = np.ones_like(shared)
    ideal = weigh(one, -np.sort(-level[shared], axis=1), weight)
    if ties == "expected":
        bins = (np.arange(len(group))[:, None] * group.shape[1] + group).ravel()
        total = np.bincount(bins, weights=level[shared].ravel(), minlength=group.size).reshape(group.shape)
        return weigh(size, total / np.maximum(size, 1), weight), ideal
    if ties != "index":
        order = np.lexsort((-shared if ties == "best" else shared, group), axis=1)
        shared = np.take_along_axis(shared, order, axis=1)
    return weigh(one, level[shared], weight), ideal


def _overlap(shared: Array, query: Array, database: Array) -> Array:
    """float64 (m, n): labels shared over those that one of both has; 0 where none has any."""
    if query.ndim == 1:
        return shared.astype(np.float64)
    either = query.sum(axis=1, dtype=np.int64)[:, None] + database.sum(axis=1, dtype=np.int64) - shared
    return shared / np.maximum(either, 1)


def _mean_overlaps(overlap: Array, group: Array, size: Array, k: int, ties: str) -> Array:
    """As `overlap.mean_overlaps`, from the overlap and the tie group of each rank, both (m, n)."""
    if ties == "expected":
        bins = (np.arange(len(group))[:, None] * group.shape[1] + group).ravel()
        total = np.bincount(bins, weights=overlap.ravel(), minlength=group.size).reshape(group.shape)
        overlap = np.take_along_axis(total / np.maximum(size, 1), group, axis=1)
    elif ties != "index":
        order = np.lexsort((-overlap if ties == "best" else overlap, group), axis=1)
        overlap = np.take_along_axis(overlap, order, axis=1)
    mean: Array = overlap[:, :k].mean(axis=1)
    return mean


def _by_radius(similarity: Array, relevant: Array, entries: int) -> tuple[Array, Array]:
    """Items and relevant items by distance entries (1 - cosine) / 2, rounded up: int64 (m, entries + 1)."""
    distance = np.ceil(entries * ((1 - similarity) / 2 - _ROUNDING)).clip(0, entries).astype(np.int64)
    bins = np.arange(len(distance))[:, None] * (entries + 1) + distance
    shape = len(distance), entries + 1
    size, hits = (
        np.bincount(items, minlength=shape[0] * shape[1]).reshape(shape) for items in (bins.ravel(), bins[relevant])
    )
    return size, hits


def _hits_in_order(relevant: Array, k: list[int], of_relevant: bool) -> tuple[Array, Array]:
    """As `order.hits_in_order`, from the relevance bool (m, n) of each rank."""
    hits = relevant.cumsum(axis=1)
    ranks = np.arange(1, relevant.shape[1] + 1)
    precision = np.where(relevant, hits / ranks, 0.0)
    place = hits if of_relevant else np.broadcast_to(ranks, hits.shape)
    found = [(relevant & (place <= cut)).sum(axis=1) for cut in k]
    sums = [np.where(place <= cut, precision, 0.0).sum(axis=1) for cut in k]
    return np.stack(found, axis=1), np.stack(sums, axis=1)
