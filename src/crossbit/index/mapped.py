"""The codes of a large index as files that are memory-mapped, so that it opens at once and its memory is the system's.

`image.index` has them in the folder `image.codes`: `TOKEN.ids.npy`, `TOKEN.planes.npy` and `TOKEN.places.npy`, the
arrays of `SortedCodes`. The token is drawn anew for each writing and stands in the index, too, from which every change
removes it in its own transaction: files whose token the index does not name are not read. The index is what counts;
without these files it is read itself.
"""

from __future__ import annotations

import secrets
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from crossbit.index.runs import SortedCodes
from crossbit.index.segments import folder_of
from crossbit.storage.files import writing
from crossbit.storage.npz import BROKEN

LEAST = 1_000_000  # codes from which such files are written: fewer are read from the index in a tenth of a second
TYPES = {"ids": np.dtype("<i8"), "planes": np.dtype("<u8"), "places": np.dtype("<i8")}
CREATE = "CREATE TABLE IF NOT EXISTS mapped (token VARCHAR NOT NULL)"
FORGET = "DELETE FROM mapped"


def write(index: Path, held: SortedCodes) -> str:
    """Write all codes of an index beside it; returns the token, under which they are read once the index has it."""
    token = secrets.token_hex(8)
    for name in TYPES:
        write_array(_folder(index) / f"{token}.{name}.npy", getattr(held, name))
    return token


def read(index: Path, token: str, words: int, n: int) -> SortedCodes | None:
    """The codes that were written under a token, memory-mapped; None where the files are missing or damaged.

    Args:
        index: the file.
        token: that the index names.
        words: of a code.
        n: how many codes the index has.
    """
    arrays = [map_array(_folder(index) / f"{token}.{name}.npy", kind) for name, kind in TYPES.items()]
    shapes = [(n,), (words, n), (n,)]
    if any(array is None or array.shape != shape for array, shape in zip(arrays, shapes, strict=True)):
        return None
    return SortedCodes(*(array for array in arrays if array is not None))


def remove_all_but(index: Path, token: str) -> None:
    """Remove what was written under other tokens, or was left half written."""
    for path in _folder(index).glob("*.npy") if _folder(index).is_dir() else ():
        if token not in path.name.split("."):
            path.unlink()


def write_array(path: Path, array: npt.NDArray[Any]) -> None:
    """Write an array to a file that is whole or not there."""
    with writing(path) as temporary, open(temporary, "wb") as file:
        np.save(file, array, allow_pickle=False)


def map_array(path: Path, kind: npt.DTypeLike) -> npt.NDArray[Any] | None:
    """An array of a type, memory-mapped; None where its file is missing or damaged."""
    with suppress(*BROKEN):
        array: npt.NDArray[Any] = np.lib.format.open_memmap(path, mode="r")
        if array.dtype == kind:
            return array.view(np.ndarray)  # indexing a memmap takes five times as long
    return None


def _folder(index: Path) -> Path:
    return folder_of(index, "codes")
