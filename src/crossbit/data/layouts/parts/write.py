"""A layout's pairs written in the neutral format, a block of rows at a time."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from crossbit.data.checks import check_block
from crossbit.data.layouts.parts.base import Reading
from crossbit.data.neutral import _arrays
from crossbit.errors import UserError
from crossbit.storage.files import refuse_existing, writing, writing_folder
from crossbit.storage.lazy import Lazy


def write_neutral(reading: Reading, path: str | os.PathLike[str]) -> None:
    """Write pairs whole or not at all: `.npz` gives a file, no ending a folder of `.npy`. Every value stays what it is.

    Features are held two blocks at a time, whatever their size (see `crossbit.storage.lazy.BLOCK_BYTES`).

    Raises:
        UserError: something is there already, it cannot be written, or features are not finite.
    """
    target = refuse_existing(path)
    arrays: dict[str, Any] = _arrays(reading.outline()) | dict(reading.modalities)
    try:
        if target.suffix == ".npz":
            _write_file(target, arrays)
        else:
            _write_folder(target, arrays)
    except UserError as error:
        raise UserError(f"{reading.found.path}: {error}") from error
    except OSError as error:
        raise UserError(f"cannot write {target}: {error.strerror or error}") from error


def _write_file(target: Path, arrays: Mapping[str, Any]) -> None:
    with writing(target) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, array in arrays.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                _write_array(member, name, array)


def _write_folder(target: Path, arrays: Mapping[str, Any]) -> None:
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
