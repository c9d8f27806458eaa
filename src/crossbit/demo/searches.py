"""What each way finds for the queries that the report shows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from crossbit.bits import SHORTLIST
from crossbit.data.types import PairedData
from crossbit.demo.queries import PICTURES, WORDS, choose, modality_of, multi_hot
from crossbit.demo.ways import Way
from crossbit.index.embeddings import cosines

SHOWN = 10  # hits of a query


@dataclass(frozen=True)
class Hit:
    """One pair that was found.

    Attributes:
        row: in the data.
        distance: Hamming distance of its code to the query's.
        own: whether it has the query's name.
        overlap: the labels that it and the query both have, as a share of those that either has.
    """

    row: int
    distance: int
    own: bool
    overlap: float


@dataclass(frozen=True)
class Search:
    """One query, and what was found for it.

    Attributes:
        row: of the query, in the data.
        found: by the names of the ways, the best first.
    """

    row: int
    found: dict[str, list[Hit]]


def search(data: PairedData, vectors: PairedData, ways: Sequence[Way], seed: int) -> tuple[list[Search], list[Search]]:
    """Queries by words, and others by picture, among all that were held out: no way was trained on any of them.

    Args:
        data: pictures and words.
        vectors: what the ways' models take in their place.
        ways: all search.
        seed: as for `choose`.
    """
    rows = choose(data, [*WORDS, *PICTURES], seed)
    words, pictures = modality_of(data, "words"), modality_of(data, "pictures")
    first, rest = rows[: len(WORDS)], rows[len(WORDS) :]
    return _searches(data, vectors, ways, first, words, pictures), _searches(data, vectors, ways, rest, pictures, words)


def _searches(
    data: PairedData, vectors: PairedData, ways: Sequence[Way], rows: list[int], of: str, among: str
) -> list[Search]:
    """Each row's item of one modality searches those of another."""
    pool, found = data.splits["query"], {}
    for way in ways:
        asked, held = way.model.ordering(of, vectors[of][rows]), way.model.ordering(among, vectors[among][pool])
        for row, query in zip(rows, asked, strict=True):
            places, distances = nearest(query, held, way.model.bits)
            hits = _hits(data, row, pool[places].tolist(), distances[places].tolist())
            found[row, way.name] = _different(data, hits) if among == modality_of(data, "words") else hits[:SHOWN]
    return [Search(row, {way.name: found[row, way.name] for way in ways}) for row in rows]


def nearest(query: np.ndarray, items: np.ndarray, bits: int) -> tuple[np.ndarray, np.ndarray]:
    """As a search orders an index: what is as near by Hamming distance as the hundredth, by cosine.

    Args:
        query: (w,), the signs of the first `bits` are its code.
        items: (n, w).

    Returns:
        Positions of these items in order; and the distances (n,) of all.

    >>> nearest(np.array([1.0, 2.0]), np.array([[1.0, -1.0], [2.0, 1.0], [1.0, 2.0]]), 2)
    (array([2, 1, 0]), array([1, 0, 0]))
    """
    distances = ((items[:, :bits] >= 0) != (query[:bits] >= 0)).sum(axis=1)
    last = np.partition(distances, min(SHORTLIST, len(items)) - 1)[min(SHORTLIST, len(items)) - 1]
    near = np.flatnonzero(distances <= last)
    cosine = cosines(items[near].astype(np.float64), query.astype(np.float64))
    return near[np.lexsort((near, distances[near], -cosine))], distances


def _hits(data: PairedData, row: int, rows: Iterable[int], distances: Iterable[int]) -> list[Hit]:
    names, labels = data[modality_of(data, "words")], multi_hot(data)
    hits = []
    for other, distance in zip(rows, distances, strict=True):
        both, either = (labels[row] & labels[other]).sum(), (labels[row] | labels[other]).sum()
        hits.append(Hit(other, distance, bool(names[other] == names[row]), float(both / max(either, 1))))
    return hits


def _different(data: PairedData, hits: Iterable[Hit]) -> list[Hit]:
    """The first hit of each name."""
    first: dict[str, Hit] = {}
    for hit in hits:
        first.setdefault(str(data[modality_of(data, "words")][hit.row]), hit)
    return list(first.values())[:SHOWN]
