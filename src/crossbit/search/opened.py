"""One modality's index with its embeddings, held open for many searches."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from crossbit.bits import pack, unpack
from crossbit.index import Hits, open_index
from crossbit.index.base import Item
from crossbit.search.build import index_path
from crossbit.search.query import Query
from crossbit.search.results import SearchHit


class OpenIndex:
    """An index of codes, and the embeddings that order what it finds, where it has some.

    Attributes:
        size: how many codes there were when it was opened.
    """

    def __init__(self, folder: Path, modality: str, encoder: Mapping[str, str], bits: int) -> None:
        self.modality = modality
        self.index = open_index(index_path(folder, modality), bits=bits, read_only=True, encoder=encoder)
        self.size = len(self.index)

    def search(self, query: Query, k: int, *, rerank: bool, **filtered: Any) -> tuple[tuple[SearchHit, ...], int]:
        """The k nearest without the query's own item, the best first, and how many codes were compared; `filtered` is
        `where` and `time_limit_ms`."""
        more = 0 if query.left_out is None else 1
        hits = self._hits(query.embedding, max(1, min(k + more, self.size)), rerank, filtered)
        found = hits[0]
        cosines = [None] * len(found) if hits.cosines is None else hits.cosines[0].tolist()
        left = [(hit, cosine) for hit, cosine in zip(found, cosines, strict=False) if hit[0] != query.left_out]
        return tuple(self._hit(query, *hit, cosine) for hit, cosine in left[:k]), hits.compared

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

    def _hit(self, query: Query, id_: int, distance: int, item: Item | None, cosine: float | None) -> SearchHit:
        known = item or {}
        return SearchHit(id_, self.modality, distance, cosine, known, query.in_common(known))

    def _hits(self, embedding: npt.NDArray[Any], k: int, rerank: bool, filtered: dict[str, Any]) -> Hits:
        code = pack(embedding[None])
        if rerank and self.index.embeddings is not None:
            return self.index.embeddings.search(embedding, code, k, **filtered)
        return self.index.search(code, k, **filtered)
