"""Retrieval measures over binary codes, exact under ties: average precision, precision at n, curves by radius.

Codes are packed uint8 (n, bits // 8) as `crossbit.bits.pack` makes them. Labels are 0/1 (n, classes) of any width: an
item is relevant if it shares a class with the query; or integer classes (n,): it is relevant if they are equal.

With L bits there are only L + 1 distances, so most of a ranking is tied, and what stands first inside a tie is an
accident of the sort and of the order of the file. `ties` says what is done about it:

* "expected": the mean over all orders inside ties, in closed form; independent of the database's order.
* "index": ties stand in the order of the database, as a stable sort leaves them; to compare with others.
* "best", "worst": the highest and the lowest value that any order inside ties gives.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from crossbit.errors import UserError
from crossbit.evaluation.measure import Empty, Measure, check_choice, check_cut
from crossbit.evaluation.rankings import Array, Block, HammingRanking
from crossbit.evaluation.ties import Cutoff, Ties, hits_of_counts
from crossbit.labels import check_labels

Average = Literal["micro", "macro"]


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
    measure = Measure(k, cutoff, ties, empty)
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
    measure = Measure(k, cutoff, ties, empty)
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
    hits = np.concatenate([_hits(block, cuts, ties) for block in ranking.blocks()])
    return hits.mean(axis=0) / cuts


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
    terms = sum(_radius_terms(block, average) for block in ranking.blocks())
    hits, retrieved, found, relevant = np.asarray(terms)
    if not relevant[0]:
        raise UserError(
            "no query has a relevant item, so there is no recall; check that both labels mean the same classes"
        )
    if average == "macro" and empty_set == "zero":
        retrieved = np.full_like(retrieved, len(ranking.query))
    nothing = np.nan if empty_set == "skip" else 0.0
    precision = np.divide(hits, retrieved, out=np.full(len(hits), nothing), where=retrieved > 0)
    return precision, found / relevant


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


def _values(measure: Measure, ranking: HammingRanking) -> Array:
    return np.concatenate([np.empty(0), *(measure.average_precision(block) for block in ranking.blocks())])


def _occupied(ranking: HammingRanking) -> HammingRanking:
    for name, rows in (("query_codes", len(ranking.query)), ("db_codes", ranking.items)):
        if not rows:
            raise UserError(f"{name} has no rows; at least one is needed")
    return ranking


def _hits(block: Block, cuts: list[int], ties: Ties) -> Array:
    """Relevant items among the first n for each n, (m, len(cuts))."""
    if ties == "index":
        return block.in_order(cuts, False)[0].astype(np.float64)
    return np.stack([hits_of_counts(block.size, block.relevant, cut, ties) for cut in cuts], axis=1)


def _radius_terms(block: Block, average: Average) -> Array:
    """(4, bits + 1), summed over the block's queries: both ratios' numerators and denominators."""
    retrieved, hits = block.size.cumsum(axis=1), block.relevant.cumsum(axis=1)
    relevant = hits[:, -1:]
    if average == "micro":
        terms = hits, retrieved, hits, np.broadcast_to(relevant, hits.shape)
    else:
        some = np.broadcast_to(relevant > 0, hits.shape)
        terms = hits / np.maximum(retrieved, 1), retrieved > 0, hits / np.maximum(relevant, 1), some
    return np.stack([term.sum(axis=0, dtype=np.float64) for term in terms])
