"""Pictures as arrays with four axes, and as files, made into uint8 (n, height, width, 3)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from crossbit.errors import UserError
from crossbit.storage.lazy import Lazy, of_array, rows_per_block
from crossbit.storage.matlab import MatArray, read_part
from crossbit.storage.pictures import picture_size, read_picture

SIDE = 224  # pixels; pictures of several sizes are brought to it, as the papers' networks want them


def pictures(entry: MatArray, last: bool) -> Lazy:
    """Pictures of a MATLAB file, uint8 or whole numbers from 0 to 255 in another type.

    MATLAB counts (n, 3, height, width), (n, height, width, 3) or (height, width, 3, n). Its version 7.3 stores all axes
    in reverse, so that `(n, 3, 224, 224)` in such a file is width before height.

    Args:
        entry: an array with four axes.
        last: whether pictures are counted on the last axis as stored.

    Raises:
        UserError: not pictures in colour; or, while they are read, values that are no whole numbers from 0 to 255.
    """
    axes = _axes(entry, last)
    shape = tuple(entry.shape[axis] for axis in axes)
    return Lazy(shape, np.dtype(np.uint8), lambda: _blocks(entry, axes, shape))


def _axes(entry: MatArray, last: bool) -> tuple[int, int, int, int]:
    """The stored axes that are picture, height, width and colour."""
    if len(entry.shape) != 4 or entry.dtype is None or entry.dtype.kind not in "fiu":
        raise UserError(
            f"{entry.key} is {entry.dtype} of shape {entry.shape}; it must be pictures such as (n, 3, 224, 224)"
        )
    count = 3 if last else 0
    inner = [axis for axis in range(4) if axis != count]
    colours = [axis for axis in (inner[0], inner[2]) if entry.shape[axis] == 3]
    if len(colours) != 1:
        raise UserError(f"{entry.key} has shape {entry.shape}; one outer axis of a picture must be its 3 colours")
    plane = [axis for axis in inner if axis != colours[0]]
    height, width = plane[::-1] if entry.hdf5 else plane
    return count, height, width, colours[0]


def _blocks(entry: MatArray, axes: tuple[int, int, int, int], shape: tuple[int, ...]) -> Iterator[np.ndarray]:
    import h5py

    if not entry.hdf5:
        whole = entry.lazy().read().transpose(axes)
        yield from (_bytes(entry, block) for block in of_array(whole).blocks())
        return
    with h5py.File(entry.path, "r") as file:
        stored = file[entry.key]
        step = rows_per_block(shape, stored.dtype, (stored.chunks or (1,) * 4)[axes[0]])
        for start in range(0, shape[0], step):
            rows = slice(start, start + step)
            part = read_part(entry, stored, (rows,) if axes[0] == 0 else (..., rows))
            yield np.ascontiguousarray(_bytes(entry, part).transpose(axes))


def _bytes(entry: MatArray, block: np.ndarray) -> np.ndarray:
    if block.dtype == np.uint8:
        return block
    with np.errstate(invalid="ignore"):
        small = block.astype(np.uint8)
    if (wrong := small != block).any():
        raise UserError(f"{entry.key} holds {block[wrong][0]}; pictures must be whole numbers from 0 to 255")
    return small


def picture_files(paths: Sequence[Path]) -> tuple[Lazy, str]:
    """Pictures of files, in RGB, and a sentence about their size.

    Pictures of one size, each upright, stay as they are. Of several, the shorter side is scaled to 224 and the middle
    is cut out.

    Raises:
        UserError: a file is no picture.
    """
    sizes = {picture_size(path) for path in paths}
    side = None if len(sizes) == 1 else (SIDE, SIDE)
    height, width = sizes.copy().pop() if side is None else side
    scaled = f"pictures have {len(sizes):,} sizes: the shorter side was scaled to {SIDE} pixels and the middle cut out"
    same = f"pictures are {width} by {height} pixels and were left so"

    def blocks() -> Iterator[np.ndarray]:
        step = rows_per_block((len(paths), height, width, 3), np.dtype(np.uint8))
        for start in range(0, len(paths), step):
            yield np.stack([_picture(path, side) for path in paths[start : start + step]])

    return Lazy((len(paths), height, width, 3), np.dtype(np.uint8), blocks), same if side is None else scaled


def _picture(path: Path, side: tuple[int, int] | None) -> np.ndarray:
    from PIL import Image, ImageOps

    pixels = read_picture(path)
    if side is None:
        return pixels
    return np.asarray(ImageOps.fit(Image.fromarray(pixels), side, Image.Resampling.BICUBIC))
