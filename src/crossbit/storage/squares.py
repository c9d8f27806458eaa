"""Pictures made small, kept in the user's cache: a file is decoded once for all steps, commands and runs."""

from __future__ import annotations

import os
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import __version__ as pillow

from crossbit.storage.cache import cache_folder
from crossbit.storage.file_cache import FileCache
from crossbit.storage.pictures import LIMIT_NAME, read_picture, to_square
from crossbit.storage.threads import over_files

LARGEST = 64  # side in pixels up to which squares are kept: 12 kB each before they are packed
BLOCK = 500  # pictures between two writes
VERSION = 1  # of what is kept
FILE = "squares.sqlite"


def squares_of_files(paths: Sequence[str], side: int) -> NDArray[np.uint8]:
    """Picture files as uint8 (n, side, side, 3), as `read_picture` and `to_square` make them.

    Raises:
        PictureError: one cannot be read.
    """
    out = np.empty((len(paths), side, side, 3), np.uint8)
    if side > LARGEST:
        _decode(paths, range(len(paths)), out)
        return out
    with FileCache(f"{side} {VERSION} {pillow} {os.environ.get(LIMIT_NAME, '')}", FILE) as cache:
        for start in range(0, len(paths), BLOCK):
            _read_some(paths[start : start + BLOCK], out[start : start + BLOCK], cache)
    return out


def _read_some(paths: Sequence[str], out: NDArray[np.uint8], cache: FileCache) -> None:
    stamps = cache.stamps(paths)  # before they are decoded: what changes meanwhile is decoded again
    kept = {path: found for path, value in cache.get(stamps).items() if len(found := _unpacked(value)) == out[0].size}
    new = [number for number, path in enumerate(paths) if path not in kept]
    _decode(paths, new, out)
    cache.put(stamps, {paths[number]: zlib.compress(out[number].data, 1) for number in new})
    for number, path in enumerate(paths):
        if path in kept:
            out[number] = np.frombuffer(kept[path], np.uint8).reshape(out[number].shape)


def _decode(paths: Sequence[str], numbers: Sequence[int], out: NDArray[np.uint8]) -> None:
    side = out.shape[1]
    decoded = over_files(lambda path: to_square(read_picture(path), side), [paths[number] for number in numbers])
    for number, square in zip(numbers, decoded, strict=True):
        out[number] = square


def _unpacked(value: bytes) -> bytes:
    try:
        return zlib.decompress(value)
    except zlib.error:  # damaged: decoded again
        return b""


@dataclass(frozen=True)
class KeptSquares:
    """How many small pictures are kept, and how many bytes they take on disk."""

    rows: int
    size: int


def squares_file() -> Path:
    """Where they are kept."""
    return cache_folder() / FILE


def kept_squares() -> KeptSquares:
    """What is kept."""
    if not squares_file().exists():
        return KeptSquares(0, 0)
    with FileCache("", FILE) as cache:
        return KeptSquares(len(cache), squares_file().stat().st_size)
