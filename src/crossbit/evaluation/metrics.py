"""Retrieval measures over binary codes, exact under ties: average precision, precision at n, curves by radius.

Codes are packed uint8 (n, bits // 8) as `crossbit.bits.pack` makes them. Labels are 0/1 (n, classes) of any width: an
item is relevant if it shares a class with the query; or integer classes (n,): it is relevant if they are equal.

With L bits there are only L + 1 distances, so most of a ranking is tied, and what comes first inside a tie is an
accident of the sort and of the order of the file. `ties` says what is done about it:

* "expected": the mean over all orders inside ties, in closed form; independent of the database's order.
* "index": ties are in the order of the database, as a stable sort leaves them; to compare with others.
* "best", "worst": the highest and the lowest value that any order inside ties gives.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import get_args

import numpy as np
import numpy.typing as npt

from crossbit.bits.labels import check_labels
from crossbit.errors import UserError
from crossbit.evaluation.curves import Average, Curve, RadiusCurve, RankCurve
from crossbit.evaluation.measure import Empty, Measure, check_choice, check_cut
from crossbit.evaluation.measures import MeanAveragePrecision, hits_at_cuts
from crossbit.evaluation.rankings import Array, HammingRanking, Ranking
from crossbit.evaluation.ties.counts import Cutoff, Ties


def mean_average_precision(
    query_codes: npt.ArrayLike,
    db_codes: npt.ArrayLike,
    query_labels: npt.ArrayLike,
    db_labels: npt.ArrayLike,
    *,
    k: int | None = None,
    cutoff: Cutoff = "topk-R",
    ties: Ties = "expected",
    empty: Empty = "skip",
) -> float:
    """Mean over the queries of average precision, of the whole ranking (mAP@all) or cut at k.

    With g(r) = 1 where the item at rank r is relevant, P(r) the share of relevant items among the first r, and R the
    relevant items of the query, AP = (1/R) sum g(r) P(r). Three meanings of "mAP@k" are in use; they are one for k = n:

    * "topk-R": (1/min(k, R)) sum over r <= k, as in TREC.
    * "topk": the same sum divided by the relevant items found in the first k; 0 if none is.
    * "first-k-relevant": the mean of P(r) over the first k relevant items, at whatever rank (`calc_map_k`).

    Args:
        query_codes, db_codes: packed codes uint8 (m, bytes) and (n, bytes).
        query_labels, db_labels: 0/1 (m, c) and (n, c), or classes (m,) and (n,).
        k: where to cut; None, or n and more: the whole ranking.
        cutoff: what "at k" means.
        ties: "expected", "index", "best" or "worst", see above.
        empty: queries without a relevant item are left out ("skip") or count as 0 ("zero").

    Raises:
        UserError: codes or labels that do not fit; no query has a relevant item (with "skip"); k below 1;
            "first-k-relevant" below n with expected ties, which has no definition.

    >>> codes = np.array([[0], [1], [3]], np.uint8)
    >>> mean_average_precision(codes[:1], codes, [1], [1, 0, 1])
    0.8333333333333333
    >>> mean_average_precision(codes[:1], codes[[2, 2]], [1], [0, 1])  # a tie: the mean of 1 and 1/2
    0.75
    """
    measure = MeanAveragePrecision(k, cutoff, ties=ties, empty=empty)
    return measure.mean(_values(measure, HammingRanking.of(query_codes, db_codes, query_labels, db_labels)))


def average_precision(
    query_codes: npt.ArrayLike,
    db_codes: npt.ArrayLike,
    query_labels: npt.ArrayLike,
    db_labels: npt.ArrayLike,
    *,
    k: int | None = None,
    cutoff: Cutoff = "topk-R",
    ties: Ties = "expected",
    empty: Empty = "skip",
) -> npt.NDArray[np.float64]:
    """Average precision of each query, (m,); arguments and errors as for `mean_average_precision`.

    A query without a relevant item gives NaN with empty="skip" and 0 with empty="zero".

    >>> codes = np.array([[0], [1], [3]], np.uint8)
    >>> average_precision(codes[:2], codes, [1, 2], [0, 0, 1])
    array([0.33333333,        nan])
    """
    measure = MeanAveragePrecision(k, cutoff, ties=ties, empty=empty)
    return measure.fill(_values(measure, HammingRanking.of(query_codes, db_codes, query_labels, db_labels)))


def precision_at(
    query_codes: npt.ArrayLike,
    db_codes: npt.ArrayLike,
    query_labels: npt.ArrayLike,
    db_labels: npt.ArrayLike,
    n: int | Iterable[int],
    *,
    ties: Ties = "expected",
) -> npt.NDArray[np.float64]:
    """Share of relevant items among the first n, the mean over all queries, for each n: (len(n),).

    An n beyond the database is divided by the size of the database. A query without relevant items counts 0.

    Raises:
        UserError: an n below 1; no query; an empty database; codes or labels that do not fit.

    >>> codes = np.array([[0], [1], [3]], np.uint8)
    >>> precision_at(codes[:1], codes, [1], [1, 0, 1], [1, 2, 9])
    array([1.        , 0.5       , 0.66666667])
    """
    check_choice("ties", ties, get_args(Ties))
    ranking = _occupied(HammingRanking.of(query_codes, db_codes, query_labels, db_labels))
    cuts = [min(check_cut("n", cut), ranking.items) for cut in (n if isinstance(n, Iterable) else [n])]
    hits = np.concatenate([hits_at_cuts(block, cuts, ties) for block in ranking.blocks()])
    return hits.mean(axis=0) / cuts


def precision_recall_by_rank(
    query_codes: npt.ArrayLike,
    db_codes: npt.ArrayLike,
    query_labels: npt.ArrayLike,
    db_labels: npt.ArrayLike,
    n: Iterable[int],
    *,
    ties: Ties = "expected",
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Precision and recall of the first n items, for each n: both (len(n),), means over the queries.

    A query without relevant items has precision 0 and no recall.

    Args:
        query_codes, db_codes, query_labels, db_labels: as for `mean_average_precision`.
        n: the cuts, at most the size of the database.
        ties: "expected", "index", "best" or "worst", see above.

    Raises:
        UserError: an n that is no rank; no query; no query has a relevant item; codes or labels that do not fit.

    >>> codes = np.array([[0], [1], [3]], np.uint8)
    >>> precision, recall = precision_recall_by_rank(codes[:1], codes, [1], [1, 0, 1], [1, 2, 3], ties="index")
    >>> precision.tolist(), recall.tolist()
    ([1.0, 0.5, 0.6666666666666666], [0.5, 0.5, 1.0])
    """
    check_choice("ties", ties, get_args(Ties))
    ranking = _occupied(HammingRanking.of(query_codes, db_codes, query_labels, db_labels))
    cuts = [check_cut("n", cut) for cut in n]
    if max(cuts, default=1) > ranking.items:
        raise UserError(f"n is {max(cuts)}; the database has {ranking.items} items")
    return _curve(RankCurve(tuple(cuts), ties), ranking)


def precision_recall_by_radius(
    query_codes: npt.ArrayLike,
    db_codes: npt.ArrayLike,
    query_labels: npt.ArrayLike,
    db_labels: npt.ArrayLike,
    *,
    average: Average = "micro",
    empty_set: Empty = "zero",
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Precision and recall of everything within Hamming radius 0..bits ("hash lookup"), both (bits + 1,). No ties.

    "micro" divides hits by items retrieved (by relevant items) summed over the queries; "macro" is the mean of the
    queries' own ratios, for recall over the queries that have relevant items.

    Args:
        query_codes, db_codes, query_labels, db_labels: as for `mean_average_precision`.
        average: "micro" or "macro".
        empty_set: the precision of a query that retrieves nothing: 0 ("zero", penalises long codes at small radii), or
            left out ("skip"). "micro" ignores such queries; where no query retrieves anything, it is 0 or NaN.

    Raises:
        UserError: no query; no query has a relevant item; codes or labels that do not fit.

    >>> codes = np.array([[0], [1], [3]], np.uint8)
    >>> precision, recall = precision_recall_by_radius(codes[:1], codes, [1], [1, 0, 1])
    >>> precision[:3].tolist(), recall[:3].tolist()
    ([1.0, 0.5, 0.6666666666666666], [0.5, 0.5, 1.0])
    """
    check_choice("average", average, get_args(Average))
    check_choice("empty_set", empty_set, get_args(Empty))
    ranking = _occupied(HammingRanking.of(query_codes, db_codes, query_labels, db_labels))
    return _curve(RadiusCurve(average, empty_set), ranking)


def chance_level(
    query_labels: npt.ArrayLike,
    db_labels: npt.ArrayLike,
    *,
    k: int | None = None,
    cutoff: Cutoff = "topk-R",
    empty: Empty = "skip",
) -> float:
    """The mAP to expect of a random ranking, hence of constant codes; about the mean share of relevant items.

    >>> round(72 * chance_level([1, 2], [1, 1, 2, 2]), 9)  # two of four
    49.0
    """
    labels, other = check_labels(query_labels, "query_labels"), check_labels(db_labels, "db_labels")
    codes, same = (np.zeros((len(side), 1), np.uint8) for side in (labels, other))
    return mean_average_precision(codes, same, labels, other, k=k, cutoff=cutoff, empty=empty)


def _values(measure: Measure, ranking: Ranking) -> Array:
    return np.concatenate([np.empty(0), *(measure.values(block) for block in ranking.blocks())])


def _curve(curve: Curve, ranking: Ranking) -> tuple[Array, Array]:
    """Precision and recall of a curve that ends where every relevant item is found, so that recall is defined."""
    total, some = np.zeros(()), False
    for block in ranking.blocks():
        total = total + curve.terms(block)
        some |= bool(block.relevant.any())
    if not some:
        raise UserError(
            "no query has a relevant item, so there is no recall; check that both labels mean the same classes"
        )
    points = curve.points(total, ranking.queries)
    return np.array(points["precision"]), np.array(points["recall"])


def _occupied(ranking: HammingRanking) -> HammingRanking:
    for name, rows in (("query_codes", ranking.queries), ("db_codes", ranking.items)):
        if not rows:
            raise UserError(f"{name} has no rows; at least one is needed")
    return ranking
