"""The nearest codes of a collection, ordered by (distance, id) as a local index orders them.

Milvus gives the nearest in any order inside a distance, so of those at the distance of the k-th it may give others than
the first by id. More than k are asked for, until one is farther than the k-th: then all that are as near are there.
Milvus gives at most 16,384 for a query. Where these are all as near as the k-th, ranges of ids are searched one by one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from crossbit.index.milvus.calls import Server
from crossbit.index.milvus.rows import LAST, between

MOST = 16_384  # hits and queries that Milvus takes
AT_LEAST = 64  # hits that are asked for beyond the k-th
AGAIN = 8  # times as many are asked for where these were not enough
ANSWER = 1 << 20  # hits of one answer: 16 MiB
WIDEST = 8192  # columns of results that are made whether or not there are so many codes

Distances = npt.NDArray[np.int32]
Ids = npt.NDArray[np.int64]
Found = tuple[Distances, Ids]  # of one query, ordered


@dataclass(frozen=True)
class Nearest:
    """Searches of one collection under one filter.

    Attributes:
        server: where it is.
        bits: the code length.
        condition: the filter, empty for none.
        seconds: that a request may take.
        probes: lists that an inexact index looks into; 0 for an exact one.
    """

    server: Server
    bits: int
    condition: str
    seconds: float
    probes: int = 0

    def search(
        self, queries: npt.NDArray[np.uint8], k: int, n: int, radius: int | None, *, narrow: bool
    ) -> tuple[Distances, Ids]:
        """Distances and ids (m, k) of the nearest of n codes, -1 where there are fewer.

        Args:
            queries: uint8 (m, bytes).
            k: how many.
            n: how many codes there are.
            radius: those farther away are left out.
            narrow: as few columns as hold all hits, and at least one.
        """
        near, enough = min(k, n), self.bits if radius is None else min(radius, self.bits)
        found = self._all(queries, near, enough) if near else [_ordered([], [])] * len(queries)
        if radius is not None:
            found = [_within(each, radius) for each in found]
        columns = min(k, max(n, WIDEST))
        if narrow:
            columns = max([1, *(len(ids) for _, ids in found)])
        distances, ids = np.full((len(queries), columns), -1, np.int32), np.full((len(queries), columns), -1, np.int64)
        for row, each in enumerate(found):
            distances[row, : len(each[0])], ids[row, : len(each[1])] = each[0][:columns], each[1][:columns]
        return distances, ids

    def _all(self, queries: npt.NDArray[np.uint8], k: int, radius: int) -> list[Found]:
        """The k nearest of each query; of those beyond a radius some may be missing."""
        found: dict[int, Found] = {}
        waiting, limit = list(range(len(queries))), min(MOST, max(2 * k, k + AT_LEAST))
        while waiting:
            for row, each in zip(waiting, self._asked(queries[waiting], limit), strict=True):
                if len(each[0]) < limit or each[0][-1] > radius or (k < limit and each[0][k - 1] < each[0][-1]):
                    found[row] = each[0][:k], each[1][:k]
            waiting = [row for row in waiting if row not in found]
            if limit == MOST:
                break
            limit = min(MOST, AGAIN * limit)
        for row in waiting:
            found[row] = self._ranges(queries[row : row + 1], k, radius)
        return [found[row] for row in range(len(queries))]

    def _ranges(self, query: npt.NDArray[np.uint8], k: int, radius: int) -> Found:
        """As `_all` of one query, by ranges of ids, each so small that all that are near enough are in its answer.

        What is as near as the k-th found so far cannot be among the k nearest unless its id is smaller; ranges are
        searched in the order of their ids, so ties there are settled.
        """
        best = _ordered([], [])
        waiting = [(-LAST - 1, LAST)]
        while waiting:
            first, last = waiting.pop()
            (found,) = self._asked(query, MOST, between(first, last))
            farthest = min(best[0][k - 1], radius + 1) if len(best[0]) >= k else radius + 1
            if len(found[0]) == MOST and found[0][-1] < farthest:
                middle = int(np.sort(found[1])[MOST // 2 - 1])
                waiting += [(middle + 1, last), (first, middle)]
                continue
            best = _ordered(np.concatenate([best[0], found[0]]), np.concatenate([best[1], found[1]]))
            best = best[0][:k], best[1][:k]
        return best

    def _asked(self, queries: npt.NDArray[np.uint8], limit: int, among: str = "") -> Iterator[Found]:
        """What Milvus gives for each query, ordered."""
        condition = " and ".join(f"({each})" for each in (self.condition, among) if each)
        params = {"metric_type": "HAMMING", "params": {"nprobe": self.probes} if self.probes else {}}
        at_once = max(1, min(MOST, ANSWER // limit))
        for start in range(0, len(queries), at_once):
            data = [code.tobytes() for code in queries[start : start + at_once]]
            options: dict[str, Any] = {
                "filter": condition,
                "limit": limit,
                "search_params": params,
                "anns_field": "code",
            }
            for hits in self.server.read("search", data, seconds=self.seconds, **options):
                yield _ordered(hits.distances, hits.ids)


def _ordered(distances: npt.ArrayLike, ids: npt.ArrayLike) -> Found:
    near, at = np.asarray(distances).astype(np.int32), np.asarray(ids, np.int64)
    order = np.lexsort((at, near))
    return near[order], at[order]


def _within(found: Found, radius: int) -> Found:
    end = int(np.searchsorted(found[0], radius, side="right"))
    return found[0][:end], found[1][:end]
