"""Real-valued embeddings beside an index: they order what lies at equal, or nearly equal, Hamming distance.

`<name>.embeddings.npy` holds float16 (n, bits), rows of length 1 whose signs are the codes; `ids.npy` holds their ids,
int64 (n,), ascending. Both are memory-mapped: a search reads the rows of its shortlist and no others.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from crossbit.errors import UserError
from crossbit.index.base import Hits, Index, check_k
from crossbit.index.filters import TIME_LIMIT_MS
from crossbit.storage.npz import read_array

AS_NEAR_AS = 100  # the shortlist: all that are as near as the hundredth nearest, or the k-th where more are asked for,
MOST = 8192  # but no more than these (or k): reading and ordering them takes milliseconds
BLOCK = 1024  # rows read and looked at together, so that memory stays small however many are asked for
FORMAT = np.dtype("<f2")
MEND = "; make the index anew, or search without re-ranking"

Array = npt.NDArray[Any]


def write_ids(folder: Path, ids: npt.NDArray[np.int64]) -> None:
    """The ids of all embeddings in a folder, ascending."""
    with open(folder / "ids.npy", "wb") as file:
        np.save(file, ids.astype("<i8"), allow_pickle=False)
        os.fsync(file.fileno())


@contextmanager
def writing_embeddings(folder: Path, name: str, n: int, bits: int) -> Iterator[Callable[[Array], None]]:
    """Give a function that appends real (m, bits) to `<name>.embeddings.npy`: n rows in the order of the ids."""
    with open(_place(folder, name), "wb") as file:
        header = {"descr": FORMAT.str, "fortran_order": False, "shape": (n, bits)}
        np.lib.format.write_array_header_1_0(file, header)

        def append(rows: Array) -> None:
            file.write(halves(rows).tobytes())

        yield append
        file.flush()
        os.fsync(file.fileno())


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


class Embeddings:
    """The embeddings beside one index.

    Args:
        folder: of the index.
        name: of its file there, without the ending.
        bits: the code length.

    Raises:
        UserError: files that are damaged, or do not fit each other or the code length.
    """

    def __init__(self, folder: Path, name: str, bits: int) -> None:
        self.path = _place(folder, name)
        self._rows, self._ids = _mapped(self.path), _mapped(folder / "ids.npy")
        if self._ids.ndim != 1 or self._ids.dtype != np.int64:
            raise UserError(
                f"{folder / 'ids.npy'} holds {self._ids.dtype} of shape {self._ids.shape}; ids are int64 (n,){MEND}"
            )
        if self._rows.shape != (len(self._ids), bits) or self._rows.dtype != FORMAT:
            raise UserError(
                f"{self.path} holds {self._rows.dtype} of shape {self._rows.shape}; the embeddings of this index are "
                f"float16 ({len(self._ids)}, {bits}){MEND}"
            )

    @classmethod
    def beside(cls, folder: Path, name: str, bits: int) -> Embeddings | None:
        """The embeddings in a folder; None where it has none."""
        return cls(folder, name, bits) if _place(folder, name).exists() else None

    def search(
        self,
        index: Index,
        query: Array,
        code: Array,
        k: int = 10,
        where: str | None = None,
        *,
        time_limit_ms: float = TIME_LIMIT_MS,
    ) -> Hits:
        """The k best of an index's shortlist, by cosine; those of equal cosine by (distance, id).

        The shortlist is all that are, by Hamming distance, as near as the hundredth nearest, or the k-th for a larger
        k; where that are more than `MOST` and k, the first by (distance, id).

        Args:
            index: the index that these belong to.
            query: its embedding, real (bits,).
            code: its code, uint8 (1, bits // 8).
            k, where, time_limit_ms: as for `Index.search`.

        Raises:
            UserError: as `Index.search`; embeddings that are missing, or are not those of the index's codes.
        """
        near = index.search(code, max(check_k(k), MOST), where, time_limit_ms=time_limit_ms)
        count = shortlist(near.distances[0], k)
        distances, ids = near.distances[0, :count], near.ids[0, :count]
        cosine = np.empty(count)
        for start in range(0, count, BLOCK):
            some = slice(start, start + BLOCK)
            rows = self.of(ids[some])
            if not np.array_equal(((rows >= 0) != (query >= 0)).sum(axis=1), distances[some]):
                raise UserError(f"{self.path} does not hold the embeddings of the codes in this index{MEND}")
            cosine[some] = cosines(rows, query.astype(np.float64))
        order = np.lexsort((ids, distances, -cosine))[:k][None]
        return near.take(order, cosine[order])

    def of(self, ids: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """The embeddings of some ids, float64 (m, bits); UserError for an id that has none."""
        at = np.minimum(np.searchsorted(self._ids, ids), max(len(self._ids) - 1, 0))
        missing = ids if not len(self._ids) else ids[self._ids[at] != ids]
        if len(missing):
            raise UserError(f"{self.path} holds no embedding for id {missing[0]}, which is in the index{MEND}")
        return np.asarray(self._rows[at], np.float64)


def shortlist(distances: npt.NDArray[np.int32], k: int) -> int:
    """How many of the nearest are looked at again.

    Args:
        distances: int32 (n,), ascending, with -1 at the end where nothing was found.
        k: how many are asked for.

    >>> shortlist(np.array([0] * 50 + [1] * 60 + [2] * 60 + [-1] * 9), 10)
    110
    """
    found = distances[distances >= 0]
    if not len(found):
        return 0
    return int(np.searchsorted(found, found[min(max(k, AS_NEAR_AS), len(found)) - 1], side="right"))


def cosines(rows: npt.NDArray[np.float64], query: Array) -> npt.NDArray[np.float64]:
    """Cosines of rows (n, bits) with a query (bits,); 0 for zeros. Rounded, so that equal rows are equal in every sum.

    >>> cosines(np.array([[0.0, 2.0], [1.0, 1.0], [0.0, 0.0]]), np.array([0.0, 0.5]))
    array([1.        , 0.70710678, 0.        ])
    """
    lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows) * (query * query).sum())
    return np.round(np.divide(rows @ query, lengths, out=np.zeros(len(rows)), where=lengths > 0), 12)


def _place(folder: Path, name: str) -> Path:
    return folder / f"{name}.embeddings.npy"


def _mapped(path: Path) -> Array:
    return read_array(str(path), partial(np.lib.format.open_memmap, path, mode="r"))
