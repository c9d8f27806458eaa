"""The measure as data: what is cut, how ties and empty queries count. Its name is the protocol behind a number."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from crossbit.errors import UserError, unknown
from crossbit.evaluation.rankings import Array, Block
from crossbit.evaluation.ties import Cutoff, Ties, average_precision_of_counts

Empty = Literal["skip", "zero"]


@dataclass(frozen=True)
class Measure:
    """Mean average precision with its choices; see `mean_average_precision` for their meaning.

    Raises:
        UserError: an unknown choice, or k below 1.

    >>> str(Measure()), str(Measure(k=50, ties="index"))
    ('mAP@all(ties=expected, empty=skip)', 'mAP@50(cutoff=topk-R, ties=index, empty=skip)')
    """

    k: int | None = None
    cutoff: Cutoff = "topk-R"
    ties: Ties = "expected"
    empty: Empty = "skip"

    def __post_init__(self) -> None:
        if self.k is not None:
            check_cut("k", self.k)
        check_choice("cutoff", self.cutoff, get_args(Cutoff))
        check_choice("ties", self.ties, get_args(Ties))
        check_choice("empty", self.empty, get_args(Empty))

    def __str__(self) -> str:
        cut = "" if self.k is None else f"cutoff={self.cutoff}, "
        return f"mAP@{self.k or 'all'}({cut}ties={self.ties}, empty={self.empty})"

    def average_precision(self, block: Block) -> Array:
        """Average precision of every query of a block, float64 (m,); NaN where nothing is relevant.

        Raises:
            UserError: "first-k-relevant" below n with expected ties, which has no definition.
        """
        if self.ties != "index":
            return average_precision_of_counts(block.size, block.relevant, k=self.k, cutoff=self.cutoff, ties=self.ties)
        total = block.relevant.sum(axis=1)
        k = int(block.size[:1].sum()) if self.k is None else self.k
        hits, sums = block.in_order([k], self.cutoff == "first-k-relevant")
        divisor = hits[:, 0] if self.cutoff == "topk" else np.minimum(k, total)
        return np.where(total > 0, sums[:, 0] / np.maximum(divisor, 1), np.nan)

    def fill(self, values: Array) -> Array:
        """Average precisions with 0 for empty queries, where the rule for them says so."""
        return np.nan_to_num(values, nan=0.0) if self.empty == "zero" else values

    def mean(self, values: Array) -> float:
        """The mean over queries of average precisions (m,), NaN for empty queries.

        Raises:
            UserError: there is no query, or none to average.
        """
        counted = self.fill(values)
        counted = counted[~np.isnan(counted)]
        if not len(values):
            raise UserError("there are no queries; a mean needs at least one")
        if not len(counted):
            raise UserError(
                f"no query has a relevant item (of {len(values)} queries), so there is nothing to average; "
                "check that the labels of both sides mean the same classes, or take empty='zero'"
            )
        return float(counted.mean())


def check_cut(what: str, value: object) -> int:
    """`value` as a count of items, at least 1.

    >>> check_cut("k", 50)
    50
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise UserError(f"{what} is {value!r}; it must be a whole number of items, at least 1")
    return int(value)


def check_choice(what: str, value: str, known: Iterable[str]) -> None:
    """Refuse a value that is not one of the known ones.

    >>> check_choice("ties", "best", ["best", "worst"])
    """
    if value not in (names := list(known)):
        raise unknown(what, value, names)
