"""MATLAB's cell arrays and strings, from both of its formats."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from crossbit.errors import UserError
from crossbit.storage.lazy import Lazy, of_array
from crossbit.storage.matlab import MatArray, read_mat, reading


def read_cells(entry: MatArray) -> list[tuple[str, Lazy, Lazy]]:
    """Each cell's name, its matrix as stored and its matrix transposed, in MATLAB's order (down the columns).

    Raises:
        UserError: it is no cell array, or a cell holds no matrix of numbers.
    """
    if entry.kind != "cell":
        raise UserError(f"{entry.path}: {entry.key} is a {entry.kind} array; it must be a cell array, a cell per view")
    return _hdf5_cells(entry) if entry.hdf5 else _mat_cells(entry)


def read_strings(entry: MatArray) -> np.ndarray:
    """Unicode (n,), or (n, m) where the file has a table of strings, without the blanks that fill up rows.

    Each row of a character array, or each cell, is a string; a cell that holds several strings gives them as lines of
    one string, so nothing is lost. A table with one row or one column is (n,).

    Raises:
        UserError: it holds no text.
    """
    if entry.kind not in ("text", "cell"):
        raise UserError(f"{entry.path}: {entry.key} holds numbers of shape {entry.shape}; it must hold texts")
    strings = (_hdf5_strings if entry.hdf5 else _mat_strings)(entry)
    return strings if min(strings.shape, default=0) > 1 else strings.ravel()


def _each(table: np.ndarray, text: Callable[[Any], str]) -> np.ndarray:
    """A table of objects as a table of strings."""
    strings = np.array([text(item) for item in table.ravel()], dtype=np.str_)
    return strings.reshape(table.shape)


def _lines(strings: Iterable[str]) -> str:
    return "\n".join(line.rstrip() for line in strings)


def _mat_strings(entry: MatArray) -> np.ndarray:
    table = np.atleast_1d(np.asarray(read_mat(entry)))
    if entry.kind == "text":
        return _each(table, lambda text: str(text).rstrip())
    return _each(table.astype(object), lambda cell: _lines(_flat(entry, cell)))


def _flat(entry: MatArray, cell: Any) -> list[str]:
    """All strings inside a cell, which may hold cells again."""
    array = np.asarray(cell)
    if array.dtype == object:
        return [text for inner in array.ravel(order="F") for text in _flat(entry, inner)]
    if array.dtype.kind == "U" or not array.size:  # an empty cell is an empty string
        return [str(text) for text in array.ravel()]
    raise UserError(f"{entry.path}: a cell of {entry.key} holds numbers; it must hold text")


def _mat_cells(entry: MatArray) -> list[tuple[str, Lazy, Lazy]]:
    arrays = [np.asarray(cell) for cell in np.asarray(read_mat(entry), object).ravel(order="F")]
    for number, array in enumerate(arrays, 1):
        if array.dtype.kind not in "fiub":
            raise UserError(f"{entry.path}: cell {number} of {entry.key} is {array.dtype}; it must be a matrix")
    names = [f"{entry.key}{{{number}}}" for number in range(1, len(arrays) + 1)]
    return [(name, of_array(array), of_array(array.T)) for name, array in zip(names, arrays, strict=True)]


def _hdf5_cells(entry: MatArray) -> list[tuple[str, Lazy, Lazy]]:
    import h5py

    with reading(f"{entry.path}: {entry.key}"), h5py.File(entry.path, "r") as file:
        cells = [file[reference] for reference in file[entry.key][()].ravel()]
        for number, cell in enumerate(cells, 1):
            if not isinstance(cell, h5py.Dataset) or cell.dtype.kind not in "fiub":
                raise UserError(f"{entry.path}: cell {number} of {entry.key} is not a matrix of numbers")
        entries = [MatArray(entry.path, cell.name, cell.shape, cell.dtype, "dense", True) for cell in cells]
    names = [f"{entry.key}{{{number}}}" for number in range(1, len(entries) + 1)]
    return [(name, inner.lazy(), inner.lazy(transposed=True)) for name, inner in zip(names, entries, strict=True)]


def _hdf5_strings(entry: MatArray) -> np.ndarray:
    import h5py

    with reading(f"{entry.path}: {entry.key}"), h5py.File(entry.path, "r") as file:
        item = file[entry.key]
        if entry.kind == "cell":
            return _each(item[()].T, lambda reference: _lines(_item_strings(entry, file[reference], file).ravel()))
        return _item_strings(entry, item, file)


def _item_strings(entry: MatArray, item: Any, file: Any) -> np.ndarray:
    """The strings of a dataset: a cell array's, one row of a character array each, or HDF5's own."""
    import h5py

    if h5py.check_ref_dtype(item.dtype) is not None:
        inner = [_item_strings(entry, file[reference], file).ravel() for reference in item[()].ravel()]
        return np.concatenate(inner) if inner else np.array([""])
    if h5py.check_string_dtype(item.dtype) is not None:
        return np.atleast_1d(np.asarray(item.asstr()[()], dtype=np.str_))
    if item.attrs.get("MATLAB_empty"):
        return np.array([""])
    if item.attrs.get("MATLAB_class") != b"char":
        raise UserError(f"{entry.path}: {entry.key} holds numbers; it must hold text")
    codes = np.ascontiguousarray(np.atleast_2d(item[()].T), "<u2")  # (rows, ..., characters), as MATLAB shows them
    rows = codes.reshape(-1, codes.shape[-1])
    strings = [row.tobytes().decode("utf-16-le", "replace").rstrip() for row in rows]
    return np.array(strings, dtype=np.str_).reshape(codes.shape[:-1])
