"""Which queries the report shows, chosen before anything is known about how they do; and what was found for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from crossbit.data.types import PairedData
from crossbit.search.searcher import Searcher

SHOWN = 10  # hits of a query
SAMPLE = 100  # queries that are chosen from
LOOKED_AT = 120  # hits among which different captions are looked for
# Plain things that a reader knows; each takes the query of the shortest name that holds all of its words.
WORDS = ("latin capital letter caron", "cyrillic letter", "hebrew letter", "arrow", "box drawings", "chess")
PICTURES = ("greek capital letter", "arrow", "latin small letter acute", "digit")


@dataclass(frozen=True)
class Search:
    """One query and what was found.

    Attributes:
        modality: of the query.
        row: of the query, in the data.
        hits: (row, Hamming distance), the best first: re-ranked by the embeddings.
        right: for each hit, whether it shares a label with the query.
    """

    modality: str
    row: int
    hits: list[tuple[int, int]]
    right: list[bool]


def choose(data: PairedData, kinds: Sequence[str], seed: int) -> list[int]:
    """A query row for each kind, by its name alone; drawn by `draw` where no name left holds the kind's words.

    >>> names = np.array(["number 2", "number 1", "a large arrow", "arrow", "arrow"])
    >>> rows = {"train": np.array([4]), "query": np.arange(4), "retrieval": np.array([4])}
    >>> data = PairedData("toy", {"text": names}, np.array([0, 0, 1, 1, 1]), rows)
    >>> choose(data, ["arrow", "number", "arrow", "chess"], seed=0)
    [3, 1, 2, 0]
    """
    names = data[modality_of(data, "words")]
    labelled = np.flatnonzero(multi_hot(data).sum(axis=1))
    rows = np.intersect1d(data.splits["query"], labelled).tolist()
    left = sorted((len(names[row]), str(names[row]), row) for row in rows)
    chosen: list[int | None] = []
    for kind in kinds:
        name, row = next(((name, row) for _, name, row in left if holds(name, kind)), ("", None))
        chosen.append(row)
        left = [one for one in left if one[1] != name]
    taken = [row for row in chosen if row is not None]
    others = iter([row for row in draw(data, len(kinds) + len(taken), seed) if row not in taken])
    filled = (next(others, None) if row is None else row for row in chosen)
    return [row for row in filled if row is not None]


def holds(name: str, kind: str) -> bool:
    """Whether all words of `kind` are words of the name."""
    return set(kind.split()) <= set(name.split())


def draw(data: PairedData, count: int, seed: int) -> list[int]:
    """`count` query rows out of a seeded sample, one after another the one with the most labels not shown yet.

    >>> label = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 1], [1, 0, 0]], np.uint8)
    >>> rows = {"train": np.array([3]), "query": np.arange(3), "retrieval": np.array([3])}
    >>> data = PairedData("toy", {"image": np.zeros((4, 1))}, label, rows)
    >>> draw(data, 2, seed=0)
    [1, 2]
    """
    sample = np.random.default_rng([seed, 3]).permutation(data.splits["query"])[:SAMPLE]
    labels = multi_hot(data)[sample]
    shown, free, chosen = np.zeros(labels.shape[1], bool), labels.any(axis=1), []
    for _ in range(min(count, int(free.sum()))):
        gain = labels @ np.where(shown, -1, 1)  # new labels count for a query, those shown already against it
        best = int(np.where(free, gain, -labels.shape[1] - 1).argmax())
        free[best] = False
        shown |= labels[best].astype(bool)
        chosen.append(int(sample[best]))
    return chosen


def by_words(searcher: Searcher, data: PairedData, row: int) -> Search:
    """The nearest pictures to a query's words."""
    words, pictures = modality_of(data, "words"), modality_of(data, "pictures")
    found = searcher(str(data[words][row]), k=SHOWN, modality=pictures, by="codes")[pictures]
    return _search(data, words, row, [(hit.id, hit.distance) for hit in found if hit.distance is not None])


def by_picture(searcher: Searcher, data: PairedData, row: int) -> Search:
    """The nearest words to a query's picture, the same words once."""
    words, pictures = modality_of(data, "words"), modality_of(data, "pictures")
    found = searcher(picture=data[pictures][row], k=LOOKED_AT, modality=words)[words]
    first: dict[str, tuple[int, int]] = {}
    for hit in found:
        if hit.distance is not None:
            first.setdefault(str(data[words][hit.id]), (hit.id, hit.distance))
    return _search(data, pictures, row, list(first.values())[:SHOWN])


def modality_of(data: PairedData, kind: str) -> str:
    """The first modality of a kind."""
    return next(name for name in data.modalities if data.kind(name) == kind)


def multi_hot(data: PairedData) -> np.ndarray:
    """True labels as int64 0/1 (n, classes)."""
    assert data.label is not None
    label = data.label if data.label.ndim == 2 else data.label[:, None] == np.arange(data.classes)
    return label.astype(np.int64)


def _search(data: PairedData, modality: str, row: int, hits: list[tuple[int, int]]) -> Search:
    labels = multi_hot(data)
    return Search(modality, row, hits, [bool(labels[row] @ labels[hit]) for hit, _ in hits])
