"""Arrays written as one .npz or as a folder of .npy, a block of rows at a time."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO

import numpy as np

from crossbit.data.checks import check_block
from crossbit.storage.files import writing, writing_folder
from crossbit.storage.lazy import Lazy


def write_arrays(target: Path, arrays: Mapping[str, Lazy | np.ndarray]) -> None:
    """Write arrays whole or not at all: a target that ends in .npz is a file, any other one a folder.

    Lazy ones are held two blocks at a time, whatever their size (see `crossbit.storage.lazy.BLOCK_BYTES`).

    Raises:
        UserError: the target cannot be made, or vectors are not finite.
    """
    if target.suffix == ".npz":
        with writing(target) as temporary, zipfile.ZipFile(temporary, "w") as archive:
            for name, array in arrays.items():
                with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                    _write_array(member, name, array)
        return
    with writing_folder(target) as folder:
        for name, array in arrays.items():
            with open(folder / f"{name}.npy", "wb") as file:
                _write_array(file, name, array)


def _write_array(stream: IO[bytes], name: str, array: Lazy | np.ndarray) -> None:
    if not isinstance(array, Lazy):
        np.lib.format.write_array(stream, np.asanyarray(array), allow_pickle=False)
        return
    descr = np.lib.format.dtype_to_descr(array.dtype)
    header = {"descr": descr, "fortran_order": False, "shape": array.shape}
    np.lib.format.write_array_header_1_0(stream, header)
    start = 0
    for block in array.blocks():
        check_block(name, block, start)
        stream.write(np.ascontiguousarray(block).data)
        start += len(block)
