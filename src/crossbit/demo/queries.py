"""Which queries the report shows, chosen before anything is known about how they do."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from crossbit.bits.labels import as_matrix
from crossbit.data.types import PairedData

SAMPLE = 100  # queries that are chosen from
# Plain things that a reader knows; each takes the query of the shortest name that holds all of its words.
WORDS = ("latin capital letter caron", "cyrillic letter", "hebrew letter", "arrow", "box drawings", "chess")
PICTURES = ("greek capital letter", "arrow", "latin small letter acute", "digit")


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


def modality_of(data: PairedData, kind: str) -> str:
    """The first modality of a kind."""
    return next(name for name in data.modalities if data.kind(name) == kind)


def multi_hot(data: PairedData) -> np.ndarray:
    """True labels as int64 0/1 (n, classes)."""
    assert data.label is not None
    return as_matrix(data.label, data.classes).astype(np.int64)


def label_names(data: PairedData) -> list[str]:
    """A name for each class; its number where the data has no names."""
    return data.label_names or [str(number) for number in range(data.classes)]
