"""Labels as files hold them, made into those of the neutral format: 0/1 uint8, or classes from 0 with their names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from crossbit.data.ids import are_ids
from crossbit.errors import UserError

_SHOWN = 12  # pairs of the mapping that the note spells out


def multi_hot(array: np.ndarray, what: str) -> np.ndarray:
    """A matrix (n, classes) of any type that holds only 0 and 1, as uint8.

    >>> multi_hot(np.array([[0.0, 1.0]]), "LAll")
    array([[0, 1]], dtype=uint8)
    """
    if array.ndim != 2 or array.dtype.kind not in "fiub":
        raise UserError(f"{what} is {array.dtype} of shape {array.shape}; it must be a 0/1 matrix (pairs, classes)")
    if (wrong := (array != 0) & (array != 1)).any():
        raise UserError(f"{what} holds {array[wrong][0]}; a label matrix may hold only 0 and 1")
    return array.astype(np.uint8)


def whole_numbers(array: np.ndarray, what: str) -> np.ndarray:
    """Classes (n,), (n, 1) or (1, n) in any type that holds whole numbers, as int64 (n,)."""
    flat = array.ravel()
    if max(array.shape, default=0) != array.size or array.dtype.kind not in "fiub":
        raise UserError(f"{what} is {array.dtype} of shape {array.shape}; it must hold one class per row")
    whole = flat.astype(np.int64)
    if (wrong := whole != flat).any():
        raise UserError(f"{what} holds {flat[wrong][0]}; a class must be a whole number")
    return whole


def from_zero(parts: Mapping[str, Sequence[np.ndarray]]) -> tuple[dict[str, np.ndarray], list[str] | None, str | None]:
    """Classes of all modalities and splits by one mapping, so that the same number stays the same class.

    Args:
        parts: modality to its int64 arrays, in the order in which they are stacked.

    Returns:
        Modality to classes (n,); the file's numbers as names of the classes; a sentence that tells the mapping.
        Classes that are counted from 0 already stay as they are, with None and None.

    >>> labels, names, said = from_zero({"image": [np.array([1, 3]), np.array([1])]})
    >>> labels["image"].tolist(), names, said
    ([0, 1, 0], ['1', '3'], 'labels are 1 to 3 in the file and became classes from 0: 1 -> 0, 3 -> 1')
    """
    stacked = {name: np.concatenate(list(arrays)) for name, arrays in parts.items()}
    values = np.unique(np.concatenate(list(stacked.values())))
    if not len(values) or (values[0] == 0 and not are_ids(values)):
        return stacked, None, None
    told = [f"{value} -> {number}" for number, value in enumerate(values[:_SHOWN])]
    more = ", ..." if len(values) > _SHOWN else ""
    said = f"labels are {values[0]} to {values[-1]} in the file and became classes from 0: {', '.join(told)}{more}"
    mapped = {name: np.searchsorted(values, array) for name, array in stacked.items()}
    return mapped, [str(value) for value in values], said
