"""The reader of MATLAB's and HDF5 files: what one holds is told from its headers, and read when asked for.

MATLAB writes `.mat` in two ways. Version 5 to 7 is read by scipy, a whole array at a time; version 7.3 is HDF5, which
is read in blocks, and in which every array is transposed: all of its axes in reverse order.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from crossbit.errors import UserError
from crossbit.storage.lazy import Lazy, of_array, rows_per_block

SUFFIXES = (".mat", ".h5", ".h5py", ".hdf5")
_CLASSES = {"double": "f8", "single": "f4", "logical": "?", "sparse": "f8"} | {
    f"{u}int{b}": f"{u}int{b}" for u in ("", "u") for b in (8, 16, 32, 64)
}
_KINDS = {"cell": "cell", "char": "text", "sparse": "sparse"}


@dataclass(frozen=True)
class MatArray:
    """One array of a file.

    Attributes:
        path: the file.
        key: its name there.
        shape: as stored; of a sparse matrix as MATLAB counts it.
        dtype: None for what holds no numbers; bool for MATLAB's logical.
        kind: "dense", "sparse", "cell" or "text".
        hdf5: whether the file is HDF5, else MATLAB's older format.
        reversed: whether MATLAB shows its axes in reverse order, as those of a dense array in its version 7.3.
    """

    path: Path
    key: str
    shape: tuple[int, ...]
    dtype: np.dtype | None
    kind: str
    hdf5: bool
    reversed: bool = False

    def __str__(self) -> str:
        return f"{self.key} {self.shape}"

    def lazy(self, transposed: bool = False) -> Lazy:
        """The array as rows; `transposed` swaps the axes of a matrix."""
        if self.dtype is None:
            raise UserError(f"{self.path}: {self.key} is a {self.kind} array; it must hold numbers")
        if self.dtype.kind not in "fiub":
            raise UserError(f"{self.path}: {self.key} is {self.dtype}; it must hold real numbers")
        shape = self.shape[::-1] if transposed else self.shape
        if self.kind == "dense" and self.hdf5:
            return Lazy(shape, self.dtype.newbyteorder("="), lambda: _hdf5_blocks(self, transposed))
        return Lazy(shape, self.dtype, lambda: _whole_blocks(self, transposed))

    def read(self) -> np.ndarray:
        """The whole array as stored, in memory: for labels and other small ones."""
        return self.lazy().read()

    def shown(self) -> np.ndarray:
        """The whole array as MATLAB shows it; one of HDF5 that MATLAB did not write, as stored."""
        return self.read().T if self.reversed else self.read()


@dataclass(frozen=True)
class Container:
    """What a file holds.

    Attributes:
        path: the file.
        hdf5: whether it is HDF5.
        entries: arrays of numbers, texts and cells, by name.
        others: what else has a name there, in words: "a struct", "a link to /L in b.h5, which leads nowhere".
    """

    path: Path
    hdf5: bool
    entries: dict[str, MatArray]
    others: dict[str, str] = field(default_factory=dict)

    def lacking(self, *keys: str) -> str:
        """The names of an array that is not there, with what is in its place."""
        other = [f"{key} is {self.others[key]}" for key in keys if key in self.others]
        return " or ".join(keys) + (f" ({'; '.join(other)})" if other else "")


def open_container(path: Path) -> Container | None:
    """What `path` holds, read from its headers; None where it is neither a MATLAB file nor HDF5.

    Raises:
        UserError: it is one of them, but damaged.

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
    if h5py.is_hdf5(path):
        with reading(f"{path} is an HDF5 file that"), h5py.File(path, "r") as file:
            return _sorted(path, True, {key: _hdf5_entry(path, file, key) for key in file})
    with open(path, "rb") as file:
        matlab = file.read(10) == b"MATLAB 5.0"
    try:
        held = _open_mat(path)
    except UserError:
        if matlab:
            raise
        return None  # scipy takes any bytes for MATLAB's version 4
    return (
        None if "" in held.entries or "" in held.others else held
    )  # its older versions name what they find in zeros ""


def _sorted(path: Path, hdf5: bool, found: dict[str, MatArray | str]) -> Container:
    entries = {key: entry for key, entry in found.items() if isinstance(entry, MatArray)}
    others = {key: other for key, other in found.items() if isinstance(other, str)}
    return Container(path, hdf5, entries, others)


def _open_mat(path: Path) -> Container:
    import scipy.io

    with reading(f"{path} is a MATLAB file that"):
        listed = scipy.io.whosmat(path, appendmat=False)
    found: dict[str, MatArray | str] = {}
    for key, shape, name in listed:
        dtype = np.dtype(_CLASSES[name]) if name in _CLASSES else None
        known = dtype is not None or name in _KINDS
        entry = MatArray(path, key, tuple(map(int, shape)), dtype, _KINDS.get(name, "dense"), False)
        found[key] = entry if known else f"of MATLAB's class {name}"
    return _sorted(path, False, found)


def _hdf5_entry(path: Path, file: Any, key: str) -> MatArray | str:
    """An array of an HDF5 file - a sparse one is a group - or what else it is, in words."""
    import h5py

    if (item := _follow(file, key)) is None:
        return _dead_link(file.get(key, getlink=True))
    matlab = _text(item.attrs.get("MATLAB_class"))
    if isinstance(item, h5py.Group) and "MATLAB_sparse" in item.attrs:
        if (columns := _follow(item, "jc")) is None:
            return "a sparse matrix without its part 'jc'"
        shape = int(np.ravel(item.attrs["MATLAB_sparse"])[0]), len(columns) - 1
        return MatArray(path, key, shape, np.dtype(_CLASSES.get(matlab, "f8")), "sparse", True)
    if not isinstance(item, h5py.Dataset) or item.shape is None:
        return f"of MATLAB's class {matlab}" if matlab else f"no array but an HDF5 {type(item).__name__.lower()}"
    if h5py.check_ref_dtype(item.dtype) is not None:
        return MatArray(path, key, item.shape, None, "cell", True)
    if matlab == "char" or item.dtype.kind in "SO":
        return MatArray(path, key, item.shape, None, "text", True)
    if not item.shape:
        return "a single number"
    dtype = np.dtype(bool) if matlab == "logical" else item.dtype
    return MatArray(path, key, item.shape, dtype, "dense", True, bool(matlab))


def _follow(group: Any, key: str) -> Any:
    """What has this name; None where a link leads nowhere, or back to itself."""
    try:
        return group[key]
    except (KeyError, OSError, RuntimeError):
        return None


def _text(attribute: Any) -> str:
    return attribute.decode("ascii", "replace") if isinstance(attribute, bytes) else str(attribute or "")


def _dead_link(link: Any) -> str:
    """A link to what is not there, or that leads back to itself."""
    where = f"{link.path} in {link.filename}" if hasattr(link, "filename") else getattr(link, "path", "something")
    return f"a link to {where}, which leads nowhere"


def _hdf5_blocks(entry: MatArray, transposed: bool) -> Iterator[np.ndarray]:
    import h5py

    native = np.dtype(entry.dtype).newbyteorder("=")
    with reading(f"{entry.path}: {entry.key}"), h5py.File(entry.path, "r") as file:
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
    with reading(f"{entry.path}: {entry.key}"):
        return np.asarray(stored[part])


def _whole_blocks(entry: MatArray, transposed: bool) -> Iterator[np.ndarray]:
    """What cannot be read in pieces is read as a whole, held while its blocks are asked for, and let go."""
    from scipy.sparse import issparse

    whole = _read_sparse(entry) if entry.kind == "sparse" else read_mat(entry)
    if whole.dtype.kind not in "fiub":
        raise UserError(f"{entry.path}: {entry.key} is {whole.dtype}; it must hold real numbers")
    whole = whole.T if transposed else whole
    if not issparse(whole):
        yield from (block.astype(entry.dtype, copy=False) for block in of_array(whole).blocks())
        return
    rows, step = whole.tocsr(), rows_per_block(whole.shape, np.dtype(entry.dtype))
    for start in range(0, whole.shape[0], step):
        yield rows[start : start + step].toarray().astype(entry.dtype, copy=False)


def _read_sparse(entry: MatArray) -> Any:
    import h5py
    from scipy.sparse import csc_matrix

    if not entry.hdf5:
        return read_mat(entry)
    with reading(f"{entry.path}: {entry.key}"), h5py.File(entry.path, "r") as file:
        group = file[entry.key]
        parts = [group[name][()] if name in set(group) else np.empty(0) for name in ("data", "ir")]  # none: all zero
        matrix = csc_matrix((parts[0], parts[1].astype(np.int64), group["jc"][()].astype(np.int64)), shape=entry.shape)
        matrix.check_format()
        return matrix


def read_mat(entry: MatArray) -> Any:
    """One variable of an older MATLAB file, whole: scipy reads no parts."""
    import scipy.io

    with reading(f"{entry.path}: {entry.key}"):
        return scipy.io.loadmat(entry.path, appendmat=False, variable_names=[entry.key])[entry.key]


@contextmanager
def reading(what: str) -> Iterator[None]:
    """What damaged bytes raise becomes one line that begins with `what`; the libraries may raise anything there."""
    try:
        yield
    except UserError:
        raise
    except MemoryError as error:
        raise UserError(f"{what} does not fit in memory; save it as MATLAB 7.3, which is read in parts") from error
    except Exception as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{what} cannot be read: {first}; is the file whole?") from error
