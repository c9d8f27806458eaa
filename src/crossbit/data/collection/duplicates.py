"""Pictures that are the same, or nearly: the same bytes, or so alike when small that only details can differ.

They are one group: a query's copy in the database would be found by anything, so none of a group may be a query while
another is in the database.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from crossbit.storage.picture_facts import PictureFacts

ALIKE = 6  # grey or colour values of 255 by which no part of two small pictures may differ: what a re-encoding changes


@dataclass(frozen=True)
class Duplicates:
    """Groups of pictures.

    Attributes:
        group: (n,) the number of each picture's group, from 0 in the order of their first pictures.
        same: pictures whose bytes another one has, too.
        alike: pictures that only look like another one.
    """

    group: np.ndarray
    same: int
    alike: int

    def groups(self) -> list[np.ndarray]:
        """The pictures of each group of more than one, the largest groups first."""
        order = np.argsort(self.group, kind="stable")
        parts = np.split(order, np.flatnonzero(np.diff(self.group[order])) + 1)
        return sorted((part for part in parts if len(part) > 1), key=len, reverse=True)


def find_duplicates(facts: Sequence[PictureFacts]) -> Duplicates:
    """Group pictures by the hash of their bytes, and by 16 x 16 grey values and 4 x 4 colours that nearly agree.

    Each of the 304 values may differ by 6 of 255. Alike is who is alike with one of a group.
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    if not facts:
        return Duplicates(np.empty(0, np.int64), 0, 0)
    _, first, content = np.unique([one.content for one in facts], return_index=True, return_inverse=True)
    shared = np.bincount(content)[content] > 1
    pairs = first[_alike([facts[row].look for row in first])]
    left, right = np.concatenate([np.arange(len(facts)), pairs[:, 0]]), np.concatenate([first[content], pairs[:, 1]])
    edges = coo_matrix((np.ones(len(left), bool), (left, right)), shape=(len(facts), len(facts)))
    _, found = connected_components(edges, directed=False)
    _, at, number = np.unique(found, return_index=True, return_inverse=True)
    group = np.argsort(np.argsort(at))[number]
    together = np.bincount(group)[group] > 1
    return Duplicates(group, int(shared.sum()), int((together & ~shared).sum()))


def _alike(looks: Sequence[bytes]) -> np.ndarray:
    """Pairs (m, 2) of rows whose values differ by no more than `ALIKE` anywhere."""
    from scipy.spatial import cKDTree

    values = np.frombuffer(b"".join(looks), np.uint8).reshape(len(looks), -1)
    distinct, number = np.unique(values, axis=0, return_inverse=True)
    first = np.full(len(distinct), -1)
    first[number[::-1]] = np.arange(len(looks))[::-1]
    same = np.column_stack([np.arange(len(looks)), first[number]])
    found = cKDTree(distinct, balanced_tree=False).query_pairs(ALIKE, p=np.inf, output_type="ndarray")
    return np.concatenate([same, first[found.reshape(-1, 2)]])
