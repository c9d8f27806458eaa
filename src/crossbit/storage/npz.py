""".npz files without pickle: read with one clear line for every way in which a file can be wrong, written whole."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from tokenize import TokenError

import numpy as np

from crossbit.errors import UserError
from crossbit.storage.files import writing
from crossbit.storage.kinds import ARRAY, what_is

# What damaged bytes raise in zipfile and in numpy, which parses headers as Python.
BROKEN = (OSError, ValueError, EOFError, RuntimeError, SyntaxError, TokenError, zipfile.BadZipFile, zlib.error)


def read_npz(
    path: Path, kind: str, hint: str, *, wanted: Callable[[str], bool] = lambda name: True
) -> dict[str, np.ndarray]:
    """The arrays of an .npz file by name.

    Args:
        path: the file.
        kind: what it should be, for the error: "a data file".
        hint: what would be right: "give a neutral .npz".
        wanted: which arrays to read, by name; all by default.

    Raises:
        UserError: missing, no zip file, damaged, members that are no .npy arrays, or pickled objects.

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "x.npz"
    >>> write_npz(file, {"a": np.arange(3)})
    >>> read_npz(file, "a file of numbers", "give an .npz")
    {'a': array([0, 1, 2])}
    """
    if not path.exists():
        raise UserError(f"{path} does not exist; {hint}")
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if wanted(name.removesuffix(".npy"))]
            return {name.removesuffix(".npy"): _read_member(path, archive, name) for name in names}
    except BROKEN as error:
        what = getattr(error, "strerror", None) or f"it is {_damage(path)}"
        raise UserError(f"{path} is not {kind} that can be read: {what}; {hint}") from error


def _damage(path: Path) -> str:
    kind = what_is(path)
    return "a damaged zip archive" if kind == "a zip archive" else kind


def _read_member(path: Path, archive: zipfile.ZipFile, name: str) -> np.ndarray:
    if not name.endswith(".npy"):
        raise UserError(f"{path} is a zip file with {name!r} in it; an .npz holds .npy arrays only")
    with archive.open(name) as member:
        what = f"{path}: array {name.removesuffix('.npy')!r}"
        return read_array(what, lambda: np.lib.format.read_array(member, allow_pickle=False))


def read_array(what: str, read: Callable[[], np.ndarray], path: Path | None = None) -> np.ndarray:
    """`read()`, whose failures become one line that begins with `what`; of a file of its own it says what that is."""
    try:
        return read()
    except MemoryError as error:
        raise UserError(f"{what} does not fit in memory; a folder of .npy is memory-mapped instead") from error
    except BROKEN as error:
        if "bject" in str(error):  # numpy's two refusals: "Object arrays cannot ...", "... Python objects in dtype"
            why = "holds pickled objects, which are never read; save numbers or unicode strings"
        else:
            why = f"cannot be read: {getattr(error, 'strerror', None) or f'it is {_no_array(path)}'}"
        raise UserError(f"{what} {why}") from error


def _no_array(path: Path | None) -> str:
    kind = ARRAY if path is None else what_is(path)
    return "damaged, or no .npy array" if kind == ARRAY else kind


def write_npz(target: Path, arrays: Mapping[str, np.ndarray], *, compress: bool = False) -> None:
    """As numpy.savez, which cannot write an array called 'file' and dates its members; same arrays, same bytes."""
    method = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
    with writing(target) as temporary, zipfile.ZipFile(temporary, "w", method) as archive:
        for name, array in arrays.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)
