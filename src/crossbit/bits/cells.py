"""Codes in cells, each with what is nearest to its centre: a query looks into the cells of the nearest centres alone.

That is faster than comparing all codes, and may miss some: how many depends on the codes. Random codes are near no
centre, and nothing is gained.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from crossbit.bits.masks import check_mask
from crossbit.bits.packing import Array, as_words, check_codes, frozen
from crossbit.bits.search import QUERIES, top_k

ROUNDS = 8  # of moving the centres; further ones changed the recall by less than .01
PER_CELL = 32  # codes that a centre is learnt from, on average


def centres_of(codes: npt.NDArray[np.uint8], count: int, seed: int = 0) -> npt.NDArray[np.uint8]:
    """Centres for so many cells, uint8 (count, bytes): each the majority, bit by bit, of the codes nearest to it.

    Args:
        codes: packed, uint8 (n, bytes), n at least `count`; a sample is looked at.
        count: of cells.
        seed: of the sample.
    """
    rng = np.random.default_rng(seed)
    some = codes[np.sort(rng.choice(len(codes), min(len(codes), PER_CELL * count), replace=False))]
    bits, centres = np.unpackbits(some, axis=1), some[rng.permutation(len(some))[:count]]
    for _ in range(ROUNDS):
        nearest = cells_of(some, centres)
        order = np.argsort(nearest, kind="stable")
        taken, starts, sizes = np.unique(nearest[order], return_index=True, return_counts=True)
        ones = np.add.reduceat(bits[order], starts, axis=0, dtype=np.int32)
        centres[taken] = np.packbits(2 * ones >= sizes[:, None], axis=1)
    return centres


def cells_of(codes: npt.NDArray[np.uint8], centres: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """The cell of each code, int64 (n,): the nearest centre, the first of several."""
    return top_k(codes, centres, 1)[1][:, 0]


@dataclass(frozen=True)
class Cells:
    """Codes ordered by cell.

    Attributes:
        centres: uint8 (cells, bytes).
        starts: int64 (cells + 1,): cell c has the codes starts[c] to starts[c + 1].
        planes: uint64 (words, n).
    """

    centres: npt.NDArray[np.uint8]
    starts: npt.NDArray[np.int64]
    planes: npt.NDArray[np.uint64]

    def top_k(
        self,
        query: npt.NDArray[np.uint8],
        k: int,
        probes: int,
        *,
        mask: npt.ArrayLike | None = None,
        threads: int | None = None,
    ) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64], int]:
        """The k nearest codes among those of the nearest cells of each query.

        Args:
            query: packed, uint8 (m, bytes).
            k: how many, at least 1.
            probes: how many cells a query looks into; at most all.
            mask, threads: as for `crossbit.bits.top_k`.

        Returns:
            distances int32 and positions int64, (m, k), ascending by distance, -1 where there are fewer; and how many
            codes were compared in all.
        """
        from crossbit.bits import kernels
        from crossbit.bits.compiled import run, thread_count

        codes = check_codes(query, "query")
        chosen = top_k(codes, self.centres, min(probes, len(self.centres)), threads=threads)[1]
        words: Array = as_words(codes, ">u8").T.astype(np.uint64, "C")
        distances, positions = np.empty((len(codes), k), np.int32), np.empty((len(codes), k), np.int64)
        compared: list[int] = []
        planes, allowed = frozen(self.planes), check_mask(mask, self.planes.shape[1])
        starts, chosen = frozen(self.starts), np.ascontiguousarray(chosen)

        def some(rows: slice) -> None:
            found = distances[rows], positions[rows]
            compared.append(kernels.top_k_in_cells(words[rows], planes, starts, chosen[rows], allowed, *found))

        step = max(1, min(QUERIES, -(-len(codes) // thread_count(threads))))
        run([partial(some, slice(s, s + step)) for s in range(0, len(codes), step)], thread_count(threads))
        return distances, positions, sum(compared)


def laid(
    planes: npt.NDArray[np.uint64], cells: npt.NDArray[np.int64], centres: npt.NDArray[np.uint8]
) -> tuple[Cells, npt.NDArray[np.int64]]:
    """Codes, planes (words, n), laid into their cells (n,); and where each stood before, int64 (n,).

    >>> codes, centres = np.array([[1], [254], [0]], np.uint8), np.array([[0], [255]], np.uint8)
    >>> cells, before = laid(codes.astype(np.uint64).T, cells_of(codes, centres), centres)
    >>> cells.starts, before
    (array([0, 2, 3]), array([0, 2, 1]))
    """
    order = np.argsort(cells, kind="stable")
    starts = np.searchsorted(cells[order], np.arange(len(centres) + 1))
    return Cells(centres, starts, np.take(planes, order, axis=1)), order
