"""What labels may look like, wherever they come in."""

from __future__ import annotations

from typing import Any

import numpy as np

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
        return array.astype(np.int64, copy=False)
    if array.ndim == 2 and array.dtype.kind in "iufb" and array.shape[1] > 0:
        if (wrong := (array != 0) & (array != 1)).any():
            hint = "; one class number per row has shape (n,)" if array.shape[1] == 1 else ""
            raise UserError(f"{what} holds {array[wrong][0]}; a (n, classes) label matrix may hold only 0 and 1{hint}")
        return array.astype(np.uint8, copy=False)
    form = f"{array.dtype} of shape {array.shape}"
    raise UserError(f"{what} is {form}; it must be a 0/1 matrix (n, classes) or integer classes (n,)")
