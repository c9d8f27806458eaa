"""How much of the nearest a search of cells finds, by the codes that are in them and by others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from crossbit import bits
from crossbit.bits.cells import Cells

SAMPLE = 500  # queries of each kind that measure it
MEASURED = (10, 100)  # hits among which it is measured
Queries = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Recall:
    """How an approximate tier was measured.

    Attributes:
        codes: how many there were.
        cells: into how many they were laid.
        probes: how many of these a search looks into.
        compared: the share of the codes that a query is compared with.
        of: by what the queries were: of the first ten and the first hundred, the share that is as near as what an exact
            search finds. "itself" are codes of the index, each without itself.
    """

    codes: int
    cells: int
    probes: int
    compared: float
    of: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    def __str__(self) -> str:
        shares = (f"{name}: {' and '.join(f'{one:.3f}' for one in found)}" for name, found in self.of.items())
        return (
            f"{self.codes:,} codes in {self.cells:,} cells, of which a query looks into {self.probes:,} and compares "
            f"{100 * self.compared:.2g} %; recall of the first {MEASURED[0]} and {MEASURED[1]} by queries of "
            + ", ".join(shares)
        )


def measured(
    cells: Cells, planes: npt.NDArray[np.uint64], own: Queries, others: Mapping[str, Queries], target: float
) -> Recall:
    """Look into more and more cells until the recall is reached, as it is where all are looked into."""
    kinds = {"itself": (own, 1), **{name: (codes, 0) for name, codes in others.items() if len(codes)}}
    most = max(MEASURED)
    n, first = planes.shape[1], {name: bits.top_k(codes, planes, most + out)[0] for name, (codes, out) in kinds.items()}
    probes, count = 1, len(cells.centres)
    while True:
        shares, compared = {}, 0
        for name, (codes, out) in kinds.items():
            near, _, looked = cells.top_k(codes, most + out, probes)
            compared += looked
            shares[name] = tuple(_share(near, first[name][:, : near.shape[1]], out, k) for k in MEASURED)
        if probes == count or min(min(one) for one in shares.values()) >= target:
            looks = sum(len(codes) for codes, _ in kinds.values())
            return Recall(n, count, probes, compared / looks / n, shares)
        probes = min(count, max(probes + 1, 5 * probes // 4))


def _share(found: npt.NDArray[np.int32], exact: npt.NDArray[np.int32], out: int, k: int) -> float:
    """The share of k hits, without the first `out`, that are as near as the k-th nearest."""
    near, right = found[:, out : k + out], exact[:, out : k + out]
    good = (near >= 0) & (near <= right.max(axis=1, keepdims=True))
    return float(good.sum() / max(1, (right >= 0).sum())) if (right >= 0).any() else 1.0
