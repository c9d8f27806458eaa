"""One modality's index with its embeddings and captions, held open for many searches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt

from crossbit.bits import pack, unpack
from crossbit.index import Hits
from crossbit.index.embeddings import cosines
from crossbit.index.local import LocalIndex
from crossbit.search.build import index_path
from crossbit.search.captions import Captions
from crossbit.search.fusion import fused, thing_of
from crossbit.search.query import Query
from crossbit.search.results import SearchHit

DEPTH = 100  # hits of each way that are fused, or more where many are of few things


class OpenIndex:
    """An index of codes, the embeddings that order what it finds, and the captions, where it has some.

    Attributes:
        size: how many codes there were when it was opened.
    """

    def __init__(self, folder: Path, modality: str, encoder: Mapping[str, str], bits: int) -> None:
        self.modality = modality
        self.index = LocalIndex(index_path(folder, modality), bits=bits, read_only=True, encoder=encoder)
        self.size = len(self.index)
        self._captions: Captions | None = None
        self._lock = Lock()

    @property
    def captions(self) -> Captions:
        """Its captions, read when they are first needed."""
        with self._lock:
            if self._captions is None:
                self._captions = Captions(self.index)
            return self._captions

    def search(
        self, query: Query, k: int, ways: Sequence[str], *, rerank: bool, where: str | None, time_limit_ms: float
    ) -> tuple[tuple[SearchHit, ...], int]:
        """The k best things without the query's own, the best first, and how many codes were compared."""
        limits = {"where": where, "time_limit_ms": time_limit_ms}
        depth, compared = k + (query.left_out is not None), 0
        depth = max(depth, DEPTH) if len(ways) > 1 else depth
        while True:
            depth, found = min(depth, max(1, self.size)), {}
            if "captions" in ways:  # first, so that of equal scores theirs is before
                found["captions"] = self._by_captions(query, depth, rerank, limits)
            if "codes" in ways:
                found["codes"], compared = self._by_codes(query, depth, rerank, limits)
            hits = [hit for hit in fused(found) if thing_of(hit.id, hit.item) != query.left_out]
            if len(hits) >= k or all(len(each) < depth for each in found.values()) or depth == self.size:
                return tuple(hits[:k]), compared
            depth *= 4

    def get(self, id: int, rerank: bool) -> tuple[npt.NDArray[Any], dict[str, Any]] | None:
        """The embedding of an id - its code's signs where only codes are compared - and its item; None for no such."""
        if id not in self.index:
            return None
        code, item = self.index[id]
        if rerank and self.index.embeddings is not None:
            return self.index.embeddings.of(np.array([id]))[0], item
        return unpack(code[None])[0], item

    def close(self) -> None:
        """Close the index."""
        self.index.close()

    def _by_codes(self, query: Query, k: int, rerank: bool, limits: Mapping[str, Any]) -> tuple[list[SearchHit], int]:
        code = pack(query.embedding[None])
        if rerank and self.index.embeddings is not None:
            hits = self.index.embeddings.search(query.embedding, code, k, **limits)
        else:
            hits = self.index.search(code, k, **limits)
        return [self._hit(query, *one) for one in _with_cosines(hits)], hits.compared

    def _by_captions(self, query: Query, k: int, rerank: bool, limits: Mapping[str, Any]) -> list[SearchHit]:
        among = None if limits["where"] is None else self.index.matching(**limits)
        ids = self.captions.search(query.words, k, among)
        items = self.index.items(ids)
        distances, near = self._compared(query, ids, rerank)
        found = zip(ids.tolist(), distances, near, strict=True)
        return [self._hit(query, id_, distance, items[id_], cosine) for id_, distance, cosine in found]

    def _compared(
        self, query: Query, ids: npt.NDArray[np.int64], rerank: bool
    ) -> tuple[Sequence[int | None], Sequence[float | None]]:
        """Distances and cosines of ids; None for each that cannot be known."""
        unknown = [None] * len(ids)
        if not query.understood or not len(ids):
            return unknown, unknown
        signs = unpack(self.index.codes_of(ids)) > 0
        distances = (signs != (query.embedding >= 0)).sum(axis=1).tolist()
        if not rerank or self.index.embeddings is None:
            return distances, unknown
        return distances, cosines(self.index.embeddings.of(ids), query.embedding.astype(np.float64)).tolist()

    def _hit(
        self, query: Query, id_: int, distance: int | None, item: Mapping[str, Any] | None, cosine: float | None
    ) -> SearchHit:
        known = dict(item or {})
        return SearchHit(id_, self.modality, distance, cosine, known, query.in_common(known))


def _with_cosines(hits: Hits) -> list[tuple[Any, ...]]:
    found = hits[0]
    near = [None] * len(found) if hits.cosines is None else hits.cosines[0].tolist()
    return [(*hit, cosine) for hit, cosine in zip(found, near, strict=False)]
