"""What a feature file holds, MATLAB's or HDF5, told from its headers; the arrays themselves are read when asked for.

MATLAB writes `.mat` in two ways. Version 5 to 7 is read by scipy, a whole array at a time; version 7.3 is HDF5, which
is read in blocks, and in which every array stands transposed: all of its axes in reverse order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from crossbit.errors import UserError
from crossbit.storage.lazy import Lazy, of_array, rows_per_block

SUFFIXES = (".mat", ".h5", ".h5py", ".hdf5")
_CLASSES = {"double": "f8", "single": "f4", "logical": "u1"} | {
    f"{u}int{b}": f"{u}int{b}" for u in ("", "u") for b in (8, 16, 32, 64)
}


@dataclass(frozen=True)
class MatArray:
    """One array of a file.

    Attributes:
        path: the file.
        key: its name there.
        shape: as stored; of a sparse matrix as MATLAB counts it.
        dtype: None for what holds no numbers.
        kind: "dense", "sparse", "cell" or "text".
        hdf5: whether the file is HDF5, else MATLAB's older format.
    """

    path: Path
    key: str
    shape: tuple[int, ...]
    dtype: np.dtype | None
    kind: str
    hdf5: bool

    def __str__(self) -> str:
        return f"{self.key} {self.shape}"

    def lazy(self, transposed: bool = False) -> Lazy:
        """The array as rows; `transposed` swaps the axes of a matrix."""
        if self.dtype is None:
            raise UserError(f"{self.path}: {self.key} is a {self.kind} array; it must hold numbers")
        shape = self.shape[::-1] if transposed else self.shape
        if self.kind == "dense" and self.hdf5:
            return Lazy(shape, self.dtype.newbyteorder("="), lambda: _hdf5_blocks(self, transposed))
        return Lazy(shape, self.dtype, lambda: _whole_blocks(self, transposed))

    def read(self) -> np.ndarray:
        """The whole array as stored, in memory: for labels and other small ones."""
        return self.lazy().read()


@dataclass(frozen=True)
class Container:
    """A file and the arrays in it, by name."""

    path: Path
    hdf5: bool
    entries: dict[str, MatArray]


def open_container(path: Path) -> Container | None:
    """What `path` holds, read from its headers; None where it is neither a MATLAB file nor HDF5.

    >>> import tempfile, scipy.io
    >>> file = Path(tempfile.mkdtemp()) / "x.mat"
    >>> scipy.io.savemat(file, {"YAll": np.eye(3)})
    >>> held = open_container(file)
    >>> held.hdf5, str(held.entries["YAll"])
    (False, 'YAll (3, 3)')
    """
    import h5py

    if not path.is_file():
        return None
    try:
        if h5py.is_hdf5(path):
            with h5py.File(path, "r") as file:
                found = (_hdf5_entry(path, key, item) for key, item in file.items())
                return Container(path, True, {entry.key: entry for entry in found if entry is not None})
    except OSError as error:
        raise UserError(f"{path} is an HDF5 file that cannot be read: {error}; is it whole?") from error
    return _open_mat(path)


def _open_mat(path: Path) -> Container | None:
    import scipy.io

    try:
        listed = scipy.io.whosmat(path, appendmat=False)
    except Exception as error:  # scipy reads on in whatever it is given, so damaged bytes raise errors of every kind
        with open(path, "rb") as file:  # readable, so it is another kind of file, or a damaged one that says MATLAB
            if file.read(10) != b"MATLAB 5.0":
                return None
        raise UserError(f"{path} is a MATLAB file that cannot be read: {error}; is it whole?") from error
    kinds = {"cell": "cell", "char": "text", "sparse": "sparse"}
    entries = {}
    for key, shape, name in listed:
        dtype = np.dtype(_CLASSES.get(name, "f8")) if name in _CLASSES or name == "sparse" else None
        entries[key] = MatArray(path, key, tuple(map(int, shape)), dtype, kinds.get(name, "dense"), False)
    return Container(path, False, entries)


def _hdf5_entry(path: Path, key: str, item: Any) -> MatArray | None:
    """A dataset, or the group in which MATLAB 7.3 keeps a sparse matrix; None for other groups."""
    import h5py

    if isinstance(item, h5py.Dataset):
        reference = h5py.check_ref_dtype(item.dtype) is not None
        text = item.attrs.get("MATLAB_class") == b"char" or item.dtype.kind in "SO"
        kind = "cell" if reference else "text" if text else "dense"
        return MatArray(path, key, item.shape, item.dtype if kind == "dense" else None, kind, True)
    if "MATLAB_sparse" in item.attrs:
        shape = int(item.attrs["MATLAB_sparse"]), len(item["jc"]) - 1
        return MatArray(path, key, shape, item["data"].dtype if "data" in item else np.dtype("f8"), "sparse", True)
    return None


def _hdf5_blocks(entry: MatArray, transposed: bool) -> Iterator[np.ndarray]:
    import h5py

    native = np.dtype(entry.dtype).newbyteorder("=")
    with h5py.File(entry.path, "r") as file:
        stored = file[entry.key]
        shape = entry.shape[::-1] if transposed else entry.shape
        chunk = (stored.chunks or (1,))[-1 if transposed else 0]
        step = rows_per_block(shape, native, chunk)
        for start in range(0, shape[0], step):
            rows = slice(start, start + step)
            part = read_part(entry, stored, (..., rows) if transposed else (rows,))
            yield np.ascontiguousarray(part.T if transposed else part, native)


def read_part(entry: MatArray, stored: Any, part: tuple[Any, ...]) -> np.ndarray:
    """A part of an HDF5 dataset; UserError where its bytes are damaged."""
    try:
        return np.asarray(stored[part])
    except OSError as error:
        raise UserError(f"{entry.path}: {entry.key} cannot be read: {error}; is the file whole?") from error


def _whole_blocks(entry: MatArray, transposed: bool) -> Iterator[np.ndarray]:
    """What cannot be read in pieces is read as a whole, held while its blocks are asked for, and let go."""
    whole = _read_sparse(entry) if entry.kind == "sparse" else read_mat(entry.path, entry.key)
    whole = whole.T if transposed else whole
    if entry.kind != "sparse":
        yield from (block.astype(entry.dtype, copy=False) for block in of_array(whole).blocks())
        return
    rows, step = whole.tocsr(), rows_per_block(whole.shape, np.dtype(entry.dtype))
    for start in range(0, whole.shape[0], step):
        yield rows[start : start + step].toarray().astype(entry.dtype, copy=False)


def _read_sparse(entry: MatArray) -> Any:
    import h5py
    from scipy.sparse import csc_matrix

    if not entry.hdf5:
        return read_mat(entry.path, entry.key)
    with h5py.File(entry.path, "r") as file:
        group = file[entry.key]
        parts = [group[name][()] if name in group else np.empty(0) for name in ("data", "ir")]
        return csc_matrix((parts[0], parts[1].astype(np.int64), group["jc"][()].astype(np.int64)), shape=entry.shape)


def read_mat(path: Path, key: str) -> Any:
    """One variable of an older MATLAB file, whole: scipy reads no parts."""
    return _told(path, key, lambda: _loadmat(path, key))


def _loadmat(path: Path, key: str) -> Any:
    import scipy.io

    return scipy.io.loadmat(path, appendmat=False, variable_names=[key])[key]


def _told(path: Path, key: str, read: Callable[[], Any]) -> Any:
    try:
        return read()
    except MemoryError as error:
        raise UserError(
            f"{path}: {key} does not fit in memory; save it as MATLAB 7.3, which is read in parts"
        ) from error
    except Exception as error:  # see _open_mat
        raise UserError(f"{path}: {key} cannot be read: {error}; is the file whole?") from error
