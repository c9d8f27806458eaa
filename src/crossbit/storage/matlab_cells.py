"""MATLAB's cell arrays and strings, from both of its formats."""

from __future__ import annotations

from typing import Any

import numpy as np

from crossbit.errors import UserError
from crossbit.storage.lazy import Lazy, of_array
from crossbit.storage.matlab import MatArray, read_mat


def read_cells(entry: MatArray) -> list[tuple[str, Lazy, Lazy]]:
    """Each cell's name, its matrix as stored and its matrix transposed, in MATLAB's order (down the columns).

    Raises:
        UserError: it is no cell array, or a cell holds no matrix of numbers.
    """
    if entry.kind != "cell":
        raise UserError(f"{entry.path}: {entry.key} is a {entry.kind} array; it must be a cell array, a cell per view")
    entries = _hdf5_cells(entry) if entry.hdf5 else _mat_cells(entry)
    return entries


def read_strings(entry: MatArray) -> np.ndarray:
    """Unicode (n,): a row of a character array or a cell each, without the blanks that fill up rows.

    A cell that holds several strings gives them as lines of one string, so nothing is lost.

    Raises:
        UserError: it holds no text.
    """
    if entry.kind == "text" and not entry.hdf5:
        texts = [[str(row)] for row in np.atleast_1d(read_mat(entry.path, entry.key)).ravel()]
    elif entry.kind not in ("text", "cell"):
        raise UserError(f"{entry.path}: {entry.key} holds numbers of shape {entry.shape}; it must hold texts")
    else:
        texts = _hdf5_strings(entry) if entry.hdf5 else [_flat(entry, cell) for cell in _mat_values(entry)]
    return np.array(["\n".join(line.rstrip() for line in lines) for lines in texts], dtype=np.str_)


def _mat_values(entry: MatArray) -> list[Any]:
    return list(np.asarray(read_mat(entry.path, entry.key), object).ravel(order="F"))


def _flat(entry: MatArray, cell: Any) -> list[str]:
    """All strings inside a cell, which may hold cells again."""
    array = np.asarray(cell)
    if array.dtype == object:
        return [text for inner in array.ravel(order="F") for text in _flat(entry, inner)]
    if array.dtype.kind == "U" or not array.size:  # an empty cell is an empty string
        return [str(text) for text in array.ravel()]
    raise UserError(f"{entry.path}: a cell of {entry.key} holds numbers; it must hold text")


def _mat_cells(entry: MatArray) -> list[tuple[str, Lazy, Lazy]]:
    arrays = [np.asarray(cell) for cell in _mat_values(entry)]
    for number, array in enumerate(arrays, 1):
        if array.dtype.kind not in "fiub":
            raise UserError(f"{entry.path}: cell {number} of {entry.key} is {array.dtype}; it must be a matrix")
    names = [f"{entry.key}{{{number}}}" for number in range(1, len(arrays) + 1)]
    return [(name, of_array(array), of_array(array.T)) for name, array in zip(names, arrays, strict=True)]


def _hdf5_cells(entry: MatArray) -> list[tuple[str, Lazy, Lazy]]:
    import h5py

    with h5py.File(entry.path, "r") as file:
        cells = [file[reference] for reference in file[entry.key][()].ravel()]
        entries = [MatArray(entry.path, cell.name, cell.shape, cell.dtype, "dense", True) for cell in cells]
    names = [f"{entry.key}{{{number}}}" for number in range(1, len(entries) + 1)]
    return [(name, inner.lazy(), inner.lazy(transposed=True)) for name, inner in zip(names, entries, strict=True)]


def _hdf5_strings(entry: MatArray) -> list[list[str]]:
    import h5py

    with h5py.File(entry.path, "r") as file:
        item = file[entry.key]
        if entry.kind == "cell":
            return [_item_strings(entry, file, file[reference]) for reference in item[()].ravel()]
        return [[text] for text in _item_strings(entry, file, item)]


def _item_strings(entry: MatArray, file: Any, item: Any) -> list[str]:
    """The strings of a dataset: a cell array's, one row of a character array each, or HDF5's own."""
    import h5py

    if h5py.check_ref_dtype(item.dtype) is not None:
        return [text for reference in item[()].ravel() for text in _item_strings(entry, file, file[reference])]
    if h5py.check_string_dtype(item.dtype) is not None:
        return [str(text) for text in np.atleast_1d(item.asstr()[()]).ravel()]
    if item.attrs.get("MATLAB_empty"):
        return [""]
    if item.attrs.get("MATLAB_class") != b"char":
        raise UserError(f"{entry.path}: {entry.key} holds numbers; it must hold text")
    codes = np.atleast_2d(item[()].T).astype("<u2")  # (rows, characters) in UTF-16, as MATLAB shows them
    return [row.tobytes().decode("utf-16-le", "replace") for row in codes]
