"""Files of embeddings beside an index: each is written once, and never changed.

`image.index` has them in the folder `image.embeddings`: `000001.npy`, `000002.npy`, ... hold float16 (n, width), rows
of length 1 whose first `bits` signs are the codes, and are memory-mapped. The width is `bits` or more: further columns
count where a shortlist is ordered, and not in the code. An add writes one. What is replaced or removed stays in its
file until `LocalIndex.compact` writes the others into a new one. A file is whole on the disk before the index names it,
so one that the index does not name is left of a write that was cut off, and the next process that writes removes it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from crossbit.errors import UserError
from crossbit.storage.files import sync_folder, writing
from crossbit.storage.npz import read_array

FORMAT = np.dtype("<f2")
MARK, MARKED = (
    "crossbit.txt",
    "Embeddings of an index, written by crossbit. It removes files here that it does not know.\n",
)
NAME = re.compile(r"(\d{6,})\.npy|\.\d{6,}\..*npy")  # whole, and beside while it is written
AT_ONCE = 8192  # embeddings copied together
ROW_BITS = 32  # a place is a number of 64 bits: the segment above, the row below
MEND = "; make the index anew, or search without re-ranking"

Array = npt.NDArray[Any]
Ids = npt.NDArray[np.int64]


class Segments:
    """The embeddings beside one index file, found by places: segment << 32 | row.

    Args:
        index: the file.
        bits: the code length.
        in_memory: keep what is written in memory alone.
    """

    def __init__(self, index: Path, bits: int, *, in_memory: bool = False) -> None:
        self.folder, self.bits, self._width = folder_of(index), bits, 0  # not known yet
        self._in_memory = in_memory
        self._mapped: dict[int, Array] = {}

    def write(self, rows: Array, number: int) -> Ids:
        """Write rows of embeddings, real (n, width), as one more segment; returns their places once it is on the disk.

        Raises:
            UserError: the folder cannot be written, or holds something else, or rows of another width.
        """
        self._check_width(rows)
        if self._in_memory:
            self._mapped[number], self._width = halves(rows), rows.shape[1]
        else:
            self._make_folder()
            with writing(self.path(number)) as temporary, open(temporary, "wb") as file:
                np.save(file, halves(rows), allow_pickle=False)
            self._mapped.pop(number, None)  # of one that is gone
        return _places_of(number, len(rows))

    def gather(self, places: Ids, number: int) -> Ids:
        """Write the embeddings at some places, to the bit, as one more segment; returns their new places once it is on
        the disk.

        Raises:
            UserError: the folder cannot be written; a segment that is missing or damaged.
        """
        header = {"descr": FORMAT.str, "fortran_order": False, "shape": (len(places), self.width)}
        with writing(self.path(number)) as temporary, open(temporary, "wb") as file:
            np.lib.format.write_array_header_1_0(file, header)
            for start in range(0, len(places), AT_ONCE):
                file.write(self._rows(places[start : start + AT_ONCE], FORMAT).data)
        return _places_of(number, len(places))

    def read(self, places: Ids) -> npt.NDArray[np.float64]:
        """The embeddings at some places, float64 (n, width).

        Raises:
            UserError: a segment that is missing or damaged.
        """
        return self._rows(places, np.dtype(np.float64))

    def _rows(self, places: Ids, kind: np.dtype[Any]) -> Array:
        order = np.argsort(places)  # so that those of a segment stand together
        numbers, at = places[order] >> ROW_BITS, places[order] & ((1 << ROW_BITS) - 1)
        starts = np.flatnonzero(np.diff(numbers, prepend=-1))
        stops = np.append(starts[1:], len(places))[: len(starts)]
        found = np.empty((len(places), self.width or self.bits), FORMAT)
        ends = (numbers[starts], starts, stops, at[stops - 1])
        for number, start, stop, last in zip(*(each.tolist() for each in ends), strict=True):
            segment = self._segment(number)
            if last >= len(segment):
                raise UserError(f"{self.path(number)} has {len(segment)} rows, the index names row {last}{MEND}")
            segment.take(at[start:stop], axis=0, out=found[start:stop], mode="clip")  # they are there: twice as fast
        rows = np.empty(found.shape, kind)
        rows[order] = found
        return rows

    @property
    def width(self) -> int:
        """How wide the rows are, of which the first `bits` are the codes'; 0 where there is none that can be read."""
        for number in () if self._width else self.numbers():
            with suppress(UserError):
                self._segment(number)
                break
        return self._width

    def rows(self, number: int) -> int:
        """How many rows a segment has; UserError where it cannot be read."""
        return len(self._segment(number))

    def can_read(self, places: Ids) -> npt.NDArray[np.bool_]:
        """Which places are those of rows that can be read, bool (n,)."""
        able = np.zeros(len(places), bool)
        for number in np.unique(places[places >= 0] >> ROW_BITS).tolist():
            with suppress(UserError):
                end = (number << ROW_BITS) + self.rows(number)
                able |= (places >= number << ROW_BITS) & (places < end)
        return able

    def free(self, named: Iterable[int]) -> int:
        """The number of the next segment of an index that names some."""
        return max([0, *named, *self.numbers()]) + 1

    def numbers(self) -> list[int]:
        """Of all segments in the folder, whether or not the index names them."""
        found = (NAME.fullmatch(path.name) for path in self._files())
        return sorted(int(each[1]) for each in found if each and each[1])

    def remove_all_but(self, named: Iterable[int]) -> None:
        """Remove what is left of writes that were cut off."""
        kept = {self.path(number).name for number in named}
        if (self.folder / MARK).exists():
            for path in self._files():
                if NAME.fullmatch(path.name) and path.name not in kept:
                    path.unlink()

    def path(self, number: int) -> Path:
        """The file of a segment."""
        return self.folder / f"{number:06d}.npy"

    def _segment(self, number: int) -> Array:
        if number not in self._mapped:
            path = self.path(number)
            rows: Array = read_array(str(path), partial(np.lib.format.open_memmap, path, mode="r"), path)
            if rows.dtype != FORMAT or rows.ndim != 2 or rows.shape[1] < self.bits:
                raise UserError(
                    f"{path} holds {rows.dtype} of shape {rows.shape}; embeddings of this index are "
                    f"float16 (n, {self.bits}) or wider{MEND}"
                )
            self._width = self._width or rows.shape[1]
            if rows.shape[1] != self._width:
                raise UserError(f"{path} has rows {rows.shape[1]} wide, and others here are {self._width} wide{MEND}")
            self._mapped[number] = rows.view(np.ndarray)  # indexing a memmap takes five times as long
        return self._mapped[number]

    def _check_width(self, rows: Array) -> None:
        if (width := self.width) and rows.shape[1] != width:
            raise UserError(f"{self.folder} holds embeddings {width} wide, and these are {rows.shape[1]} wide{MEND}")

    def _files(self) -> list[Path]:
        return sorted(self.folder.iterdir()) if self.folder.is_dir() else []

    def _make_folder(self) -> None:
        if (self.folder / MARK).exists():
            return
        if self.folder.exists() and (not self.folder.is_dir() or self._files()):
            raise UserError(f"{self.folder} is there already and not of crossbit; move it, or name the index otherwise")
        with writing(self.folder / MARK) as temporary:
            temporary.write_text(MARKED, encoding="utf-8")
        sync_folder(self.folder.parent)


def _places_of(number: int, rows: int) -> Ids:
    return (number << ROW_BITS) + np.arange(rows, dtype=np.int64)


def folder_of(index: Path, what: str = "embeddings") -> Path:
    """Where the embeddings of an index file are, or something else that belongs to it; no two files have the same.

    >>> folder_of(Path("run/image.index")).name, folder_of(Path("codes.duckdb")).name
    ('image.embeddings', 'codes.duckdb-embeddings')
    """
    if index.suffix == ".index":
        return index.with_suffix(f".{what}")
    return index.with_name(f"{index.name}-{what}")


def halves(rows: Array) -> npt.NDArray[np.float16]:
    """Rows scaled to length 1, as float16 of the same signs: a negative number too small for it stays negative.

    >>> halves(np.array([[3.0, 0.0, -1e-12, 4.0]])) < 0
    array([[False, False,  True, False]])
    """
    exact = np.asarray(rows, np.float64)
    length = np.sqrt((exact * exact).sum(axis=1, keepdims=True))
    exact = exact / np.where(length > 0, length, 1.0)
    rounded = exact.astype(FORMAT)
    rounded[(rounded == 0) & (exact < 0)] = -np.finfo(FORMAT).smallest_subnormal
    return rounded
