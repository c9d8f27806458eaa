"""MATLAB's two formats as it writes them, for tests; sparse matrices as scipy's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from scipy.io import savemat
from scipy.sparse import csc_matrix, issparse


def write_v5(path: Path, arrays: Mapping[str, Any]) -> None:
    savemat(path, dict(arrays), do_compression=True)


def write_v73(path: Path, arrays: Mapping[str, Any]) -> None:
    """HDF5 behind 512 bytes of MATLAB's own; axes in reverse order; a sparse matrix is a group."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, array in arrays.items():
            put(file, name, array)
    with path.open("r+b") as opened:
        opened.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM")


def put(file: h5py.File, name: str, array: Any) -> None:
    if issparse(array):
        columns, item = csc_matrix(array), file.create_group(name)
        item["data"], item["ir"] = columns.data, columns.indices.astype("u8")
        item["jc"] = columns.indptr.astype("u8")
        item.attrs["MATLAB_sparse"] = np.uint64(columns.shape[0])
        kind = "logical" if columns.dtype == bool else "double"
    else:
        array = np.atleast_2d(array)
        kind = {"bool": "logical", "float64": "double", "float32": "single"}.get(str(array.dtype), str(array.dtype))
        item = file.create_dataset(name, data=(array.astype(np.uint8) if array.dtype == bool else array).T)
    item.attrs["MATLAB_class"] = np.bytes_(kind)


WRITERS: dict[str, Callable[[Path, Mapping[str, Any]], None]] = {"5": write_v5, "7.3": write_v73}
