"""Pictures that stay files: they are decoded in blocks, when they are needed, and never all at once."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Any, overload

import numpy as np

from crossbit.storage.lazy import Lazy, rows_per_block
from crossbit.storage.squares import squares_of_files


class PictureFiles:
    """An array-like of n picture files of any sizes, for the place of an array of pictures.

    Attributes:
        paths: (n,) strings.
        shape: (n,).

    >>> files = PictureFiles(["a.png", "b.png", "c.png"])
    >>> files[1:], files[np.array([2, 0])].paths.tolist(), files[0]
    (<PictureFiles: 2 from b.png to c.png>, ['c.png', 'a.png'], 'a.png')
    """

    ndim = 1
    dtype = np.dtype(object)

    def __init__(self, paths: Iterable[str | os.PathLike[str]]) -> None:
        named = [os.fspath(path) for path in paths]
        self.paths = np.empty(len(named), object)
        self.paths[:] = named

    @property
    def shape(self) -> tuple[int]:
        return (len(self.paths),)

    def __len__(self) -> int:
        return len(self.paths)

    def __iter__(self) -> Iterator[str]:
        return iter(self.paths.tolist())

    @overload
    def __getitem__(self, rows: int | np.integer) -> str: ...
    @overload
    def __getitem__(self, rows: slice | np.ndarray | list[int]) -> PictureFiles: ...
    def __getitem__(self, rows: Any) -> Any:
        """Some of the files, by a slice or an array; of a single number the path."""
        picked = self.paths[rows]
        return PictureFiles(picked) if isinstance(picked, np.ndarray) else picked

    def __array__(self, *args: Any, **kwargs: Any) -> np.ndarray:
        raise TypeError("pictures in files are no array; read(side) makes one")

    def __repr__(self) -> str:
        ends = f" from {self.paths[0]} to {self.paths[-1]}" if len(self) else ""
        return f"<PictureFiles: {len(self):,}{ends}>"

    def read(self, side: int) -> np.ndarray:
        """All of these pictures, uint8 (n, side, side, 3), each as `to_square` brings it to that size.

        Raises:
            PictureError: one cannot be read.
        """
        place = {path: number for number, path in enumerate(dict.fromkeys(self))}  # each is decoded once
        out = squares_of_files(list(place), side)
        return out if len(place) == len(self) else out[[place[path] for path in self]]

    def lazy(self, side: int) -> Lazy:
        """The same as `read`, in blocks."""
        shape, dtype = (len(self), side, side, 3), np.dtype(np.uint8)

        def blocks() -> Iterator[np.ndarray]:
            step = rows_per_block(shape, dtype)
            for start in range(0, len(self), step):
                yield self[start : start + step].read(side)

        return Lazy(shape, dtype, blocks)
