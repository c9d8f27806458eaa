"""Pictures that are the same, or nearly: the same bytes, or so alike when small that only details can differ.

They are one group: a query's copy in the database would be found by anything, so none of a group may be a query while
another is in the database.
"""

from __future__ import annotations

from collections import Counter
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
    if not facts:
        return Duplicates(np.empty(0, np.int64), 0, 0)
    contents = Counter(one.content for one in facts)
    shared = np.array([contents[one.content] > 1 for one in facts])
    number = {look: row for row, look in enumerate(dict.fromkeys(one.look for one in facts))}
    values = np.frombuffer(b"".join(number), np.uint8).reshape(len(number), -1)
    from crossbit.data.collection.alike import group_alike  # here: loading the compiler takes half a second

    alike = group_alike(values, ALIKE)[[number[one.look] for one in facts]]
    _, at, back = np.unique(alike, return_index=True, return_inverse=True)
    group = np.argsort(np.argsort(at))[back]
    together = np.bincount(group)[group] > 1
    return Duplicates(group, int(shared.sum()), int((together & ~shared).sum()))
