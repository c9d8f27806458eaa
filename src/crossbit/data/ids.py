"""Class numbers that are ids, such as 0, 1000000, 2000000: numbered anew, since a class is a column for training."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

UNUSED = 1000  # numbers below the largest class that may never occur


def are_ids(values: np.ndarray) -> bool:
    """Whether so many numbers below the largest never occur that they are no count of classes; `values` ascend."""
    return len(values) > 0 and int(values[-1]) + 1 - len(values) > UNUSED


def numbered(labels: Mapping[str, np.ndarray]) -> tuple[dict[str, np.ndarray], list[str], str] | None:
    """Labels with ids as classes from 0 by one mapping, the ids as names, and a sentence; None where they are no ids.

    >>> labels, names, said = numbered({"label": np.array([0, 3000000, 0])})
    >>> labels["label"].tolist(), names
    ([0, 1, 0], ['0', '3000000'])
    """
    arrays = [array for array in labels.values() if array.ndim == 1 and array.dtype.kind in "iu" and array.size]
    if len(arrays) != len(labels) or not arrays or any(array.min() < 0 for array in arrays):
        return None
    values = np.array(sorted({int(value) for array in arrays for value in np.unique(array)}), np.uint64)
    if not are_ids(values):
        return None
    said = f"classes are ids from {values[0]} to {values[-1]}: the {len(values):,} that occur are numbered anew from 0"
    made = {name: np.searchsorted(values, array.astype(np.uint64)) for name, array in labels.items()}
    return made, [str(value) for value in values], said
