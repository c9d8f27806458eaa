"""Re-ranking by real-valued embeddings: they order what lies at equal, or nearly equal, Hamming distance."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from crossbit.bits import SHORTLIST
from crossbit.errors import UserError
from crossbit.index.base import Changed, Hits, check_k
from crossbit.index.filters import TIME_LIMIT_MS
from crossbit.index.segments import MEND

if TYPE_CHECKING:
    from crossbit.index.local import LocalIndex
    from crossbit.index.milvus.index import MilvusIndex

AS_NEAR_AS = SHORTLIST  # the shortlist: all that are as near as this one, or as the k-th where more are asked for,
MOST = 8192  # but no more than these (or k): reading and ordering them takes milliseconds
FIRST = 512  # are looked for first: seldom is the shortlist longer, and finding 8192 takes many times as long
BLOCK = 1024  # rows read and looked at together, so that memory stays small however many are asked for

Array = npt.NDArray[Any]
Ids = npt.NDArray[np.int64]


class Embeddings:
    """The embeddings of an index's codes, as `Index.embeddings` gives them: a search reads those of its shortlist and
    no others.

    Args:
        index: finds the shortlist.
        read: gives the embeddings of ids, float64 (m, width), at the places that `search_places` found, if these are
            known; UserError for an id that has none.
        where: they are, as an error says it.
    """

    def __init__(
        self, index: LocalIndex | MilvusIndex, read: Callable[[Ids, Ids | None], Array], where: object
    ) -> None:
        self._index, self._read, self._where = index, read, where

    def search(
        self,
        query: Array,
        code: Array,
        k: int = 10,
        where: str | None = None,
        *,
        time_limit_ms: float = TIME_LIMIT_MS,
        without: npt.NDArray[np.int64] | None = None,
    ) -> Hits:
        """The k best of the index's shortlist, by cosine; those of equal cosine by (distance, id).

        The shortlist is all that are, by Hamming distance, as near as the hundredth nearest, or the k-th for a larger
        k; where that are more than `MOST` and k, the first by (distance, id).

        Args:
            query: its embedding, real (bits,) or wider, as those of the index.
            code: its code, uint8 (1, bits // 8).
            k, where, time_limit_ms: as for `Index.search`.
            without: ids that are as if they were not there.

        Returns:
            Hits with `cosines`; (1, k) or as many as there are.

        Raises:
            UserError: as `Index.search`; embeddings that are missing, or are not those of the index's codes.
        """
        options: dict[str, Any] = {"time_limit_ms": time_limit_ms, "without": without}
        near, places = self._index.search_places(code, max(check_k(k), min(FIRST, MOST)), where, **options)
        count, most = shortlist(near.distances[0], k), max(k, MOST)
        if count == near.distances.shape[1] < most:  # all that were found are as near: there may be more
            near, places = self._index.search_places(code, most, where, **options)
            count = shortlist(near.distances[0], k)
        distances, ids, places = near.distances[0, :count], near.ids[0, :count], places[0, :count]
        cosine = np.empty(count)
        for start in range(0, count, BLOCK):
            some = slice(start, start + BLOCK)
            rows = self._read(ids[some], places[some])
            if len(query) != rows.shape[1]:
                raise UserError(
                    f"the query's embedding is {len(query)} wide, those of this index {rows.shape[1]}{MEND}"
                )
            signs = rows[:, : self._index.bits] >= 0
            if not np.array_equal((signs != (query[: self._index.bits] >= 0)).sum(axis=1), distances[some]):
                raise Changed(f"{self._where} does not hold the embeddings of the codes in this index{MEND}")
            cosine[some] = cosines(rows, query.astype(np.float64))
        order = np.lexsort((ids, distances, -cosine))[:k][None]
        return near.take(order, cosine[order])

    def of(self, ids: Ids, places: Ids | None = None) -> npt.NDArray[np.float64]:
        """The embeddings of some ids, float64 (m, width), at their places, if these are known; UserError for an id that
        has none."""
        return self._read(ids, places)


def shortlist(distances: npt.NDArray[np.int32], k: int) -> int:
    """How many of the nearest are looked at again.

    Args:
        distances: int32 (n,), ascending, with -1 at the end where nothing was found.
        k: how many are asked for.

    >>> shortlist(np.array([0] * 50 + [1] * 60 + [2] * 60 + [-1] * 9), 10)
    110
    """
    found = distances[distances >= 0]
    if not len(found):
        return 0
    return int(np.searchsorted(found, found[min(max(k, AS_NEAR_AS), len(found)) - 1], side="right"))


def cosines(rows: npt.NDArray[np.float64], query: Array) -> npt.NDArray[np.float64]:
    """Cosines of rows (n, w) with a query (w,); 0 for zeros. Rounded, so that equal rows are equal in every sum.

    >>> cosines(np.array([[0.0, 2.0], [1.0, 1.0], [0.0, 0.0]]), np.array([0.0, 0.5]))
    array([1.        , 0.70710678, 0.        ])
    """
    lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows) * (query * query).sum())
    return np.round(np.divide(rows @ query, lengths, out=np.zeros(len(rows)), where=lengths > 0), 12)
