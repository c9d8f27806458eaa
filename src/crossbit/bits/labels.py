"""What labels may look like, wherever they come in."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from crossbit.bits.packing import Array, frozen
from crossbit.errors import UserError


def check_labels(labels: Any, what: str) -> np.ndarray:
    """Labels as uint8 0/1 (n, classes) or int64 classes (n,), counted from 0; UserError names them `what`.

    >>> check_labels([3, 0], "labels").dtype
    dtype('int64')
    """
    array = np.asarray(labels)
    if array.ndim == 1 and array.dtype.kind in "iu":
        if array.size and array.min() < 0:
            without = "a row without labels is a row of zeros in a 0/1 matrix"
            raise UserError(f"{what} holds class {array.min()}; classes are counted from 0, and {without}")
        if array.size and array.max() > np.iinfo(np.int64).max:
            raise UserError(f"{what} holds class {array.max()}; number the classes from 0")
        return array.astype(np.int64, copy=False)
    if array.ndim == 2 and array.dtype.kind in "iufb" and array.shape[1] > 0:
        if (wrong := (array != 0) & (array != 1)).any():
            hint = "; one class number per row has shape (n,)" if array.shape[1] == 1 else ""
            raise UserError(f"{what} holds {array[wrong][0]}; a (n, classes) label matrix may hold only 0 and 1{hint}")
        return array.astype(np.uint8, copy=False)
    form = f"{array.dtype} of shape {array.shape}"
    raise UserError(f"{what} is {form}; it must be a 0/1 matrix (n, classes) or integer classes (n,)")


def as_matrix(labels: Array, classes: int) -> Array:
    """Checked labels as 0/1 (n, classes): a matrix as it is, classes (n,) as uint8.

    >>> as_matrix(np.array([2, 0]), 3).tolist()
    [[0, 0, 1], [1, 0, 0]]
    """
    return labels if labels.ndim == 2 else (labels[:, None] == np.arange(classes)).astype(np.uint8)


def label_words(
    query: npt.ArrayLike | None, database: npt.ArrayLike | None, m: int, n: int
) -> tuple[bool, Array, Array]:
    """Whether labels are classes (else sets); the queries' as uint64 (m, words), the database's as (words, n)."""
    if query is None or database is None:
        raise UserError("labels of the queries and of the database belong together; one of them is missing")
    sides = [np.asarray(query), np.asarray(database)]
    for array, rows, what in zip(sides, (m, n), ("query", "database"), strict=True):
        if array.ndim not in (1, 2) or len(array) != rows:
            raise UserError(f"{what} labels must be 0/1 ({rows}, classes) or integers ({rows},), got {array.shape}")
    if sides[0].shape[1:] != sides[1].shape[1:]:
        raise UserError(f"query labels {sides[0].shape} and database labels {sides[1].shape} must be of one form")
    words = [_set_words(a) if a.ndim == 2 else _class_words(a) for a in sides]
    return sides[0].ndim == 1, words[0], frozen(words[1].T)


def _class_words(labels: Array) -> Array:
    """Integer classes (n,) as uint64 (n, 1)."""
    if not np.issubdtype(labels.dtype, np.integer):
        raise UserError(f"labels of the shape (n,) must be integers, got {labels.dtype}")
    return labels.astype(np.int64).view(np.uint64)[:, None]


def _set_words(labels: Array) -> Array:
    """Label sets 0/1 (n, classes) as bits of uint64 (n, words), one word at least."""
    n, classes = labels.shape
    ones = np.zeros((n, 64 * max(1, -(-classes // 64))), np.bool_)  # whole words: packed as one row, thrice as fast
    ones[:, :classes] = labels
    if not np.array_equal(ones[:, :classes], labels):
        raise UserError("labels of the shape (n, classes) must be 0 or 1; other values were found")
    return np.packbits(ones).view(np.uint64).reshape(n, ones.shape[1] // 64)
