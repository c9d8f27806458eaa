"""What each array of paired data must be; every error is one line with the array and what would be right."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from crossbit.errors import UserError, unknown
from crossbit.storage.picture_files import PictureFiles

Kind = Literal["vectors", "pictures", "words"]  # what a modality holds
SPLITS = ("train", "query", "retrieval", "validation")
RESERVED = frozenset({*SPLITS, "label", "observed_label", "label_names", "caption", "path", "group"})
_FLOATS = (np.float16, np.float32, np.float64)
_BLOCK_BYTES = 1 << 24  # features are looked at in pieces, so that memory stays bounded however large the file is


def kind(name: str, array: np.ndarray | PictureFiles) -> Kind:
    """What the array of modality `name` holds: "vectors", "pictures" or "words"; UserError where it is none of them.

    >>> kind("image", np.zeros((2, 8, 8, 3), np.uint8))
    'pictures'
    """
    if isinstance(array, PictureFiles):
        return "pictures"
    if array.ndim == 2 and array.dtype.type in _FLOATS and array.shape[1] > 0:
        return "vectors"
    if array.ndim == 4 and array.dtype == np.uint8 and array.shape[3] == 3 and min(array.shape[1:]) > 0:
        return "pictures"
    if array.ndim == 1 and array.dtype.kind == "U":
        return "words"
    right = "float16/32/64 (n, d) vectors, uint8 (n, h, w, 3) pictures, or unicode (n,) words"
    raise UserError(f"modality '{name}' is {form(array)}; it must be {right}")


def form(array: np.ndarray) -> str:
    """An array's type and shape, for an error."""
    return f"{array.dtype} of shape {array.shape}"


def check_modalities(modalities: Mapping[str, Any], seen: tuple[np.ndarray, ...]) -> dict[str, Any]:
    """The arrays by modality, with as many rows each; those in `seen` are known to be finite and not read again."""
    if not modalities:
        raise UserError("there is no modality; give at least one array, such as 'image' or 'text'")
    arrays: dict[str, Any] = {}
    for name, array in modalities.items():
        _check_name(name)
        arrays[name] = array if isinstance(array, PictureFiles) else np.asanyarray(array)
        if kind(name, arrays[name]) == "vectors" and not any(arrays[name] is known for known in seen):
            _check_finite(name, arrays[name])
    first, *others = arrays
    for name in others:
        check_rows(f"modality '{name}'", arrays[name], len(arrays[first]), f"modality '{first}' has")
    return arrays


def _check_name(name: Any) -> None:
    """A modality's name becomes an array's name in files, so it may not be another array's."""
    plain = isinstance(name, str) and name.isidentifier()
    if not plain or name in RESERVED or name.startswith(("label_", "observed_label_")):
        right = "take a plain word such as 'image' that the data format does not use itself"
        raise UserError(f"a modality cannot be called {name!r}; {right}")


def _check_finite(name: str, array: np.ndarray) -> None:
    rows = max(1, _BLOCK_BYTES // (array.shape[1] * array.itemsize))
    for start in range(0, len(array), rows):
        check_block(name, np.asarray(array[start : start + rows]), start)


def check_block(name: str, block: np.ndarray, start: int) -> None:
    """Refuse vectors (rows, d) that are not finite in float32, as all methods compute; `start` is the first row."""
    if block.dtype.kind != "f":
        return
    with np.errstate(over="ignore"):
        bad = ~np.isfinite(block if block.itemsize <= 4 else block.astype(np.float32))
    if bad.any():
        row, column = np.argwhere(bad)[0]
        held = f"{block[row, column]} in row {start + row}, column {column}"
        raise UserError(f"modality '{name}' holds {held}; features must be finite float32 numbers")


def check_rows(what: str, array: np.ndarray, n: int, other: str = "the modalities have") -> None:
    """Refuse an array that has not n rows; `what` names it, `other` says who has them."""
    if array.shape[:1] != (n,):
        raise UserError(f"{what} has shape {array.shape} but {other} {n} rows; row i of every array must be pair i")


def check_splits(splits: Mapping[str, Any], n: int) -> dict[str, np.ndarray]:
    """Row numbers of n rows by split, as int64: no training set is empty, no query is in another split."""
    for name in splits:
        if name not in SPLITS:
            raise unknown("split", name, SPLITS)
    for name in SPLITS[:3]:
        if name not in splits:
            raise UserError(f"split '{name}' is missing; give the row numbers of train, query and retrieval")
    checked = {name: _check_split(name, splits[name], n) for name in SPLITS if name in splits}
    if not len(checked["train"]):
        raise UserError("split 'train' is empty; give the row numbers to train on")
    for name, rows in checked.items():
        if name != "query" and len(shared := np.intersect1d(checked["query"], rows)):
            what = f"split 'query' shares {len(shared)} rows with '{name}', such as {shared[0]}"
            raise UserError(f"{what}; queries must be in no other split")
    return checked


def _check_split(name: str, rows: Any, n: int) -> np.ndarray:
    index = np.asarray(rows)
    if index.ndim != 1 or (index.size and index.dtype.kind not in "iu"):
        raise UserError(f"split '{name}' is {form(index)}; it must be integer row numbers of shape (rows,)")
    if index.size and not (0 <= index.min() and index.max() < n):
        worst = index.min() if index.min() < 0 else index.max()
        raise UserError(f"split '{name}' lists row {worst}; there are {n} rows, numbered 0 to {n - 1}")
    values, counts = np.unique(index, return_counts=True)
    if len(values) < len(index):
        raise UserError(f"split '{name}' lists row {values[counts > 1][0]} more than once; list each row once")
    return index.astype(np.int64)


def check_strings(name: str, strings: Any, n: int) -> np.ndarray:
    """Unicode strings (n,); `name` is the array's."""
    array = np.asarray(strings)
    if array.ndim != 1 or array.dtype.kind != "U":
        raise UserError(f"{name} is {form(array)}; it must be unicode strings of shape (n,)")
    check_rows(name, array, n)
    return array


def check_group(group: Any, n: int) -> np.ndarray:
    """The groups (n,) of the pairs: unicode, or integers as int64."""
    array = np.asarray(group)
    if array.ndim != 1 or array.dtype.kind not in "iuU":
        raise UserError(f"group is {form(array)}; it must be integers or unicode strings of shape (n,)")
    check_rows("group", array, n)
    return array if array.dtype.kind == "U" else array.astype(np.int64)
