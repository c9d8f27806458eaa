"""Families: rows that show the same thing, so that one mistake is not shown twenty times."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components


def families(features: Mapping[str, np.ndarray], groups: np.ndarray | None = None) -> np.ndarray:
    """A number (n,) for each row, the same for rows of one group and for rows with equal features in all modalities.

    Args:
        features: by modality (n, dim).
        groups: (n,) near-duplicates by number.

    >>> x = np.array([[0.0], [1.0], [0.0], [2.0]])
    >>> families({"x": x}).tolist(), families({"x": x}, np.array([0, 1, 2, 1])).tolist()
    ([0, 1, 0, 2], [0, 1, 0, 1])
    """
    arrays = [np.ascontiguousarray(x) for x in features.values()]
    n = len(arrays[0])
    content = [hashlib.blake2b(b"".join(x[row].tobytes() for x in arrays), digest_size=16).digest() for row in range(n)]
    first = dict[bytes, int]()
    links = [first.setdefault(one, row) for row, one in enumerate(content)]
    if groups is not None:
        members = dict[int, int]()
        links += [members.setdefault(int(group), row) for row, group in enumerate(groups)]
    left = np.tile(np.arange(n), 1 if groups is None else 2)
    edges = coo_matrix((np.ones(len(left), bool), (left, links)), shape=(n, n))
    return connected_components(edges, directed=False)[1]


def together(order: np.ndarray, family: np.ndarray) -> np.ndarray:
    """An order in which the rows of a family follow its first.

    Args:
        order: rows, the first before.
        family: (n,) of each row.

    >>> together(np.array([2, 0, 3, 1]), np.array([7, 8, 8, 7])).tolist()
    [2, 1, 0, 3]
    """
    place = dict[int, int]()
    for row in order:
        place.setdefault(int(family[row]), len(place))
    return order[np.argsort([place[int(family[row])] for row in order], kind="stable")]
