"""Curves over all queries: precision and recall by radius and by rank, precision at N.

A curve is added up block by block: `terms` of each block, summed over its queries, then `points` of the total.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from crossbit.evaluation.measure import Empty
from crossbit.evaluation.measures import hits_at_cuts
from crossbit.evaluation.rankings import Array, Block
from crossbit.evaluation.ties.counts import Ties

Average = Literal["micro", "macro"]
Points = dict[str, Any]  # "name": the curve with its protocol; the rest lists of numbers, of one length
RANKS = 60  # points of a curve by rank, evenly spaced in log(rank)
TOP_N = (1, 5, 10, 20, *range(50, 1001, 50))  # the usual N of precision@N


class Curve(ABC):
    """A curve: what is summed over the queries, and what is drawn of the sums."""

    title: ClassVar[str]

    @abstractmethod
    def terms(self, block: Block) -> Array:
        """Sums over the block's queries; the first axis is what is summed, the last the points."""

    @abstractmethod
    def points(self, terms: Array, queries: int) -> Points:
        """The curve, given the sums over all queries."""


@dataclass(frozen=True)
class RadiusCurve(Curve):
    """Precision and recall of everything within Hamming radius 0..bits; see `precision_recall_by_radius`."""

    average: Average = "macro"
    empty: Empty = "zero"

    @property
    def title(self) -> str:  # type: ignore[override]
        """What the curve is called in a report."""
        return "PR by radius" + (" (micro)" if self.average == "micro" else "")

    def __str__(self) -> str:
        told = f"average=macro, empty={self.empty}" if self.average == "macro" else "average=micro"
        return f"PR by radius({told})"

    def terms(self, block: Block) -> Array:
        """(4, bits + 1): both ratios' numerators and denominators."""
        retrieved, hits = (counts.cumsum(axis=1) for counts in block.by_radius())
        relevant = hits[:, -1:]
        if self.average == "micro":
            terms = hits, retrieved, hits, np.broadcast_to(relevant, hits.shape)
        else:
            some = np.broadcast_to(relevant > 0, hits.shape)
            terms = hits / np.maximum(retrieved, 1), retrieved > 0, hits / np.maximum(relevant, 1), some
        return np.stack([term.sum(axis=0, dtype=np.float64) for term in terms])

    def points(self, terms: Array, queries: int) -> Points:
        """Radius, precision and recall; NaN where no query retrieves anything, if those are skipped."""
        hits, retrieved, found, relevant = terms
        if self.average == "macro" and self.empty == "zero":
            retrieved = np.full_like(retrieved, queries)
        nothing = np.nan if self.empty == "skip" else 0.0
        precision = np.divide(hits, retrieved, out=np.full(len(hits), nothing), where=retrieved > 0)
        return {
            "name": str(self),
            "radius": list(range(len(precision))),
            "precision": precision.tolist(),
            "recall": (found / np.maximum(relevant, 1)).tolist(),
        }


@dataclass(frozen=True)
class RankCurve(Curve):
    """Precision and recall at N for some N, means over the queries; recall over those that have something to find."""

    title: ClassVar[str] = "PR by rank"

    cuts: tuple[int, ...]
    ties: Ties = "expected"

    def __str__(self) -> str:
        return f"PR by rank(average=macro, ties={self.ties})"

    def terms(self, block: Block) -> Array:
        """(3, cuts): hits, recall, and queries that have something to find."""
        hits, relevant = hits_at_cuts(block, list(self.cuts), self.ties), block.relevant.sum(axis=1)[:, None]
        some = np.broadcast_to(relevant > 0, hits.shape)
        return np.stack([term.sum(axis=0, dtype=np.float64) for term in (hits, hits / np.maximum(relevant, 1), some)])

    def points(self, terms: Array, queries: int) -> Points:
        """N, precision and recall."""
        hits, recall, some = terms
        precision = hits / (queries * np.array(self.cuts))
        return {
            "name": str(self),
            "n": list(self.cuts),
            "precision": precision.tolist(),
            "recall": (recall / np.maximum(some, 1)).tolist(),
        }


@dataclass(frozen=True)
class PrecisionCurve(RankCurve):
    """Precision at N for the usual N ("topN-precision")."""

    title: ClassVar[str] = "precision@N"

    def __str__(self) -> str:
        return f"precision@N(ties={self.ties}, empty=zero)"

    def points(self, terms: Array, queries: int) -> Points:
        """N and precision."""
        points = super().points(terms, queries)
        return {key: points[key] for key in ("name", "n", "precision")}


def usual_curves(items: int, ties: Ties) -> list[Curve]:
    """The curves that papers draw, for a database of so many items.

    >>> [curve.title for curve in usual_curves(30, "expected")]
    ['PR by radius', 'PR by radius (micro)', 'PR by rank', 'precision@N']
    """
    ranks = np.unique(np.geomspace(1, max(items, 1), RANKS).round().astype(int))
    top = tuple(n for n in TOP_N if n <= items)
    by_rank = RankCurve(tuple(ranks.tolist()), ties), PrecisionCurve(top, ties)
    return [RadiusCurve("macro"), RadiusCurve("micro"), *by_rank]
