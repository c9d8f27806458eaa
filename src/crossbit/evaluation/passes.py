"""Many measures and curves of one ranking in a single pass over its queries."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from crossbit.errors import UserError
from crossbit.evaluation.cosine import CosineRanking
from crossbit.evaluation.curves import Curve, Points
from crossbit.evaluation.measure import Measure
from crossbit.evaluation.measures import parse_measure
from crossbit.evaluation.rankings import Array, Block, HammingRanking, Metric, Ranking


def figure(
    measure: str | Measure,
    query: npt.ArrayLike,
    database: npt.ArrayLike,
    query_labels: npt.ArrayLike,
    database_labels: npt.ArrayLike,
) -> float:
    """Any measure by its name: of codes by Hamming distance, of real vectors by cosine similarity.

    Args:
        measure: such as "NDCG@50" or "hit@1(correct=pair)", see `parse_measure`.
        query, database: packed codes uint8 (m, bytes) and (n, bytes), or real vectors (m, d) and (n, d). For a measure
            of own pairs, row i of the database is the pair of query i.
        query_labels, database_labels: 0/1 (m, c) and (n, c), or classes (m,) and (n,).

    Raises:
        UserError: an unknown measure; arrays that do not fit; nothing to average.

    >>> codes = np.array([[0], [1], [3]], np.uint8)
    >>> figure("hit@1", codes[:1], codes[1:], [1], [0, 1]), figure("recall@2", codes[:1], codes[1:], [1], [0, 1])
    (0.0, 1.0)
    >>> figure("P@radius0", [[0.5, 2.0]], [[1.0, 4.0], [1.0, 0.0]], [1], [1, 1])
    1.0
    """
    codes = np.asarray(query).dtype == np.uint8
    ranking: type[HammingRanking] | type[CosineRanking] = HammingRanking if codes else CosineRanking
    asked = as_measure(measure)
    check_metric(asked, "hamming" if codes else "cosine")
    sides = ranking.of(query, database, query_labels, database_labels)
    if asked.own_pair and sides.queries != sides.items:
        raise UserError(f"{asked} needs each query's own pair: {sides.queries} queries, but {sides.items} items")
    return figures_of(sides, {"": asked})[""]


def as_measure(measure: str | Measure) -> Measure:
    """A measure, or the one of a name."""
    return measure if isinstance(measure, Measure) else parse_measure(measure)


def check_metric(measure: Measure, metric: Metric) -> None:
    """Refuse a measure that names another metric than the one that the items are ranked by."""
    if measure.metric in (None, metric):
        return
    these = "real vectors" if metric == "cosine" else "codes"
    if measure.metric == "reranked":
        raise UserError(f"{measure} orders codes by vectors, but these are {these} alone; leave the metric out")
    raise UserError(
        f"{measure} ranks by {measure.metric}, but these are {these}, ranked by {metric}; leave the metric out"
    )


def figures_of(ranking: Ranking, measures: Mapping[str, Measure]) -> dict[str, float]:
    """The figure of every measure, under the keys given; those of own pairs need a pass of their own."""
    values: dict[str, Array] = {}
    for own, of in ((False, ranking), (True, ranking.of_pairs())):
        wanted = {key: measure.values for key, measure in measures.items() if measure.own_pair == own}
        values |= passed(of, wanted)[0] if wanted else {}
    return {key: measure.mean(values[key]) for key, measure in measures.items()}


def passed(
    ranking: Ranking, wanted: Mapping[str, Callable[[Block], Array]], curves: Sequence[Curve] = ()
) -> tuple[dict[str, Array], dict[str, Points]]:
    """Of all queries what is wanted of each block, (m,) under the keys given; and the curves' points, by title."""
    values: dict[str, list[Array]] = {key: [np.empty(0)] for key in wanted}
    sums: list[Any] = [0.0 for _ in curves]
    for block in ranking.blocks():
        for key, of in wanted.items():
            values[key].append(of(block))
        sums = [total + curve.terms(block) for total, curve in zip(sums, curves, strict=True)]
    points = {curve.title: curve.points(total, ranking.queries) for total, curve in zip(sums, curves, strict=True)}
    return {key: np.concatenate(parts) for key, parts in values.items()}, points
