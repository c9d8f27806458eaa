"""What the nearest labelled rows carry: the reason, in words, why a label looks wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from sklearn.neighbors import NearestNeighbors

NEAREST = 10
CELLS = 1_000_000  # neighbours found at a time


@dataclass
class Counts:
    """What the nearest labelled rows of q rows carry, by one modality.

    Attributes:
        of: (q,) how many there are, at most `NEAREST`.
        carry: (q, c) how many of them carry each label.
    """

    of: np.ndarray
    carry: np.ndarray


def nearest(
    features: np.ndarray, there: np.ndarray, rows: np.ndarray, groups: np.ndarray | None = None, k: int = NEAREST
) -> np.ndarray:
    """The k nearest of the rows `there` to each of `rows`, (q, k), by Euclidean distance; -1 where there are fewer.

    Args:
        features: (n, dim).
        there: row numbers.
        rows: (q,) row numbers.
        groups: (n,) near-duplicates by number, which are not counted for each other; None: a row is not its own
            neighbour, that is all.
        k: neighbours.

    >>> nearest(np.array([[0.0], [1.0], [2.0], [9.0]]), np.arange(3), np.array([0, 3]), k=2).tolist()
    [[1, 2], [2, 1]]
    """
    numbers = np.arange(len(features)) if groups is None else groups
    own = int(np.bincount(numbers[there]).max())  # the most neighbours that may have to be passed over
    search = NearestNeighbors(n_neighbors=min(len(there), k + own), algorithm="brute").fit(features[there])
    found = np.full((len(rows), k), -1)
    size = max(1, CELLS // (k + own))
    for start in range(0, len(rows), size):
        part = rows[start : start + size]
        near = there[search.kneighbors(features[part], return_distance=False)]
        other = numbers[near] != numbers[part, None]
        order = np.argsort(~other, axis=1, kind="stable")[:, :k]  # others first, the nearest before
        kept = np.take_along_axis(other, order, 1)
        found[start : start + size, : order.shape[1]] = np.where(kept, np.take_along_axis(near, order, 1), -1)
    return found


def count_neighbours(near: np.ndarray, labels: np.ndarray) -> Counts:
    """Count the labels of neighbours.

    Args:
        near: (q, k) row numbers, -1 for none.
        labels: (n, c) observed labels 0/1.

    >>> found = count_neighbours(np.array([[1, 2, -1]]), np.eye(2)[[0, 1, 1]])
    >>> found.of.tolist(), found.carry.tolist()
    ([2], [[0, 2]])
    """
    carry = np.zeros((len(near), labels.shape[1]), np.int16)
    for column in near.T:
        carry += (labels[column] * (column >= 0)[:, None]).astype(np.int16)
    return Counts((near >= 0).sum(1).astype(np.int16), carry)


def label_reason(
    names: list[str], counts: Mapping[str, Counts], place: int, given: int | None, other: int | None
) -> str:
    """One sentence about a row's labels: how many of its neighbours carry the one that looks wrong, and another.

    Args:
        names: of the classes.
        counts: by modality.
        place: of the row in the counts.
        given: the label that it has and looks wrong; None where none does.
        other: the label that it lacks and should have, or that its neighbours have; None where there is none.

    >>> ten = np.array([10])
    >>> counts = {"image": Counts(ten, np.array([[1, 9]])), "text": Counts(ten, np.array([[0, 8]]))}
    >>> label_reason(["hebrew", "greek"], counts, 0, given=0, other=1)
    'given `hebrew`; of its 10 nearest by image 1 has it, 9 have `greek`; by text 0 and 8'
    >>> label_reason(["hebrew", "greek"], counts, 0, given=None, other=1)
    'lacks `greek`; of its 10 nearest by image 9 have it; by text 8'
    """
    asked = [label for label in (given, other) if label is not None]
    if not asked:
        return ""
    head = f"lacks `{names[asked[0]]}`" if given is None else f"given `{names[given]}`"
    parts: list[str] = []
    for modality, found in counts.items():
        numbers = [int(found.carry[place, label]) for label in asked]
        if parts and found.of[place] == next(iter(counts.values())).of[place]:
            parts.append(f"by {modality} {' and '.join(map(str, numbers))}")
        else:
            what = [f"{numbers[0]} {_have(numbers[0])} it"]
            what += [f"{numbers[1]} {_have(numbers[1])} `{names[asked[1]]}`"] if len(asked) > 1 else []
            parts.append(f"of its {found.of[place]} nearest by {modality} {', '.join(what)}")
    return "; ".join([head, *parts])


def pair_reason(names: list[str], counts: Mapping[str, Counts], place: int) -> str:
    """One sentence about a pair: what the neighbours of each of its modalities carry most.

    >>> ten = np.array([10])
    >>> counts = {"image": Counts(ten, np.array([[1, 9]])), "text": Counts(ten, np.array([[8, 2]]))}
    >>> pair_reason(["hebrew", "greek"], counts, 0)
    'of its 10 nearest by image 9 have `greek`; of its 10 nearest by text 8 have `hebrew`'
    """
    parts = []
    for modality, found in counts.items():
        most = int(found.carry[place].argmax())
        number = int(found.carry[place, most])
        parts.append(f"of its {found.of[place]} nearest by {modality} {number} {_have(number)} `{names[most]}`")
    return "; ".join(parts)


def _have(number: int) -> str:
    return "has" if number == 1 else "have"
