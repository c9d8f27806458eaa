"""Score codes or real vectors: every modality's queries against every other modality's database."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import permutations
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from crossbit.errors import UserError
from crossbit.evaluation.cosine import CosineRanking
from crossbit.evaluation.curves import Points, usual_curves
from crossbit.evaluation.measure import Empty, Measure, check_choice
from crossbit.evaluation.measures import MeanAveragePrecision
from crossbit.evaluation.passes import as_measure, check_metric, passed
from crossbit.evaluation.rankings import Array, Block, HammingRanking, Metric, Ranking
from crossbit.evaluation.report import DATABASES, Protocol, Report
from crossbit.evaluation.reranked import Ordered, RerankedRanking
from crossbit.evaluation.ties.counts import Cutoff, Ties

Labels: TypeAlias = "npt.ArrayLike | Mapping[str, npt.ArrayLike]"  # for all modalities, or each its own


def score_codes(
    query: Mapping[str, npt.ArrayLike],
    retrieval: Mapping[str, npt.ArrayLike],
    query_labels: Labels,
    retrieval_labels: Labels,
    *,
    k: int | None = None,
    cutoff: Cutoff = "topk-R",
    ties: Ties = "expected",
    empty: Empty = "skip",
    measures: Sequence[str | Measure] = (),
    curves: bool = False,
    per_query: bool = False,
    database: str = "retrieval",
    data: str = "codes",
    method: str = "codes",
) -> Report:
    """Score codes made by anyone: every modality's queries against every other modality's database.

    Args:
        query, retrieval: packed codes uint8 (rows, bits // 8) per modality; row i is pair i in all of them.
        query_labels, retrieval_labels: 0/1 (rows, classes) or classes (rows,); a mapping where modalities were labelled
            apart.
        k, cutoff, ties, empty: as for `mean_average_precision`.
        measures: further ones by their names (see `parse_measure`), for `Report.figures`.
        curves, per_query: whether the report is to have `curves`, and each query's values.
        database: "query" says that the queries are searched themselves, own pairs included.
        data, method: what the report says about them.

    Raises:
        UserError: fewer than two modalities; codes or labels that do not fit; an unknown measure, or one of own pairs
            where the database is another one than the queries; see `mean_average_precision`.

    >>> codes = {"image": np.array([[0], [7]], np.uint8), "text": np.array([[1], [7]], np.uint8)}
    >>> print(score_codes(codes, codes, [0, 1], [0, 1], database="query", data="toy", method="by hand"))
    toy, by hand, 8 bits
    image->text  1.0000  mAP@all(ties=expected, empty=skip), 2 queries x the same 2
    text->image  1.0000  mAP@all(ties=expected, empty=skip), 2 queries x the same 2
    any order of ties: image->text 1.0000 to 1.0000, text->image 1.0000 to 1.0000
    chance: image->text 0.7500, text->image 0.7500
    """
    measure = MeanAveragePrecision(k, cutoff, ties=ties, empty=empty)
    wanted: dict[str, Any] = {"measures": measures, "curves": curves, "per_query": per_query, "database": database}
    sides = query, retrieval, query_labels, retrieval_labels, measure
    report = score_rankings(HammingRanking.of, *sides, data=data, method=method, **wanted)
    return replace(report, bits=8 * np.shape(next(iter(query.values())))[1])


def score_vectors(
    query: Mapping[str, npt.ArrayLike],
    retrieval: Mapping[str, npt.ArrayLike],
    query_labels: Labels,
    retrieval_labels: Labels,
    *,
    k: int | None = None,
    cutoff: Cutoff = "topk-R",
    ties: Ties = "expected",
    empty: Empty = "skip",
    measures: Sequence[str | Measure] = (),
    curves: bool = False,
    per_query: bool = False,
    database: str = "retrieval",
    data: str = "vectors",
    method: str = "vectors",
) -> Report:
    """Score real vectors (rows, d) by cosine similarity; arguments and errors as for `score_codes`.

    >>> vectors = {"image": [[1.0, 0.0], [0.0, 2.0]], "text": [[0.9, 0.1], [0.1, 0.9]]}
    >>> score_vectors(vectors, vectors, [0, 1], [0, 1], database="query").map
    {'image->text': 1.0, 'text->image': 1.0}
    """
    measure = MeanAveragePrecision(k, cutoff, ties=ties, empty=empty)
    wanted: dict[str, Any] = {"measures": measures, "curves": curves, "per_query": per_query, "database": database}
    sides = query, retrieval, query_labels, retrieval_labels, measure
    return score_rankings(CosineRanking.of, *sides, data=data, method=method, metric="cosine", **wanted)


def score_reranked(
    query: Mapping[str, npt.ArrayLike],
    retrieval: Mapping[str, npt.ArrayLike],
    query_order: Mapping[str, npt.ArrayLike],
    retrieval_order: Mapping[str, npt.ArrayLike],
    query_labels: Labels,
    retrieval_labels: Labels,
    *,
    k: int | None = None,
    cutoff: Cutoff = "topk-R",
    ties: Ties = "expected",
    empty: Empty = "skip",
    **options: Any,
) -> Report:
    """Score codes of which the nearest are ordered once more by real vectors, as a search does (`RerankedRanking`).

    Args:
        query_order, retrieval_order: by modality the vectors (rows, d) that order a shortlist, of any one d.
        query, retrieval, query_labels, retrieval_labels, k, cutoff, ties, empty, options: as for `score_codes`, which
            tells the errors, too.

    >>> codes = {"image": np.zeros((2, 1), np.uint8), "text": np.zeros((2, 1), np.uint8)}
    >>> vectors = {"image": [[1.0, 0.0], [0.0, 2.0]], "text": [[0.9, 0.1], [0.1, 0.9]]}
    >>> score_reranked(codes, codes, vectors, vectors, [0, 1], [0, 1], database="query").map
    {'image->text': 1.0, 'text->image': 1.0}
    """
    measure = MeanAveragePrecision(k, cutoff, ties=ties, empty=empty)
    if missing := [name for name in query if name not in query_order or name not in retrieval_order]:
        raise UserError(f"there are no vectors that order the codes of {', '.join(missing)}; give them for both sides")
    made, other = (
        {name: Ordered(array, order[name]) for name, array in codes.items()}
        for codes, order in ((query, query_order), (retrieval, retrieval_order))
    )
    wanted: dict[str, Any] = {"data": "codes", "method": "codes", **options, "metric": "reranked"}
    report = score_rankings(RerankedRanking.of, made, other, query_labels, retrieval_labels, measure, **wanted)
    return replace(report, bits=8 * np.shape(next(iter(query.values())))[1])


def score_rankings(
    ranking: Callable[..., Ranking],
    query: Mapping[str, npt.ArrayLike | Ordered],
    retrieval: Mapping[str, npt.ArrayLike | Ordered],
    query_labels: Labels,
    retrieval_labels: Labels,
    measure: MeanAveragePrecision,
    *,
    data: str,
    method: str,
    measures: Sequence[str | Measure] = (),
    curves: bool = False,
    per_query: bool = False,
    metric: Metric = "hamming",
    database: str = "retrieval",
) -> Report:
    """The report of the rankings that `ranking(query, database, query labels, database labels, names)` makes."""
    start = time.perf_counter()
    check_choice("database", database, DATABASES)
    queries, items = _check_sides(query, retrieval)
    further = _further(measures, metric, database)
    scores = {}
    for source, target in permutations(query, 2):
        labels = labels_of(query_labels, source), labels_of(retrieval_labels, target)
        names = f"query {source}", f"retrieval {target}", "query labels", "retrieval labels"
        ranked = ranking(query[source], retrieval[target], *labels, names)
        scores[f"{source}->{target}"] = _score(ranked, measure, further, curves)
    protocol = Protocol(
        k=measure.k,
        cutoff=measure.cutoff,
        ties=measure.ties,
        empty=measure.empty,
        metric=metric,
        queries=queries,
        database=database,
        database_size=items,
    )
    return Report(
        data=data,
        method=method,
        bits=None,
        map={direction: score.figures["map"] for direction, score in scores.items()},
        protocol=protocol,
        seconds={"evaluate": time.perf_counter() - start},
        spread={way: {bound: score.figures[bound] for bound in ("worst", "best")} for way, score in scores.items()},
        chance={way: score.figures["chance"] for way, score in scores.items() if "chance" in score.figures},
        figures={name: {way: score.figures[name] for way, score in scores.items()} for name in further},
        curves=_by_title({way: score.curves for way, score in scores.items()}),
        empty_queries={way: score.empty("map") for way, score in scores.items()},
        figures_empty_queries={name: {way: score.empty(name) for way, score in scores.items()} for name in further},
        per_query={way: measure.fill(score.queries["map"]) for way, score in scores.items()} if per_query else {},
        figures_per_query={
            name: {way: further[name].fill(score.queries[name]) for way, score in scores.items()} for name in further
        }
        if per_query
        else {},
    )


@dataclass(frozen=True)
class _Score:
    """What one direction gave."""

    figures: dict[str, float]  # "map", "worst", "best", "chance" and the further measures by their names
    queries: dict[str, Array]  # of each query (m,), NaN where it is undefined: "map" and the further measures
    curves: dict[str, Points]

    def empty(self, name: str) -> int:
        """How many queries a measure is undefined for."""
        return int(np.isnan(self.queries[name]).sum())


def _further(measures: Sequence[str | Measure], metric: Metric, database: str) -> dict[str, Measure]:
    """The measures by their printed names.

    Raises:
        UserError: one is unknown, or needs another ranking or database than there is.
    """
    further = {str(measure): measure for measure in map(as_measure, measures)}
    for name, measure in further.items():
        check_metric(measure, metric)
        if measure.own_pair and database != "query":
            raise UserError(
                f"{name} needs each query's own pair in the database; search the queries (database 'query'), "
                "or give the same rows as queries and as database"
            )
    return further


def _score(ranking: Ranking, measure: MeanAveragePrecision, further: dict[str, Measure], curves: bool) -> _Score:
    """The measures, with the bounds that ties leave the first one, and what a random ranking is expected to give."""
    main: dict[str, Measure] = {"map": measure, **dict(zip(("worst", "best"), measure.bounds(), strict=True))}
    alike = {name: other for name, other in further.items() if not other.own_pair}
    wanted: dict[str, Callable[[Block], Array]] = {key: other.values for key, other in (main | alike).items()}
    if measure.cutoff != "first-k-relevant" or measure.k is None or measure.k >= ranking.items:
        main["chance"] = chance = replace(measure, ties="expected")
        wanted["chance"] = lambda block: chance.values(_one_group(block))
    values, points = passed(ranking, wanted, usual_curves(ranking.items, measure.ties) if curves else ())
    own = {name: other for name, other in further.items() if other.own_pair}
    if own:  # a pass of their own
        values |= passed(ranking.of_pairs(), {name: other.values for name, other in own.items()})[0]
    figures = {key: other.mean(values[key]) for key, other in (main | alike | own).items()}
    return _Score(figures, values, points)


def _one_group(block: Block) -> Block:
    """The block as if all items were tied."""
    size, relevant = (counts.sum(axis=1, keepdims=True) for counts in (block.size, block.relevant))
    return replace(block, size=size, relevant=relevant)


def _by_title(curves: dict[str, dict[str, Points]]) -> dict[str, dict[str, Points]]:
    """Curves by direction and title, by title and direction."""
    titles = next(iter(curves.values()))
    return {title: {way: of[title] for way, of in curves.items()} for title in titles}


def _check_sides(
    query: Mapping[str, npt.ArrayLike | Ordered], retrieval: Mapping[str, npt.ArrayLike | Ordered]
) -> tuple[int, int]:
    """Numbers of queries and of database rows, the same in all modalities; as is the length of a code."""
    if len(query) < 2 or set(query) != set(retrieval):
        raise UserError(
            f"queries have the modalities {', '.join(query) or 'none'}, the database {', '.join(retrieval) or 'none'}; "
            "scoring across modalities needs the same ones on both sides, at least two"
        )
    shapes = {
        side: {f"{side} {modality}": np.shape(_codes_of(array)) for modality, array in of.items()}
        for side, of in (("query", query), ("retrieval", retrieval))
    }
    everything = shapes["query"] | shapes["retrieval"]
    if len({shape[1:] for shape in everything.values()}) > 1 or any(len(shape) != 2 for shape in everything.values()):
        given = ", ".join(f"{name}: {shape}" for name, shape in everything.items())
        raise UserError(f"codes must all have the shape (rows, the same length); got {given}")
    for of in shapes.values():
        if len({shape[0] for shape in of.values()}) > 1 or not all(shape[0] for shape in of.values()):
            given = ", ".join(f"{name}: {shape[0]}" for name, shape in of.items())
            raise UserError(
                f"the modalities must have the same number of rows, at least 1, as row i is pair i; got {given}"
            )
    queries, items = (next(iter(of.values()))[0] for of in shapes.values())
    return queries, items


def _codes_of(array: npt.ArrayLike | Ordered) -> npt.ArrayLike:
    return array.codes if isinstance(array, Ordered) else array


def labels_of(labels: Labels, modality: str) -> npt.ArrayLike:
    """The labels of a modality."""
    if not isinstance(labels, Mapping):
        return labels
    if modality not in labels:
        raise UserError(f"there are labels for {', '.join(labels) or 'no modality'}, but none for {modality}")
    return labels[modality]
