"""MATLAB files of codes: version 5 to 7.2 by scipy, 7.3 (HDF5) by h5py; upright, whichever way they were written."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from crossbit.errors import UserError
from crossbit.evaluation.rankings import Array

_HDF5 = b"\x89HDF\r\n\x1a\n"  # at the beginning, or behind MATLAB's own 512 bytes
_BROKEN = (OSError, ValueError, TypeError, KeyError, IndexError, EOFError, NotImplementedError, zlib.error)


def read_mat(
    path: Path, kind: str, hint: str, *, wanted: Callable[[str], bool] = lambda name: True
) -> dict[str, Array]:
    """The arrays of a .mat file by name; logical ones as bool, sparse ones filled.

    Args:
        path: the file.
        kind: what it should be, for the error: "a file of codes".
        hint: what would be right.
        wanted: which variables to read, by name; all by default.

    Raises:
        UserError: missing, no .mat file, damaged, or a wanted variable is no array of numbers.

    >>> import tempfile
    >>> from scipy.io import savemat
    >>> file = Path(tempfile.mkdtemp()) / "x.mat"
    >>> savemat(file, {"a": np.array([[True, False]])})
    >>> read_mat(file, "a file of numbers", "give a .mat")
    {'a': array([[ True, False]])}
    """
    if not path.exists():
        raise UserError(f"{path} does not exist; {hint}")
    from scipy.io.matlab import MatReadError

    try:
        start = path.open("rb").read(520)
        arrays = _read_hdf5(path, wanted) if _HDF5 in (start[:8], start[512:]) else _read_old(path, wanted)
    except UserError:
        raise
    except (*_BROKEN, MatReadError) as error:
        what = getattr(error, "strerror", None) or "it is damaged, or no .mat file"
        raise UserError(f"{path} is not {kind} that can be read: {what}; {hint}") from error
    for name, array in arrays.items():
        if array.dtype.kind not in "biuf":
            raise UserError(f"{path}: {name} is no array of numbers, but perhaps a cell, struct or text; {hint}")
    return arrays


def _read_old(path: Path, wanted: Callable[[str], bool]) -> dict[str, Array]:
    from scipy.io import loadmat, whosmat
    from scipy.sparse import issparse

    names = [name for name, *_ in whosmat(path) if wanted(name)]
    found: dict[str, Any] = loadmat(path, variable_names=names, mat_dtype=True) if names else {}
    arrays = {name: found[name] for name in names}  # mat_dtype: without it doubles of whole numbers become uint8
    return {name: np.asarray(array.toarray() if issparse(array) else array) for name, array in arrays.items()}


def _read_hdf5(path: Path, wanted: Callable[[str], bool]) -> dict[str, Array]:
    """MATLAB keeps columns together, so that its arrays stand transposed in HDF5; those of other writers do not."""
    import h5py

    arrays = {}
    with h5py.File(path, "r") as file:
        for name in filter(wanted, file):
            array = np.asarray(file[name]) if isinstance(file[name], h5py.Dataset) else np.array(None)
            by_matlab = file[name].attrs.get("MATLAB_class")
            if by_matlab is not None:
                array = array.T.astype(bool) if by_matlab in (b"logical", "logical") else array.T
            arrays[name] = array
    return arrays


def upright(arrays: dict[str, Array]) -> dict[str, Array]:
    """Arrays <side>_<what> with items as rows: transposed where only so the sizes of all of them fit together.

    Labels of one column, or one row, are class numbers (items,).

    >>> turned = {"query_image": np.ones((8, 3)), "query_label": np.ones((1, 3)), "retrieval_image": np.ones((8, 5))}
    >>> {name: array.shape for name, array in upright({**turned, "retrieval_label": np.ones((1, 5))}).items()}
    {'query_image': (3, 8), 'query_label': (3,), 'retrieval_image': (5, 8), 'retrieval_label': (5,)}
    """
    arrays = {name: _classes(array) if name.endswith("_label") else array for name, array in arrays.items()}
    if any(array.ndim != 2 and not name.endswith("_label") for name, array in arrays.items()):
        return arrays
    return next((turned for turned in _turns(arrays) if _fit(turned)), arrays)


def _turns(arrays: dict[str, Array]) -> Iterator[dict[str, Array]]:
    """As they are, then each with as many rows as one axis of its side's labels has entries."""
    yield arrays
    sides = sorted({name.partition("_")[0] for name in arrays if f"{name.partition('_')[0]}_label" in arrays})
    for rows in product(*(arrays[f"{side}_label"].shape for side in sides)):
        of_side = dict(zip(sides, rows, strict=True))
        yield {name: _with_rows(array, of_side.get(name.partition("_")[0])) for name, array in arrays.items()}


def _with_rows(array: Array, rows: int | None) -> Array:
    return array.T if array.ndim == 2 and array.shape[0] != rows == array.shape[1] else array


def _fit(arrays: dict[str, Array]) -> bool:
    """Whether every side has one number of rows, and codes as well as labels have one width."""
    rows: dict[str, set[int]] = {}
    widths: dict[bool, set[int | None]] = {}
    for name, array in arrays.items():
        rows.setdefault(name.partition("_")[0], set()).add(len(array))
        widths.setdefault(name.endswith("_label"), set()).add(array.shape[1] if array.ndim > 1 else None)
    return all(len(values) == 1 for values in rows.values()) and all(len(values) == 1 for values in widths.values())


def _classes(array: Array) -> Array:
    """Class numbers (items,) of labels with a single row or column; MATLAB knows neither vectors nor whole numbers."""
    if array.ndim == 2 and 1 in array.shape:
        array = array.reshape(-1)
    if array.ndim == 1 and array.dtype.kind == "f" and np.isfinite(array).all() and (array == array.round()).all():
        array = array.astype(np.int64)
    return array.astype(np.int64) if array.ndim == 1 and array.dtype.kind == "b" else array
