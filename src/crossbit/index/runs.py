"""Codes in memory in the order of their ids, cheap to extend."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from crossbit.bits import distance_histograms, mask_words, top_k
from crossbit.index.masks import RecentMasks, Words

SPARSE = 8  # ids up to so many times as many as there are codes are looked up in a table

Ids = npt.NDArray[np.int64]
Planes = npt.NDArray[np.uint64]
Queries = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class SortedCodes:
    """Codes ordered by id; never changed in place, so a search may go on while the index grows.

    Attributes:
        ids: int64 (n,), ascending, all different.
        planes: uint64 (words, n), as from `crossbit.bits.planes`.
        places: int64 (n,), where each code's embedding is (`crossbit.index.segments`); -1 for none.
        masks: what filters let through of these codes. A change makes other codes, which begin without any.
    """

    ids: Ids
    planes: Planes
    places: Ids
    masks: RecentMasks = field(default_factory=RecentMasks, init=False, compare=False, repr=False)

    def __len__(self) -> int:
        return len(self.ids)

    def find(self, ids: Ids) -> Ids:
        """The position of each id, -1 where it is not there.

        >>> codes = ordered(np.array([5, 2]), np.zeros((1, 2), np.uint64), np.array([-1, -1]))
        >>> codes.find(np.array([5, 3]))
        array([ 1, -1])
        """
        if not len(self):
            return np.full(len(ids), -1, np.int64)
        at = np.minimum(np.searchsorted(self.ids, ids), len(self) - 1)
        return np.where(self.ids[at] == ids, at, -1)

    def among(self, ids: npt.NDArray[np.integer[Any]]) -> Planes:
        """Which codes have one of these ids, all of which are there, in any order: `mask_words` uint64 (ceil(n / 64),).

        >>> codes = ordered(np.array([5, 2]), np.zeros((1, 2), np.uint64), np.array([-1, -1]))
        >>> codes.among(np.array([5]))
        array([2], dtype=uint64)
        """
        mask = np.zeros(len(self), bool)
        if not len(self) or not 0 <= self.ids[0] <= self.ids[-1] < SPARSE * len(self):
            mask[self.find(np.sort(ids))] = True  # in order, the search for each stays near that for the one before
            return mask_words(mask)
        there = np.zeros(self.ids[-1] + 1, bool)
        there[ids] = True
        return mask_words(there if len(there) == len(self) else there[self.ids])

    def nearest(
        self, queries: Queries, k: int, mask: Words | None = None, radius: int | None = None
    ) -> tuple[npt.NDArray[np.int32], Ids, Ids]:
        """Distances, ids and places of the k nearest codes of each query by (distance, id), each (m, k); -1 where there
        are fewer.

        Args:
            queries: uint8 (m, bytes).
            k: how many.
            mask: which codes may be found, as `mask_words`; None for all.
            radius: only at this distance or nearer.
        """
        distances, at = top_k(queries, self.planes, k, mask=mask)
        if radius is not None:
            at[distances > radius] = distances[distances > radius] = -1
        found = at >= 0
        ids, places = np.full((2, *at.shape), -1, np.int64)
        ids[found], places[found] = self.ids[at[found]], self.places[at[found]]
        return distances, ids, places

    def within(self, queries: Queries, radius: int) -> int:
        """How many codes are within a radius of a query, uint8 (m, bytes), of the one that has most; at least 1."""
        return max(1, int(distance_histograms(queries, self.planes)[:, : radius + 1].sum(axis=1).max(initial=0)))

    def but(self, ids: Ids) -> npt.NDArray[np.bool_]:
        """Which codes have none of these ids, bool (n,)."""
        left = np.ones(len(self) + 1, bool)
        left[self.find(ids)] = False  # those that are not there are one more
        return left[:-1]

    def without(self, ids: Ids) -> SortedCodes:
        """The same codes but for these ids."""
        keep = self.but(ids)
        return SortedCodes(self.ids[keep], np.compress(keep, self.planes, axis=1), self.places[keep])


def ordered(ids: Ids, planes: Planes, places: Ids) -> SortedCodes:
    """A run from rows in any order."""
    if np.all(ids[1:] > ids[:-1]):
        return SortedCodes(ids, planes, places)
    order = np.argsort(ids, kind="stable")  # linear where it is two runs end to end
    return SortedCodes(ids[order], np.take(planes, order, axis=1), places[order])


def merge(a: SortedCodes, b: SortedCodes) -> SortedCodes:
    """Two runs without common ids as one."""
    planes = np.concatenate([a.planes, b.planes], axis=1)
    return ordered(np.concatenate([a.ids, b.ids]), planes, np.concatenate([a.places, b.places]))


class Codes:
    """All codes of an index as a few runs of quickly falling lengths.

    Merging each batch into one array would copy everything each time. Here a run is merged when the next is half as
    long, so a row is copied about log2(rows / batch) times however it came in, and looking up ids visits as few runs.

    Args:
        run: all codes.
        token: what they are known by (`crossbit.index.mapped`), if they are.

    Attributes:
        tracks: whether `changed` grows; at first where there is a token.
        changed: the ids that were added and removed since.

    >>> codes = Codes(ordered(np.array([4, 2]), np.zeros((1, 2), np.uint64), np.array([-1, -1])))
    >>> codes.add(SortedCodes(np.array([3]), np.ones((1, 1), np.uint64), np.array([-1])))
    >>> codes.merged().ids, codes.has(np.array([3, 9]))
    (array([2, 3, 4]), array([ True, False]))
    """

    def __init__(self, run: SortedCodes, token: str = "") -> None:
        self._runs = [run]
        self.token, self.tracks = token, bool(token)
        self.changed: list[Ids] = []

    def has(self, ids: Ids) -> npt.NDArray[np.bool_]:
        """Which of these ids are there, bool (n,); fastest for ascending ids."""
        there = np.zeros(len(ids), bool)
        for run in self._runs:
            there |= run.find(ids) >= 0
        return there

    def add(self, run: SortedCodes) -> None:
        """Add rows whose ids are not there yet."""
        self._note(run.ids)
        self._runs.append(run)
        while len(self._runs) > 1 and len(self._runs[-2]) < 2 * len(self._runs[-1]):
            self._runs[-2:] = [merge(*self._runs[-2:])]

    def remove(self, ids: Ids) -> None:
        """Remove rows; ids that are not there are ignored."""
        self._note(ids)
        self._runs = [self.merged().without(ids)]

    def _note(self, ids: Ids) -> None:
        if self.tracks:
            self.changed.append(ids)

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        return sum(run.ids.nbytes + run.planes.nbytes + run.places.nbytes for run in self._runs)

    def merged(self) -> SortedCodes:
        """Everything as one run."""
        while len(self._runs) > 1:
            self._runs[-2:] = [merge(*self._runs[-2:])]
        return self._runs[0]
