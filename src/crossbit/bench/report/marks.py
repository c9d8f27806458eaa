"""What stands out in a column of a table: the best, and what is not significantly worse, by a test that is named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from crossbit.bench.report.cells import Row
from crossbit.evaluation.stats import LEVEL, ROUNDING, Test, bootstrap_against, holm, paired_t, summary

Mark = Literal["", "best", "close", "untested"]
Values = Mapping[Row, Mapping[int, float]]  # a value a seed
Queries = Mapping[Row, np.ndarray]  # average precision (seeds, queries)
RESAMPLES = 2_000  # enough for p at two digits, and a table has hundreds of comparisons


@dataclass(frozen=True)
class Comparison:
    """The best of a column against another; `corrected` is the test's p after Holm's correction in the column."""

    best: Row
    other: Row
    test: Test
    corrected: float = float("nan")


@dataclass(frozen=True)
class MarkedColumn:
    """What is said about a column.

    Attributes:
        marks: "best" has the highest mean; "close" is not significantly worse; "untested": nothing can be said, as
            there are fewer than two common seeds and no queries to draw anew.
        test: name of the test that decides the marks; empty where there is none.
        comparisons: of the best with all others, by every test that could be made.
    """

    marks: dict[Row, Mark] = field(default_factory=dict)
    test: str = ""
    comparisons: list[Comparison] = field(default_factory=list)


def mark(values: Values, queries: Queries | None = None) -> MarkedColumn:
    """Mark a column: the t-test over seeds decides; with one seed only, the bootstrap over queries.

    Args:
        values: per row a value a seed; floors are not to be among them.
        queries: per row the average precisions per query, where the column's measure is their mean.

    >>> a, b, c = Row("a"), Row("b"), Row("c")
    >>> column = mark({a: {0: 0.80, 1: 0.82, 2: 0.81}, b: {0: 0.79, 1: 0.82, 2: 0.80}, c: {0: 0.50, 1: 0.51, 2: 0.52}})
    >>> [column.marks[row] for row in (a, b, c)], column.test
    (['best', 'close', ''], 'paired t-test over seeds')
    """
    means = {row: over.mean for row, of in values.items() if (over := summary(of)).n}
    if not means:
        return MarkedColumn()
    best = max(means, key=means.__getitem__)
    winners = {row for row, mean in means.items() if means[best] - mean <= ROUNDING}
    others = [row for row in means if row not in winners]
    over_seeds = _corrected(best, others, [paired_t(values[best], values[row]) for row in others])
    over_queries = []
    if queries is not None and best in queries:
        there = [row for row in others if row in queries and _same_queries(queries[best], queries[row])]
        tests = bootstrap_against(queries[best], [queries[row] for row in there], resamples=RESAMPLES)
        over_queries = _corrected(best, there, tests)
    chosen = over_seeds if any(comparison.test.n > 1 for comparison in over_seeds) else over_queries
    decided = {comparison.other: comparison for comparison in chosen}
    marks: dict[Row, Mark] = {row: _mark(decided.get(row)) for row in others}
    marks |= dict.fromkeys(winners, "best")
    return MarkedColumn(marks, chosen[0].test.name if chosen else "", [*over_seeds, *over_queries])


def _same_queries(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether averages per query (seeds, queries) are of the same queries: as many, and the same without a value."""
    return a.shape[1:] == b.shape[1:] and len(np.unique(np.isnan(np.concatenate([a, b])), axis=0)) == 1


def _corrected(best: Row, others: Sequence[Row], tests: Sequence[Test]) -> list[Comparison]:
    """The tests of the best against all others, corrected for their number."""
    corrected = holm([test.p for test in tests])
    return [Comparison(best, *made) for made in zip(others, tests, corrected, strict=True)]


def _mark(comparison: Comparison | None) -> Mark:
    if comparison is None or comparison.test.n < 2:
        return "untested"
    return "close" if comparison.corrected >= LEVEL else ""  # NaN: the same difference in every pair, so none by chance
